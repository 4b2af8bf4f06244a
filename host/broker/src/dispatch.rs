//! From a frame to an answer: header, version, body, handler, encoding.
//!
//! Everything a stranger can get wrong is met here, before any handler runs: frames that are no
//! requests, keys and versions that are not served, bodies that do not decode. Except for
//! ApiVersions, whose answer in version 0 tells a newer client what to try (KIP-511), the
//! connection is closed, as Kafka does: there is no form in which an error could be told.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use bytes::{Bytes, BytesMut};
use dohle_net::{ConnectionContext, Handler, Outcome, Part, Reply, Response};
use dohle_protocol::{
    ApiKey, Message, Reader, RequestPrefix, Splice, Writer, decode_request_header, encode_response,
};
use tracing::{debug, error};

use crate::{
    Broker,
    api::{
        self, Endpoint,
        endpoint::{Answer, Body, Call},
    },
    durability::begin_turns,
    metrics::Tally,
    time_limit::start_clock,
};

/// What the answers of a thread are written into, piece by piece: enough for a burst of short ones, and
/// little for one that is not taken to hold.
const OUTPUT_SIZE: usize = 4 * 1024;

/// So much must be left of it for the next answer: most are shorter.
const ANSWER_ROOM: usize = 256;

/// How large an output buffer may grow before it is given back after use.
const OUTPUT_KEPT_MAX: usize = 256 * 1024;

/// Answers the frames of one network thread.
pub struct Dispatcher {
    broker: Arc<Broker>,
    /// Also for answers that are known later.
    encoder: Rc<Encoder>,
}

/// Encodes the answers of one network thread.
struct Encoder {
    /// What this thread has answered.
    tally: Arc<Tally>,
    /// What is left of the buffer of the last answers.
    output: RefCell<BytesMut>,
}

impl Dispatcher {
    /// A dispatcher for one network thread, made in its runtime.
    pub fn new(broker: Arc<Broker>) -> Self {
        let tally = broker.metrics.tally();
        begin_turns();
        start_clock();
        Self { broker, encoder: Rc::new(Encoder { tally, output: RefCell::default() }) }
    }
}

impl Handler for Dispatcher {
    type Session = ();

    fn open(&self, _: &ConnectionContext) {}

    fn handle(&self, connection: &ConnectionContext, (): &mut (), frame: Bytes) -> Reply {
        let prefix = match RequestPrefix::peek(&frame) {
            Ok(prefix) => prefix,
            Err(error) => return refuse(connection, &error),
        };
        let listener = self.broker.listener_kind(connection.listener);
        let Some(api) = ApiKey::from_key(prefix.api_key).and_then(|key| api::find(key, listener))
        else {
            return refuse(connection, &format_args!("API key {} is not served", prefix.api_key));
        };
        let version = prefix.api_version;
        if !api.versions.contains(&version) {
            if api.key == ApiKey::ApiVersions {
                let response = api::api_versions::unknown_version();
                let body = Body::plain(response);
                let response = self.encoder.encode(api.key, 0, prefix.correlation_id, body);
                return response.map_or(Reply::Close, Reply::Now);
            }
            let name = api.key.name();
            return refuse(connection, &format_args!("{name} version {version} is not served"));
        }
        let mut reader = Reader::new(frame);
        let header = match decode_request_header(&mut reader) {
            Ok((_, header)) => header,
            Err(error) => return refuse(connection, &error),
        };
        self.encoder.tally.asked(api.key);
        let call = Call {
            broker: &self.broker,
            tally: &self.encoder.tally,
            version,
            client_id: header.client_id.as_ref(),
            connection,
        };
        (api.run)(self, call, reader, prefix.correlation_id)
    }
}

impl Dispatcher {
    /// Decodes, handles and encodes for one endpoint; `Api::run` of the registry.
    pub(crate) fn run<E: Endpoint>(
        &self,
        call: Call<'_>,
        mut reader: Reader,
        correlation_id: i32,
    ) -> Reply {
        let (key, version) = (api::key_of::<E>(), call.version);
        let request = match E::Request::decode(&mut reader, version) {
            Ok(request) => request,
            Err(error) => return refuse(call.connection, &error),
        };
        drop(reader); // What the request needs of the frame it holds itself.
        match E::handle(call, request) {
            Answer::Now(body) => {
                let response = self.encoder.encode(key, version, correlation_id, body);
                response.map_or(Reply::Close, Reply::Now)
            }
            Answer::Later(body) => {
                let encoder = Rc::clone(&self.encoder);
                Reply::later(async move {
                    let response = encoder.encode(key, version, correlation_id, body.await);
                    response.map_or(Outcome::Close, Outcome::Response)
                })
            }
            Answer::Silent => Reply::Nothing,
            Answer::Close => Reply::Close,
        }
    }
}

/// Closes the connection and leaves a line for whoever asks why.
fn refuse(connection: &ConnectionContext, why: &dyn std::fmt::Display) -> Reply {
    debug!(peer = %connection.peer, listener = %connection.listener_name, "connection closed: {why}");
    Reply::Close
}

impl Encoder {
    /// The answer as bytes; none if its version cannot carry it. That is our own fault: the client
    /// sees a closed connection, the log says which field.
    fn encode<M: Message>(
        &self,
        key: ApiKey,
        version: i16,
        correlation_id: i32,
        body: Body<M>,
    ) -> Option<Response> {
        let mut output = self.output.take();
        if output.capacity() < ANSWER_ROOM {
            output.reserve(OUTPUT_SIZE); // The old memory, once its answers have left.
        }
        let mut writer = Writer::over(output);
        let result = encode_response(&mut writer, key, version, correlation_id, &body.message);
        let size = body.ranges.iter().map(Part::size).sum();
        self.tally.answered(key, writer.errors(), size);
        let (mut output, splices) = writer.into_parts();
        let encoded = output.split().freeze();
        if output.capacity() <= OUTPUT_KEPT_MAX {
            self.output.replace(output);
        }
        match result {
            Ok(()) => Some(interleave(&encoded, &splices, body.ranges)),
            Err(error) => {
                error!(api = key.name(), version, "an answer could not be encoded: {error}");
                None
            }
        }
    }
}

/// The encoded bytes with the file ranges in their gaps.
fn interleave(encoded: &Bytes, splices: &[Splice], ranges: Vec<Part>) -> Response {
    let Some(first) = splices.first() else { return Response::new(encoded.clone()) };
    let mut parts = Vec::with_capacity(2 * splices.len());
    let mut ranges = ranges.into_iter().enumerate();
    for (at, splice) in splices.iter().enumerate() {
        let (_, range) = ranges
            .find(|(token, _)| *token == splice.token as usize)
            .expect("each splice has a range of its own, in the same order");
        assert_eq!(range.size(), u64::from(splice.len), "the range has the length told");
        parts.push(range);
        let end = splices.get(at + 1).map_or(encoded.len(), |next| next.at);
        if end > splice.at {
            parts.push(Part::Bytes(encoded.slice(splice.at..end)));
        }
    }
    Response::with_parts(encoded.slice(..first.at), parts)
}
