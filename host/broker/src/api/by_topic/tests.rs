//! Goal: what belongs to one topic comes together, in work per entry and not per pair.
//!
//! Method: keys that count how often one is made and compared.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
};

use super::*;

/// A name, and how much was done with it and all others.
struct Counted<'a> {
    name: usize,
    steps: &'a Cell<usize>,
}

impl<'a> Counted<'a> {
    fn new(name: usize, steps: &'a Cell<usize>) -> Self {
        steps.set(steps.get() + 1);
        Self { name, steps }
    }
}

impl PartialEq for Counted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.steps.set(self.steps.get() + 1);
        self.name == other.name
    }
}

impl Eq for Counted<'_> {}

impl Hash for Counted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

fn merged(entries: Vec<(usize, Vec<u8>)>, more: Vec<(usize, Vec<u8>)>) -> Vec<(usize, Vec<u8>)> {
    merge(entries, more, |entry| entry.0, |entry, more| entry.1.extend(more.1))
}

#[test]
fn an_entry_is_joined_to_the_first_of_its_topic_and_others_come_behind() {
    let entries = vec![(1, vec![1]), (2, vec![2]), (1, vec![3])];
    let more = vec![(3, vec![4]), (1, vec![5]), (3, vec![6])];
    let expected = [(1, vec![1, 5]), (2, vec![2]), (1, vec![3]), (3, vec![4, 6])];
    assert_eq!(merged(entries, more), expected);
    assert_eq!(merged(Vec::new(), Vec::new()), []);
}

#[test]
fn many_topics_cost_a_few_steps_each() {
    const COUNT: usize = 5_000;
    let steps = Cell::new(0);
    // Half of them have an entry already.
    let entries: Vec<_> = (0..COUNT).collect();
    let more = COUNT / 2..COUNT * 3 / 2;
    let key = |name: &usize| Counted::new(*name, &steps);
    let merged = merge(entries, more, key, |_, _| ());
    assert_eq!(merged.len(), COUNT * 3 / 2);
    // A key for each, and who has the same hash to compare with; in pairs they are millions.
    assert!(steps.get() < COUNT * 2 * 4, "{}", steps.get());
}
