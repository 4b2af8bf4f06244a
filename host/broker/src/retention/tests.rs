//! Who has not written for long is forgotten, and partitions where nobody is so old are not locked for it. Of a
//! partition that moves meanwhile nothing is removed as if it had not.

use std::{sync::mpsc, thread, time::Duration};

use dohle_base::{Offset, ProducerEpoch, ProducerId, Timestamp};
use dohle_log::{LogConfig, Origin, disk::Operation};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer};

use super::{DeletedDir, Which, Worker, check};
use crate::{
    durability::tests::is_committed_soon,
    kit::{Kit, SOON, kit},
    open_files::OpenFiles,
    partition::Partition,
};

const EXPIRATION: i64 = 60_000;

/// Two partitions, whose logs forget producers after a minute, as the node says.
fn two() -> Kit {
    let config = LogConfig { producer_expiration_ms: EXPIRATION, ..LogConfig::default() };
    let settings = format!("producer.id.expiration.ms={EXPIRATION}\n");
    kit(&settings, OpenFiles::within(1_000, 100, 2), 2, &config)
}

/// Appends a record of a producer that is so old.
fn write(kit: &Kit, partition: usize, id: i64, age: i64) {
    let producer = Producer { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence: 0 };
    let now = kit.broker.clock.wall();
    let mut batch = BatchBuilder::new(BatchSpec { producer, ..BatchSpec::default() });
    let timestamp = Timestamp(now.0 - age);
    let record = NewRecord { timestamp, value: Some(b"x"), ..NewRecord::default() };
    batch.append(&record).unwrap();
    let partition = &kit.partitions[partition];
    partition.append(&batch.finish(), Origin::Client, now).unwrap().unwrap();
}

fn known(partition: &Partition) -> Vec<i64> {
    let ids = partition
        .with_leader(|leader| leader.log().producers().map(|producer| producer.id.0).collect());
    ids.unwrap()
}

#[test]
fn who_is_too_old_is_forgotten_and_nobody_else() {
    let kit = two();
    write(&kit, 0, 1, EXPIRATION);
    write(&kit, 0, 2, EXPIRATION / 2);
    write(&kit, 1, 1, 0);
    write(&kit, 1, 3, 2 * EXPIRATION);
    check::expire_producers(&kit.broker, || true);
    assert_eq!(known(&kit.partitions[0]), [1, 2], "the node stops");
    check::expire_producers(&kit.broker, || false);
    assert_eq!(known(&kit.partitions[0]), [2]);
    assert_eq!(known(&kit.partitions[1]), [1]);
}

#[test]
fn where_nobody_is_so_old_the_state_is_not_locked() {
    let kit = two();
    write(&kit, 0, 1, EXPIRATION / 2);
    let (done, is_done) = mpsc::channel();
    let held = kit.partitions.iter().map(|partition| partition.state()).collect::<Vec<_>>();
    let broker = std::sync::Arc::clone(&kit.broker);
    let check = thread::spawn(move || {
        check::expire_producers(&broker, || false);
        done.send(()).unwrap();
    });
    let is_done = is_done.recv_timeout(SOON);
    drop(held);
    check.join().unwrap();
    assert_eq!(is_done, Ok(()));
}

/// Who writes the checkpoints of the other directory does not wait for the names of its segments.
#[test]
fn of_a_partition_that_has_moved_nothing_is_removed_under_the_checkpoints_of_where_it_was() {
    let config = LogConfig {
        segment_bytes_max: 100,
        retention_bytes_max: Some(100),
        ..LogConfig::default()
    };
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &config);
    for id in 1..=4 {
        write(&kit, 0, id, 0);
    }
    let ([partition], dirs) = (&kit.partitions[..], &kit.broker.log_dirs) else { unreachable!() };
    assert!(is_committed_soon(partition, Offset(4)));
    let segments = || partition.with_leader(|leader| leader.log().segment_count()).unwrap();
    let (before, now) = (segments(), kit.broker.clock.wall());
    // As if it had moved once its directory was looked up.
    {
        let _state = partition.state();
        partition.move_to(std::sync::Arc::clone(&dirs[1]));
    }
    assert_eq!(check::remove_expired_of(partition, &dirs[0], now), check::Removed::HasMoved);
    assert_eq!(segments(), before);
    assert_eq!(check::remove_expired_of(partition, &dirs[1], now), check::Removed::Done);
    assert!(segments() < before);
}

/// Four segments, of which all but the last are to go.
fn aged(settings: &str, compacted: bool) -> Kit {
    let config = LogConfig {
        segment_bytes_max: 100,
        retention_bytes_max: Some(100),
        compacted,
        ..LogConfig::default()
    };
    let kit = kit(settings, OpenFiles::within(1_000, 100, 2), 1, &config);
    (0..4).for_each(|_| append_keyed(&kit.partitions[0]));
    assert!(is_committed_soon(&kit.partitions[0], Offset(4)));
    kit
}

fn append_keyed(partition: &std::sync::Arc<Partition>) {
    let mut batch = BatchBuilder::new(BatchSpec::default());
    let (key, value) = (Some(&b"k"[..]), Some(&b"x"[..]));
    batch.append(&NewRecord { key, value, ..NewRecord::default() }).unwrap();
    partition.append(&batch.finish(), Origin::Client, Timestamp(0)).unwrap().unwrap();
}

fn segments(kit: &Kit) -> usize {
    kit.partitions[0].with_leader(|leader| leader.log().segment_count()).unwrap()
}

#[test]
fn compacted_logs_and_others_have_a_check_each() {
    for compacted in [false, true] {
        let kit = aged("", compacted);
        let (mine, other) = match compacted {
            true => (Which::Compacted, Which::Plain),
            false => (Which::Plain, Which::Compacted),
        };
        let before = segments(&kit);
        check::remove_expired(&kit.broker, other, || false);
        assert_eq!(segments(&kit), before);
        check::remove_expired(&kit.broker, mine, || false);
        assert!(segments(&kit) < before, "{compacted}");
    }
}

/// In Kafka it is the cleaner that removes what is old from compacted logs.
#[test]
fn compacted_logs_are_looked_at_as_often_as_the_cleaner_does_and_not_without_it() {
    let often = "log.cleaner.backoff.ms=1000
log.retention.check.interval.ms=600000
";
    for (enable, compacted, goes) in [(true, true, true), (false, true, false)] {
        let kit = aged(
            &format!(
                "{often}log.cleaner.enable={enable}
"
            ),
            compacted,
        );
        let before = segments(&kit);
        let retention = kit.broker.retention.clone();
        let thread = retention.start(std::sync::Arc::clone(&kit.broker)).unwrap();
        let until = std::time::Instant::now() + if goes { SOON } else { Duration::from_secs(3) };
        while std::time::Instant::now() < until && (segments(&kit) == before || !goes) {
            thread::sleep(Duration::from_millis(10));
        }
        retention.stop();
        thread.join().unwrap();
        assert_eq!(segments(&kit) < before, goes, "{enable}");
    }
}

/// The sync of its new name may be what failed: with the old one it may be a partition again.
#[test]
fn a_deleted_directory_stays_where_the_disk_has_failed() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    let deleted = kit.broker.log_dirs.iter().map(|dir| {
        let path = dir.path.join("t-0.00000000000000000000000000000001-delete");
        std::fs::create_dir(&path).unwrap();
        DeletedDir { dir: std::sync::Arc::clone(dir), path, due: Timestamp(0) }
    });
    let deleted: Vec<_> = deleted.collect();
    let paths: Vec<_> = deleted.iter().map(|deleted| deleted.path.clone()).collect();
    let source = std::io::Error::from_raw_os_error(5);
    let failed = &kit.broker.log_dirs[0];
    failed.judge(&dohle_log::IoError::new(Operation::SyncDir, &failed.path, &source));
    let mut worker = Worker::new(std::sync::Arc::clone(&kit.broker), Default::default());
    worker.deleted_dirs = deleted;
    worker.remove_dirs(kit.broker.clock.wall());
    assert_eq!(paths.iter().map(|path| path.exists()).collect::<Vec<_>>(), [true, false]);
    assert!(worker.deleted_dirs.is_empty(), "that is for the next start");
}
