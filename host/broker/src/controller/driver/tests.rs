//! What a disk that is full, or fails, does to the metadata log of a node that serves.
//!
//! Method: a driver without its thread, over a simulated disk.

use std::path::PathBuf;

use dohle_config::MetadataLog;
use dohle_log::{
    disk::Operation,
    sim::{Faults, SimDisk},
};
use dohle_protocol::api::create_topics_request::{CreatableTopic, CreateTopicsRequest};

use super::*;
use crate::controller::files::tests::{formatted, load, registration, settings};

fn start(disk: &SimDisk, settings: &MetadataLog) -> Driver<SimDisk> {
    start_at(disk, settings, 0)
}

/// Each second another incarnation.
fn start_at(disk: &SimDisk, settings: &MetadataLog, second: u64) -> Driver<SimDisk> {
    let (node, files) = load(disk, settings, second).unwrap();
    let mut driver = Driver::new(node, files, Clock::start(), Arc::default());
    driver.boot(registration(disk, second)).unwrap();
    driver
}

/// A topic of so many partitions: a batch of 80 bytes for each.
fn topic(index: usize, num_partitions: i32) -> Request {
    let name = format!("topic-{index:03}").into();
    let topic =
        CreatableTopic { name, num_partitions, replication_factor: 1, ..Default::default() };
    Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], ..Default::default() })
}

fn create(driver: &mut Driver<SimDisk>, index: usize, partitions: i32) -> Result<(), DriverError> {
    match driver.ask_now(topic(index, partitions))? {
        Reply::CreateTopics(reply) if !reply.topics[0].error_code.is_error() => Ok(()),
        reply => panic!("{reply:?}"),
    }
}

fn topics(driver: &Driver<SimDisk>) -> usize {
    driver.node.published().image.topics.iter().count()
}

/// A log of this size has files beside it that a flush saves each MiB.
#[test]
fn a_disk_that_fills_up_stalls_a_metadata_log_that_is_large_already() {
    let settings = MetadataLog { segment_bytes: 1 << 30, snapshot_bytes: 1 << 30, ..settings() };
    let disk = formatted();
    let mut driver = start(&disk, &settings);
    let batch = {
        let before = driver.files.size();
        create(&mut driver, 0, 1_000).unwrap();
        driver.files.size() - before
    };
    let mut made = 1;
    while driver.files.size() + batch < 1 << 20 {
        create(&mut driver, made, 1_000).unwrap();
        made += 1;
    }
    // Room for the batch, which the log had set aside, and not for what lies beside it.
    disk.set_faults(Faults { bytes_free: Some(batch + 100), ..Faults::default() });
    create(&mut driver, made, 1_000).unwrap();
    made += 1;
    assert!(driver.files.size() > 1 << 20);
    // Then there is none for a batch either.
    disk.set_faults(Faults { bytes_free: Some(50), ..Faults::default() });
    let token = driver.token();
    driver.node.request(driver.clock.now(), token, topic(made, 1_000));
    for _ in 0..3 {
        driver.carry_out_or_stall().unwrap();
        assert!(driver.unwritten.is_some(), "it is tried again");
    }
    assert_eq!(topics(&driver), made);
    let answered = disk.fork();
    disk.set_faults(Faults::default());
    driver.carry_out_or_stall().unwrap();
    assert!(driver.unwritten.is_none());
    create(&mut driver, made + 1, 1).unwrap();
    assert_eq!(topics(&driver), made + 2);
    assert!(driver.files.is_flushed(), "what had no room is made up for");
    for (disk, topics_made) in [(answered, made), (disk, made + 2)] {
        for seed in 0..4 {
            let disk = disk.fork();
            disk.restart(seed);
            assert_eq!(topics(&start(&disk, &settings)), topics_made, "seed {seed}");
        }
    }
}

/// What is known of this broker, and who leads a topic's first partition.
fn standing(node: &Node, topic: &str) -> (bool, bool, BrokerId) {
    let image = node.controller().image();
    let broker = &image.brokers[&BrokerId(1)];
    let topic = image.topics.iter().find(|found| found.name == *topic).unwrap();
    let leader = topic.partitions[&PartitionId(0)].leader;
    (broker.fenced, broker.in_controlled_shutdown, leader)
}

/// As Kafka leaves it: one that is started next need not wait until a session is over.
#[test]
fn a_stop_leaves_the_broker_fenced_and_a_start_takes_it_back() {
    let disk = formatted();
    for made in 0..3 {
        let mut driver = start_at(&disk, &settings(), made as u64);
        create(&mut driver, made, 3).unwrap();
        let in_service = (false, false, BrokerId(1));
        assert_eq!(standing(&driver.node, "topic-000"), in_service);
        driver.stop().unwrap();
        let (node, _) = load(&disk, &settings(), 0).unwrap();
        assert_eq!(standing(&node, "topic-000"), (true, true, BrokerId::NONE));
    }
}

/// Whatever call of it fails or is the last one before the power goes.
#[test]
fn a_stop_that_is_cut_short_is_followed_by_a_start() {
    let before = || {
        let disk = formatted();
        let mut driver = start(&disk, &settings());
        create(&mut driver, 0, 3).unwrap();
        (disk, driver)
    };
    let calls = {
        let (disk, driver) = before();
        let calls = disk.changes();
        driver.stop().unwrap();
        disk.changes() - calls
    };
    assert!(calls > 4, "{calls}");
    for (call, power_ends) in (1..=calls).flat_map(|call| [(call, false), (call, true)]) {
        let (disk, driver) = before();
        let call = Some(disk.changes() + call);
        let power_after = call.filter(|_| power_ends);
        disk.set_faults(Faults { io_error_at: call, power_after, ..Faults::default() });
        // How it ends does not matter here.
        let _ = driver.stop();
        disk.set_faults(Faults::default());
        disk.restart(1);
        let driver = start_at(&disk, &settings(), 1);
        let standing = standing(&driver.node, "topic-000");
        assert_eq!(standing, (false, false, BrokerId(1)), "{call:?}, {power_ends}");
    }
}

#[test]
fn a_stop_ends_on_a_full_disk_though_the_broker_cannot_be_fenced() {
    // Whether a request could not be written before.
    for stalls in [false, true] {
        let disk = formatted();
        let mut driver = start(&disk, &settings());
        create(&mut driver, 0, 3).unwrap();
        // No room for a batch, but for what lies beside the log.
        disk.set_faults(Faults { bytes_free: Some(50), ..Faults::default() });
        if stalls {
            let token = driver.token();
            driver.node.request(driver.clock.now(), token, topic(1, 1));
            driver.carry_out_or_stall().unwrap();
            assert!(driver.unwritten.is_some());
        }
        driver.stop().expect("it ends");
        disk.set_faults(Faults::default());
        let (node, _) = load(&disk, &settings(), 0).unwrap();
        assert_eq!(standing(&node, "topic-000"), (false, false, BrokerId(1)));
        drop(node);
        assert_eq!(topics(&start(&disk, &settings())), 1);
    }
}

/// A driver that writes a snapshot with the next topic, made of as many as are there.
fn before_snapshot(disk: &SimDisk, topics: usize) -> Driver<SimDisk> {
    let mut driver = start(disk, &settings());
    (0..topics).for_each(|index| create(&mut driver, index, 1).unwrap());
    driver
}

#[test]
fn a_snapshot_whose_sync_failed_is_not_written_again() {
    let disk = formatted();
    let mut driver = before_snapshot(&disk, 0);
    let snapshots = |disk: &SimDisk| {
        let names = disk.list(&PathBuf::from("/m/__cluster_metadata-0")).unwrap().into_iter();
        names.filter(|entry| entry.name.ends_with(".checkpoint")).count()
    };
    let (before, mut made) = (snapshots(&disk), 0);
    let calls = loop {
        let calls = disk.changes();
        create(&mut driver, made, 1).unwrap();
        if snapshots(&disk) > before {
            break disk.changes() - calls;
        }
        made += 1;
    };
    let (mut syncs, mut others) = (0, 0);
    for call in 1..=calls {
        let run = |power_ends: bool| {
            let disk = formatted();
            let mut driver = before_snapshot(&disk, made);
            let call = Some(disk.changes() + call);
            let power_after = call.filter(|_| power_ends);
            disk.set_faults(Faults { io_error_at: call, power_after, ..Faults::default() });
            let created = create(&mut driver, made, 1);
            (created, disk.last_call().unwrap())
        };
        // Without power no call comes behind it.
        let (_, (operation, path)) = run(true);
        match run(false).0 {
            Err(DriverError::Files(error)) if error.is_of_sync() => syncs += 1,
            Ok(()) => {
                let is_sync = matches!(operation, Operation::Sync | Operation::SyncDir);
                assert!(!is_sync, "{operation} {} failed, and the node goes on", path.display());
                others += 1;
            }
            _ => {}
        }
    }
    assert!(syncs >= 3 && others >= 3, "of {calls}: {syncs} syncs, {others} others");
}
