//! The mark of a clean stop is Kafka's, and gone for good once it is removed.

use super::*;
use crate::sim::SimDisk;

const DIR: &str = "/logs";
const FILE: &str = "/logs/.kafka_cleanshutdown";

#[test]
fn the_mark_is_written_read_and_removed() {
    let (disk, dir) = (SimDisk::new(), Path::new(DIR));
    disk.plant(Path::new("/logs/x"), b"");
    assert_eq!(read(&disk, dir), Ok(None));
    write(&disk, dir, 14).unwrap();
    disk.restart(0);
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), br#"{"version":0,"brokerEpoch":14}"#);
    assert_eq!(read(&disk, dir), Ok(Some(CleanStop { broker_epoch: Some(14) })));
    remove(&disk, dir).unwrap();
    disk.restart(0);
    assert_eq!(read(&disk, dir), Ok(None));
    remove(&disk, dir).unwrap();
}

#[test]
fn a_mark_that_says_nothing_is_still_one() {
    for text in ["", "{", "[]", r#"{"version":0}"#, r#"{"brokerEpoch":"x"}"#, "\0\0"] {
        let disk = SimDisk::new();
        disk.plant(Path::new(FILE), text.as_bytes());
        let stop = read(&disk, Path::new(DIR));
        assert_eq!(stop, Ok(Some(CleanStop { broker_epoch: None })), "{text}");
    }
}
