//! A copy whose name could not be made durable is where the next attempt looks for it.

use dohle_log::{
    disk::{Disk, OpenMode},
    sim::{Faults, SimDisk},
};

use super::*;

const COPY: &str = "/logs/t-0.x-future";
const PLACE: &str = "/logs/t-0";

/// A copy that is put in place, and what fails on the way: changes of these numbers behind the first.
fn put_in_place(failing: Option<u64>) -> (SimDisk, Result<(), (IoError, bool)>) {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/meta.properties"), b"");
    disk.create_dir(Path::new(COPY)).unwrap();
    disk.open(&Path::new(COPY).join("f"), OpenMode::Create).unwrap();
    let io_error_at = failing.map(|number| disk.changes() + number);
    disk.set_faults(Faults { io_error_at, ..Faults::default() });
    let renamed = rename(&disk, Path::new(COPY), Path::new(PLACE));
    (disk, renamed)
}

fn is_at(disk: &SimDisk, dir: &str) -> bool {
    disk.peek(&Path::new(dir).join("f")).is_some()
}

#[test]
fn a_copy_whose_new_name_is_not_durable_has_the_old_one() {
    let (disk, renamed) = put_in_place(None);
    assert!(renamed.is_ok() && is_at(&disk, PLACE) && !is_at(&disk, COPY));
    for failing in 1..=2 {
        let (disk, renamed) = put_in_place(Some(failing));
        let (_, is_in_place) = renamed.unwrap_err();
        assert!(!is_in_place && is_at(&disk, COPY) && !is_at(&disk, PLACE), "{failing}");
    }
}
