//! The topic's id is read and written as Kafka does.

use super::*;
use crate::sim::SimDisk;

fn read_text(text: &[u8]) -> Result<Option<TopicId>, SideFileError> {
    let disk = SimDisk::new();
    disk.plant(Path::new("/t-0/partition.metadata"), text);
    read(&disk, Path::new("/t-0"))
}

#[test]
fn the_bytes_are_kafkas() {
    let (disk, dir) = (SimDisk::new(), Path::new("/t-0"));
    disk.plant(Path::new("/t-0/x"), b"");
    assert_eq!(read(&disk, dir), Ok(None));
    let topic = "ASNFZ4mrze8QMlR2mLrc_g".parse().unwrap();
    write(&disk, dir, topic).unwrap();
    let expected = b"version: 0\ntopic_id: ASNFZ4mrze8QMlR2mLrc_g";
    assert_eq!(disk.peek(Path::new("/t-0/partition.metadata")).unwrap(), expected);
    assert_eq!(read(&disk, dir), Ok(Some(topic)));
    assert_eq!(read_text(&[expected.as_slice(), b"\n"].concat()), Ok(Some(topic)));
}

#[test]
fn what_a_power_cut_left_of_a_file_that_was_not_synced_is_as_good_as_none() {
    assert_eq!((read_text(b""), read_text(&[0; 43])), (Ok(None), Ok(None)));
}

#[test]
fn damage_is_named_by_its_line() {
    let rows: [(&[u8], usize); 6] = [
        (b"\xff", 1),
        (b"version: 1\ntopic_id: ASNFZ4mrze8QMlR2mLrc_g", 1),
        (b"version: 0", 2),
        (b"version: 0\ntopic_id: short", 2),
        (b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", 2),
        (b"version: 0\ntopic_id: ASNFZ4mrze8QMlR2mLrc_g\nmore", 3),
    ];
    for (text, expected) in rows {
        match read_text(text) {
            Err(SideFileError::Malformed { line, .. }) => assert_eq!(line, expected, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}
