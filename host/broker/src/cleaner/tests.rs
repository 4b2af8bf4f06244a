//! As many logs are cleaned at once as the settings of the moment say.

use dohle_base::Offset;
use dohle_log::{LogConfig, Origin};
use dohle_metadata::{MetadataRecord, MetadataState};
use dohle_protocol::records::metadata::config_record::ConfigRecord;
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use super::*;
use crate::{
    durability::tests::is_committed_soon,
    kit::{Kit, SOON, kit},
    open_files::OpenFiles,
    partition::Partition,
};

const PARTITIONS: i32 = 3;
/// In which a thread too many would have begun.
const A_WHILE: Duration = Duration::from_millis(200);

/// Partitions whose segments hold a record each, of which only the last one is needed.
fn site() -> Kit {
    let config = LogConfig {
        compacted: true,
        segment_bytes_max: 200,
        cleanable_ratio_min: 0.0,
        ..LogConfig::default()
    };
    let settings = "log.cleaner.threads=1\nlog.cleaner.backoff.ms=1\n";
    kit(settings, OpenFiles::within(1_000, 100, 2), PARTITIONS, &config)
}

/// Appends to each partition what can be cleaned.
fn fill(kit: &Kit) {
    for partition in &kit.partitions {
        let mut end = Offset::ZERO;
        for _ in 0..5 {
            let mut batch = BatchBuilder::new(BatchSpec::default());
            let (key, value) = (Some(&b"k"[..]), Some(&[7; 100][..]));
            batch.append(&NewRecord { key, value, ..NewRecord::default() }).unwrap();
            let now = kit.broker.clock.wall();
            let appended = partition.append(&batch.finish(), Origin::Client, now);
            end = appended.unwrap().unwrap().0.last_offset.next();
        }
        assert!(is_committed_soon(partition, end));
    }
}

/// As in Kafka, which ages what has no times by it, too.
#[test]
fn what_is_cleaned_is_as_old_as_what_it_was_made_of() {
    let kit = site();
    fill(&kit);
    let partition = &kit.partitions[0];
    let dir = partition.with_leader(|leader| leader.log().dir().to_owned()).unwrap();
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = paths.filter(|path| path.extension() == Some("log".as_ref())).collect();
    logs.sort();
    let at =
        |index: usize| std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + index as u64);
    for (index, path) in logs.iter().enumerate() {
        std::fs::File::open(path).unwrap().set_modified(at(index)).unwrap();
    }
    kit.broker.cleaner.step(&kit.broker, partition);
    // The one that is written stays as it is, and too large to become one are the others.
    for (index, path) in logs.iter().enumerate().take(4) {
        let metadata = std::fs::metadata(path).unwrap();
        assert_eq!((metadata.len() == 0, metadata.modified().unwrap()), (index < 3, at(index)));
    }
}

/// As when the metadata says so.
fn set_threads(kit: &Kit, count: usize) {
    let mut state = MetadataState::default();
    let record = ConfigRecord {
        resource_type: 4,
        resource_name: "".into(),
        name: "log.cleaner.threads".into(),
        value: Some(count.to_string().into()),
    };
    state.apply(&MetadataRecord::Config(record)).unwrap();
    kit.broker.take_settings(state.image());
    kit.broker.cleaner.ring();
}

fn busy(kit: &Kit) -> usize {
    kit.broker.cleaner.shared.state().busy.len()
}

fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() && start.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(1));
    }
    is_so()
}

/// Keeps the cleaner from ending with any log while `act` looks on.
fn held_up<R>(kit: &Kit, act: impl FnOnce() -> R) -> R {
    let held: Vec<_> = kit.partitions.iter().map(|partition| partition.cleaning()).collect();
    let result = act();
    drop(held);
    result
}

/// Whether so many logs are at it, and stay so many.
fn is_at(kit: &Kit, count: usize) -> bool {
    wait_until(|| busy(kit) == count) && {
        std::thread::sleep(A_WHILE);
        busy(kit) == count
    }
}

fn all_are_clean(kit: &Kit) -> bool {
    let is_clean = |partition: &Arc<Partition>| {
        let looked = partition.with_leader(|leader| {
            let log = leader.log();
            log.cleaned_to() == log.active_base_offset()
        });
        looked.unwrap()
    };
    wait_until(|| busy(kit) == 0 && kit.partitions.iter().all(is_clean))
}

#[test]
fn as_many_logs_are_cleaned_at_once_as_the_settings_of_the_moment_say() {
    let kit = site();
    let cleaner = held_up(&kit, || {
        fill(&kit);
        let cleaner = kit.broker.cleaner.start(Arc::clone(&kit.broker)).unwrap().unwrap();
        assert!(is_at(&kit, 1), "{} at once", busy(&kit));
        // While the first one is still at its log.
        set_threads(&kit, 2);
        assert!(is_at(&kit, 2), "{} at once", busy(&kit));
        cleaner
    });
    assert!(all_are_clean(&kit));
    held_up(&kit, || {
        set_threads(&kit, 3);
        fill(&kit);
        kit.broker.cleaner.ring();
        assert!(is_at(&kit, 3), "{} at once", busy(&kit));
        // They end what they have begun.
        set_threads(&kit, 1);
        assert!(is_at(&kit, 3), "{} at once", busy(&kit));
    });
    assert!(all_are_clean(&kit));
    assert!(wait_until(|| kit.broker.cleaner.shared.state().running.len() == 1));
    held_up(&kit, || {
        fill(&kit);
        kit.broker.cleaner.ring();
        assert!(is_at(&kit, 1), "{} at once", busy(&kit));
        // A number that was given back can be had again.
        set_threads(&kit, 3);
        assert!(is_at(&kit, 3), "{} at once", busy(&kit));
    });
    assert!(all_are_clean(&kit));
    kit.broker.cleaner.stop();
    cleaner.join().unwrap();
    assert_eq!(kit.broker.cleaner.shared.state().running.len(), 0);
}
