//! Goal: the tables are consistent in themselves.

use std::collections::BTreeSet;

use super::*;
use crate::key::{Effect, Kind, Scope};

fn all() -> impl Iterator<Item = (&'static Table, &'static ConfigKey)> {
    let tables: [&'static Table; 5] = [&BROKER, &TOPIC, &GROUP, &CLIENT_METRICS, &QUOTA];
    tables.into_iter().flat_map(|table| table.iter().map(move |key| (table, key)))
}

#[test]
fn no_key_is_in_a_table_twice() {
    for table in [&*BROKER, &*TOPIC, &*GROUP, &*CLIENT_METRICS, &*QUOTA] {
        let in_families: usize = table.families().iter().map(|family| family.keys.len()).sum();
        assert_eq!(in_families, table.iter().count());
    }
}

#[test]
fn the_prefix_tells_our_own_keys_from_those_of_kafka() {
    for (_, key) in all() {
        assert_eq!(key.is_own(), key.name.starts_with("dohle."), "{}", key.name);
    }
}

#[test]
fn synonyms_are_broker_keys_and_numbers_where_they_are_converted() {
    for (_, key) in all() {
        for synonym in key.synonyms {
            let broker = BROKER.get(synonym.name);
            let broker = broker.unwrap_or_else(|| panic!("{}: {}", key.name, synonym.name));
            let is_number = matches!(broker.kind, Kind::Int | Kind::Long | Kind::Short);
            assert!(synonym.factor == 1 || is_number, "{}: {}", key.name, synonym.name);
        }
    }
}

#[test]
fn scopes_fit_their_tables() {
    for (table, key) in all() {
        let is_broker = std::ptr::eq(table, &*BROKER);
        assert_eq!(is_broker, key.scope != Scope::Resource, "{}", key.name);
    }
}

#[test]
fn special_names_are_known_keys() {
    let names = STORES.iter().chain(PER_MECHANISM);
    assert!(names.clone().all(|name| BROKER.get(name).is_some()), "{:?}", names);
    let quotas = USER_AND_CLIENT_QUOTAS.iter().chain(IP_QUOTAS).chain(SCRAM_CREDENTIALS);
    let quotas: BTreeSet<&str> = quotas.copied().collect();
    assert_eq!(quotas, QUOTA.iter().map(|key| key.name).collect());
}

#[test]
fn a_prefix_makes_a_key_that_of_one_listener() {
    let overridden = |name| listener_override(name).map(|key| key.map(|key| key.name));
    let table = [
        ("listener.name.a.ssl.keystore.type", Some(Some("ssl.keystore.type"))),
        ("listener.name.a.plain.sasl.jaas.config", Some(Some("sasl.jaas.config"))),
        ("listener.name.a.scram-sha-256.sasl.jaas.config", Some(Some("sasl.jaas.config"))),
        ("listener.name.a.max.connections", Some(Some("max.connections"))),
        ("listener.name.a.plain.ssl.keystore.type", Some(None)),
        ("listener.name.a.nonsense", Some(None)),
        ("listener.name.a", None),
        ("ssl.keystore.type", None),
    ];
    for (name, wanted) in table {
        assert_eq!(overridden(name), wanted, "{name}");
    }
}

#[test]
fn keys_that_types_read_are_marked_as_used() {
    for name in ["listeners", "node.id", "log.dirs", "num.partitions", "socket.request.max.bytes"] {
        assert_eq!(BROKER.get(name).map(|key| key.effect), Some(Effect::Used), "{name}");
    }
}
