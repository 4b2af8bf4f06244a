//! The table against one recorded from Kafka 4.4.0, row by row.

use super::ApiKey;

const TABLE: &str = include_str!("../../testdata/api-versions.tsv");

fn join(versions: impl Iterator<Item = i16>) -> String {
    versions.map(|version| version.to_string()).collect::<Vec<_>>().join(",")
}

fn row(api: ApiKey) -> String {
    let versions = || api.min_version()..=api.max_version();
    let listeners = [(api.on_broker(), "broker"), (api.on_controller(), "controller")];
    let listeners: Vec<_> = listeners.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    [
        api.key().to_string(),
        api.name().to_owned(),
        api.min_version().to_string(),
        api.max_version().to_string(),
        api.flexible_from().map_or_else(|| "none".to_owned(), |version| version.to_string()),
        join(versions().map(|version| api.request_header_version(version))),
        join(versions().map(|version| api.response_header_version(version))),
        listeners.join(","),
        api.latest_unstable().to_string(),
        api.cluster_action().to_string(),
        api.forwardable().to_string(),
    ]
    .join("\t")
}

#[test]
fn the_table_is_kafkas() {
    let recorded: Vec<&str> = TABLE.lines().skip(1).collect();
    assert_eq!(recorded.len(), 91);
    assert_eq!(ApiKey::ALL.len(), 91);
    for (api, recorded) in ApiKey::ALL.iter().zip(recorded) {
        assert_eq!(row(*api), recorded);
    }
}

#[test]
fn keys_lead_to_their_apis_and_others_nowhere() {
    for api in ApiKey::ALL {
        assert_eq!(ApiKey::from_key(api.key()), Some(*api));
    }
    for gone in [-1, 4, 5, 6, 7, 95, i16::MAX] {
        assert_eq!(ApiKey::from_key(gone), None, "{gone}");
    }
}

#[test]
fn produce_offers_versions_that_it_does_not_decode() {
    assert_eq!(ApiKey::Produce.advertised_min_version(), 0);
    assert!(!ApiKey::Produce.supports(2) && ApiKey::Produce.supports(3));
    for api in ApiKey::ALL.iter().filter(|api| **api != ApiKey::Produce) {
        assert_eq!(api.advertised_min_version(), api.min_version(), "{}", api.name());
    }
}

#[test]
fn an_unstable_newest_version_is_not_offered() {
    assert_eq!(ApiKey::InitProducerId.max_version(), 6);
    assert_eq!(ApiKey::InitProducerId.max_stable_version(), 5);
    assert_eq!(ApiKey::Fetch.max_stable_version(), ApiKey::Fetch.max_version());
}
