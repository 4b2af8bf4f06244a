//! The property of cleans finds the faults that it is there for, as `crate::planted` those of power
//! cuts: each is planted in the one who cleans, and some story must go red.

use proptest::{collection::vec, strategy::*, test_runner::TestRunner};

use super::property::{Planted, World, step};

/// What is said of each when it is found.
const KINDS: [(Planted, &str); 2] = [
    (Planted::TombstoneEarly, "a tombstone that is taken too early"),
    (Planted::PastStable, "taken from behind the last stable offset"),
];

/// How many stories may pass before a fault is found.
const STORIES_MAX: usize = 100;

/// What is found first.
fn found(planted: Planted) -> Option<String> {
    let mut runner = TestRunner::deterministic();
    let stories = vec(step(), 20..60);
    (0..STORIES_MAX).find_map(|_| {
        let story = stories.new_tree(&mut runner).expect("any story will do").current();
        World::new(planted).play(story).err()
    })
}

#[test]
fn each_planted_fault_of_a_clean_is_found() {
    for (planted, how) in KINDS {
        let found = found(planted).unwrap_or_else(|| panic!("{planted:?} was not found"));
        assert!(found.contains(how), "{planted:?}: {found}");
    }
}

#[test]
fn a_clean_without_a_fault_keeps_its_promise() {
    assert_eq!(found(Planted::Nothing), None);
}
