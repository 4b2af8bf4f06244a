//! More partitions than file handles.

use std::{
    fs,
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dohle_base::ErrorCode;

use crate::{
    process::{Dev, Site, command},
    wire::{fetch_all, produce_all},
};

const PARTITIONS: i32 = 2_000;
/// What the shell allows the node. Half of it is for connections, some for what is no log.
const HANDLES: usize = 300;
const FOR_LOGS: usize = 150;
const COMPLAINTS: &str = "complaints";

/// The node of a site, with few file handles. What it complains about goes into a file, which is never
/// full.
fn serve_with_few_handles(site: &Site) -> Dev {
    let program = command(&[]);
    let script = format!("ulimit -n {HANDLES} && exec \"$0\" server \"$1\" --log warn");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(program.get_program()).arg(&site.file);
    let complaints = fs::File::options().create(true).append(true).open(site.path(COMPLAINTS));
    shell.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped());
    shell.stderr(complaints.expect("there is room"));
    Dev::greeted(shell.spawn().expect("there is a shell"), "dohle serves ")
}

fn value(round: &str, partition: i32) -> String {
    format!("{round} of {partition}")
}

/// Writes to all partitions, in one request.
#[track_caller]
fn write(node: &Dev, round: &str) {
    let answers = produce_all(&node.address, "many", PARTITIONS, |index| value(round, index));
    let refused = answers.iter().filter(|error| **error != ErrorCode::NONE).count();
    assert_eq!((answers.len(), refused), (PARTITIONS as usize, 0), "{:?}", answers.first());
    check_handles(node);
}

/// Reads all partitions, in one request, which is answered from all their files at once.
#[track_caller]
fn read(node: &Dev, rounds: &[&str]) {
    let answers = fetch_all(&node.address, "many", PARTITIONS);
    assert_eq!(answers.len(), PARTITIONS as usize);
    for (partition, answer) in (0..PARTITIONS).zip(answers) {
        let expected = rounds.iter().map(|round| value(round, partition).into_bytes()).collect();
        assert_eq!(answer, Ok(expected), "partition {partition}");
    }
    check_handles(node);
}

#[track_caller]
fn check_handles(node: &Dev) {
    let open = handles(node);
    assert!(open <= FOR_LOGS, "{open} handles");
}

/// How many the node has open.
fn handles(node: &Dev) -> usize {
    fs::read_dir(format!("/proc/{}/fd", node.id())).expect("it runs").count()
}

#[test]
fn thousands_of_partitions_are_served_with_a_few_hundred_file_handles() {
    let site = Site::formatted("auto.create.topics.enable=false\n");
    let node = serve_with_few_handles(&site);
    let count = PARTITIONS.to_string();
    node.run(&["topic", "create", "many", "-p", &count]).well();
    write(&node, "first");
    read(&node, &["first"]);
    assert_eq!(node.stop("TERM"), Some(0));
    for dir in ["a", "b"] {
        assert!(site.path(dir).join(".kafka_cleanshutdown").exists(), "{dir} is left clean");
    }

    let node = serve_with_few_handles(&site);
    check_handles(&node);
    read(&node, &["first"]);
    write(&node, "second");
    assert_eq!(node.stop("KILL"), None);

    let node = serve_with_few_handles(&site);
    read(&node, &["first", "second"]);
    write(&node, "third");
    read(&node, &["first", "second", "third"]);
    assert_eq!(node.stop("TERM"), Some(0));
    assert_eq!(fs::read_to_string(site.path(COMPLAINTS)).unwrap(), "");
}

#[test]
fn connections_leave_handles_for_logs() {
    let site = Site::formatted("auto.create.topics.enable=false\n");
    let node = serve_with_few_handles(&site);
    let count = PARTITIONS.to_string();
    node.run(&["topic", "create", "many", "-p", &count]).well();
    let connect = |_| TcpStream::connect(&node.address).expect("there is a backlog");
    let mut idle: Vec<TcpStream> = (0..HANDLES / 2 + 50).map(connect).collect();
    let until = Instant::now() + Duration::from_secs(20);
    while handles(&node) < HANDLES / 2 && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    // All would be taken in meanwhile, if they were.
    thread::sleep(Duration::from_millis(200));
    let open = handles(&node);
    assert!((HANDLES / 2..HANDLES / 2 + 60).contains(&open), "{open} handles");
    // With places for two, those that wait and who asks have their turn.
    idle.truncate(HANDLES / 2 - 2);
    let answers = produce_all(&node.address, "many", PARTITIONS, |index| value("one", index));
    let refused = answers.iter().filter(|error| **error != ErrorCode::NONE).count();
    let complaints = fs::read_to_string(site.path(COMPLAINTS)).unwrap();
    assert_eq!((refused, complaints.as_str()), (0, ""), "{} handles", handles(&node));
    drop(idle);
    read(&node, &["one"]);
    assert_eq!(node.stop("TERM"), Some(0));
}
