//! Goal: each load runs against the floor and counts what it should. Method: a floor on a thread
//! of this process, and the commands as they are.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use clap::Parser;
use dohle_protocol::api::{
    create_topics_request::{CreatableTopic, CreateTopicsRequest},
    produce_request::ProduceRequest,
};
use dohle_records::{BatchView, Codec};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cli, e2e, fetch, first_ack,
    frames::{self, Ack, Partition, Partitions},
    idle, produce, records, sweep, wake,
};

/// A floor on a thread that never ends: its files go with this hand on them, or they would stay for good.
struct Running {
    bootstrap: String,
    _dir: TempDir,
}

impl std::ops::Deref for Running {
    type Target = str;

    fn deref(&self) -> &str {
        &self.bootstrap
    }
}

/// Starts a floor.
fn floor() -> Running {
    let (bootstrap, dir) = floor_in(false);
    Running { bootstrap, _dir: dir }
}

/// Where it listens, and where its files are.
fn floor_in(new_files: bool) -> (String, TempDir) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bootstrap = listener.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    thread::spawn(move || {
        let topics = super::Topics::in_dir(&path, new_files).unwrap();
        super::serve(&listener, topics).unwrap();
    });
    run(&["first-ack", "--create", "--bootstrap", &bootstrap, "--topic", "first"]);
    (bootstrap, dir)
}

fn run(args: &[&str]) -> Value {
    let command = cli::Command::parse_from([&["dohle-bench"], args].concat());
    match command {
        cli::Command::Produce(args) => produce::run(&args),
        cli::Command::Fetch(args) => fetch::run(&args),
        cli::Command::E2e(args) => e2e::run(&args),
        cli::Command::Wake(args) => wake::run(&args),
        cli::Command::FirstAck(args) => first_ack::run(&args),
        cli::Command::Sweep(args) => sweep::run(&args),
        _ => panic!("not a load"),
    }
    .unwrap()
}

#[test]
fn produce_counts_requests_and_raw_bytes() {
    let bootstrap = floor();
    for (size, codec) in [("1024", "none"), ("65536", "lz4"), ("1048576", "none")] {
        let report = run(&[
            "produce",
            "--bootstrap",
            &bootstrap,
            "--size",
            size,
            "--codec",
            codec,
            "--partitions",
            "3",
            "--warm-up-requests",
            "20",
            "--requests",
            "40",
        ]);
        let requests = report["requests"].as_u64().unwrap();
        assert!((40..60).contains(&requests), "{requests}");
        let raw_size: u64 = size.parse().unwrap();
        assert_eq!(report["raw_bytes"].as_u64().unwrap(), requests * raw_size);
        let wire = report["wire_bytes"].as_u64().unwrap();
        assert_eq!(wire < requests * raw_size * 3 / 4, codec == "lz4");
        assert!(report["latency_micros"]["p50"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_request_has_a_batch_for_each_of_its_partitions() {
    for new_files in [false, true] {
        let (bootstrap, _dir) = floor_in(new_files);
        let keyed = |more: &[&str]| {
            let load =
                ["produce", "--bootstrap", &bootstrap, "--size", "1024", "--partitions", "32"];
            let phases = ["--batches", "16", "--warm-up-requests", "0", "--requests", "60"];
            run(&[&load[..], &phases, more].concat())
        };
        for report in [keyed(&[]), keyed(&["--keyed"])] {
            let requests = report["requests"].as_u64().unwrap();
            assert!((60..80).contains(&requests), "{requests}");
            assert_eq!(report["raw_bytes"].as_u64().unwrap(), requests * 16 * 1_024);
            let wire = report["wire_bytes"].as_u64().unwrap();
            assert!((requests * 16 * 1_022..=requests * 16 * 1_024).contains(&wire), "{wire}");
        }
    }
}

#[test]
fn each_partition_of_a_request_counts_its_own_offsets() {
    let bootstrap = floor();
    let batch = records::batch(1_024, Codec::None);
    let mut control = crate::control::Control::connect(bootstrap.parse().unwrap()).unwrap();
    let topic = "several".to_owned();
    let new = crate::control::NewTopic { name: &topic, partitions: 4, config: &[] };
    control.create_topic(&new).unwrap();
    let frame = |indexes| {
        let to = Partitions { topic: topic.clone(), indexes };
        frames::produce_together(&to, -1, batch.clone()).unwrap()
    };
    // They come in one read.
    control.send(&[frame(0..4), frame(1..3), frame(0..4)].concat()).unwrap();
    for expected in [&[0, 0, 0, 0][..], &[1, 1], &[1, 2, 2, 1]] {
        let answer = control.receive().unwrap();
        let answer =
            frames::answer::<ProduceRequest>(answer, frames::PRODUCE_VERSION).unwrap().responses;
        let offsets = answer[0].partition_responses.iter().map(|part| part.base_offset.0);
        assert!(offsets.eq(expected.iter().copied()), "{answer:?}");
    }
}

#[test]
fn what_a_read_brings_for_a_partition_is_written_at_once_whatever_lies_between() {
    let dir = tempfile::tempdir().unwrap();
    let mut topics = super::Topics::in_dir(dir.path(), true).unwrap();
    let topic = CreatableTopic { name: "t".into(), num_partitions: 3, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    topics.create(&request).unwrap();
    let batch = records::batch(1_024, Codec::None);
    let mut buffer = batch.repeat(6);
    let sizes = || {
        let files = std::fs::read_dir(dir.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).collect::<Vec<_>>()
    };
    let number = topics.number("t").unwrap();
    for at in 0..6 {
        let part = at * batch.len()..(at + 1) * batch.len();
        topics.append(number, at as i32 % 3, &mut buffer, part).unwrap();
    }
    assert_eq!(sizes(), [0; 3]);
    topics.write(&buffer).unwrap();
    assert_eq!(sizes(), [2 * batch.len() as u64; 3]);
    topics.write(&buffer).unwrap();
    assert_eq!(sizes(), [2 * batch.len() as u64; 3]);
}

#[test]
fn a_topic_keeps_as_much_as_it_says_and_its_pages_are_there_from_the_start() {
    let (bootstrap, dir) = floor_in(false);
    let produce = |more: &[&str]| {
        let load = ["produce", "--size", "1024", "--partitions", "8", "--warm-up-requests", "0"];
        let keep = ["--bootstrap", &bootstrap, "--keyed", "--keep", "--requests", "800"];
        run(&[&load[..], &keep, more].concat())
    };
    let file_sizes = || {
        let files = std::fs::read_dir(dir.path()).unwrap();
        let mut sizes: Vec<_> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
        sizes.sort_unstable();
        sizes
    };
    produce(&["--topic", "short", "--topic-config", "retention.bytes=16384"]);
    // That of first-ack, and 8 that went round: a hundred requests for each would be 100 KiB.
    assert_eq!(file_sizes()[1..], [16_384; 8]);
    produce(&["--topic", "long"]);
    assert!(file_sizes()[9..].iter().all(|size| *size >= 90 * 1_024));
}

#[test]
fn new_files_are_as_long_as_the_topic_says() {
    let (bootstrap, dir) = floor_in(true);
    let load = ["produce", "--size", "1024", "--requests", "300", "--warm-up-requests", "0"];
    let more = ["--bootstrap", &bootstrap, "--topic-config", "segment.bytes=16384", "--keep"];
    run(&[&load[..], &more].concat());
    let files = std::fs::read_dir(dir.path()).unwrap();
    let sizes: Vec<_> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.iter().all(|size| *size <= 16_384), "{sizes:?}");
    assert_eq!(sizes.len(), 1 + 4);
}

#[test]
fn connections_whose_requests_come_in_pieces_are_not_mixed_up() {
    let bootstrap = floor();
    let partition = Partition { topic: "first".to_owned(), index: 0 };
    let (ack, connect) =
        (Ack::of(&partition).unwrap(), || TcpStream::connect(&*bootstrap).unwrap());
    let mut clients = [connect(), connect(), connect()];
    let mut offset = 1; // Behind the one of first-ack.
    for size in [1_024, 65_536, 700_000] {
        let batch = records::batch(size, Codec::None);
        let count = BatchView::parse(&batch).unwrap().record_count();
        let frame = frames::produce(&partition, -1, batch).unwrap();
        // Each has two whole ones, of which the second comes in pieces between those of the others.
        for client in &mut clients {
            client.write_all(&[&frame, &frame[..3]].concat()).unwrap();
        }
        for part in [3..500, 500..size, size..usize::MAX] {
            thread::sleep(Duration::from_millis(5));
            for client in &mut clients {
                client.write_all(&frame[part.start..part.end.min(frame.len())]).unwrap();
            }
        }
        let mut offsets = Vec::new();
        for client in &mut clients {
            for _ in 0..2 {
                let mut answer = vec![0; ack.size()];
                client.read_exact(&mut answer).unwrap();
                offsets.push(ack.base_offset(&answer[4..]).unwrap().0);
            }
        }
        offsets.sort_unstable();
        let expected: Vec<_> = (0..6).map(|n| offset + n * i64::from(count)).collect();
        assert_eq!(offsets, expected, "{size} bytes");
        offset += 6 * i64::from(count);
    }
}

#[test]
fn durable_topics_acknowledge_over_many_connections_and_can_be_made_again() {
    let bootstrap = floor();
    for _ in 0..2 {
        let report = run(&[
            "produce",
            "--bootstrap",
            &bootstrap,
            "--topic-config",
            "flush.messages=1",
            "--size",
            "4096",
            "--partitions",
            "8",
            "--connections",
            "8",
            "--in-flight",
            "1",
            "--warm-up-requests",
            "8",
            "--requests",
            "80",
        ]);
        assert!(report["requests"].as_u64().unwrap() >= 80);
        assert!(report["latency_micros"]["p999"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_sweep_reaches_each_partition_and_creates_none_that_is_there() {
    let bootstrap = floor();
    let sweep = ["sweep", "--bootstrap", &bootstrap, "--topics", "2", "--partitions", "50"];
    let report = run(&[&sweep[..], &["--create", "--in-flight", "7"]].concat());
    assert_eq!(report["partitions"].as_u64().unwrap(), 100);
    assert_eq!(report["refused"].as_u64().unwrap(), 0);
    let (first, all) = (&report["first_acked_at_nanos"], &report["acked_at_nanos"]);
    assert!(first.as_u64().unwrap() <= all.as_u64().unwrap());
    run(&sweep);

    let args = [&["dohle-bench"], &sweep[..], &["--create"]].concat();
    let cli::Command::Sweep(args) = cli::Command::parse_from(args) else { panic!() };
    let error = sweep::run(&args).unwrap_err().to_string();
    assert_eq!(error, "topic bench0 is there already");
}

#[test]
fn fetch_reads_whole_batches_round_and_round() {
    let bootstrap = floor();
    for (size, mean_min) in [("65536", 60_000), ("1048576", 800_000)] {
        let report = run(&[
            "fetch",
            "--bootstrap",
            &bootstrap,
            "--size",
            size,
            "--batches",
            "64",
            "--warm-up-requests",
            "10",
            "--requests",
            "200",
        ]);
        let (requests, bytes) =
            (report["requests"].as_u64().unwrap(), report["raw_bytes"].as_u64().unwrap());
        assert!(requests >= 200);
        let mean = bytes / requests;
        assert!((mean_min..=size.parse().unwrap()).contains(&mean), "{mean} of {size} bytes");
    }
}

#[test]
fn what_is_read_in_new_files_lies_in_one_that_is_longer_than_others() {
    let (bootstrap, _dir) = floor_in(true);
    // 65 MiB, read from the first batch on.
    let load = ["fetch", "--batches", "1040", "--warm-up-requests", "0", "--requests", "100"];
    let longer = ["--topic-config", "segment.bytes=268435456"];
    let report = run(&[&load[..], &longer, &["--bootstrap", &bootstrap]].concat());
    assert!(report["requests"].as_u64().unwrap() >= 100, "{report}");
}

#[test]
fn messages_come_back_in_order_and_in_time() {
    let bootstrap = floor();
    let report = run(&[
        "e2e",
        "--bootstrap",
        &bootstrap,
        "--rate",
        "500",
        "--warm-up-seconds",
        "0.1",
        "--seconds",
        "0.5",
    ]);
    let messages = report["messages"].as_u64().unwrap();
    assert!((200..=300).contains(&messages), "{messages} in half a second at 500/s");
    let p50 = report["e2e_micros"]["p50"].as_u64().unwrap();
    assert!(report["ack_micros"]["p50"].as_u64().unwrap() > 0 && p50 > 0);
    assert_eq!(report["never_back"], 0);
}

#[test]
fn each_fetch_that_waits_is_woken_by_a_produce() {
    let bootstrap = floor();
    let load = ["wake", "--bootstrap", &bootstrap, "--warm-up-requests", "5", "--requests", "20"];
    let report = run(&load);
    assert_eq!(report["requests"], 20);
    let bytes = report["raw_bytes"].as_u64().unwrap();
    assert!((20 * 1_000..=20 * 1_024).contains(&bytes), "{bytes}");
    assert_eq!(report["latency_micros"]["count"], 20);
}

#[test]
fn a_backlog_is_read_and_added_to_and_stays() {
    let bootstrap = floor();
    let on_it = |args: &[&str]| {
        run(&[&args[..1], &["--bootstrap", &bootstrap, "--topic", "kept"], &args[1..]].concat())
    };
    on_it(&["produce", "--keep", "--warm-up-requests", "0", "--requests", "64"]);
    let read = ["fetch", "--batches", "0", "--warm-up-requests", "0", "--requests", "200"];
    for _ in 0..2 {
        let bytes = on_it(&read)["raw_bytes"].as_u64().unwrap();
        assert!(bytes > 150 * 60_000, "{bytes}: the batches of 64 KiB are there");
        let added = on_it(&["e2e", "--warm-up-seconds", "0", "--seconds", "0.1"]);
        assert!(added["messages"].as_u64().unwrap() > 0);
    }
}

#[test]
fn idle_connections_stay_open_behind_the_report_of_their_cost() {
    let bootstrap = floor();
    let pid = std::process::id().to_string();
    let args = ["dohle-bench", "idle", "--bootstrap", &bootstrap, "--broker-pid", &pid];
    let args = [&args[..], &["--connections", "200", "--seconds", "0.05"]].concat();
    let cli::Command::Idle(args) = cli::Command::parse_from(args) else { panic!() };
    let held = idle::run(&args).unwrap();
    assert_eq!(held.report["connections"].as_u64().unwrap(), 200);
    // Both ends are in this process; all other tests together have far fewer.
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open >= 400, "{open} open files");
    drop(held);
}

#[test]
fn what_was_due_in_the_measured_phase_counts_and_nothing_behind_it() {
    let bootstrap = floor();
    // More than any machine can send, 64 in a request: requests are in flight all the time, also when the phase ends, and most
    // messages never leave. A load that goes on sending until all did does not end soon.
    let report = run(&[
        "e2e",
        "--bootstrap",
        &bootstrap,
        "--rate",
        "20000000",
        "--size",
        "100",
        "--warm-up-seconds",
        "0.1",
        "--seconds",
        "0.2",
        "--drain-seconds",
        "0.1",
    ]);
    let count = |field: &str| report[field].as_u64().unwrap();
    let due = 20_000_000.0 * report["seconds"].as_f64().unwrap();
    for end in ["ack_micros", "e2e_micros"] {
        let counted = report[end]["count"].as_u64().unwrap() as f64;
        assert!((counted - due).abs() < due / 10.0, "{due} due: {report}");
    }
    // The last one due waited from the end of the phase, the first one from its start.
    assert!(count("never_back") > 0 && report["e2e_micros"]["max"].as_u64().unwrap() >= 300_000);
    assert!((count("messages") as f64) < due, "{report}");
}

#[test]
fn what_the_floor_does_not_know_is_an_error_of_the_load() {
    let bootstrap = floor();
    let args = ["dohle-bench", "first-ack", "--bootstrap", &bootstrap, "--topic", "nowhere"];
    let args = [&args[..], &["--give-up-seconds", "0.05"]].concat();
    let cli::Command::FirstAck(args) = cli::Command::parse_from(args) else { panic!() };
    assert!(first_ack::run(&args).is_err());
}
