//! What is in the way of the next topic of its name when a directory cannot be given another one.

use std::{path::Path, sync::Arc};

use dohle_base::{Offset, Timestamp, Uuid};
use dohle_log::{
    Disk,
    disk::Operation,
    sim::{Faults, SimDisk},
};

use super::{
    site::{Means, Shared, Site, formatted, lock},
    told::INDEX,
};
use crate::{durability::tests::append_value, partition::Partition, partition_dirs};

const DIR: &str = "/a";
/// More changes than it takes to delete a topic and make it again.
const CALLS: u64 = 40;

/// A node with a record of the topic `t`.
fn site(is_flushed: bool) -> (SimDisk, Site) {
    let (disk, told) = (formatted(), Shared::default());
    let mut site = Site::start(&disk, &told, Means::default()).unwrap();
    lock(&told).create("t", &[]);
    site.publish();
    append_value(&partition(&site), b"x");
    site.step();
    if is_flushed {
        site.flush();
    }
    (disk, site)
}

fn partition(site: &Site) -> Arc<Partition> {
    let id = lock(&site.told).id("t");
    site.partition(id).unwrap()
}

/// Whether anything in the directory has such a name.
fn has(disk: &SimDisk, ending: &str) -> bool {
    let entries = disk.list(Path::new(DIR)).unwrap();
    entries.iter().any(|entry| entry.name.ends_with(ending))
}

/// There is no room for its new name at this moment.
#[test]
fn a_directory_that_keeps_its_name_is_in_nobodys_way() {
    for is_flushed in [false, true] {
        let mut renames = 0;
        for call in 1..CALLS {
            let (disk, mut site) = site(is_flushed);
            let full_at = Some(disk.changes() + call);
            disk.set_faults(Faults { full_at, ..Faults::default() });
            lock(&site.told).delete("t");
            lock(&site.told).create("t", &[]);
            site.publish();
            match disk.last_fault() {
                Some((Operation::Rename, path)) if path.ends_with("t-0") => renames += 1,
                _ => continue,
            }
            let partition = partition(&site);
            let range = partition.with_leader(|leader| leader.log().log_end_offset());
            assert_eq!(range, Ok(Offset(0)), "{is_flushed}");
            append_value(&partition, b"y");
            site.step();
            assert_eq!(partition.high_watermark(), Offset(1));
            assert!(has(&disk, "-delete"));
            site.broker.retention.step_removals(&Arc::clone(&site.broker));
            assert!(!has(&disk, "-delete"), "nor does it take room until the next start");
        }
        assert_eq!(renames, 1);
    }
}

/// Also if no topic of its name comes.
#[test]
fn a_directory_that_keeps_its_name_is_given_another_one_with_the_next_flush() {
    let mut renames = 0;
    for call in 1..CALLS {
        let (disk, mut site) = site(true);
        let full_at = Some(disk.changes() + call);
        disk.set_faults(Faults { full_at, ..Faults::default() });
        lock(&site.told).delete("t");
        site.publish();
        if !matches!(disk.last_fault(), Some((Operation::Rename, path)) if path.ends_with("t-0")) {
            continue;
        }
        renames += 1;
        assert!(has(&disk, "t-0"));
        site.flush();
        assert!(has(&disk, "-delete") && !has(&disk, "t-0"));
        site.broker.retention.step_removals(&Arc::clone(&site.broker));
        assert!(!has(&disk, "-delete"));
    }
    assert_eq!(renames, 1);
}

/// A partition comes back to the directory that it has left, and what it has left there is still in its place.
#[test]
fn a_partition_moves_back_to_where_its_directory_has_kept_its_name() {
    let mut renames = 0;
    for call in 1..CALLS {
        let (disk, mut site) = site(true);
        let full_at = Some(disk.changes() + call);
        disk.set_faults(Faults { full_at, ..Faults::default() });
        move_to(&site, 1);
        if !matches!(disk.last_fault(), Some((Operation::Rename, path)) if path.ends_with("t-0")) {
            continue;
        }
        renames += 1;
        assert!(has(&disk, "t-0"));
        move_to(&site, 0);
        site.flush();
        assert!(has(&disk, "-delete") && has(&disk, "t-0"));
        let end = partition(&site).with_leader(|leader| leader.log().log_end_offset());
        assert_eq!((partition(&site).directory(), end), (Uuid(7), Ok(Offset(1))));
    }
    assert_eq!(renames, 1);
}

fn move_to(site: &Site, dir: usize) {
    let dir = &site.broker.log_dirs[dir];
    site.broker.moves.request(&partition(site), dir, Uuid(6));
    site.broker.moves.step(&Arc::clone(&site.broker));
}

/// The name is there, and it is not known whether it stays.
#[test]
fn a_directory_whose_new_name_is_not_durable_is_removed_under_it() {
    let (disk, site) = site(true);
    let dir = &site.broker.log_dirs[0];
    let io_error_at = Some(disk.changes() + 2);
    disk.set_faults(Faults { io_error_at, ..Faults::default() });
    let deleted = partition_dirs::delete(dir, &"t".into(), INDEX, Uuid(5), Timestamp(0));
    assert!(matches!(disk.last_fault(), Some((Operation::SyncDir, _))), "{:?}", disk.last_fault());
    assert!(deleted.unwrap().path.ends_with("t-0.00000000000000000000000000000005-delete"));
    assert!(has(&disk, "-delete") && !has(&disk, "t-0"));
    assert!(dir.has_failed());
}
