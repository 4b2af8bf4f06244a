//! `dohle server`: it serves what is formatted, refuses what is not its own or not built, and stops
//! cleanly.

use std::{fs, net::TcpListener};

use crate::process::{CLUSTER, Site, command, dohle, ended, serve};

#[test]
fn records_outlive_a_stop_by_sigterm() {
    let site = Site::formatted("group.initial.rebalance.delay.ms=0\n");
    let node = serve(&site);
    node.run(&["topic", "create", "kept"]).well();
    node.run_with_input(&["produce", "kept", "--quiet"], "one\ntwo\n").well();
    assert_eq!(node.stop("TERM"), Some(0));
    for dir in ["a", "b"] {
        let left = site.files(dir);
        assert!(left.contains(&".kafka_cleanshutdown".to_owned()), "{left:?}");
        assert!(!left.contains(&".lock".to_owned()), "{left:?}");
    }
    let node = serve(&site);
    let read = node.run(&["consume", "kept", "--from-beginning", "--until-end"]).well();
    assert_eq!(read, "one\ntwo\n");
    assert_eq!(node.stop("INT"), Some(0));
}

#[test]
fn the_metadata_says_after_each_start_that_no_directory_is_cordoned() {
    let site = Site::formatted("");
    let log = site.shown("a/__cluster_metadata-0/00000000000000000000.log");
    for starts in 1..=2 {
        assert_eq!(serve(&site).stop("TERM"), Some(0));
        let dump = ["kafka-dump-log", "--cluster-metadata-decoder", "--files", &log];
        let dumped = dohle(&dump).well();
        assert_eq!(dumped.matches("\"cordonedLogDirs\":[]").count(), starts, "{dumped}");
    }
}

#[test]
fn faults_of_the_file_are_told_each_with_its_line() {
    let site = Site::new("num.partitions=0\nlog.retention.bytes=lots\nnum.partitons=3\n");
    let ended = dohle(&["server", &site.file]);
    assert_eq!(ended.code, Some(1));
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{ended:?}");
    for (line, parts) in [
        ("line 9: ", ["log.retention.bytes = lots", "64-bit integer"]),
        ("line 8: ", ["num.partitions = 0", "at least 1"]),
    ] {
        let told = lines.iter().find(|told| told.contains(line)).expect(line);
        assert!(told.starts_with("error: ") && told.contains(&site.file), "{told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
    dohle(&["server", "/no/such.properties"]).failed_with(&["/no/such.properties: No such file"]);
}

#[test]
fn an_unknown_key_is_a_warning_with_a_suggestion() {
    let site = Site::new("num.partitons=3\n");
    let ended = dohle(&["server", &site.file]);
    let warning = format!(
        "warning: {}: line 8: num.partitons is not a known key, did you mean num.partitions?",
        site.file
    );
    assert_eq!(ended.stderr.lines().next(), Some(warning.as_str()));
    assert!(ended.stderr.contains("is not formatted"), "it went on to start: {ended:?}");
}

#[test]
fn settings_that_somebody_relies_on_are_not_ignored() {
    let site = Site::formatted("");
    let with = |setting: &str| dohle(&["server", &site.file, "--override", setting]);
    with("authorizer.class.name=x.Authorizer")
        .failed_with(&["authorizer.class.name", "not supported"]);
    with("num.partitions").failed_with(&["--override num.partitions", "KEY=VALUE"]);
    let tls = [
        "listeners=PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT",
    ];
    let arguments = ["server", &site.file, "--override", tls[0], "--override", tls[1]];
    dohle(&arguments).failed_with(&["SSL", "not supported yet"]);
}

#[test]
fn a_directory_that_is_not_the_nodes_stops_the_start() {
    let site = Site::new("");
    dohle(&["server", &site.file]).failed_with(&[
        &site.shown("a"),
        "not formatted",
        "storage format",
    ]);

    site.format(CLUSTER, &["--standalone"]).well();
    let said = fs::read_to_string(site.path("b/meta.properties")).unwrap();
    fs::write(site.path("b/meta.properties"), said.replace(CLUSTER, "other")).unwrap();
    dohle(&["server", &site.file]).failed_with(&[&site.shown("b"), "cluster.id", "other", CLUSTER]);
    fs::write(site.path("b/meta.properties"), said.replace("node.id=1", "node.id=5")).unwrap();
    dohle(&["server", &site.file]).failed_with(&[&site.shown("b"), "node.id", "5"]);
}

#[test]
fn a_port_that_is_taken_and_a_directory_in_use_are_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = Site::formatted("");
    let listeners = format!("listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:0");
    let arguments = ["server", &site.file, "--log", "off", "--override", &listeners];
    dohle(&arguments).failed_with(&[&address, "in use"]);
    // Nothing is left of that start.
    let node = serve(&site);
    let other = command(&["server", &site.file, "--log", "off"]).spawn().expect("dohle runs");
    ended(other).failed_with(&["another process", ".lock"]);
    assert_eq!(node.stop("TERM"), Some(0));
}

#[test]
fn a_second_metadata_log_stops_the_start() {
    let site = Site::formatted("");
    let stray = site.path("b/__cluster_metadata-0");
    fs::create_dir(&stray).unwrap();
    dohle(&["server", &site.file]).failed_with(&[
        &stray.display().to_string(),
        "metadata.log.dir",
        &site.shown("a"),
    ]);
    fs::remove_dir(&stray).unwrap();
    assert_eq!(serve(&site).stop("TERM"), Some(0));
}
