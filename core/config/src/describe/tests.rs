//! Goal: what the comparison with Kafka in `tests/` does not reach: creation, and refusals.

use super::*;
use crate::settings::tests::{node_with, settings};

fn key<'a>(described: &'a [Described], name: &str) -> &'a Described {
    described.iter().find(|d| d.name == name).expect("described")
}

#[test]
fn a_created_topic_shows_the_layer_of_every_value() {
    let node = node_with("log.retention.hours=1\nlog.segment.bytes=2097152\n");
    let all = settings(&["min.insync.replicas=2"]);
    let (node, _) = node.with_dynamic(&all, &settings(&["log.preallocate=true"]));
    let own = settings(&["cleanup.policy=compact"]);
    let described = node.describe_created_topic(&own).expect("valid");
    for (name, value, source) in [
        ("retention.ms", "3600000", ConfigSource::StaticBroker),
        ("segment.bytes", "2097152", ConfigSource::StaticBroker),
        ("min.insync.replicas", "2", ConfigSource::DynamicDefaultBroker),
        ("preallocate", "true", ConfigSource::DynamicBroker),
        ("cleanup.policy", "compact", ConfigSource::Topic),
        ("segment.ms", "604800000", ConfigSource::Default),
        ("remote.storage.enable", "false", ConfigSource::Default),
    ] {
        let d = key(&described, name);
        assert_eq!((d.value.as_deref(), d.source), (Some(value), source), "{name}");
        assert!(d.synonyms.is_empty());
    }
    assert!(described.iter().all(|d| d.name != "internal.segment.bytes"));
}

#[test]
fn settings_of_another_version_are_faults() {
    let node = node_with("");
    assert!(node.describe_topic(&settings(&["future.key=1"]), &[]).is_err());
    assert!(node.describe_group(&settings(&["share.delivery.count.limit=x"])).is_err());
    assert!(describe_client_metrics(&settings(&["interval.ms=x"])).is_err());
}

#[test]
fn secrets_stay_hidden_in_every_layer() {
    let node = node_with("listener.name.plaintext.ssl.key.password=hush\nssl.key.password=hush\n");
    let this = settings(&["listener.name.plaintext.ssl.key.password=hush2"]);
    let (node, warnings) = node.with_dynamic(&Settings::new(), &this);
    assert_eq!(warnings, []);
    let described = node.describe_broker(&[]);
    assert!(!format!("{described:?}").contains("hush"));
    let d = key(&described, "listener.name.plaintext.ssl.key.password");
    let sources: Vec<_> = d.synonyms.iter().map(|s| (s.name.as_str(), s.source)).collect();
    assert_eq!(
        sources,
        [
            ("listener.name.plaintext.ssl.key.password", ConfigSource::DynamicBroker),
            ("listener.name.plaintext.ssl.key.password", ConfigSource::StaticBroker),
            ("ssl.key.password", ConfigSource::StaticBroker),
        ]
    );
}

#[test]
fn a_key_of_our_own_is_shown_where_it_is_set_or_asked_for() {
    const KEY: &str = "dohle.durability";
    let is_in = |described: Vec<Described>| described.iter().any(|d| d.name == KEY);
    let asked = [KEY.into()];
    let node = node_with("");
    let of_topic = |node: &NodeSettings, own: &[&str], asked| {
        node.describe_topic(&settings(own), asked).expect("valid")
    };
    assert!(!is_in(node.describe_broker(&[])));
    assert!(is_in(node.describe_broker(&asked)));
    assert!(!is_in(of_topic(&node, &[], &[])));
    assert!(is_in(of_topic(&node, &[], &asked)));
    assert!(is_in(of_topic(&node, &["dohle.durability=os"], &[])));
    let node = node_with("dohle.durability=os\n");
    assert!(is_in(node.describe_broker(&[])));
    let described = node.describe_broker(&asked);
    assert_eq!(described.iter().filter(|d| d.name == KEY).count(), 1);
    let described = of_topic(&node, &[], &asked);
    let durability = key(&described, KEY);
    assert_eq!(durability.value.as_deref(), Some("os"));
    assert_eq!(durability.source, ConfigSource::StaticBroker);
}
