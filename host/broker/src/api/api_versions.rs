//! ApiVersions (18): what this listener serves.
//!
//! Versions: 3 has the client's name and the features; 4 tells features whose minimum is 0; 5 lets the
//! client say which node it expects to meet (KIP-1242). A request of a version that is not known
//! is answered in version 0 (KIP-511). No authorisation.

use std::ops::RangeInclusive;

use dohle_base::{BrokerId, ErrorCode};
use dohle_metadata::supported_features;
use dohle_protocol::{
    ApiKey,
    api::{
        api_versions_request::ApiVersionsRequest,
        api_versions_response::{
            ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
        },
    },
};

use super::{Answer, Call, Endpoint, REGISTRY};
use crate::ListenerKind;

/// The first version whose readers understand a feature with minimum 0.
const ZERO_MINIMUM_VERSION: i16 = 4;

/// Clients take a broker that does not say it serves Produce from 0 on for one that is too old, so
/// more is told than is served. Source: KAFKA-18659.
const PRODUCE_TOLD_FROM: i16 = 0;

pub(crate) struct ApiVersions;

impl Endpoint for ApiVersions {
    type Request = ApiVersionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn handle(call: Call<'_>, request: ApiVersionsRequest) -> Answer<ApiVersionsResponse> {
        let listener = call.broker.listener_kind(call.connection.listener);
        if call.version >= 3
            && !is_name(&request.client_software_name, &request.client_software_version)
        {
            return Answer::now(failure(ErrorCode::INVALID_REQUEST));
        }
        if let Some(error) = misdirected(call, &request, listener) {
            return Answer::now(failure(error));
        }
        let published = call.broker.metadata();
        let features = supported_features()
            .filter(|feature| feature.min > 0 || call.version >= ZERO_MINIMUM_VERSION)
            .map(|feature| SupportedFeatureKey {
                name: feature.name.into(),
                min_version: feature.min,
                max_version: feature.max,
            });
        let finalized = published.finalized_features().map(|(name, level)| FinalizedFeatureKey {
            name: name.into(),
            max_version_level: level,
            min_version_level: level,
        });
        Answer::now(ApiVersionsResponse {
            api_keys: served(listener),
            supported_features: features.collect(),
            finalized_features: finalized.collect(),
            finalized_features_epoch: published.end_offset.0 - 1,
            ..ApiVersionsResponse::default()
        })
    }
}

/// What a client is told whose version is not known: that, and which versions are.
pub(crate) fn unknown_version() -> ApiVersionsResponse {
    let own = ApiVersion {
        api_key: ApiKey::ApiVersions.key(),
        min_version: *ApiVersions::VERSIONS.start(),
        max_version: *ApiVersions::VERSIONS.end(),
    };
    ApiVersionsResponse { api_keys: vec![own], ..failure(ErrorCode::UNSUPPORTED_VERSION) }
}

fn failure(error_code: ErrorCode) -> ApiVersionsResponse {
    ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() }
}

fn served(listener: ListenerKind) -> Vec<ApiVersion> {
    let served = REGISTRY.iter().filter(|api| listener.serves(api.key));
    served
        .map(|api| ApiVersion {
            api_key: api.key.key(),
            min_version: match api.key {
                ApiKey::Produce => PRODUCE_TOLD_FROM,
                _ => *api.versions.start(),
            },
            max_version: *api.versions.end(),
        })
        .collect()
}

/// Letters and digits, with `-` and `.` inside. Source: KIP-511.
fn is_name(name: &str, version: &str) -> bool {
    let fits = |text: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let bytes = text.as_bytes();
        bytes.iter().all(|byte| inner(*byte))
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
    };
    fits(name) && fits(version)
}

/// What is wrong with the node that the client expects here, if it says which. Controllers do not
/// compare. Source: interop facts 0.4.
fn misdirected(
    call: Call<'_>,
    request: &ApiVersionsRequest,
    listener: ListenerKind,
) -> Option<ErrorCode> {
    match (&request.cluster_id, request.node_id) {
        (None, BrokerId::NONE) => None,
        (Some(cluster_id), node_id) if node_id != BrokerId::NONE => {
            let is_here = *cluster_id == call.broker.cluster_id && node_id == call.broker.node_id;
            let is_compared = listener == ListenerKind::Broker;
            (is_compared && !is_here).then_some(ErrorCode::REBOOTSTRAP_REQUIRED)
        }
        _ => Some(ErrorCode::INVALID_REQUEST),
    }
}
