//! Names are read as Kafka reads them and written as it writes them.

use super::*;

#[test]
fn directories_are_read_by_their_names() {
    let dir = |topic: &str, partition, role| {
        Ok(PartitionDir { topic: topic.into(), partition: PartitionId(partition), role })
    };
    let unique = "0123456789abcdef0123456789abcdef";
    let rows = [
        ("t-0".to_owned(), dir("t", 0, DirRole::Current)),
        ("a-b-c-17".to_owned(), dir("a-b-c", 17, DirRole::Current)),
        ("__consumer_offsets-49".to_owned(), dir("__consumer_offsets", 49, DirRole::Current)),
        (format!("a.b-3.{unique}-delete"), dir("a.b", 3, DirRole::Deleted)),
        (format!("a.b-3.{unique}-future"), dir("a.b", 3, DirRole::Future)),
        (format!("a.b-3.{unique}-stray"), dir("a.b", 3, DirRole::Stray)),
        ("x-delete-1".to_owned(), dir("x-delete", 1, DirRole::Current)),
        (String::new(), Err(DirNameError::NoPartition)),
        ("topic".to_owned(), Err(DirNameError::NoPartition)),
        ("lost+found".to_owned(), Err(DirNameError::NoPartition)),
        ("remote-log-index-cache".to_owned(), Err(DirNameError::BadPartition)),
        ("t-x".to_owned(), Err(DirNameError::BadPartition)),
        ("t-".to_owned(), Err(DirNameError::BadPartition)),
        ("t-+1".to_owned(), Err(DirNameError::BadPartition)),
        ("t-99999999999".to_owned(), Err(DirNameError::BadPartition)),
        ("x-delete".to_owned(), Err(DirNameError::BadPartition)),
        ("-5".to_owned(), Err(DirNameError::BadTopic)),
        ("..-5".to_owned(), Err(DirNameError::BadTopic)),
        ("a b-5".to_owned(), Err(DirNameError::BadTopic)),
        ("ä-5".to_owned(), Err(DirNameError::BadTopic)),
        (format!("{}-5", "x".repeat(250)), Err(DirNameError::BadTopic)),
    ];
    for (name, expected) in rows {
        assert_eq!(PartitionDir::parse(&name), expected, "{name}");
    }
}

#[test]
fn directory_names_are_written_and_capped() {
    let unique = Uuid(0xabc);
    let mut dir = PartitionDir::current("t", PartitionId(3));
    assert_eq!(dir.name(unique), "t-3");
    dir.role = DirRole::Deleted;
    assert_eq!(dir.name(unique), format!("t-3.{:032x}-delete", 0xabc));
    assert_eq!(PartitionDir::parse(&dir.name(unique)), Ok(dir.clone()));
    dir.topic = "x".repeat(249).into();
    assert_eq!(dir.name(unique).len(), 255);
    assert!(dir.name(unique).ends_with("abc-delete"));
    dir.role = DirRole::Future;
    assert_eq!(dir.name(unique).len(), 249 + 2 + 1 + 32 + 7);
}

#[test]
fn a_directory_whose_name_was_cut_may_be_of_each_topic_that_begins_so() {
    let name_of = |topic: String, role| {
        let dir = PartitionDir { topic: topic.into(), partition: PartitionId(12), role };
        dir.name(Uuid(0xabc))
    };
    // `-12.` and the digits and the suffix.
    let room = 255 - 4 - 32 - 7;
    let x = |count| "x".repeat(count);
    for (topic, role, other, may_be) in [
        (x(249), DirRole::Deleted, x(249), true),
        (x(249), DirRole::Deleted, x(248) + "y", true),
        (x(249), DirRole::Deleted, x(room), true),
        (x(249), DirRole::Deleted, x(room - 1), false),
        (x(249), DirRole::Deleted, x(room - 1) + "yy", false),
        (x(room), DirRole::Deleted, x(room), true),
        (x(room - 1), DirRole::Deleted, x(room - 1), true),
        (x(room - 1), DirRole::Deleted, x(room), false),
        (x(249), DirRole::Stray, x(249), true),
        (x(room), DirRole::Stray, x(room + 1), false),
        (x(room), DirRole::Future, x(room), true),
        (x(100), DirRole::Current, x(101), false),
    ] {
        let dir = PartitionDir::parse(&name_of(topic, role)).unwrap();
        assert_eq!(dir.may_be_of(&other), may_be, "{dir:?} {other}");
    }
}

#[test]
fn segment_files_are_read_and_written() {
    for (_, kind) in FileKind::ALL {
        for stage in ["", ".deleted", ".cleaned", ".swap"] {
            let name = format!("00000000000000000042.{kind}{stage}");
            let file = SegmentFile::parse(&name).unwrap();
            assert_eq!((file.base, file.name()), (Offset(42), name));
        }
    }
    let others = [
        "",
        "leader-epoch-checkpoint",
        "partition.metadata",
        "42.log",
        "00000000000000000042",
        "00000000000000000042.",
        "00000000000000000042.other",
        "00000000000000000042.log.other",
        "0000000000000000004x.log",
        "99999999999999999999.log",
        "+0000000000000000042.log",
        "00000000000000000000-0000000000.checkpoint.deleted",
        "ääääääääääääääääääää.log",
    ];
    for name in others {
        assert_eq!(SegmentFile::parse(name), None, "{name}");
    }
}
