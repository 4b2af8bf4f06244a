//! Checkpoints are read and written as Kafka does, and damage in them is named.

use super::*;
use crate::sim::{Faults, SimDisk};

const DIR: &str = "/logs";

fn read(text: &str) -> Result<PartitionOffsets, SideFileError> {
    let disk = SimDisk::new();
    let kind = OffsetKind::HighWatermark;
    disk.plant(&Path::new(DIR).join(kind.file_name()), text.as_bytes());
    read_offsets(&disk, Path::new(DIR), kind)
}

#[test]
fn offsets_are_written_and_read() {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/.lock"), b"");
    let offsets = PartitionOffsets::from([
        (("a".into(), PartitionId(1)), Offset(42)),
        (("b".into(), PartitionId(0)), Offset(0)),
    ]);
    for kind in [OffsetKind::RecoveryPoint, OffsetKind::LogStart, OffsetKind::CleanerPoint] {
        assert_eq!(read_offsets(&disk, Path::new(DIR), kind), Ok(PartitionOffsets::new()));
        write_offsets(&disk, Path::new(DIR), kind, &offsets).unwrap();
        let text = disk.peek(&Path::new(DIR).join(kind.file_name())).unwrap();
        assert_eq!(text, b"0\n2\na 1 42\nb 0 0\n");
        disk.restart(0);
        assert_eq!(read_offsets(&disk, Path::new(DIR), kind).as_ref(), Ok(&offsets));
    }
}

#[test]
fn epochs_are_written_and_read() {
    let disk = SimDisk::new();
    let epochs = [(0, 0), (3, 17)]
        .map(|(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) });
    disk.plant(Path::new("/logs/.lock"), b"");
    write_epochs(&disk, Path::new(DIR), &epochs).unwrap();
    let text = disk.peek(Path::new("/logs/leader-epoch-checkpoint")).unwrap();
    assert_eq!(text, b"0\n2\n0 0\n3 17\n");
    assert_eq!(read_epochs(&disk, Path::new(DIR)).unwrap(), epochs);
}

#[test]
fn damage_is_named_by_its_line() {
    let rows = [
        ("1\n0\n", 1),
        ("\n", 1),
        ("0\n", 2),
        ("0\nx\n", 2),
        ("0\n3\nnot a checkpoint\n", 3),
        ("0\n2\na 0 1\n", 2),
        ("0\n0\na 0 1\n", 2),
        ("0\n1\na 0\n", 3),
        ("0\n1\na 0 1 2\n", 3),
        ("0\n2\na 0 1\na x 1\n", 4),
        ("0\n1\na 0 99999999999999999999\n", 3),
        ("0\n1\n\n", 3),
        ("0\n99999999999999999999\n", 2),
        ("0\n1\na 0 -1\n", 3),
        ("0\n1\na -1 0\n", 3),
        // Of 1234, and of an entry more.
        ("0\n2\na 0 1\nb 0 12", 4),
        ("0\n0", 2),
    ];
    for (text, expected) in rows {
        match read(text) {
            Err(SideFileError::Malformed { line, .. }) => assert_eq!(line, expected, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    assert_eq!(read("").unwrap().len(), 0);
}

#[test]
fn bytes_that_are_not_text_are_malformed() {
    let disk = SimDisk::new();
    disk.plant(&Path::new(DIR).join("leader-epoch-checkpoint"), &[0xff, 0xfe, 0, 1]);
    let error = read_epochs(&disk, Path::new(DIR)).unwrap_err();
    assert!(matches!(error, SideFileError::Malformed { line: 1, .. }));
}

#[test]
fn high_watermarks_that_are_marked_say_the_same() {
    let (disk, dir) = (SimDisk::new(), Path::new(DIR));
    disk.plant(Path::new("/logs/.lock"), b"");
    assert_eq!(mark::is_there(&disk, dir), Ok(false), "there are none");
    for count in [0, 1, 10] {
        let key = |index| (Str::from("t"), PartitionId(index));
        let offsets: PartitionOffsets =
            (0..count).map(|index| (key(index), Offset(i64::from(index)))).collect();
        mark::write(&disk, dir, &offsets).unwrap();
        assert_eq!(mark::is_there(&disk, dir), Ok(true));
        assert_eq!(read_offsets(&disk, dir, OffsetKind::HighWatermark), Ok(offsets.clone()));
        let path = dir.join(OffsetKind::HighWatermark.file_name());
        assert!(disk.peek(&path).unwrap().starts_with(format!("0\n0{count}\n").as_bytes()));
        // As Kafka writes them, and this program where it leaves the directory to whoever comes.
        write_offsets(&disk, dir, OffsetKind::HighWatermark, &offsets).unwrap();
        assert_eq!(mark::is_there(&disk, dir), Ok(false));
    }
}

#[test]
fn the_place_of_an_entry_is_told() {
    let (disk, dir, kind) = (SimDisk::new(), Path::new(DIR), OffsetKind::LogStart);
    disk.plant(&dir.join(kind.file_name()), b"0\n3\nt 1 5\nt  0 17\nu 0 3\n");
    let position = |topic, index| position_of(&disk, dir, kind, (topic, PartitionId(index)));
    assert_eq!(
        [("t", 1), ("t", 0), ("u", 0), ("u", 1)].map(|(topic, index)| position(topic, index)),
        [Ok(4), Ok(10), Ok(18), Ok(0)]
    );
}

#[test]
fn offsets_are_struck_out_without_room_and_said_to_be_less_at_any_time() {
    let kind = OffsetKind::RecoveryPoint;
    let path = Path::new(DIR).join(kind.file_name());
    let text = b"0\n4\na 1 4217\na 11 5\naa 1 6\nb 0 1234567890123456789\n";
    let key = |topic: &str, index| (Str::from(topic), PartitionId(index));
    let gone = BTreeSet::from([key("a", 1), key("b", 0), key("c", 0)]);
    let planted = || {
        let disk = SimDisk::new();
        disk.plant(&path, text);
        disk.set_faults(Faults { bytes_free: Some(0), ..Faults::default() });
        disk
    };
    let disk = planted();
    let before = read_offsets(&disk, Path::new(DIR), kind).unwrap();
    assert!(write_offsets(&disk, Path::new(DIR), kind, &before).unwrap_err().is_full());
    strike_out(&disk, Path::new(DIR), kind, &gone).unwrap();
    disk.restart(0);
    let struck = b"0\n4\na 1 0000\na 11 5\naa 1 6\nb 0 0000000000000000000\n";
    assert_eq!(disk.peek(&path).unwrap(), struck);
    // Two writes, and a sync that does not come.
    for seed in 0..60 {
        let disk = planted();
        disk.set_faults(Faults { power_after: Some(seed % 3), ..Faults::default() });
        strike_out(&disk, Path::new(DIR), kind, &gone).unwrap_err();
        disk.restart(seed);
        for (key, offset) in read_offsets(&disk, Path::new(DIR), kind).unwrap() {
            let was = before[&key];
            assert!(if gone.contains(&key) { offset <= was } else { offset == was }, "{key:?}");
        }
    }
}

#[test]
fn nothing_is_struck_out_of_what_is_no_checkpoint() {
    let kind = OffsetKind::LogStart;
    let gone = BTreeSet::from([(Str::from("a"), PartitionId(1))]);
    strike_out(&SimDisk::new(), Path::new(DIR), kind, &gone).unwrap();
    for text in [&b""[..], b"a 1", b"a 1 ", b"a 1 -1\n", b"a x 1\n\xff 1 1\n", b"\n\n 1 1"] {
        let disk = SimDisk::new();
        let path = Path::new(DIR).join(kind.file_name());
        disk.plant(&path, text);
        strike_out(&disk, Path::new(DIR), kind, &gone).unwrap();
        assert_eq!(disk.peek(&path).unwrap(), text);
    }
}
