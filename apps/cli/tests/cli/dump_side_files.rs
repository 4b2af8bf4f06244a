//! `dump-log` shows the files that a node keeps beside its segments, as a node has left them; Kafka's
//! tool passes them over, and so does ours by its name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    process::{CLUSTER, Ended, Site, dohle, serve},
    wire::produce,
};

fn dumped(arguments: &[&str], path: &Path) -> Ended {
    dohle(&[&["dump-log"], arguments, &[path.to_str().unwrap()]].concat())
}

/// What is shown of a file behind the line with its name.
fn shown(site: &Site, file: &str) -> String {
    let path = site.path(file);
    let shown = dumped(&[], &path).well();
    shown.strip_prefix(&format!("Dumping {}\n", path.display())).expect("its name").to_owned()
}

/// The log directory that holds partition 0 of a topic.
fn home(site: &Site, topic: &str) -> &'static str {
    let holds = |dir: &&str| site.path(&format!("{dir}/{topic}-0")).is_dir();
    ["a", "b"].into_iter().find(holds).expect("it lies somewhere")
}

/// What stands in a line behind a word.
fn field<'a>(line: &'a str, word: &str) -> &'a str {
    let (_, rest) = line.split_once(word).unwrap_or_else(|| panic!("no {word} in {line}"));
    rest.split_whitespace().next().unwrap_or_default()
}

/// A site whose node was stopped after three records, and its first topic's directory.
fn stopped(signal: &str) -> (Site, &'static str) {
    let site = Site::formatted("");
    let node = serve(&site);
    node.run(&["topic", "create", "t", "other"]).well();
    for value in ["one", "two", "three"] {
        assert_eq!(produce(&node.address, "t", value.as_bytes()), dohle_base::ErrorCode::NONE);
    }
    node.stop(signal);
    let home = home(&site, "t");
    (site, home)
}

#[test]
fn the_text_files_of_a_node_that_has_stopped_are_shown() {
    let (site, home) = stopped("TERM");
    let of = |file: &str| shown(&site, &format!("{home}/{file}"));
    for file in ["recovery-point-offset-checkpoint", "replication-offset-checkpoint"] {
        let lines = of(file);
        assert!(lines.lines().any(|line| line == "topic: t partition: 0 offset: 3"), "{lines}");
    }
    let topic_id = of("t-0/partition.metadata");
    assert_eq!(field(&topic_id, "topicId: ").len(), 22, "{topic_id}");
    assert!(topic_id.ends_with(" isFlushed: true\n"), "{topic_id}");
    assert_eq!(of("t-0/leader-epoch-checkpoint"), "leaderEpoch: 0 startOffset: 0\n");
    let meta = of("meta.properties");
    assert!(meta.starts_with(&format!("clusterId: {CLUSTER} nodeId: 1 directoryId: ")), "{meta}");
    let epoch = of(".kafka_cleanshutdown");
    assert!(epoch.starts_with("brokerEpoch: OptionalLong["), "{epoch}");
    assert!(meta.ends_with(" version: 1\n"), "{meta}");
    let quorum = shown(&site, "a/__cluster_metadata-0/quorum-state");
    assert!(quorum.starts_with("leaderEpoch: 1 leaderId: 1 votedId: "), "{quorum}");
}

#[test]
fn checkpoints_that_a_node_seldom_writes_are_shown_as_well() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content, expected) in [
        (
            "log-start-offset-checkpoint",
            "0\n2\nt 0 7\nu 3 9\n",
            "topic: t partition: 0 offset: 7\ntopic: u partition: 3 offset: 9\n",
        ),
        ("cleaner-offset-checkpoint", "0\n1\nt 1 5\n", "topic: t partition: 1 offset: 5\n"),
        ("replication-offset-checkpoint", "0\n0\n", ""),
        (
            "leader-epoch-checkpoint",
            "0\n2\n0 0\n4 17\n",
            "leaderEpoch: 0 startOffset: 0\nleaderEpoch: 4 startOffset: 17\n",
        ),
        ("partition.metadata", "", "topicId: none\n"),
        (".kafka_cleanshutdown", "", "brokerEpoch: OptionalLong.empty\n"),
        (
            "meta.properties",
            "version=0\nbroker.id=4\n",
            "clusterId: none nodeId: 4 directoryId: none version: 0\n",
        ),
        (
            "quorum-state",
            r#"{"leaderId":-1,"leaderEpoch":5,"votedId":3,"votedDirectoryId":"ASNFZ4mrze8QMlR2mLrc_g","data_version":1}"#,
            "leaderEpoch: 5 leaderId: -1 votedId: 3 votedDirectoryId: ASNFZ4mrze8QMlR2mLrc_g data_version: 1\n",
        ),
        (
            "quorum-state",
            r#"{"clusterId":"","leaderId":2,"leaderEpoch":7,"votedId":-1,"appliedOffset":9,"currentVoters":[{"voterId":1},{"voterId":2}],"data_version":0}"#,
            "leaderEpoch: 7 leaderId: 2 votedId: -1 clusterId: \"\" appliedOffset: 9 currentVoters: [{\"voterId\":1},{\"voterId\":2}] data_version: 0\n",
        ),
        (
            "dohle.offline",
            "/d/t-0/0.log is damaged at 17\n",
            "reason: /d/t-0/0.log is damaged at 17\n",
        ),
        ("dohle.offline", "", "reason: none\n"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let shown = dumped(&[], &path).well();
        assert_eq!(shown, format!("Dumping {}\n{expected}", path.display()), "{name}");
    }
}

/// Files that a deletion, a cleaning or a snapshot left behind are shown as what they are, and an index of them
/// is compared with the segment of the same stage. Kafka's tool passes them over.
#[test]
fn files_that_are_not_in_use_are_shown_as_those_that_are() {
    let (site, home) = stopped("TERM");
    let dir = tempfile::tempdir().unwrap();
    let copy = |source: &str, target: &str| {
        fs::copy(site.path(&format!("{home}/t-0/{source}")), dir.path().join(target)).unwrap();
    };
    for stage in ["deleted", "cleaned", "swap"] {
        for kind in ["log", "index", "timeindex"] {
            let name = format!("00000000000000000000.{kind}");
            copy(&name, &format!("{name}.{stage}"));
        }
        copy("00000000000000000003.snapshot", &format!("00000000000000000003.snapshot.{stage}"));
    }
    copy("00000000000000000000.log", "00000000000000000115-0000000001.checkpoint.part");
    copy("00000000000000000000.log", "00000000000000000115-0000000001.checkpoint.deleted");
    copy("leader-epoch-checkpoint", "leader-epoch-checkpoint");
    let shown = dumped(&["--contents"], dir.path()).well();
    assert_eq!(shown.matches("payload: three").count(), 5, "{shown}");
    assert_eq!(shown.matches("Snapshot end offset: 115, epoch: 1\n").count(), 2, "{shown}");
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    for path in names.map(|path| path.display().to_string()) {
        assert!(shown.contains(&format!("Dumping {path}\n")), "{path}: {shown}");
        let ended = dohle(&["kafka-dump-log", "--files", &path]);
        assert_eq!(ended.stderr, format!("Ignoring unknown file {path}\n"));
        assert_eq!((ended.code, ended.stdout), (Some(0), format!("Dumping {path}\n")));
    }
    // An index whose segment is not in that stage has nothing to be compared with.
    fs::remove_file(dir.path().join("00000000000000000000.log.swap")).unwrap();
    let ended = dumped(&[], &dir.path().join("00000000000000000000.index.swap"));
    assert!(ended.stderr.contains("00000000000000000000.log.swap"), "{ended:?}");
}

#[test]
fn the_write_ahead_log_of_a_node_that_was_killed_is_shown() {
    let (site, home) = stopped("KILL");
    let path = site.path(&format!("{home}/dohle.wal"));
    let wal = dumped(&["--contents"], &path).well();
    let topic = shown(&site, &format!("{home}/t-0/partition.metadata"));
    let owner = format!("topicId: {} partition: 0 ", field(&topic, "topicId: "));
    let lines: Vec<&str> = wal.lines().skip(1).collect();
    assert!(lines[..2].iter().any(|line| line.contains("isvalid: true")), "{wal}");
    let bytes = fs::read(&path).unwrap();
    let mut values = Vec::new();
    let mut end = String::new();
    for (index, line) in lines.iter().enumerate().skip(2) {
        if line.starts_with("frame: ") {
            let start: usize = field(line, " position: ").parse().unwrap();
            assert_eq!(&bytes[start..start + 4], b"DWFr");
            let size: u64 = field(line, "size: ").parse().unwrap();
            let position: u64 = field(line, "frame: ").parse().unwrap();
            end = format!("end: {}", position + size.next_multiple_of(4096));
        } else if line.starts_with(&owner) {
            let head = lines[index + 1];
            assert!(head.starts_with("baseOffset: ") && head.ends_with("isvalid: true"), "{head}");
            assert_eq!(field(line, " position: "), field(head, " position: "));
            values.push(field(lines[index + 2], "payload: "));
        }
    }
    assert_eq!(values, ["one", "two", "three"], "{wal}");
    assert_eq!(lines.last(), Some(&end.as_str()), "{wal}");
}

/// Of a directory all that has something to tell is shown, and nothing is changed.
#[test]
fn a_directory_is_shown_with_them() {
    let (site, home) = stopped("TERM");
    let before = site.files(home);
    let shown = dumped(&[], &site.path(home)).well();
    for name in
        [".kafka_cleanshutdown", "dohle.wal", "meta.properties", "recovery-point-offset-checkpoint"]
    {
        assert!(shown.contains(&format!("/{home}/{name}\n")), "{name}: {shown}");
    }
    let partition = dumped(&[], &site.path(&format!("{home}/t-0"))).well();
    for name in ["00000000000000000000.log", "leader-epoch-checkpoint", "partition.metadata"] {
        assert!(partition.contains(&format!("/{home}/t-0/{name}\n")), "{name}: {partition}");
    }
    assert_eq!(site.files(home), before);
}

fn side_files(site: &Site, home: &str) -> Vec<PathBuf> {
    let names = [
        "a/__cluster_metadata-0/quorum-state".to_owned(),
        format!("{home}/dohle.wal"),
        format!("{home}/meta.properties"),
        format!("{home}/recovery-point-offset-checkpoint"),
        format!("{home}/t-0/leader-epoch-checkpoint"),
        format!("{home}/t-0/partition.metadata"),
    ];
    names.iter().map(|name| site.path(name)).collect()
}

#[test]
fn by_its_own_name_kafkas_tool_passes_them_over() {
    let (site, home) = stopped("TERM");
    for path in side_files(&site, home) {
        let path = path.to_str().unwrap();
        let ended = dohle(&["kafka-dump-log", "--files", path]);
        assert_eq!((ended.code, ended.stdout), (Some(0), format!("Dumping {path}\n")));
        assert_eq!(ended.stderr, format!("Ignoring unknown file {path}\n"));
    }
}

#[test]
fn hostile_bytes_are_an_error_with_file_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let block = [b"DohleWAL".as_slice(), &[1; 48]].concat();
    let rows: [(&str, &[u8], &str); 14] = [
        ("recovery-point-offset-checkpoint", b"1\n0\n", "line 1: expected version 0"),
        (
            "log-start-offset-checkpoint",
            b"0\n2\nt 0 7\n",
            "line 2: expected the count of the lines behind it",
        ),
        ("cleaner-offset-checkpoint", b"0\n1\nt 0 x\n", "line 3: expected an offset from 0"),
        ("replication-offset-checkpoint", b"\xff\xfe", "line 1: expected UTF-8 text"),
        ("leader-epoch-checkpoint", b"0\n1\n1\n", "line 3: expected `epoch offset`"),
        (
            "partition.metadata",
            b"version: 0\ntopic_id: x",
            "line 2: expected `topic_id: ` and the id of a topic",
        ),
        ("meta.properties", b"version=7\n", "version 7 is unknown"),
        ("meta.properties", b"version=1\n", "cluster.id is missing"),
        ("quorum-state", b"{", "line 1 column 1: expected a JSON object"),
        ("quorum-state", b"{\"data_version\":1}", "field leaderEpoch: expected an integer from 0"),
        (".kafka_cleanshutdown", b"{", "not JSON"),
        (".kafka_cleanshutdown", b"[]", "brokerEpoch is missing or no number"),
        ("dohle.wal", &block, "neither block at the start says where the frames begin"),
        ("dohle.wal", &[7; 20_000], "neither block at the start says where the frames begin"),
    ];
    for (name, bytes, reason) in rows {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let ended = dumped(&[], &path);
        assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
        let start = format!("error: {}", path.display());
        assert!(ended.stderr.starts_with(&start) && ended.stderr.contains(reason), "{ended:?}");
        fs::remove_file(&path).unwrap();
        let missing = dumped(&[], &path);
        assert_eq!(missing.code, Some(1), "{name}");
        assert!(missing.stderr.starts_with(&start), "{missing:?}");
    }
    // More than any of them has.
    let path = dir.path().join("quorum-state");
    fs::write(&path, vec![b' '; 100_000]).unwrap();
    assert_eq!(dumped(&[], &path).code, Some(1));
}

/// Cut at many lengths and changed at many bytes: the tool ends, with 0 or 1, and names the file if it
/// is 1. What is behind a damaged frame of the write-ahead log is not passed over.
#[test]
fn damaged_side_files_are_survived() {
    let (site, home) = stopped("KILL");
    let dir = tempfile::tempdir().unwrap();
    for source in side_files(&site, home) {
        // After a kill there may be no checkpoint yet.
        let Ok(bytes) = fs::read(&source) else { continue };
        let path = dir.path().join(source.file_name().unwrap());
        let told = format!("error: {}", path.display());
        let used = bytes.len().min(24_576);
        for at in (0..used).step_by((used / 24).max(1)) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            for damaged in [&bytes[..at], &changed] {
                fs::write(&path, damaged).unwrap();
                let ended = dumped(&["--contents"], &path);
                let is_told = ended.stderr.starts_with(&told);
                let is_well = matches!((ended.code, is_told), (Some(0), false) | (Some(1), true));
                assert!(is_well, "{} at {at}: {ended:?}", path.display());
            }
        }
    }
    let source = site.path(&format!("{home}/dohle.wal"));
    let mut bytes = fs::read(&source).unwrap();
    let shown = dumped(&[], &source).well();
    let frames: Vec<&str> = shown.lines().filter(|line| line.starts_with("frame: ")).collect();
    let place: usize = field(frames[0], " position: ").parse().unwrap();
    bytes[place + 30] ^= 1;
    let path = dir.path().join("dohle.wal");
    fs::write(&path, bytes).unwrap();
    let reason = format!("at {place}: expected a frame: one that was written after it can be read");
    let ended = dumped(&[], &path);
    assert!(ended.code == Some(1) && ended.stderr.contains(&reason), "{ended:?}");
}
