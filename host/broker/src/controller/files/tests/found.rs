//! What a start makes of files that are left over, or missing.

use dohle_raft::SnapshotId;

use super::stage::*;
use super::*;

#[test]
fn what_an_interrupted_removal_left_is_tidied_as_kafka_does() {
    let disk = formatted();
    let mut node = Running::start(&disk, &settings(), 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    let zero = Path::new(DIR).join(SnapshotId::BOOTSTRAP.file_name());
    let bootstrap = disk.peek(&zero).unwrap();
    node.clean().unwrap();
    let left = ends(&disk);
    // One below the log's start, as if only its segments had gone; Kafka's names of what is not done.
    disk.plant(&zero, &bootstrap);
    for suffix in [".deleted", "-3217581098715.part"] {
        let name = SnapshotId::BOOTSTRAP.file_name() + suffix;
        disk.plant(&Path::new(DIR).join(name.replace(".checkpoint-32", "-32.checkpoint")), b"x");
    }
    disk.restart(1);
    let again = Running::start(&disk, &settings(), 90_000).unwrap();
    assert_eq!(ends(&disk)[..left.len()], left);
    let rest = names(&disk).into_iter().filter(|n| n.ends_with(".part") || n.ends_with(".deleted"));
    assert_eq!(rest.collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(again.topics().len(), 20);
}

#[test]
fn a_log_that_begins_behind_every_snapshot_is_not_opened_and_not_tidied() {
    let disk = formatted();
    let mut node = Running::start(&disk, &settings(), 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    node.clean().unwrap();
    let zero = Path::new(DIR).join(SnapshotId::BOOTSTRAP.file_name());
    disk.plant(&zero, &formatted().peek(&zero).unwrap());
    for end in ends(&disk).into_iter().filter(|end| *end > 0) {
        let name = names(&disk)
            .into_iter()
            .find(|n| SnapshotId::from_file_name(n).is_ok_and(|id| id.end_offset == Offset(end)));
        disk.remove(&Path::new(DIR).join(name.unwrap())).unwrap();
    }
    let error = Running::start(&disk, &settings(), 90_000).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("expected a snapshot up to there"), "{error}");
    assert_eq!(ends(&disk), [0], "what is left is left for whoever repairs it");
}

#[test]
fn a_log_that_was_lost_behind_a_snapshot_begins_at_its_end() {
    let disk = formatted();
    let mut node = Running::start(&disk, &settings(), 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    node.clean().unwrap();
    let newest = *ends(&disk).last().unwrap();
    for name in names(&disk).into_iter().filter(|name| name.ends_with("log")) {
        disk.remove(&Path::new(DIR).join(name)).unwrap();
    }
    let mut again = Running::start(&disk, &settings(), 90_000).unwrap();
    assert_eq!((ends(&disk)[0], bases(&disk)[0]), (newest, newest));
    again.create("goes-on").unwrap();
    check_for_kafka(&disk).unwrap();
}
