//! A stop, or who takes a move back, does not wait until a copy that a start has found is read. Who wants it still
//! does not notice.

use std::sync::atomic::AtomicUsize;

use super::*;

/// A move that goes on with all of a partition, which is so many bytes in parts.
fn found(parts: usize, size: usize) -> (Kit, Worker) {
    let (mut kit, worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| true);
    let (partition, dirs) = (&kit.partitions[0], &kit.broker.log_dirs);
    let ends: Vec<_> = (0..parts).map(|_| append_value(partition, &vec![7; size])).collect();
    assert!(is_committed_soon(partition, ends[parts - 1]));
    kit.flush();
    let path = dirs[1].path.join("t-0.x-future");
    fs::create_dir(&path).unwrap();
    for entry in fs::read_dir(dirs[0].path.join("t-0")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), path.join(entry.file_name())).unwrap();
    }
    kit.broker.moves.resume(partition, &dirs[1], path);
    (kit, worker)
}

#[test]
fn no_copy_is_opened_any_more_once_the_node_stops() {
    let (kit, mut worker) = found(1, 100);
    let new = worker.shared.take_new();
    kit.broker.moves.stop();
    worker.turn(new);
    assert_eq!((worker.copies.len(), worker.waiting.len()), (0, 1));
    worker.run();
    assert_eq!(copies(&kit).len(), 1, "the next start goes on with it");
}

#[test]
fn what_was_copied_is_not_looked_through_any_more_once_it_is_not_wanted() {
    let (kit, worker) = found(1, 100);
    let moving = worker.shared.take_new().pop().unwrap();
    let asked = AtomicUsize::new(0);
    let begun = Copy::begin(&moving, Timestamp(0), &|| asked.fetch_add(1, Ordering::AcqRel) == 0);
    assert!(matches!(begun, Err(MoveError::Stopped)));
    assert_eq!((asked.load(Ordering::Acquire), copies(&kit).len()), (2, 1));
}

/// Its heads are looked through in several parts, of which none ends with a batch by chance.
#[test]
fn a_large_copy_goes_on() {
    let (kit, mut worker) = found(60, 300_001);
    let partition = &kit.partitions[0];
    turn_until(&mut worker, || partition.directory() == Uuid(8));
    assert_eq!(records(partition).len(), 60);
}
