//! Goal: a node starts under the configurations that Kafka starts under, and under no other.
//! Method: a minimal configuration for each pair of roles, and one change at a time.

use super::*;
use crate::listener::{Listener, SecurityProtocol};
use crate::properties::Properties;
use crate::provider::NoProviders;

const COMBINED: &[&str] = &[
    "process.roles=broker,controller",
    "node.id=1",
    "listeners=PLAINTEXT://:9092,CONTROLLER://:9093",
    "advertised.listeners=PLAINTEXT://example.org:9092",
    "controller.listener.names=CONTROLLER",
    "controller.quorum.bootstrap.servers=localhost:9093",
    "log.dirs=/data/a,/data/b",
];

const BROKER: &[&str] = &[
    "process.roles=broker",
    "node.id=2",
    "listeners=PLAINTEXT://a:9092",
    "controller.listener.names=CONTROLLER",
    "controller.quorum.voters=1@c:9093",
];

const CONTROLLER: &[&str] = &[
    "process.roles=controller",
    "node.id=1",
    "listeners=CONTROLLER://:9093",
    "controller.listener.names=CONTROLLER",
    "controller.quorum.voters=1@c:9094",
];

/// The configuration with other or more keys; a key without `=` goes.
fn config(base: &[&str], changes: &[&str]) -> Result<BrokerConfig, String> {
    let mut properties = Properties::default();
    let mut removed = Vec::new();
    for line in base.iter().chain(changes) {
        match line.split_once('=') {
            Some((key, value)) => properties.insert(key, value),
            None => removed.push(*line),
        }
    }
    let kept = properties.iter().filter(|(key, _)| !removed.contains(&key.as_str()));
    let properties: Properties = kept.map(|(k, p)| (k.clone(), p.value.clone())).collect();
    let (settings, _) =
        NodeSettings::from_file(&properties, &NoProviders).map_err(|faults| faults.to_string())?;
    BrokerConfig::new(&settings).map_err(|faults| faults.to_string())
}

fn texts(listeners: &[Listener]) -> Vec<String> {
    listeners.iter().map(ToString::to_string).collect()
}

#[test]
fn a_combined_node_has_the_values_of_its_file_and_defaults() {
    let config =
        config(COMBINED, &["broker.rack=west", "max.connections.per.ip.overrides=::1:5,h:6"])
            .expect("valid");
    assert_eq!(config.node_id, BrokerId(1));
    assert_eq!(config.roles, Roles { broker: true, controller: true });
    assert_eq!(config.rack.as_deref(), Some("west"));
    assert_eq!(texts(&config.listeners.bound), ["PLAINTEXT://:9092", "CONTROLLER://:9093"]);
    assert_eq!(texts(&config.listeners.advertised), ["PLAINTEXT://example.org:9092"]);
    assert_eq!(texts(&config.listeners.advertised_controller), ["CONTROLLER://:9093"]);
    assert_eq!(config.listeners.inter_broker_name, "PLAINTEXT");
    assert_eq!(config.listeners.controller_protocol, SecurityProtocol::Plaintext);
    assert!(config.listeners.is_controller(&config.listeners.bound[1]));
    assert_eq!(config.log_dirs, ["/data/a", "/data/b"]);
    assert_eq!(config.metadata_log.dir, "/data/a");
    assert_eq!(config.sockets.send_buffer_bytes, Some(102_400));
    assert_eq!(config.offsets.retention_ms, 7 * 24 * 3_600_000);
    assert!(config.new_topics.auto_create);
}

#[test]
fn absent_and_negative_values_have_their_meaning() {
    let changes = [
        "log.dirs",
        "metadata.log.dir=/meta",
        "socket.send.buffer.bytes=-1",
        "advertised.listeners",
    ];
    let config = config(COMBINED, &changes).expect("valid");
    assert_eq!(config.log_dirs, ["/tmp/kafka-logs"]);
    assert_eq!(config.metadata_log.dir, "/meta");
    assert_eq!(config.sockets.send_buffer_bytes, None);
    assert_eq!(texts(&config.listeners.advertised), ["PLAINTEXT://:9092"]);
}

#[test]
fn a_receive_buffer_that_nobody_chose_is_ours() {
    let bytes =
        |change: &str| config(COMBINED, &[change]).expect("valid").sockets.receive_buffer_bytes;
    assert_eq!(bytes("socket.receive.buffer.bytes"), Some(RECEIVE_BUFFER_BYTES));
    assert_eq!(bytes("socket.receive.buffer.bytes=102400"), Some(RECEIVE_BUFFER_BYTES));
    assert_eq!(bytes("socket.receive.buffer.bytes=65536"), Some(65_536));
    assert_eq!(bytes("socket.receive.buffer.bytes=-1"), None);
}

#[test]
fn single_roles_have_their_listeners() {
    let broker = config(BROKER, &[]).expect("valid");
    assert_eq!(texts(&broker.listeners.advertised), ["PLAINTEXT://a:9092"]);
    assert_eq!(texts(&broker.listeners.advertised_controller), [""; 0]);
    assert_eq!(broker.quorum.voters[0].id, BrokerId(1));

    let controller = config(CONTROLLER, &[]).expect("valid");
    assert_eq!(texts(&controller.listeners.advertised), [""; 0]);
    assert_eq!(
        texts(&controller.listeners.advertised_controller),
        ["CONTROLLER://c:9094"],
        "the voters say where it is reached"
    );
    let told = ["advertised.listeners=CONTROLLER://d:1"];
    let controller = config(CONTROLLER, &told).expect("valid");
    assert_eq!(texts(&controller.listeners.advertised_controller), ["CONTROLLER://d:1"]);
    let everywhere = [
        "listeners=CONTROLLER://0.0.0.0:9093",
        "controller.quorum.voters",
        "controller.quorum.bootstrap.servers=c:9093",
    ];
    let controller = config(CONTROLLER, &everywhere).expect("valid");
    assert_eq!(texts(&controller.listeners.advertised_controller), ["CONTROLLER://:9093"]);
}

#[test]
fn listeners_speak_what_the_map_says() {
    let changes = [
        "listeners=IN://:1,OUT://:2,CONTROLLER://:3",
        "advertised.listeners=IN://a:1,OUT://b:2",
        "listener.security.protocol.map=in:PLAINTEXT,OUT:SSL,CONTROLLER:SASL_SSL",
        "inter.broker.listener.name=In",
    ];
    let config = config(COMBINED, &changes).expect("valid");
    assert_eq!(config.listeners.inter_broker_name, "IN");
    assert_eq!(config.listeners.inter_broker_protocol, SecurityProtocol::Plaintext);
    assert_eq!(config.listeners.controller_protocol, SecurityProtocol::SaslSsl);
    assert_eq!(config.listeners.bound[1].protocol, SecurityProtocol::Ssl);
}

/// A base, changes, and what the first fault begins with.
type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a str);

fn refuses(cases: &[Case<'_>]) {
    for (base, changes, wanted) in cases {
        match config(base, changes) {
            Ok(_) => panic!("{changes:?} is accepted, not refused with {wanted}"),
            Err(faults) => {
                let found = faults.lines().any(|fault| fault.starts_with(wanted));
                assert!(found, "{changes:?}: {faults}");
            }
        }
    }
}

#[test]
fn roles_and_quorum_must_fit() {
    refuses(&[
        (COMBINED, &["process.roles"], "process.roles: must be set"),
        (COMBINED, &["process.roles="], "process.roles = : must be a list that is not empty"),
        (COMBINED, &["process.roles=zookeeper"], "process.roles = zookeeper: must be"),
        (COMBINED, &["node.id"], "node.id: must be set"),
        (COMBINED, &["node.id=-1"], "node.id = -1: must be at least 0"),
        (COMBINED, &["broker.id=3"], "broker.id = 3: must equal node.id = 1"),
        (COMBINED, &["controller.listener.names"], "controller.listener.names: must be set"),
        (
            COMBINED,
            &["controller.quorum.bootstrap.servers"],
            "controller.quorum.bootstrap.servers = : must name controllers",
        ),
        (
            BROKER,
            &["controller.quorum.voters"],
            "controller.quorum.bootstrap.servers = : must name",
        ),
        (
            BROKER,
            &["controller.quorum.voters=2@c:9093"],
            "controller.quorum.voters = 2@c:9093: must not contain this node",
        ),
        (
            BROKER,
            &["controller.quorum.auto.join.enable=true"],
            "controller.quorum.auto.join.enable = true: has a meaning only for a controller",
        ),
        (
            CONTROLLER,
            &["controller.quorum.voters=2@c:9093"],
            "controller.quorum.voters = 2@c:9093: must contain this controller",
        ),
    ]);
}

#[test]
fn listeners_must_fit_the_roles() {
    refuses(&[
        (
            COMBINED,
            &["listeners=PLAINTEXT://:9092"],
            "controller.listener.names = CONTROLLER: must name listeners that are in listeners",
        ),
        (
            COMBINED,
            &["listeners=CONTROLLER://:9093", "advertised.listeners"],
            "listeners = CONTROLLER://:9093: must contain a listener that is not one of",
        ),
        (
            COMBINED,
            &["advertised.listeners=SSL://a:1"],
            "advertised.listeners = SSL://a:1: must name only listeners of listeners",
        ),
        (
            COMBINED,
            &["advertised.listeners=PLAINTEXT://0.0.0.0:1"],
            "advertised.listeners = PLAINTEXT://0.0.0.0:1: must not tell anybody",
        ),
        (
            COMBINED,
            &["listeners=PLAINTEXT://0.0.0.0:1,CONTROLLER://:2", "advertised.listeners"],
            "advertised.listeners = null: must not tell anybody",
        ),
        (
            COMBINED,
            &["inter.broker.listener.name=SSL"],
            "inter.broker.listener.name = SSL: brokers would use SSL, which is none",
        ),
        (
            COMBINED,
            &["inter.broker.listener.name=LAN"],
            "inter.broker.listener.name = LAN: listener.security.protocol.map has no",
        ),
        (
            COMBINED,
            &["inter.broker.listener.name=PLAINTEXT", "security.inter.broker.protocol=PLAINTEXT"],
            "inter.broker.listener.name = PLAINTEXT: excludes security.inter.broker.protocol",
        ),
        (
            COMBINED,
            &["security.inter.broker.protocol=SSL"],
            "inter.broker.listener.name = null: brokers would use SSL",
        ),
        (COMBINED, &["listeners=nonsense"], "listeners = nonsense: nonsense is not of the form"),
        (
            COMBINED,
            &["listeners=SSL://:9092,CONTROLLER://:9093", "advertised.listeners"],
            "listeners = SSL://:9092,CONTROLLER://:9093: listener.security.protocol.map has no",
        ),
        (
            COMBINED,
            &["listener.security.protocol.map=PLAINTEXT:PLAINTEXT"],
            "listeners = PLAINTEXT://:9092,CONTROLLER://:9093: listener.security.protocol.map",
        ),
        (
            COMBINED,
            &["early.start.listeners=LAN"],
            "early.start.listeners = LAN: must name only listeners of this node",
        ),
        (
            BROKER,
            &["listeners=PLAINTEXT://a:1,CONTROLLER://a:2"],
            "controller.listener.names = CONTROLLER: must not name one of listeners",
        ),
        (
            BROKER,
            &["listener.security.protocol.map=PLAINTEXT:PLAINTEXT"],
            "controller.listener.names = CONTROLLER: listener.security.protocol.map has no",
        ),
        (
            CONTROLLER,
            &["listeners=CONTROLLER://:9093,PLAINTEXT://:9092"],
            "listeners = CONTROLLER://:9093,PLAINTEXT://:9092: must be those of",
        ),
        (
            CONTROLLER,
            &["inter.broker.listener.name=CONTROLLER"],
            "controller.listener.names = CONTROLLER: must not contain inter.broker.listener.name",
        ),
        (
            COMBINED,
            &[
                "listeners=SASL_PLAINTEXT://:1,CONTROLLER://:2",
                "advertised.listeners",
                "listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
                "security.inter.broker.protocol=SASL_PLAINTEXT",
                "sasl.enabled.mechanisms=PLAIN",
            ],
            "sasl.mechanism.inter.broker.protocol = GSSAPI: must be among",
        ),
    ]);
}

#[test]
fn values_must_fit_one_another() {
    let same_dirs = ["log.dirs=/a,/b", "cordoned.log.dirs=/b"];
    config(COMBINED, &same_dirs).expect("a cordoned directory of the node");
    config(COMBINED, &["cordoned.log.dirs=*"]).expect("all directories");
    config(COMBINED, &["log.retention.ms=-5"]).expect("for ever");
    refuses(&[
        (COMBINED, &["log.dirs="], "log.dirs = : must be a list that is not empty"),
        (COMBINED, &["log.roll.ms=0"], "log.roll.ms = 0: must be at least 1"),
        (COMBINED, &["log.roll.jitter.ms=-1"], "log.roll.jitter.ms = -1: must be at least 0"),
        (COMBINED, &["log.retention.ms=0"], "log.retention.ms = 0: must be positive"),
        (COMBINED, &["log.retention.hours=0"], "log.retention.hours = 0: must be positive"),
        (COMBINED, &["log.cleaner.threads=0"], "log.cleaner.threads = 0: must be at least 1"),
        (
            COMBINED,
            &["log.cleaner.dedupe.buffer.size=2097152", "log.cleaner.threads=2"],
            "log.cleaner.dedupe.buffer.size = 2097152: must be more than 1 MiB",
        ),
        (COMBINED, &["cordoned.log.dirs=/c"], "cordoned.log.dirs = /c: must be * alone"),
        (COMBINED, &["cordoned.log.dirs=*,/data/a"], "cordoned.log.dirs = *,/data/a: must be"),
        (
            COMBINED,
            &["replica.fetch.wait.max.ms=40000"],
            "replica.fetch.wait.max.ms = 40000: must not exceed replica.lag.time.max.ms = 30000",
        ),
        (
            COMBINED,
            &["queued.max.request.bytes=5"],
            "queued.max.request.bytes = 5: must not be less than socket.request.max.bytes",
        ),
        (COMBINED, &["max.connections.per.ip=0"], "max.connections.per.ip = 0: can be 0 only if"),
        (
            COMBINED,
            &["max.connections.per.ip.overrides=h"],
            "max.connections.per.ip.overrides = h: h is not of the form HOST:LIMIT",
        ),
        (
            COMBINED,
            &["max.connections.per.ip.overrides=a b:5"],
            "max.connections.per.ip.overrides = a b:5: a b:5 is not of the form HOST:LIMIT",
        ),
        (
            COMBINED,
            &["connections.max.idle.ms=100"],
            "connection.failed.authentication.delay.ms = 100: must be less than",
        ),
        (
            COMBINED,
            &["group.coordinator.rebalance.protocols=consumer"],
            "group.coordinator.rebalance.protocols = consumer: must contain classic",
        ),
        (
            COMBINED,
            &["offsets.topic.compression.codec=5"],
            "offsets.topic.compression.codec = 5: must be 0 for none, 1 gzip",
        ),
        (
            COMBINED,
            &["offsets.topic.compression.codec=-1"],
            "offsets.topic.compression.codec = -1: must be 0 for none, 1 gzip",
        ),
        (
            COMBINED,
            &["group.consumer.session.timeout.ms=70000"],
            "group.consumer.session.timeout.ms = 70000: must not exceed",
        ),
        (
            COMBINED,
            &["group.streams.heartbeat.interval.ms=4000"],
            "group.streams.min.heartbeat.interval.ms = 5000: must not exceed",
        ),
        (
            COMBINED,
            &[
                "group.share.max.heartbeat.interval.ms=50000",
                "group.share.heartbeat.interval.ms=45000",
            ],
            "group.share.heartbeat.interval.ms = 45000: must be less than",
        ),
        (
            COMBINED,
            &["group.share.assignors=simple,other"],
            "group.share.assignors = simple,other: must be exactly one",
        ),
        (
            COMBINED,
            &["group.share.max.size=10", "group.share.max.share.sessions=5"],
            "group.share.max.size = 10: must not exceed group.share.max.share.sessions = 5",
        ),
        (
            COMBINED,
            &["group.streams.num.standby.replicas=3"],
            "group.streams.num.standby.replicas = 3: must not exceed",
        ),
        (
            COMBINED,
            &["group.streams.rack.aware.assignment.tags=a, a"],
            "group.streams.rack.aware.assignment.tags = a: must not name a tag twice",
        ),
    ]);
}

#[test]
fn all_broken_rules_are_named_at_once() {
    let faults = config(COMBINED, &["log.roll.ms=0", "cordoned.log.dirs=/c", "listeners=x"]);
    assert_eq!(faults.expect_err("three faults").lines().count(), 3);
}

#[test]
fn metrics_are_served_where_the_file_says() {
    let at = |text: &str| config(COMBINED, &[&format!("dohle.metrics.listener={text}")]);
    assert_eq!(config(COMBINED, &[]).expect("valid").metrics_listener, None);
    let listener = at("[::1]:9404").expect("valid").metrics_listener.expect("set");
    assert_eq!((listener.host.as_str(), listener.port), ("::1", 9404));
    for text in ["9404", ":9404", "localhost", "localhost:99999"] {
        let fault = at(text).expect_err("no address");
        assert_eq!(fault, format!("dohle.metrics.listener = {text}: is not of the form HOST:PORT"));
    }
}
