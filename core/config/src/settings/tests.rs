//! Goal: layers count in the right order, odd files are reported, and bad ones refused with every
//! fault and its line.

use super::*;
use crate::error::HIDDEN;
use crate::provider::NoProviders;

const MINIMAL: &str = "\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=localhost:9093
";

/// A combined node with these lines besides the necessary ones.
pub(crate) fn node_with(more: &str) -> NodeSettings {
    let properties = Properties::parse(&format!("{MINIMAL}{more}")).expect("well-formed");
    NodeSettings::from_file(&properties, &NoProviders).expect("valid keys").0
}

/// Settings from `key=value` pairs.
pub(crate) fn settings(pairs: &[&str]) -> Settings {
    let pair = |pair: &&str| {
        let (name, value) = pair.split_once('=').expect("a pair");
        (name.into(), value.into())
    };
    pairs.iter().map(pair).collect()
}

fn load(text: &str) -> Result<Vec<String>, String> {
    let properties = Properties::parse(text).expect("well-formed");
    match NodeSettings::from_file(&properties, &NoProviders) {
        Ok((_, warnings)) => Ok(warnings.iter().map(ToString::to_string).collect()),
        Err(faults) => Err(faults.to_string()),
    }
}

#[test]
fn a_value_knows_where_it_comes_from() {
    let node = node_with("num.partitions=3\nmin.insync.replicas=2\n");
    let origin = |node: &NodeSettings, name: &str| node.get(name).expect("a key").origin;
    assert_eq!(origin(&node, "num.partitions"), Origin::File(6));
    assert_eq!(node.int("num.partitions"), 3);
    assert_eq!(origin(&node, "num.io.threads"), Origin::Default);
    assert_eq!(origin(&node, "broker.id"), Origin::File(2), "node.id under its older name");

    let all = settings(&["min.insync.replicas=3", "num.io.threads=9"]);
    let (one, warnings) = node.with_dynamic(&all, &settings(&["num.io.threads=10"]));
    assert_eq!(warnings, []);
    assert_eq!((one.int("min.insync.replicas"), one.int("num.io.threads")), (3, 10));
    assert_eq!(origin(&one, "min.insync.replicas"), Origin::AllBrokers);
    assert_eq!(origin(&one, "num.io.threads"), Origin::ThisBroker);

    let (none, _) = one.with_dynamic(&Settings::new(), &Settings::new());
    assert_eq!((none.int("min.insync.replicas"), none.int("num.io.threads")), (2, 8));
}

#[test]
fn a_stronger_layer_hides_the_whole_family() {
    let node = node_with("log.roll.hours=1\nlog.retention.ms=5\nlog.retention.hours=2\n");
    assert_eq!(node.long_or_null("log.roll.ms"), None);
    let (node, warnings) =
        node.with_dynamic(&settings(&["log.retention.ms=7"]), &settings(&["log.roll.ms=9"]));
    assert_eq!(warnings, []);
    assert_eq!(node.long_or_null("log.retention.ms"), Some(7));
    assert_eq!(node.get("log.retention.hours").expect("a key").origin, Origin::Default);
    assert_eq!(node.get("log.roll.hours").expect("a key").origin, Origin::Default);
}

#[test]
fn dynamic_values_that_cannot_be_used_are_passed_over() {
    let all = settings(&[
        "num.partitions=3",
        "num.io.threads=none",
        "log.segment.bytes=1",
        "listeners=PLAINTEXT://:1",
        "listener.name.plaintext.ssl.keystore.type=PEM",
        "a.plugins.key=x",
    ]);
    let this = settings(&["ssl.keystore.type=PEM", "listener.name.a.ssl.client.auth=perhaps"]);
    let (node, warnings) = node_with("").with_dynamic(&all, &this);
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "dynamic setting ignored: listener.name.plaintext.ssl.keystore.type = PEM: can be \
             changed for single brokers only",
            "dynamic setting ignored: listeners = PLAINTEXT://:1: can be changed for single \
             brokers only",
            "dynamic setting ignored: log.segment.bytes = 1: must be at least 1048576",
            "dynamic setting ignored: num.io.threads = none: is not a 32-bit integer",
            "dynamic setting ignored: num.partitions = 3: cannot be changed while the broker runs",
            "dynamic setting ignored: listener.name.a.ssl.client.auth = perhaps: must be one of \
             required, requested, none",
            "dynamic setting ignored: ssl.keystore.type = PEM: can be changed for single \
             listeners only, with the prefix listener.name.",
        ]
    );
    assert_eq!(node.int("num.io.threads"), 8);
    assert!(node.is_set("a.plugins.key"));
}

#[test]
fn assignment_intervals_stay_within_the_bounds_of_the_file() {
    let node = node_with("group.share.max.assignment.interval.ms=2000\n");
    let all = settings(&[
        "group.share.assignment.interval.ms=5000",
        "group.consumer.assignment.interval.ms=5000",
    ]);
    let (node, _) = node.with_dynamic(&all, &Settings::new());
    assert_eq!(node.int("group.share.assignment.interval.ms"), 2000);
    assert_eq!(node.int("group.consumer.assignment.interval.ms"), 5000);
}

#[test]
fn keys_that_only_exist_while_running_do_not_count_in_a_file() {
    let node = node_with("leader.replication.throttled.rate=5\n");
    assert_eq!(node.long("leader.replication.throttled.rate"), i64::MAX);
    let all = settings(&["leader.replication.throttled.rate=7"]);
    let (node, _) = node.with_dynamic(&all, &Settings::new());
    assert_eq!(node.long("leader.replication.throttled.rate"), 7);
}

#[test]
fn odd_lines_are_reported() {
    let text = format!(
        "{MINIMAL}\
         num.partition=3\n\
         zookeeper.connect=localhost:2181\n\
         super.users=User:admin\n\
         rsm.config.bucket=b\n\
         listener.name.controller.ssl.keystore.type=PEM\n\
         listener.name.controller.ssl.keystore.tipe=PEM\n\
         leader.replication.throttled.rate=5\n\
         num.io.threads=4\n\
         num.io.threads=5\n"
    );
    assert_eq!(
        load(&text).expect("valid"),
        [
            "line 13: num.io.threads is set again on line 14, which counts",
            "line 12: leader.replication.throttled.rate can only be set while the broker runs",
            "line 11: listener.name.controller.ssl.keystore.tipe is not a known key",
            "line 6: num.partition is not a known key, did you mean num.partitions?",
            "line 7: zookeeper.connect is not a known key",
        ]
    );
}

#[test]
fn every_fault_is_named_with_its_line() {
    let text = "\
node.id=one
num.partitions=0
log.cleanup.policy=delete,squeeze
delegation.token.secret.key=${env:SECRET}
";
    assert_eq!(
        load(text),
        Err("line 4: delegation.token.secret.key = ${env:SECRET}: there is no provider env; it \
             takes config.providers=env and config.providers.env.class"
            .into())
    );
    let text = text.replace("${env:SECRET}", "x");
    assert_eq!(
        load(&text).expect_err("invalid").lines().collect::<Vec<_>>(),
        [
            "line 1: broker.id = one: is not a 32-bit integer",
            "controller.listener.names: must be set",
            "line 3: log.cleanup.policy = delete,squeeze: must be a list of compact, delete",
            "line 1: node.id = one: is not a 32-bit integer",
            "line 2: num.partitions = 0: must be at least 1",
            "process.roles: must be set",
        ]
    );
}

#[test]
fn secrets_are_not_shown() {
    let node = node_with("ssl.key.password=hush\nssl.keystore.type= PEM \n");
    assert_eq!(node.shown("ssl.key.password"), HIDDEN);
    assert_eq!(node.shown("ssl.keystore.type"), "PEM");
    assert_eq!(node.shown("ssl.keystore.location"), "null");
    assert_eq!(node.text("ssl.key.password"), "hush");
}
