//! Ports that the system chooses.

use std::collections::BTreeSet;

use dohle_config::{NoProviders, NodeSettings, Properties};

use super::*;

fn config() -> BrokerConfig {
    let properties: Properties = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("listeners", "PLAINTEXT://127.0.0.9:0,CONTROLLER://127.0.0.9:0"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.bootstrap.servers", "127.0.0.9:9093"),
        ("log.dirs", "/d"),
    ]
    .into_iter()
    .collect();
    let (settings, _) = NodeSettings::from_file(&properties, &NoProviders).unwrap();
    BrokerConfig::new(&settings).unwrap()
}

/// Of so many some would be the same, if they were free again in between.
#[test]
fn ports_that_the_system_chooses_are_nobody_elses() {
    let config = config();
    let nodes: Vec<_> = (0..250).map(|_| bound(&config, Vec::new()).unwrap()).collect();
    let ports: BTreeSet<_> = nodes.iter().flatten().map(|bound| bound.address.port()).collect();
    assert_eq!(ports.len(), 500);
    assert!(!ports.contains(&0));
}

#[test]
fn a_port_that_was_reserved_is_that_of_the_listener_that_names_it() {
    let reserved = Reserved::new(([127, 0, 0, 9], 0).into()).unwrap();
    let mut config = config();
    config.listeners.bound[1].port = reserved.address().port();
    let address = reserved.address();
    let bound = bound(&config, vec![reserved]).unwrap();
    assert_eq!(bound[1].reserved.as_ref().map(Reserved::address), Some(address));
    assert_ne!(bound[0].address.port(), address.port());
}
