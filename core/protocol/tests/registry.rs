//! The registry against the list of stored records in Kafka 4.4.0, and against the API keys.

use dohle_protocol::{ApiKey, Kind, Schema, Versions, registry};

const RECORD_TYPES: &str = include_str!("../testdata/record-types.tsv");

fn range(versions: Versions) -> String {
    match (versions.first, versions.last) {
        (first, i16::MAX) => format!("{first}+"),
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

/// The schema as the list has it.
fn row(schema: &Schema) -> String {
    let kind = match schema.kind {
        Kind::Data => "data",
        Kind::Record => "metadata",
        Kind::Key => "coordinator-key",
        Kind::Value => "coordinator-value",
        Kind::Request | Kind::Response | Kind::Header => "message",
    };
    let id = schema.key.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let flexible = schema.flexible.map_or_else(|| "none".to_owned(), range);
    let (name, fields) = (schema.name, schema.fields.len());
    format!("{kind}\t{id}\t{name}\t{}\t{flexible}\t{fields}", range(schema.versions))
}

#[test]
fn every_stored_record_is_there() {
    let message =
        |schema: &&Schema| !matches!(schema.kind, Kind::Request | Kind::Response | Kind::Header);
    let mut ours: Vec<String> = registry().iter().filter(message).map(row).collect();
    let mut recorded: Vec<String> = RECORD_TYPES.lines().skip(1).map(str::to_owned).collect();
    ours.sort();
    recorded.sort();
    for (ours, recorded) in ours.iter().zip(&recorded) {
        assert_eq!(ours, recorded);
    }
    assert_eq!(ours.len(), recorded.len());
}

#[test]
fn every_api_has_a_request_and_a_response_of_the_same_versions() {
    for api in ApiKey::ALL {
        for part in ["Request", "Response"] {
            let name = format!("{}{part}", api.name());
            let schema = registry().iter().find(|schema| schema.name == name).expect("a schema");
            let versions = Versions { first: api.min_version(), last: api.max_version() };
            assert_eq!(schema.versions, versions, "{name}");
        }
    }
    let requests = registry().iter().filter(|schema| schema.kind == Kind::Request).count();
    assert_eq!(requests, ApiKey::ALL.len());
}
