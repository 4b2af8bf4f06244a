//! Against Kafka's own tools: each must read what the other wrote.
//!
//! ```text
//! KAFKA_LIBS=/path/to/jars cargo test -p dohle-cli kafka -- --ignored
//! ```

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::process::{CLUSTER_TIMEOUT, Dev, Ended, Site, command, dohle, dohle_with_input};

/// Beside other tests with Java, too.
const START_MAX: Duration = Duration::from_secs(180);
const CLUSTER: &str = "ASNFZ4mrze8QMlR2mLrc_g";

/// The folder of jars.
fn jars() -> String {
    let libs = std::env::var("KAFKA_LIBS").expect("KAFKA_LIBS is a folder with Kafka's jars");
    assert!(Path::new(&libs).is_dir(), "KAFKA_LIBS={libs}");
    libs
}

fn java(libs: &str, class: &str, arguments: &[&str]) -> Ended {
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-cp", &format!("{libs}/*"), class]).args(arguments);
    java.output().expect("there is a java").into()
}

fn storage_tool(libs: &str, arguments: &[&str]) -> Ended {
    java(libs, "kafka.tools.StorageTool", arguments)
}

#[test]
#[ignore = "needs KAFKA_LIBS; cargo xtask protocol runs it"]
fn kafkas_tool_reads_what_ours_formatted() {
    let libs = jars();
    let site = Site::new("");
    site.format(CLUSTER, &["--standalone"]).well();
    let ours = dohle(&["storage", "info", "-c", &site.file]).well();
    let theirs = storage_tool(&libs, &["info", "-c", &site.file]);
    assert_eq!(theirs.well(), ours);

    let again = storage_tool(&libs, &["format", "-t", CLUSTER, "-c", &site.file, "-s", "-g"]);
    assert!(again.well().ends_with("All of the log directories are already formatted.\n"));
}

/// Kafka's broker starts on what our tool formatted; our client commands work with Kafka's broker.
#[test]
#[ignore = "needs KAFKA_LIBS; cargo xtask protocol runs it"]
fn kafka_serves_what_ours_formatted_and_our_commands_work_with_it() {
    let libs = jars();
    let [port, controller] = free_ports();
    let site = Site::new(&format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         group.initial.rebalance.delay.ms=0\nlog.cleaner.dedupe.buffer.size=4194304\n\
         offsets.topic.num.partitions=1\n"
    ));
    site.format(CLUSTER, &["--standalone"]).well();
    let mut java = Command::new("java");
    java.args(["-Xmx400m", "-cp", &format!("{libs}/*"), "kafka.Kafka", &site.file]);
    let kafka = Kafka(java.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let address = format!("127.0.0.1:{port}");
    let run = |arguments: &[&str], input: &str| {
        dohle_with_input(&[arguments, &["--bootstrap", &address], &CLUSTER_TIMEOUT].concat(), input)
    };
    let begun = Instant::now();
    while run(&["topic", "list"], "").code != Some(0) {
        assert!(begun.elapsed() < START_MAX, "Kafka does not start");
        thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(run(&["topic", "create", "t", "-p", "2"], "").well(), "created t (2 partitions)\n");
    run(&["produce", "t", "-k", ":", "-p", "1", "-z", "zstd", "-q"], "a:1\nb:2\nc:3\n").well();
    let format = ["--format", "%p %o %k %v\\n", "--from-beginning"];
    let read = run(&[&["consume", "t", "-e"], &format[..]].concat(), "").well();
    assert_eq!(read, "1 0 a 1\n1 1 b 2\n1 2 c 3\n");
    let group = [&["consume", "t", "--group", "g", "-n", "2"], &format[..]].concat();
    assert_eq!(run(&group, "").well(), "1 0 a 1\n1 1 b 2\n");
    let group = [&["consume", "t", "--group", "g", "-e"], &format[..]].concat();
    assert_eq!(run(&group, "").well(), "1 2 c 3\n");
    assert!(run(&["topic", "describe", "t"], "").well().contains("REPLICAS"));
    assert_eq!(run(&["topic", "delete", "t"], "").well(), "deleted t\n");
    drop(kafka);
}

/// Ports that nobody listens at, below those that systems give to those who ask for any: nobody else is given them
/// until Kafka has started.
fn free_ports() -> [u16; 2] {
    let first = 26_000 + 100 * (std::process::id() % 50) as u16;
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    let free: Vec<_> = (first..first + 100).filter_map(listen).take(2).collect();
    let [one, other] = &free[..] else { panic!("no port is free") };
    [one, other].map(|listener| listener.local_addr().unwrap().port())
}

/// A broker of Kafka, for as long as a test lasts.
struct Kafka(Child);

impl Drop for Kafka {
    fn drop(&mut self) {
        // Nothing of it is looked at afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs KAFKA_LIBS; cargo xtask protocol runs it"]
fn ours_reads_and_serves_what_kafkas_tool_formatted() {
    let libs = jars();
    let site = Site::new("");
    let plain = ["-r", "4.4", "-f", "group.version=0", "-f", "share.version=0"];
    let plain = [&plain[..], &["-f", "streams.version=0", "-f", "transaction.version=0"]].concat();
    let format = ["format", "-t", CLUSTER, "-c", &site.file, "--standalone"];
    storage_tool(&libs, &[&format[..], &plain].concat()).well();
    let theirs = storage_tool(&libs, &["info", "-c", &site.file]).well();
    assert_eq!(dohle(&["storage", "info", "-c", &site.file]).well(), theirs);
    let files = (site.files("a"), site.files("b"));

    let ours = Site::new("");
    ours.format(CLUSTER, &["--standalone"]).well();
    assert_eq!((ours.files("a"), ours.files("b")), files);

    let child = command(&["server", &site.file, "--log", "warn"]).spawn().unwrap();
    let node = Dev::greeted(child, "dohle serves ");
    node.run_with_input(&["produce", "t", "-q"], "one\n").well();
    assert_eq!(node.run(&["consume", "t", "--from-beginning", "-e"]).well(), "one\n");
    assert_eq!(node.stop("TERM"), Some(0));
}

#[test]
#[ignore = "needs KAFKA_LIBS; cargo xtask protocol runs it"]
fn both_refuse_the_same() {
    let libs = jars();
    let site = Site::new("");
    let format = ["format", "-t", CLUSTER, "-c", &site.file];
    let rows: [&[&str]; 6] = [
        &[],
        &["-s", "-N"],
        &["-s", "-f", "no.such=1"],
        &["-s", "-f", "kraft.version=0"],
        &["-s", "-r", "9.9"],
        &["-s", "-r", "3.9", "-f", "eligible.leader.replicas.version=1"],
    ];
    for more in rows {
        let theirs = storage_tool(&libs, &[&format[..], more].concat());
        let ours = dohle(&[&["storage"], &format[..], more].concat());
        assert_eq!((ours.code, theirs.code), (Some(1), Some(1)), "{more:?}");
        assert!(!site.path("a").exists(), "{more:?}");
    }
}
