//! The cluster as a whole.

use dohle_base::{BrokerId, Str};
use dohle_protocol::api::{
    describe_cluster_request::DescribeClusterRequest,
    describe_cluster_response::DescribeClusterResponse,
};

use crate::ServerError;

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub id: Str,
    /// A broker that hands requests on to the controller.
    pub controller: Option<BrokerId>,
    /// Its brokers, by number.
    pub brokers: Vec<BrokerNode>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerNode {
    /// Its number.
    pub id: BrokerId,
    /// The host where it listens.
    pub host: Str,
    /// The port.
    pub port: i32,
    /// The rack that it says it is in.
    pub rack: Option<Str>,
    /// Whether it is registered but not in service.
    pub fenced: bool,
}

/// Asks for it.
pub fn describe(include_fenced_brokers: bool, version: i16) -> DescribeClusterRequest {
    DescribeClusterRequest {
        include_fenced_brokers: include_fenced_brokers && version >= 2,
        ..Default::default()
    }
}

/// What it is like.
///
/// # Errors
/// What the broker said.
pub fn described(answer: DescribeClusterResponse) -> Result<ClusterDescription, ServerError> {
    ServerError::check(answer.error_code, answer.error_message.as_ref())?;
    let brokers = answer.brokers.into_iter().map(|broker| BrokerNode {
        id: broker.broker_id,
        host: broker.host,
        port: broker.port,
        rack: broker.rack,
        fenced: broker.is_fenced,
    });
    let mut brokers: Vec<_> = brokers.collect();
    brokers.sort_by_key(|broker| broker.id);
    let controller = Some(answer.controller_id).filter(|id| *id != BrokerId::NONE);
    Ok(ClusterDescription { id: answer.cluster_id, controller, brokers })
}
