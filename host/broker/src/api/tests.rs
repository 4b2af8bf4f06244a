//! The registry as a whole.

use super::*;

#[test]
fn rows_stand_in_order_and_once() {
    // `find` searches by halves.
    assert!(REGISTRY.is_sorted_by(|a, b| a.key.key() < b.key.key()));
}

#[test]
fn what_is_served_is_what_kafka_serves() {
    for api in REGISTRY {
        let (min, max) = (api.key.min_version(), api.key.max_stable_version());
        assert_eq!(api.versions, min..=max, "{}", api.key.name());
    }
}

#[test]
fn each_row_is_found_at_its_listeners_only() {
    for api in REGISTRY {
        for kind in [ListenerKind::Broker, ListenerKind::Controller] {
            let found = find(api.key, kind).map(|api| api.key);
            assert_eq!(found, kind.serves(api.key).then_some(api.key), "{}", api.key.name());
        }
    }
}

#[test]
fn what_is_not_built_is_not_found() {
    for key in [ApiKey::AddPartitionsToTxn, ApiKey::ShareFetch, ApiKey::ConsumerGroupHeartbeat] {
        assert!(find(key, ListenerKind::Broker).is_none(), "{}", key.name());
    }
}
