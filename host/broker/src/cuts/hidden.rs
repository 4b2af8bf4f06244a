//! Failures of a disk that are not told by the call that one would look at.

use std::{path::PathBuf, sync::Arc, time::Duration};

use dohle_base::{ErrorCode, Offset, Timestamp};
use dohle_group::{Caller, Command, GroupSettings, Reply};
use dohle_log::{
    disk::Operation,
    sim::{Faults, SimDisk},
};
use dohle_os::Clock;
use dohle_records::Compression;

use super::{
    script::{Handles, Planted, append, send},
    site::{Means, Shared, Site, formatted, lock},
};
use crate::{Coordinator, Fatal, GroupWrites, partition::Partition, retention::begin_unlink};

/// So many that some share a directory.
const TOPICS: [&str; 3] = ["t", "u", "v"];
/// More changes than an append makes.
const CALLS: u64 = 8;

/// A node with topics that have a record each.
fn site(handles: Handles) -> (SimDisk, Site, Vec<Arc<Partition>>) {
    let (disk, told) = (formatted(), Shared::default());
    let mut site = Site::start(&disk, &told, Means { handles, ..Means::default() }).unwrap();
    TOPICS.iter().for_each(|name| lock(&told).create(name, &[]));
    site.publish();
    let ids = TOPICS.map(|name| lock(&told).id(name));
    let partitions = ids.map(|id| site.partition(id).unwrap()).to_vec();
    append(&mut site, &partitions, (1, 0), Planted::Nothing).unwrap();
    site.flush();
    (disk, site, partitions)
}

/// The segment of a partition.
fn segment(partition: &Partition) -> PathBuf {
    partition.log_dir().path.join(format!("{partition}/00000000000000000000.log"))
}

/// That a disk is full is no failure of it. What a write has left there and cannot be cut off again is.
#[test]
fn a_full_disk_that_cannot_undo_an_append_is_out_of_service() {
    let mut uncut = 0;
    for call in 1..CALLS {
        let (disk, mut site, partitions) = site(Handles::Enough);
        let full = &partitions[..1];
        let before = disk.peek(&segment(&full[0])).unwrap().len();
        let io_error_at = Some(disk.changes() + call);
        disk.set_faults(Faults { bytes_free: Some(10), io_error_at, ..Faults::default() });
        append(&mut site, full, (1, 0), Planted::Nothing).unwrap_err();
        let is_cut = disk.peek(&segment(&full[0])).unwrap().len() == before;
        if is_cut || !matches!(disk.last_fault(), Some((Operation::Truncate, _))) {
            continue;
        }
        uncut += 1;
        assert!(full[0].log_dir().has_failed());
        for partition in &partitions {
            let is_elsewhere = partition.directory() != full[0].directory();
            assert_eq!(partition.is_led(), is_elsewhere, "{partition}");
        }
        site.check_healthy().unwrap();
        let told = Arc::clone(&site.told);
        drop(site);
        disk.set_faults(Faults::default());
        disk.kill();
        Site::start(&disk, &told, Means::default()).unwrap().check().unwrap();
    }
    assert_eq!(uncut, 1);
}

/// Who opens the file again to sync it is not told: its volume is asked, or what is lost would be acknowledged.
#[test]
fn what_could_not_be_written_back_of_a_closed_log_is_not_acknowledged() {
    for asks_volume in [true, false] {
        let (disk, mut site, partitions) = site(Handles::Few);
        let partition = &partitions[0];
        // As behind a frame that found no room: its segments are synced.
        partition.with_leader(|_| partition.leave_unframed(Offset(2))).unwrap();
        assert_eq!(send(&site, partition, (1, 0)).len(), 1);
        disk.fail_write_back(&segment(partition));
        if !asks_volume {
            disk.ignore_volume_syncs(1, 1);
        }
        site.step();
        let is_out = (partition.log_dir().has_failed(), partition.is_led());
        assert_eq!(is_out, (asks_volume, !asks_volume));
        // Else the fault goes unheard, and this says why the volume is asked.
        let is_acknowledged = partition.high_watermark() == Offset(2);
        assert_eq!(is_acknowledged, !asks_volume);
    }
}

/// A partition may leave a disk that fails while its old files are unlinked there.
#[test]
fn a_disk_that_a_partition_has_left_is_to_blame_for_itself() {
    let (disk, told) = (formatted(), Shared::default());
    let mut site = Site::start(&disk, &told, Means::default()).unwrap();
    lock(&told).create("s", &[("internal.segment.bytes", "200"), ("retention.bytes", "400")]);
    site.publish();
    let partition = site.partition(lock(&told).id("s")).unwrap();
    append(&mut site, &[Arc::clone(&partition)], (9, 0), Planted::Nothing).unwrap();
    site.broker.retention.step_check(&site.broker);
    let in_a_year = Timestamp(site.broker.clock.wall().0 + 365 * 24 * 3_600_000);
    let (unlinking, _) = begin_unlink(&partition, in_a_year).unwrap();
    let old = partition.log_dir();
    let new = site.broker.log_dirs.iter().find(|dir| dir.id != old.id).unwrap();
    partition.move_to(Arc::clone(new));
    let io_error_at = Some(disk.changes() + 1);
    disk.set_faults(Faults { io_error_at, ..Faults::default() });
    unlinking.expect("segments are to go").run(&partition);
    assert_eq!((old.has_failed(), new.has_failed()), (true, false));
}

/// The groups of a partition have no coordinator if it cannot be read, and the disk that is why is out of service.
#[test]
fn a_disk_on_which_groups_cannot_be_read_is_out_of_service() {
    let (disk, _site, partitions) = site(Handles::Enough);
    let partition = &partitions[0];
    disk.set_faults(Faults { unreadable: [segment(partition)].into(), ..Faults::default() });
    let (settings, clock) = (GroupSettings::default(), Clock::start());
    let writes =
        GroupWrites { compression: Compression::NONE, commit_max: Duration::from_secs(10) };
    let (coordinator, thread) =
        Coordinator::start(settings, writes, clock, &Fatal::default()).unwrap();
    coordinator.elected(Arc::clone(partition));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let caller = Caller {
        token: coordinator.token(),
        api_version: 5,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
    };
    let asks =
        coordinator.ask(partition.index(), Command::DescribeGroups(caller, vec!["g".into()]));
    let Reply::DescribeGroups(groups) = runtime.block_on(asks) else { panic!("another reply") };
    assert_eq!(groups[0].error_code, ErrorCode::NOT_COORDINATOR);
    assert!(partition.log_dir().has_failed());
    coordinator.stop();
    thread.join().unwrap();
}
