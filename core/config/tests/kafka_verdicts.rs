//! Goal: we accept what Kafka 4.4.0 accepts, refuse what it refuses with the same code, and
//! describe layered settings as it does.
//!
//! Method: `testdata/Verdicts.java` put every row to Kafka's own classes; here each is put to ours.
//! Whatever differs on purpose is in a list with its reason.

use dohle_base::ErrorCode;
use dohle_config::alter;
use dohle_config::{
    BrokerConfig, Described, NoProviders, NodeSettings, Properties, Resource, Settings,
    describe_client_metrics,
};

/// Configurations on which we disagree with Kafka: the setting in question, and why.
const STARTS_OTHERWISE: &[(&str, &str)] = &[
    ("listeners=PLAINTEXT://a:-1,CONTROLLER://:2", "Kafka takes any number and fails at binding"),
    (
        "listener.name.plaintext.ssl.client.auth=perhaps",
        "Kafka checks keys of one listener when it builds the listener, and fails then",
    ),
];

/// Changes on which we disagree with Kafka: resource, new settings, and why.
const ALTERS_OTHERWISE: &[(&str, &str, &str)] = &[];

const NODE: &str = "process.roles=broker,controller|node.id=1\
    |listeners=PLAINTEXT://HOST:9092,CONTROLLER://HOST:9093|controller.listener.names=CONTROLLER\
    |controller.quorum.bootstrap.servers=HOST:9093|log.dirs=DATA_DIR";

fn testdata(file: &str) -> String {
    let path = format!("{}/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the file is part of the crate")
}

fn rows(file: &str) -> Vec<Vec<String>> {
    let text = testdata(file);
    text.lines().skip(1).map(|line| line.split('\t').map(Into::into).collect()).collect()
}

fn pairs(settings: &str) -> impl Iterator<Item = (&str, &str)> {
    settings.split(['|', '\n']).filter_map(|pair| pair.split_once('='))
}

fn settings(text: &str) -> Settings {
    pairs(text).map(|(name, value)| (name.into(), value.into())).collect()
}

fn node(text: &str) -> Result<NodeSettings, String> {
    let properties: Properties = pairs(text).collect();
    match NodeSettings::from_file(&properties, &NoProviders) {
        Ok((node, _)) => Ok(node),
        Err(faults) => Err(faults.to_string()),
    }
}

#[test]
fn a_node_starts_if_kafka_does() {
    let rows = rows("starts.tsv");
    assert!(rows.len() > 80, "the table is complete");
    let mut differences = Vec::new();
    for row in rows {
        let [verdict, text] = row.as_slice() else { panic!("{row:?}") };
        let ours = node(text)
            .and_then(|node| BrokerConfig::new(&node).map_err(|faults| faults.to_string()));
        let agrees = ours.is_ok() == (verdict == "NONE");
        let is_deliberate =
            STARTS_OTHERWISE.iter().any(|(pair, _)| text.split('|').any(|p| p == *pair));
        if agrees == is_deliberate {
            differences.push(format!("Kafka: {verdict}, ours: {:?}\n    {text}", ours.err()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_change_is_refused_if_kafka_refuses_it() {
    let rows = rows("alters.tsv");
    assert!(rows.len() > 200, "the table is complete");
    let mut differences = Vec::new();
    for row in rows {
        let [verdict, resource, name, of_node, old, new] = row.as_slice() else {
            panic!("{row:?}")
        };
        let node = node(&format!("{NODE}|{of_node}")).expect("a node that Kafka starts");
        let (old, after) = (settings(old), settings(new));
        let ours = match resource.as_str() {
            "BROKER" => alter::validate_on_broker(&node, name, &old, &after),
            "TOPIC" => alter::validate(&node, Resource::Topic, name, &old, &after),
            "GROUP" => alter::validate(&node, Resource::Group, name, &old, &after),
            "CLIENT_METRICS" => alter::validate(&node, Resource::ClientMetrics, name, &old, &after),
            other => panic!("{other}"),
        };
        let code = ours.as_ref().err().map_or(ErrorCode::NONE, |refusal| refusal.code);
        let agrees = code.name() == Some(verdict);
        let is_deliberate = ALTERS_OTHERWISE.iter().any(|(r, n, _)| r == resource && n == new);
        if agrees == is_deliberate {
            differences.push(format!("Kafka: {verdict}, ours: {ours:?}\n    {row:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn row(resource: &str, resource_name: &str, d: &Described) -> String {
    let synonym = |s: &dohle_config::SynonymValue| {
        format!("{}:{}={}", s.source.code(), s.name, s.value.as_deref().unwrap_or("null"))
    };
    let synonyms: Vec<String> = d.synonyms.iter().map(synonym).collect();
    let value = d.value.as_deref().unwrap_or("null");
    let (source, kind) = (d.source.code(), d.kind_code());
    format!(
        "{resource}\t{resource_name}\t{}\t{value}\t{source}\t{kind}\t{}\t{}\t{}",
        d.name,
        d.read_only,
        d.sensitive,
        synonyms.join(",")
    )
}

#[test]
fn layered_settings_are_described_as_by_kafka() {
    let node = node(&testdata("described-node.txt")).expect("a node that Kafka starts");
    let (node, _) = node.with_dynamic(
        &settings(&testdata("described-all-brokers.txt")),
        &settings(&testdata("described-this-broker.txt")),
    );
    let own = |file: &str| settings(&testdata(file));
    let described = [
        ("BROKER", "1", node.describe_broker(&[])),
        ("BROKER", "", node.describe_all_brokers()),
        ("TOPIC", "t", node.describe_topic(&own("described-topic.txt"), &[]).expect("valid")),
        ("GROUP", "g", node.describe_group(&own("described-group.txt")).expect("valid")),
        (
            "CLIENT_METRICS",
            "m",
            describe_client_metrics(&own("described-client_metrics.txt")).expect("valid"),
        ),
    ];
    let mut ours: Vec<String> = described
        .iter()
        .flat_map(|(kind, name, keys)| keys.iter().map(move |key| row(kind, name, key)))
        .collect();
    ours.sort();
    let text = testdata("described.tsv");
    let kafkas: Vec<&str> = text.lines().skip(1).collect();
    let only_ours: Vec<_> = ours.iter().filter(|r| !kafkas.contains(&r.as_str())).collect();
    let only_kafkas: Vec<_> = kafkas.iter().filter(|r| !ours.iter().any(|o| o == *r)).collect();
    assert!(
        only_ours.is_empty() && only_kafkas.is_empty(),
        "only ours: {only_ours:#?}\nonly Kafka's: {only_kafkas:#?}"
    );
    assert_eq!(ours.len(), kafkas.len());
}
