//! Messages of the formats before batches become batches when they are cleaned, as in Kafka 4.

use dohle_base::{Offset, Timestamp};
use dohle_log::{OpenLog, sim::SimDisk};
use dohle_records::{BatchView, MAGIC_V2};

use super::kit::*;
use crate::kit::*;

/// A message of magic 0 or 1.
fn message(magic: u8, offset: i64, timestamp: i64, key: &str, value: Option<&str>) -> Vec<u8> {
    let mut body = vec![magic, 0];
    if magic == 1 {
        body.extend(timestamp.to_be_bytes());
    }
    let mut field = |bytes: Option<&[u8]>| match bytes {
        None => body.extend((-1_i32).to_be_bytes()),
        Some(bytes) => {
            body.extend((bytes.len() as i32).to_be_bytes());
            body.extend(bytes);
        }
    };
    field(Some(key.as_bytes()));
    field(value.map(str::as_bytes));
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let mut bytes = offset.to_be_bytes().to_vec();
    bytes.extend((body.len() as i32 + 4).to_be_bytes());
    bytes.extend(crc.sum().to_be_bytes());
    bytes.extend(body);
    bytes
}

fn old_log(messages: &[Vec<u8>], end: i64) -> SimDisk {
    let disk = disk();
    let file = |name: &str| std::path::PathBuf::from(DIR).join(name);
    disk.plant(&file("00000000000000000000.log"), &messages.concat());
    disk.plant(&file(&format!("{end:020}.log")), &[]);
    disk
}

#[test]
fn old_messages_become_batches() {
    for magic in [0, 1] {
        let messages = [
            message(magic, 0, 100, "a", Some("1")),
            message(magic, 1, 101, "b", Some("1")),
            message(magic, 2, 102, "a", Some("2")),
            message(magic, 5, 103, "b", None),
        ];
        let disk = old_log(&messages, 6);
        let how = OpenLog { recovery_point: Offset(6), ..OpenLog::default() };
        let mut log = open_how(&disk, compacted(), how).unwrap();
        assert_eq!(log.log_end_offset(), Offset(6));
        let before = folded_old(&messages);
        clean(&mut log, NOW).unwrap();
        let batches = read_all(&mut log);
        let views = batches.iter().map(|b| BatchView::parse(b).unwrap()).collect::<Vec<_>>();
        let ranges = views.iter().map(|v| (v.base_offset().0, v.last_offset().0));
        assert_eq!(ranges.collect::<Vec<_>>(), [(2, 2), (5, 5)]);
        assert!(views.iter().all(|view| view.bytes()[16] == MAGIC_V2 as u8));
        assert!(views.iter().all(|view| !view.has_producer_id()));
        assert_eq!(views[1].delete_horizon(), Some(later(RETENTION)));
        let times = stored(&mut log).iter().map(|r| r.timestamp).collect::<Vec<_>>();
        assert_eq!(times, if magic == 1 { [102, 103] } else { [Timestamp::NONE.0; 2] });
        assert_eq!(folded(&mut log), before);
        log.flush().unwrap();
        drop(log);
        disk.restart(0);
        let mut log = open(&disk, compacted()).unwrap();
        assert_eq!(offsets(&mut log), [2, 5]);
        assert_eq!(log.log_end_offset(), Offset(6));
    }
}

fn folded_old(messages: &[Vec<u8>]) -> std::collections::BTreeMap<String, String> {
    assert_eq!(messages.len(), 4);
    [("a".to_owned(), "2".to_owned())].into()
}
