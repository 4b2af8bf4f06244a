//! Bad arguments are told at once and end with 1, as with Kafka's tools; help is no error.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use crate::process::dohle;

#[test]
fn help_and_version_are_results() {
    assert!(dohle(&["--version"]).well().starts_with("dohle 0."));
    let help = dohle(&["--help"]).well();
    for command in
        ["dev", "server", "storage", "topic", "produce", "consume", "dump-log", "kafka-dump-log"]
    {
        assert!(help.contains(command), "{help}");
    }
    assert!(dohle(&["consume", "--help"]).well().contains("--from-beginning"));
}

#[test]
fn bad_arguments_are_told() {
    let rows: [(&[&str], &str); 14] = [
        (&[], "Usage: dohle"),
        (&["nope"], "unrecognized subcommand 'nope'"),
        (&["dev", "--port", "65536"], "65536"),
        (&["server"], "<FILE>"),
        (&["storage"], "Usage: dohle storage"),
        (&["storage", "format", "-c", "f"], "--cluster-id"),
        (&["storage", "format", "-t", "x"], "--config"),
        (&["storage", "format", "-t", "x", "-c", "f", "-s", "-N"], "cannot be used with"),
        (&["topic", "create"], "<TOPIC>"),
        (&["topic", "create", "t", "-p", "0"], "0 is not in 1.."),
        (&["topic", "list", "--timeout", "0"], "0 is not in 1.."),
        (&["produce", "t", "--codec", "brotli"], "is not one of none, gzip, snappy, lz4, zstd"),
        (&["consume", "t", "--group", "g", "--offset", "5"], "cannot be used with"),
        (&["consume", "t", "--format", "%q"], "%q has no meaning"),
    ];
    for (arguments, part) in rows {
        let ended = dohle(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ended.stderr.contains(part), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn what_stands_in_an_argument_is_checked_before_anybody_is_asked() {
    let nobody = ["--bootstrap", "127.0.0.1:1"];
    let rows: [(&[&str], &[&str]); 3] = [
        (&["topic", "create", "t", "-c", "x"], &["--config x", "KEY=VALUE"]),
        (&["produce", "t", "--header", "x"], &["--header x", "NAME=VALUE"]),
        (&["produce", "t", "--file", "/no/such"], &["/no/such", "No such file"]),
    ];
    for (arguments, parts) in rows {
        dohle(&[arguments, &nobody[..]].concat()).failed_with(parts);
    }
    dohle(&["topic", "list", "--bootstrap", "here"]).failed_with(&["here", "host:port"]);
    dohle(&["--log", "a=b=c", "topic", "list"]).failed_with(&["--log a=b=c"]);
}

#[test]
fn where_nobody_listens_is_told_at_once_with_what_to_do() {
    for arguments in [["topic", "list"], ["produce", "t"], ["consume", "t"]] {
        let ended = dohle(&[&arguments[..], &["--bootstrap", "127.0.0.1:1"]].concat());
        ended.failed_with(&["no broker at 127.0.0.1:1", "connection refused", "dohle dev"]);
    }
}

/// The backlog of a listener takes connections, and nobody reads what comes with them.
#[test]
fn who_does_not_answer_is_waited_for_as_long_as_is_wished() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let begun = Instant::now();
    let ended = dohle(&["topic", "list", "--bootstrap", &address, "--timeout", "2"]);
    let time = begun.elapsed();
    ended.failed_with(&["no answer from", &address]);
    // It is 15 s where nothing is said.
    assert!((Duration::from_secs(2)..Duration::from_secs(14)).contains(&time), "{time:?}");
}
