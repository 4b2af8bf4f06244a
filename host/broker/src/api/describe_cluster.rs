//! DescribeCluster (60): the nodes, as brokers or as controllers.
//!
//! Versions: 1 chooses brokers (1) or controllers (2); 2 can include fenced brokers. Brokers are asked
//! for at broker listeners, controllers at controller listeners.
//! Authorises: Describe on the cluster, for the operations it tells.

use std::ops::RangeInclusive;

use dohle_base::ErrorCode;
use dohle_protocol::api::{
    describe_cluster_request::DescribeClusterRequest,
    describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse},
};

use super::{Answer, Call, Endpoint};
use crate::{ListenerKind, authorize, metadata::Published};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) struct DescribeCluster;

impl Endpoint for DescribeCluster {
    type Request = DescribeClusterRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn handle(call: Call<'_>, request: DescribeClusterRequest) -> Answer<DescribeClusterResponse> {
        let expected = match call.broker.listener_kind(call.connection.listener) {
            ListenerKind::Broker => BROKERS,
            ListenerKind::Controller => CONTROLLERS,
        };
        let refusal = |error_code: ErrorCode, message: &str| {
            Answer::now(DescribeClusterResponse {
                error_code,
                error_message: Some(message.into()),
                endpoint_type: expected,
                ..DescribeClusterResponse::default()
            })
        };
        match request.endpoint_type {
            BROKERS | CONTROLLERS if request.endpoint_type != expected => {
                return refusal(
                    ErrorCode::MISMATCHED_ENDPOINT_TYPE,
                    "this listener describes the other kind of node",
                );
            }
            BROKERS | CONTROLLERS => {}
            _ => {
                return refusal(
                    ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
                    "endpoint types are 1 (brokers) and 2 (controllers)",
                );
            }
        }
        let published = call.broker.metadata();
        let listener = &call.connection.listener_name;
        let (brokers, controller_id) = if expected == BROKERS {
            (brokers(&published, listener, request.include_fenced_brokers), call.broker.node_id)
        } else {
            (controllers(&published, listener), published.leader)
        };
        let asked = request.include_cluster_authorized_operations;
        Answer::now(DescribeClusterResponse {
            endpoint_type: expected,
            cluster_id: call.broker.cluster_id.clone(),
            controller_id,
            brokers,
            cluster_authorized_operations: authorize::told(asked, authorize::ON_CLUSTER),
            ..DescribeClusterResponse::default()
        })
    }
}

fn brokers(published: &Published, listener: &str, with_fenced: bool) -> Vec<DescribeClusterBroker> {
    let brokers = published.image.brokers.values();
    let told = brokers.filter(|broker| with_fenced || !broker.fenced);
    told.filter_map(|broker| {
        let at = broker.listener(listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id,
            host: at.host.clone(),
            port: i32::from(at.port),
            rack: broker.rack.clone(),
            is_fenced: broker.fenced,
        })
    })
    .collect()
}

fn controllers(published: &Published, listener: &str) -> Vec<DescribeClusterBroker> {
    let voters = published.voters.iter();
    let told = voters.filter_map(|(broker_id, voter)| {
        let at = voter.endpoints.iter().find(|endpoint| endpoint.listener == listener)?;
        Some(DescribeClusterBroker {
            broker_id,
            host: at.host.clone(),
            port: i32::from(at.port),
            rack: None,
            is_fenced: false,
        })
    });
    told.collect()
}
