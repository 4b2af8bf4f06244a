//! Goal: our table of keys says what Kafka 4.4.0 says, key by key and column by column, and
//! DescribeConfigs answers what a running Kafka answered.
//!
//! Method: `testdata/configs-*.tsv` were taken from Kafka's own definitions and from a node with
//! the properties of [`minimal_node`]. Every row is compared; whatever differs on purpose is in
//! [`DELIBERATE`].

use std::collections::{BTreeMap, BTreeSet};

use dohle_config::keys::{self, BROKER, CLIENT_METRICS, GROUP, QUOTA, TOPIC, Table};
use dohle_config::{
    ConfigKey, Described, NoProviders, NodeSettings, Properties, Settings, Visibility,
};

/// Columns in which we differ from Kafka on purpose: key, column, reason.
const DELIBERATE: &[(&str, &str, &str)] = &[];

type Row = BTreeMap<String, String>;

fn rows(file: &str) -> Vec<Row> {
    let path = format!("{}/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the table is part of the crate");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split('\t').collect();
    let row = |line: &str| -> Row {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), header.len(), "{file}: {line}");
        header.iter().zip(cells).map(|(h, c)| ((*h).to_owned(), c.to_owned())).collect()
    };
    lines.map(row).collect()
}

/// The properties of the node behind the live columns. Kafka's data directory and addresses stand
/// in the table as `DATA_DIR`, `HOST:PORT` and `HOST:PORT+1`.
fn minimal_node() -> NodeSettings {
    let text = "\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://HOST:9092,CONTROLLER://HOST:9093
advertised.listeners=PLAINTEXT://HOST:9092
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=HOST:9093
log.dirs=DATA_DIR
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
";
    let properties = Properties::parse_latin1(text.as_bytes()).expect("well-formed");
    let (node, warnings) =
        NodeSettings::from_file(&properties, &NoProviders).expect("a node that Kafka starts");
    assert_eq!(warnings, []);
    // Formatting a cluster with eligible leader replicas writes this record.
    let all_brokers = Settings::from([("min.insync.replicas".into(), "1".into())]);
    let (node, warnings) = node.with_dynamic(&all_brokers, &Settings::new());
    assert_eq!(warnings, []);
    node
}

fn with_ports(cell: &str) -> String {
    cell.replace("HOST:PORT+1", "HOST:9093").replace("HOST:PORT", "HOST:9092")
}

/// Collects what differs, so that one run shows everything.
#[derive(Default)]
struct Differences {
    found: Vec<String>,
}

impl Differences {
    fn compare(&mut self, key: &str, column: &str, ours: &str, kafkas: &str) {
        let is_deliberate = DELIBERATE.iter().any(|(k, c, _)| *k == key && *c == column);
        if ours != kafkas && !is_deliberate {
            self.found.push(format!("{key}, {column}: ours is {ours:?}, Kafka's {kafkas:?}"));
        }
    }

    fn finish(self) {
        assert!(self.found.is_empty(), "{}", self.found.join("\n"));
    }
}

fn default_text(key: &ConfigKey) -> String {
    match (key.default, key.default.value()) {
        (dohle_config::DefaultValue::Required, _) => "(required)".into(),
        (_, None) => "null".into(),
        (_, Some(value)) => value.to_text().into(),
    }
}

fn compare_static(differences: &mut Differences, key: &ConfigKey, row: &Row) {
    let mut cell = |column: &str, ours: &str| {
        differences.compare(key.name, column, ours, &row[column]);
    };
    cell("type", key.kind.name());
    cell("default", &default_text(key));
    cell("valid", &key.valid.to_string());
    cell("importance", key.importance.name());
    if row.contains_key("sensitive") {
        cell("sensitive", &key.is_sensitive().to_string());
        cell("internal", &(key.visibility == Visibility::Internal).to_string());
        cell("described", if key.is_described() { "yes" } else { "no" });
    }
}

fn same_names(table: &Table, rows: &[Row]) {
    let ours = table.iter().filter(|key| !key.is_own());
    let ours: BTreeSet<&str> = ours.map(|key| key.name).collect();
    let kafkas: BTreeSet<&str> = rows.iter().map(|row| row["name"].as_str()).collect();
    assert_eq!(ours, kafkas);
}

#[test]
fn broker_keys_are_those_of_kafka() {
    let rows = rows("configs-broker.tsv");
    assert_eq!(rows.len(), 382);
    same_names(&BROKER, &rows);
    let mut differences = Differences::default();
    for row in &rows {
        let key = BROKER.get(&row["name"]).expect("names are the same");
        compare_static(&mut differences, key, row);
        differences.compare(key.name, "dynamic_scope", key.scope.name(), &row["dynamic_scope"]);
        let names: Vec<&str> = key.synonyms.iter().map(|s| s.name).collect();
        let synonyms = if names.is_empty() { "-".into() } else { names.join(",") };
        differences.compare(
            key.name,
            "synonyms_by_precedence",
            &synonyms,
            &row["synonyms_by_precedence"],
        );
    }
    differences.finish();
}

#[test]
fn topic_group_and_metrics_keys_are_those_of_kafka() {
    for (file, table, count) in [
        ("configs-topic.tsv", &*TOPIC, 38),
        ("configs-group.tsv", &*GROUP, 27),
        ("configs-client-metrics.tsv", &*CLIENT_METRICS, 3),
    ] {
        let rows = rows(file);
        assert_eq!(rows.len(), count, "{file}");
        same_names(table, &rows);
        let mut differences = Differences::default();
        for row in &rows {
            let key = table.get(&row["name"]).expect("names are the same");
            compare_static(&mut differences, key, row);
            let synonym = |s: &dohle_config::Synonym| match s.factor {
                1 => s.name.to_owned(),
                factor => format!("{}*{factor}", s.name),
            };
            let synonyms: Vec<String> = key.synonyms.iter().map(synonym).collect();
            let synonyms = if synonyms.is_empty() { "-".into() } else { synonyms.join(",") };
            differences.compare(key.name, "broker_synonyms", &synonyms, &row["broker_synonyms"]);
        }
        differences.finish();
    }
}

#[test]
fn quota_keys_are_those_of_kafka() {
    let rows = rows("configs-quota.tsv");
    let mut differences = Differences::default();
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in &rows {
        let name = row["name"].as_str();
        groups.entry(&row["group"]).or_default().insert(name);
        let key = QUOTA.get(name).or_else(|| BROKER.get(name)).expect("a known quota");
        compare_static(&mut differences, key, row);
    }
    differences.finish();
    let user_and_client: BTreeSet<&str> = keys::USER_AND_CLIENT_QUOTAS.iter().copied().collect();
    let scram = keys::SCRAM_CREDENTIALS.iter().copied();
    let with_scram: BTreeSet<&str> = user_and_client.iter().copied().chain(scram).collect();
    let dynamic_only = BROKER.iter().filter(|key| key.visibility == Visibility::DynamicOnly);
    assert_eq!(groups["userAndClientQuotaConfigs"], user_and_client);
    assert_eq!(groups["scramMechanismsPlusUserAndClientQuotaConfigs"], with_scram);
    assert_eq!(groups["ipConfigs"], keys::IP_QUOTAS.iter().copied().collect());
    assert_eq!(groups["brokerQuotaConfigs"], dynamic_only.map(|key| key.name).collect());
}

fn compare_live(differences: &mut Differences, ours: &[Described], rows: &[Row]) {
    let described: Vec<&Row> = rows.iter().filter(|row| row["described"] == "yes").collect();
    let our_names: BTreeSet<&str> = ours.iter().map(|d| d.name.as_str()).collect();
    let kafkas: BTreeSet<&str> = described.iter().map(|row| row["name"].as_str()).collect();
    assert_eq!(our_names, kafkas);
    assert_eq!(ours.len(), described.len(), "no key is described twice");
    for row in described {
        let name = row["name"].as_str();
        let d = ours.iter().find(|d| d.name == name).expect("names are the same");
        let mut cell = |column: &str, ours: &str| {
            differences.compare(name, column, ours, &with_ports(&row[column]));
        };
        let value = if d.sensitive { "(hidden)" } else { d.value.as_deref().unwrap_or("null") };
        cell("live_value", value);
        cell("live_source", d.source.name());
        cell("live_type", d.kind.expect("a known key").name());
        cell("live_read_only", &d.read_only.to_string());
        if row.contains_key("live_sensitive") {
            cell("live_sensitive", &d.sensitive.to_string());
        }
        let synonym = |s: &dohle_config::SynonymValue| {
            format!("{}:{}={}", s.source.name(), s.name, s.value.as_deref().unwrap_or("null"))
        };
        let synonyms: Vec<String> = d.synonyms.iter().map(synonym).collect();
        cell("live_synonyms", &synonyms.join(","));
        assert!(d.doc.is_some_and(|doc| !doc.is_empty()), "{name} has no documentation");
    }
}

#[test]
fn a_broker_describes_itself_as_kafka_does() {
    let mut differences = Differences::default();
    let ours = minimal_node().describe_broker(&[]);
    compare_live(&mut differences, &ours, &rows("configs-broker.tsv"));
    differences.finish();
}

#[test]
fn a_topic_is_described_as_by_kafka() {
    let mut differences = Differences::default();
    let ours = minimal_node().describe_topic(&Settings::new(), &[]).expect("no settings");
    compare_live(&mut differences, &ours, &rows("configs-topic.tsv"));
    differences.finish();
}

#[test]
fn a_group_is_described_as_by_kafka() {
    let mut differences = Differences::default();
    let ours = minimal_node().describe_group(&Settings::new()).expect("no settings");
    compare_live(&mut differences, &ours, &rows("configs-group.tsv"));
    differences.finish();
}

#[test]
fn a_metrics_subscription_is_described_as_by_kafka() {
    let mut differences = Differences::default();
    let ours = dohle_config::describe_client_metrics(&Settings::new()).expect("no settings");
    compare_live(&mut differences, &ours, &rows("configs-client-metrics.tsv"));
    differences.finish();
}

#[test]
fn every_deliberate_difference_names_a_key_and_a_reason() {
    for (key, column, reason) in DELIBERATE {
        let is_known = [&*BROKER, &*TOPIC, &*GROUP, &*CLIENT_METRICS, &*QUOTA]
            .iter()
            .any(|table| table.get(key).is_some());
        assert!(is_known, "{key} is no key");
        assert!(!column.is_empty() && !reason.is_empty(), "{key}");
    }
}
