//! `dohle storage`: what it writes and says is what Kafka 4.4.0's tool writes and says, see `kafka`
//! for the proof; here the parts that need no Kafka.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::process::{Site, dohle};

const CLUSTER: &str = "ASNFZ4mrze8QMlR2mLrc_g";
const CHECKPOINT: &str = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";

#[test]
fn a_standalone_node_is_formatted_as_kafka_does() {
    let site = Site::new("");
    let (a, b) = (site.shown("a"), site.shown("b"));
    let said = site.format(CLUSTER, &["--standalone"]).well();
    let expected = format!(
        "Formatting dynamic metadata voter directory {a} with metadata.version 4.4-IV2.\n\
         Formatting data directory {b} with metadata.version 4.4-IV2.\n"
    );
    assert_eq!(said, expected);
    assert_eq!(site.files("a"), [CHECKPOINT, "meta.properties"]);
    let checkpoint = fs::metadata(site.path("a").join(CHECKPOINT)).unwrap();
    assert_eq!(checkpoint.permissions().mode() & 0o777, 0o400);
    assert_eq!(site.files("b"), ["meta.properties"]);
    for dir in ["a", "b"] {
        let lines = site.meta_properties(dir);
        assert_eq!(lines[0], format!("cluster.id={CLUSTER}"));
        let id = lines[1].strip_prefix("directory.id=").unwrap();
        assert_eq!(id.len(), 22);
        assert_eq!(lines[2..], ["node.id=1", "version=1"]);
    }
    assert_ne!(site.meta_properties("a")[1], site.meta_properties("b")[1]);

    let id = site.meta_properties("a")[1].replace("directory.id=", "");
    let expected = format!(
        "Found log directories:\n  {a}\n  {b}\n\n\
         Found metadata: {{cluster.id={CLUSTER}, directory.id={id}, node.id=1, version=1}}\n\n"
    );
    assert_eq!(dohle(&["storage", "info", "-c", &site.file]).well(), expected);
}

#[test]
fn info_finds_problems() {
    let site = Site::new("");
    let (a, b) = (site.shown("a"), site.shown("b"));
    let info = || dohle(&["storage", "info", "--config", &site.file]);
    let ended = info();
    assert_eq!(ended.code, Some(1));
    let expected = format!("Found problems:\n  {a} does not exist\n  {b} does not exist\n\n");
    assert_eq!(ended.stdout, expected);

    site.format(CLUSTER, &["--standalone"]).well();
    fs::remove_file(site.path("b/meta.properties")).unwrap();
    let ended = info();
    assert_eq!(ended.code, Some(1));
    let problem = format!("Found problem:\n  {b} is not formatted.\n\n");
    assert!(ended.stdout.ends_with(&problem), "{ended:?}");

    let others = fs::read_to_string(site.path("a/meta.properties")).unwrap();
    fs::write(site.path("b/meta.properties"), others.replace(CLUSTER, "other")).unwrap();
    let problem = "Found problem:\n  Mismatched cluster IDs between storage directories.\n\n";
    assert!(info().stdout.ends_with(problem));
    fs::write(site.path("b/meta.properties"), "version=7\n").unwrap();
    assert!(info().stdout.ends_with("meta.properties: version 7 is unknown, expected 0 or 1\n\n"));
}

#[test]
fn formatted_directories_are_left_alone() {
    let site = Site::new("");
    let a = site.shown("a");
    site.format(CLUSTER, &["--standalone"]).well();
    let before = site.meta_properties("a");
    site.format(CLUSTER, &["-s"]).failed_with(&[&a, "already formatted", "--ignore-formatted"]);
    let said = site.format(CLUSTER, &["-s", "-g"]).well();
    assert_eq!(said, "All of the log directories are already formatted.\n");
    site.format("other", &["-s", "-g"]).failed_with(&[&a, "cluster.id", CLUSTER, "other"]);
    fs::remove_dir_all(site.path("b")).unwrap();
    assert!(site.format(CLUSTER, &["-s", "-g"]).well().contains("Formatting data directory"));
    assert_eq!(site.meta_properties("a"), before);
}

#[test]
fn what_cannot_be_formatted_is_told_and_nothing_is_written() {
    let rows: [(&str, &[&str], &[&str]); 12] = [
        ("", &[], &["--standalone", "--initial-controllers", "--no-initial-controllers"]),
        ("controller.quorum.voters=1@h:1\n", &["-s"], &["controller.quorum.voters"]),
        ("", &["-s", "-f", "no.such=1"], &["no.such"]),
        ("", &["-s", "-f", "kraft.version"], &["NAME=LEVEL"]),
        ("", &["-s", "-f", "kraft.version=x"], &["NAME=LEVEL"]),
        ("", &["-s", "-f", "kraft.version=0"], &["kraft.version"]),
        ("", &["-s", "-r", "9.9"], &["9.9", "3.3-IV3", "4.4-IV2"]),
        ("", &["-s", "-r", "4.4", "-f", "metadata.version=30"], &["--release-version"]),
        (
            "",
            &["-s", "-r", "3.9", "-f", "eligible.leader.replicas.version=1"],
            &["eligible.leader.replicas.version", "4.0-IV1"],
        ),
        ("", &["-I", "1@h:9093"], &["1@h:9093", "ID@HOST:PORT:DIRECTORY"]),
        ("", &["-s", "-S", "SCRAM-SHA-256=[name=a,password=b]"], &["--add-scram", "not supported"]),
        ("num.partitions=0\n", &["-s"], &["line 8", "num.partitions = 0", "at least 1"]),
    ];
    for (more, arguments, parts) in rows {
        let site = Site::new(more);
        site.format(CLUSTER, arguments).failed_with(parts);
        assert!(!site.path("a").exists() && !site.path("b").exists(), "{arguments:?}");
    }
    let site = Site::new("");
    fs::write(site.path("b"), "a file").unwrap();
    site.format(CLUSTER, &["-s"]).failed_with(&[&site.shown("b"), "is not a directory"]);
}

#[test]
fn all_ways_to_name_the_voters_work() {
    let voters = "1@127.0.0.1:9093:sample-node1-dir-AAAAA,2@127.0.0.1:9094:ASNFZ4mrze8QMlR2mLrc_g";
    let site = Site::new("");
    site.format(CLUSTER, &["--initial-controllers", voters]).well();
    assert_eq!(site.meta_properties("a")[1], "directory.id=sample-node1-dir-AAAAA");
    assert_eq!(site.files("a"), [CHECKPOINT, "meta.properties"]);

    let site = Site::new("");
    site.format(CLUSTER, &["--no-initial-controllers"]).well();
    assert_eq!(site.files("a"), [CHECKPOINT, "meta.properties"]);

    let site = Site::new("controller.quorum.voters=1@127.0.0.1:19093\n");
    site.format(CLUSTER, &[]).well();
    assert_eq!(site.files("a"), [CHECKPOINT, "meta.properties"]);
}

#[test]
fn random_ids_differ_and_are_ids() {
    let ids: Vec<String> = (0..3).map(|_| dohle(&["storage", "random-uuid"]).well()).collect();
    for id in &ids {
        assert!(id.len() == 23 && id.ends_with('\n') && !id.starts_with('-'), "{id:?}");
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
}

#[test]
fn levels_and_what_they_need_are_shown_as_kafka_does() {
    let said = dohle(&["storage", "version-mapping", "-r", "3.9"]).well();
    // Source: Kafka 4.4.0's output for 3.9, which has nothing that is not built here.
    let expected = "metadata.version=21 (3.9)\nkraft.version=1\ntransaction.version=0\n\
                    group.version=0\neligible.leader.replicas.version=0\nshare.version=0\n\
                    streams.version=0\n";
    assert_eq!(said, expected);
    let said = dohle(&["storage", "version-mapping"]).well();
    assert!(said.starts_with("metadata.version=33 (4.4-IV2)\nkraft.version=1\n"), "{said}");
    dohle(&["storage", "version-mapping", "-r", "9.9"]).failed_with(&["9.9", "4.4-IV2"]);

    let features = ["-f", "eligible.leader.replicas.version=1", "-f", "metadata.version=33"];
    let said = dohle(&[&["storage", "feature-dependencies"], &features[..]].concat()).well();
    let expected = "eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\n\
                    metadata.version=33 (4.4-IV2) has no dependencies.\n";
    assert_eq!(said, expected);
    for (feature, part) in [("no.such=1", "no.such"), ("group.version=9", "9 does not exist")] {
        dohle(&["storage", "feature-dependencies", "-f", feature]).failed_with(&[part]);
    }
}
