//! `dohle dev` and the client commands, against one another.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

use crate::process::{CLUSTER_TIMEOUT, Dev, Ended, command, dohle, ended, signal};

#[test]
fn a_node_is_up_without_any_set_up_and_keeps_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(&dir.path().join("new"));
    // Topics come to be by writing to them.
    let written = node.run_with_input(&["produce", "hello"], "hello, world\n\nlast without end");
    assert_eq!(written.code, Some(0), "{written:?}");
    assert!(written.stderr.starts_with("wrote 3 records (28 B) to hello in "), "{written:?}");
    assert_eq!(node.stop("INT"), Some(0));

    let node = Dev::start(&dir.path().join("new"));
    let read = node.run(&["consume", "hello", "--from-beginning", "--until-end"]).well();
    assert_eq!(read, "hello, world\n\nlast without end\n");
    assert_eq!(node.run(&["topic", "list"]).well(), "hello\n");
    assert_eq!(node.stop("HUP"), Some(0));
}

#[test]
fn a_node_does_not_take_what_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    let path = dir.path().to_str().unwrap();
    dohle(&["dev", "--dir", path, "--port", "0"]).failed_with(&["another process", "--dir"]);
    let port = node.address.rsplit(':').next().unwrap();
    let other = dir.path().join("other");
    let other = other.to_str().unwrap();
    dohle(&["dev", "--dir", other, "--port", port]).failed_with(&[port, "taken", "--port 0"]);
    assert!(!dir.path().join("other").exists(), "no trace is left");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    dohle(&["dev", "--dir", file.to_str().unwrap(), "--port", "0"]).failed_with(&["file"]);
}

#[test]
fn topics_are_made_listed_described_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    assert_eq!(node.run(&["topic", "list"]).well(), "");
    let create = ["topic", "create", "b", "a", "-p", "3", "-c", "retention.ms=60000"];
    assert_eq!(node.run(&create).well(), "created b (3 partitions)\ncreated a (3 partitions)\n");
    assert_eq!(node.run(&["topic", "list"]).well(), "a\nb\n");
    let listed = node.run(&["topic", "list", "--json"]).well();
    assert!(listed.starts_with(r#"[{"id":""#) && listed.contains(r#""name":"b""#), "{listed}");

    let described = node.run(&["topic", "describe", "b"]).well();
    let lines: Vec<&str> = described.lines().collect();
    assert!(lines[0].starts_with("b (id "), "{described}");
    assert_eq!(lines[1], "  PARTITION  LEADER  EPOCH  REPLICAS  ISR  OFFLINE");
    assert_eq!(lines[4], "  2          1       0      1         1    -");
    let all: serde_json::Value =
        serde_json::from_str(&node.run(&["topic", "describe", "--json"]).well()).unwrap();
    assert_eq!(all[1]["name"], "b");
    assert_eq!(all[1]["partitions"][2]["replicas"], serde_json::json!([1]));

    node.run(&["topic", "create", "a"]).failed_with(&["a exists already", "--if-not-exists"]);
    assert_eq!(node.run(&["topic", "create", "a", "--if-not-exists"]).well(), "a exists already\n");
    node.run(&["topic", "create", "c", "-c", "no.such=1"]).failed_with(&["no.such"]);
    node.run(&["topic", "create", "c", "-r", "2"]).failed_with(&["INVALID_REPLICATION_FACTOR"]);
    node.run(&["topic", "create", "a b"]).failed_with(&["a b", "INVALID_TOPIC"]);

    assert_eq!(node.run(&["topic", "delete", "a"]).well(), "deleted a\n");
    node.run(&["topic", "delete", "a"]).failed_with(&["a does not exist"]);
    assert_eq!(node.run(&["topic", "delete", "a", "--if-exists"]).well(), "a does not exist\n");
    node.run(&["topic", "describe", "a"]).failed_with(&["a does not exist"]);
    node.run(&["consume", "a"]).failed_with(&["a does not exist", "topic create a"]);
    assert_eq!(node.run(&["topic", "list"]).well(), "b\n");
}

#[test]
fn keys_headers_partitions_and_codecs_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    node.run(&["topic", "create", "t", "-p", "3"]).well();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let produce = ["produce", "t", "-k", "=", "-p", "1", "--header", "h=1", "--header", "i=x"];
        let produce = [&produce[..], &["--null-marker", "NULL", "-z", codec, "-q"]].concat();
        let written = node.run_with_input(&produce, &format!("k=a={codec}\nNULL=\nk=NULL\n"));
        assert_eq!((written.code, written.stderr.as_str()), (Some(0), ""), "{written:?}");
    }
    let format = "%t %p %o %k %v %h\\n";
    let read = node.run(&["consume", "t", "-o", "start", "-e", "-f", format]).well();
    let mut expected = String::new();
    for (index, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let offset = index * 3;
        expected += &format!("t 1 {offset} k a={codec} h=1,i=x\n");
        expected += &format!("t 1 {} null  h=1,i=x\n", offset + 1);
        expected += &format!("t 1 {} k null h=1,i=x\n", offset + 2);
    }
    assert_eq!(read, expected);

    let tail = |arguments: &[&str]| {
        node.run(&[&["consume", "t", "-e", "-f", "%o "], arguments].concat()).well()
    };
    assert_eq!(tail(&["-o", "-2"]), "13 14 ");
    assert_eq!(tail(&["-o", "12", "-p", "1"]), "12 13 14 ");
    assert_eq!(tail(&["-o", "3", "-n", "4", "-p", "1"]), "3 4 5 6 ");
    assert_eq!(tail(&["-o", "@0"]), "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 ");
    assert_eq!(tail(&["-o", "end"]), "");
    assert_eq!(tail(&["-p", "0,2", "--from-beginning"]), "");
    node.run(&["consume", "t", "-p", "3"]).failed_with(&["no partition 3"]);

    let written = node.run_with_input(&["produce", "t", "-k", "="], "a=b\nab\n");
    assert_eq!(written.code, Some(1));
    assert!(
        written
            .stderr
            .ends_with("error: standard input, line 2: there is no key separator \"=\"\n")
    );
}

#[test]
fn a_group_goes_on_where_it_was_and_commits_only_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    node.run_with_input(&["produce", "t", "-q"], "1\n2\n3\n4\n5\n").well();
    let read = |more: &[&str]| {
        let group = ["consume", "t", "--group", "g", "--from-beginning"];
        node.run(&[&group[..], more].concat()).well()
    };
    assert_eq!(read(&["-n", "2"]), "1\n2\n");
    assert_eq!(read(&["-n", "1"]), "3\n");
    assert_eq!(read(&["-e"]), "4\n5\n");
    assert_eq!(read(&["-e"]), "");
    node.run_with_input(&["produce", "t", "-q"], "6\n").well();
    assert_eq!(read(&["-n", "1"]), "6\n");
    let other = ["consume", "t", "--group", "h", "--from-beginning", "-n", "6"];
    assert_eq!(node.run(&other).well(), "1\n2\n3\n4\n5\n6\n");
}

/// Ctrl-C is how reading without an end ends; what was to be done and is not ends with 130. The group
/// is left at once: who comes next does not wait for a session to end.
#[test]
fn signals_end_reading_and_leave_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    node.run_with_input(&["produce", "t", "-q"], "1\n2\n").well();
    let cases: [(&[&str], &str, i32); 4] = [
        (&[], "INT", 0),
        (&[], "TERM", 0),
        (&["-n", "9"], "INT", 130),
        (&["-n", "9"], "TERM", 143),
    ];
    for (index, (more, name, code)) in cases.into_iter().enumerate() {
        let group = format!("g{index}");
        let arguments = ["consume", "t", "--from-beginning", "--group", &group];
        let mut child = node.spawn(&[&arguments[..], more].concat());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "1\n2\n");
        signal(&child, name);
        let ended: Ended = ended(child);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(code), ""), "{more:?} {name}");
        let next = node.run(&["consume", "t", "--from-beginning", "--group", &group, "-e"]);
        assert_eq!(next.well(), "", "both were committed");
    }
}

#[test]
fn what_was_typed_before_a_signal_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    let arguments = ["produce", "t", "--bootstrap", &node.address];
    let arguments = [&arguments[..], &CLUSTER_TIMEOUT].concat();
    let mut child = command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"one\ntwo\n").unwrap();
    let read = node.run(&["topic", "create", "t", "--if-not-exists"]).well();
    assert!(!read.is_empty());
    let both = node.run(&["consume", "t", "--from-beginning", "-n", "2"]).well();
    assert_eq!(both, "one\ntwo\n");
    signal(&child, "INT");
    let ended = ended(child);
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("wrote 2 records"), "{ended:?}");
    drop(stdin);
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    let many: String = (0..50_000).map(|number| format!("line {number}\n")).collect();
    node.run_with_input(&["produce", "t", "-q", "-z", "lz4"], &many).well();
    let mut child = node.spawn(&["consume", "t", "--from-beginning"]);
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 7];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"line 0\n");
    drop(stdout);
    let ended = ended(child);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}

/// A group's records, more than a pipe holds, as they were written.
fn fill(node: &Dev, dir: &Path) -> String {
    let many: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let file = dir.join("lines");
    fs::write(&file, &many).unwrap();
    node.run(&["produce", "t", "-q", "--file", file.to_str().unwrap()]).well();
    many
}

/// Nobody is in a hurry without a signal.
#[test]
fn a_coordinator_that_takes_its_time_has_the_last_offsets_committed() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    let many = fill(&node, dir.path());
    let group = ["consume", "t", "--from-beginning", "--group", "g"];
    let here = ["-n", "20000", "--timeout", "30", "--bootstrap", &node.address];
    let mut child = command(&[&group[..], &here].concat()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // It has received all, and waits until somebody reads.
    let mut read = vec![0; many.len()];
    stdout.read_exact(&mut read[..2]).unwrap();
    node.signal("STOP");
    stdout.read_exact(&mut read[2..]).unwrap();
    // More than a third of the time: after a signal it would not be waited for.
    thread::sleep(Duration::from_secs(12));
    node.signal("CONT");
    assert!(read == many.as_bytes(), "it reads on");
    let ended = ended(child);
    assert_eq!((ended.code, ended.stderr.contains("error")), (Some(0), false), "{ended:?}");
    assert_eq!(node.run(&[&group[..], &["-e"]].concat()).well(), "", "all was committed");
}

#[test]
fn a_slow_reader_gets_all_lines_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    let many = fill(&node, dir.path());
    let mut child = node.spawn(&["consume", "t", "--from-beginning", "-e", "--group", "g"]);
    thread::sleep(Duration::from_millis(300));
    let mut read = String::new();
    child.stdout.take().unwrap().read_to_string(&mut read).unwrap();
    assert!(read == many, "{} bytes of {}", read.len(), many.len());
    assert_eq!(ended(child).code, Some(0));
}
