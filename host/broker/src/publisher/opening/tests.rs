//! As many threads for each directory as are set.

use std::{
    sync::Condvar,
    time::{Duration, Instant},
};

use dohle_base::LeaderEpoch;
use dohle_log::{LogConfig, OpenLog, Origin};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use super::*;
use crate::{
    disk::either::OS,
    kit::{Kit, kit, kit_in},
    open_files::OpenFiles,
};

/// How many are acted on at once, of so many in each of two groups.
fn at_once(items: usize, threads: usize) -> usize {
    let (acting, changed) = (Mutex::new((0, 0)), Condvar::new());
    // Who acts stays until all threads that there may be act, or too many do.
    let end = Instant::now() + Duration::from_secs(20);
    let act = |_| {
        let mut state = acting.lock().unwrap();
        state.0 += 1;
        state.1 = state.0.max(state.1);
        changed.notify_all();
        while state.1 < 2 * threads.min(items) && Instant::now() < end {
            state = changed.wait_timeout(state, Duration::from_millis(10)).unwrap().0;
        }
        state.0 -= 1;
    };
    let all: Vec<_> = (0..2 * items).collect();
    let done = for_each_group(all, |item| Uuid(*item as u128 % 2), threads, act);
    assert_eq!(done.len(), 2 * items);
    acting.lock().unwrap().1
}

#[test]
fn so_many_threads_work_for_each_directory() {
    assert_eq!(at_once(20, 1), 2);
    assert_eq!(at_once(20, 3), 6);
    assert_eq!(at_once(2, 8), 4);
}

#[test]
fn the_number_of_threads_is_what_is_set() {
    let threads = |settings: &str| {
        let kit = kit(settings, OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
        kit.broker.threads_per_dir()
    };
    assert_eq!(threads(""), 2);
    assert_eq!(threads("num.recovery.threads.per.data.dir=5\n"), 5);
}

/// A node whose first directory has a log, that of `t-0`, which is noted to be offline and not flushed.
fn with_noted_log() -> (Kit, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/t-0");
    std::fs::create_dir(root.path().join("a")).unwrap();
    let how = OpenLog::default();
    let mut log = Log::open(OS, path.clone(), LogConfig::default(), how, Timestamp(0)).unwrap();
    let mut batch = BatchBuilder::new(BatchSpec::default());
    batch.append(&NewRecord { value: Some(b"x"), ..NewRecord::default() }).unwrap();
    log.append_as_leader(&batch.finish(), LeaderEpoch(0), Origin::Client, Timestamp(0)).unwrap();
    offline::note(&OS, &path, "damaged").unwrap();
    let config = LogConfig::default();
    (kit_in(root, "", OpenFiles::within(1_000, 100, 2), 0, &config), path)
}

fn opening(node: &Kit, rule: CommitRule) -> Opening {
    let known = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let topic = known.broker.metadata().image.topics.named("t").cloned().unwrap();
    let index = PartitionId(0);
    Opening {
        partition: topic.partitions[&index].clone(),
        topic,
        index,
        unled: None,
        dir: Arc::clone(&node.broker.log_dirs[0]),
        config: Arc::new(LogConfig::default()),
        rule,
        refuses_acks_all: false,
        cleaner: Cleaner::default(),
        withheld: None,
    }
}

/// A power cut in between may leave a hole in what another process acknowledged.
#[test]
fn a_note_goes_when_all_that_the_log_had_is_durable() {
    for rule in [CommitRule::Synced, CommitRule::Written] {
        let (kit, path) = with_noted_log();
        let dir = &kit.broker.log_dirs[0];
        let partition = opening(&kit, rule).run(BrokerId(1), Timestamp(0));
        let partitions = [Arc::clone(&partition)];
        let is_noted = || offline::is_noted(dir.disk(), &path).unwrap();
        let point = || partition.with_leader(|leader| leader.log().recovery_point()).unwrap();
        assert_eq!((point(), is_noted()), (Offset(0), true));
        dir.logs_are_open(&partitions);
        assert_eq!(is_noted(), point() < Offset(1), "{rule:?}");
        dir.flush(|| partitions.to_vec());
        assert_eq!((point(), is_noted()), (Offset(1), false));
    }
}
