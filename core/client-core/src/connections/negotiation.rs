//! Agreeing on versions when a connection begins.
//!
//! The newest ApiVersions request goes first. A broker that does not know its version answers with
//! error 35 in version 0, and from 2.4 on says which versions it has; then the question is asked
//! once more. Source: KIP-35, KIP-511.

use bytes::Bytes;
use dohle_base::{ErrorCode, Str};
use dohle_protocol::{
    ApiKey, Request,
    api::{api_versions_request::ApiVersionsRequest, api_versions_response::ApiVersionsResponse},
    decode_response,
};

use crate::{error::RequestError, versions::BrokerVersions};

use super::frame_of;

/// A question that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Negotiation {
    version: i16,
}

/// What follows from an answer.
#[derive(Debug)]
pub(super) enum Step {
    /// These are the versions.
    Agreed(BrokerVersions),
    /// Ask like this.
    Again(Negotiation),
    /// No way to talk to this broker.
    Failed,
}

/// Negotiation has the connection for itself, so its correlation id needs no counting.
const CORRELATION_ID: i32 = -1;

impl Negotiation {
    /// The first question of a connection.
    pub(super) fn begin() -> Self {
        Self { version: ApiKey::ApiVersions.max_stable_version() }
    }

    /// The question as bytes.
    ///
    /// # Errors
    /// A client id that does not fit.
    pub(super) fn frame(self, client_id: Option<&str>) -> Result<Bytes, RequestError> {
        let request = ApiVersionsRequest {
            client_software_name: Str::const_new("dohle"),
            client_software_version: Str::const_new(env!("CARGO_PKG_VERSION")),
            ..Default::default()
        };
        frame_of(self.version, CORRELATION_ID, client_id, &request)
    }

    /// Reads the answer.
    pub(super) fn step(self, frame: Bytes) -> Step {
        // Correlation id and error code come first in every version.
        let Some(&[c0, c1, c2, c3, e0, e1]) = frame.first_chunk() else { return Step::Failed };
        if i32::from_be_bytes([c0, c1, c2, c3]) != CORRELATION_ID {
            return Step::Failed;
        }
        match ErrorCode(i16::from_be_bytes([e0, e1])) {
            ErrorCode::NONE => match decode(frame, self.version) {
                Some(answer) => Step::Agreed(BrokerVersions::of(&answer.api_keys)),
                None => Step::Failed,
            },
            ErrorCode::UNSUPPORTED_VERSION if self.version > 0 => {
                let offered = decode(frame, 0).and_then(|answer| {
                    BrokerVersions::of(&answer.api_keys)
                        .highest_common::<ApiVersionsRequest>(self.version - 1)
                });
                Step::Again(Self { version: offered.unwrap_or(0) })
            }
            _ => Step::Failed,
        }
    }
}

fn decode(frame: Bytes, version: i16) -> Option<<ApiVersionsRequest as Request>::Response> {
    let answer: Option<(i32, ApiVersionsResponse)> =
        decode_response::<ApiVersionsRequest>(frame, version).ok();
    answer.map(|(_, answer)| answer)
}
