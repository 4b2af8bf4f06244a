//! A copy that nobody wants stays as long as the metadata may say that the partition lies there: else a start
//! without the directory where it lies makes it anew.

use std::{path::PathBuf, sync::atomic::AtomicBool};

use dohle_log::partition_metadata;
use dohle_metadata::MetadataImage;

use super::*;
use crate::{
    kit::{make_topic, no_topics},
    partition_dirs::{Leftovers, sort_out},
};

/// What is left in the new directory of a partition whose move is taken back when the metadata names that
/// directory, and `before` has happened. The controller takes nothing more once it is told to refuse.
fn left_of(before: impl Fn(&Arc<Partition>, &AtomicBool)) -> (Kit, Vec<PathBuf>) {
    let (mut kit, mut worker) = site("", 2, &LogConfig::default());
    let is_refusing = Arc::new(AtomicBool::new(false));
    let refuses = Arc::clone(&is_refusing);
    control(&mut kit, move |_| !refuses.load(Ordering::Acquire));
    let home = &kit.broker.log_dirs[0];
    let [partition, other] = &kit.partitions[..] else { unreachable!() };
    write(partition);
    // The other one waits for its turn, and the controller is not told.
    request(&kit, partition);
    request(&kit, other);
    let start = Instant::now();
    let is_assigned = |worker: &Worker| {
        worker.copies.values().any(|(moving, _)| moving.is_assigned.load(Ordering::Acquire))
    };
    while !is_assigned(&worker) {
        assert!(start.elapsed() < SOON, "the controller does not take it");
        turn(&mut worker);
    }
    before(partition, &is_refusing);
    for partition in [partition, other] {
        kit.broker.moves.request(partition, home, Uuid(999));
    }
    turn(&mut worker);
    assert!(copies(&kit).is_empty(), "no start goes on with it");
    assert_eq!((left(&kit, "t-0.").len(), left(&kit, "t-1.").len()), (1, 1));
    let retention = kit.broker.retention.start(Arc::clone(&kit.broker)).unwrap();
    let start = Instant::now();
    while !left(&kit, "t-1.").is_empty() {
        assert!(start.elapsed() < SOON, "nothing is removed");
        thread::sleep(Duration::from_millis(1));
    }
    kit.broker.retention.stop();
    retention.join().unwrap();
    let left = left(&kit, "t-0.");
    (kit, left)
}

fn left(kit: &Kit, begin: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(&kit.broker.log_dirs[1].path).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(begin)).collect()
}

/// The partition lies in this directory.
fn image(directory: Uuid, kit: &Kit) -> MetadataImage {
    let (topic, name) = (kit.partitions[0].topic_id(), kit.partitions[0].topic());
    let mut state = no_topics();
    make_topic(&mut state, name, topic, 1, directory);
    state.image().clone()
}

/// How many directories a start removes that the metadata says this to.
fn removed_by_a_start(kit: &Kit, directory: Uuid) -> usize {
    let mut left = Leftovers::default();
    let target = &kit.broker.log_dirs[1];
    sort_out(&kit.broker, target, &image(directory, kit), &mut left).unwrap();
    left.deleted.len()
}

fn is_kept_until_the_metadata_names_another(kit: &Kit, left: &[PathBuf]) {
    let [kept] = left else { panic!("{left:?}") };
    let owner = partition_metadata::read(&OS, kept).unwrap();
    assert_eq!(owner, Some(kit.partitions[0].topic_id()), "it says whose it is");
    assert_eq!(removed_by_a_start(kit, Uuid(8)), 0);
    assert_eq!(removed_by_a_start(kit, Uuid(7)), 1);
    // All of the partition lies there.
    fs::create_dir(kit.broker.log_dirs[1].path.join("t-0")).unwrap();
    assert_eq!(removed_by_a_start(kit, Uuid(8)), 1);
}

#[test]
fn a_copy_goes_once_the_controller_has_taken_back_its_directory() {
    let (_kit, left) = left_of(|_, _| {});
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_copy_stays_whose_directory_the_controller_does_not_take_back() {
    let (kit, left) = left_of(|_, is_refusing| is_refusing.store(true, Ordering::Release));
    is_kept_until_the_metadata_names_another(&kit, &left);
}

#[test]
fn a_copy_stays_whose_partition_is_not_led_to_take_its_directory_back() {
    let (kit, left) = left_of(|partition, _| *partition.state() = State::NotLed);
    is_kept_until_the_metadata_names_another(&kit, &left);
}

/// The metadata may name the directory of a copy that a start has found.
#[test]
fn a_copy_that_a_start_has_found_stays_as_well() {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| false);
    let [home, target] = &kit.broker.log_dirs[..] else { unreachable!() };
    let path = target.path.join("t-0.x-future");
    fs::create_dir(&path).unwrap();
    kit.broker.moves.resume(&kit.partitions[0], target, path);
    kit.broker.moves.request(&kit.partitions[0], home, Uuid(999));
    turn(&mut worker);
    assert!(copies(&kit).is_empty());
    is_kept_until_the_metadata_names_another(&kit, &left(&kit, "t-0."));
}
