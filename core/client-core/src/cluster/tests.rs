//! Goal: metadata comes when it is needed, not more often, and from whoever answers. Method: a
//! requester on the stage, which is the thinnest machine over a cluster.

use std::time::Duration;

use dohle_base::Rng;

use crate::{
    ClientConfig, Requester,
    stage::{Stage, address, client_config, cluster},
};

fn stage(config: ClientConfig, brokers: i32) -> Stage<Requester> {
    Stage::new(Requester::new(config, Rng::from_seed(1)).unwrap(), cluster(brokers))
}

#[test]
fn brokers_are_found_from_the_bootstrap_servers() {
    let mut stage = stage(client_config(), 3);
    stage.settle();
    assert_eq!(stage.core.metadata().brokers().count(), 3);
    assert_eq!(stage.core.metadata().cluster_id().unwrap(), "cluster");
}

#[test]
fn a_bootstrap_server_that_is_down_is_passed_over() {
    let config = ClientConfig::new(vec![address(7), address(8), address(1)]);
    let mut stage = stage(config, 3);
    stage.dead = vec![address(7), address(8)];
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.core.metadata().brokers().count(), 3);
}

#[test]
fn metadata_is_fetched_again_when_it_is_old() {
    let mut stage = stage(client_config(), 1);
    stage.settle();
    stage.metadata = cluster(2);
    stage.pass(Duration::from_secs(299));
    assert_eq!(stage.core.metadata().brokers().count(), 1);
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.core.metadata().brokers().count(), 2);
}

#[test]
fn when_all_brokers_are_gone_the_bootstrap_servers_are_asked_again() {
    let config = ClientConfig::new(vec![address(9)]);
    let mut stage = stage(config, 2);
    stage.settle();
    // The cluster moves to other addresses while nobody looks.
    stage.dead = vec![address(1), address(2)];
    let mut moved = cluster(4);
    moved.brokers.drain(..2);
    stage.metadata = moved;
    stage.pass(Duration::from_secs(310));
    let ids: Vec<_> = stage.core.metadata().brokers().map(|broker| broker.id.0).collect();
    assert_eq!(ids, [3, 4]);
}

#[test]
fn a_cluster_that_is_down_is_asked_now_and_then() {
    let mut stage = stage(client_config(), 1);
    stage.dead = vec![address(1)];
    // The stage itself checks that the machine does not spin.
    stage.pass(Duration::from_secs(60));
    assert_eq!(stage.core.metadata().brokers().count(), 0);
    stage.dead.clear();
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.core.metadata().brokers().count(), 1);
}
