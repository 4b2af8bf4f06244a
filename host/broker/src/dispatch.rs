//! From a frame to an answer: header, version, body, handler, encoding.
//!
//! Everything a stranger can get wrong is met here, before any handler runs: frames that are no
//! requests, keys and versions that are not served, bodies that do not decode. Except for
//! ApiVersions, whose answer in version 0 tells a newer client what to try (KIP-511), the
//! connection is closed, as Kafka does: there is no form in which an error could be told.

use std::{cell::RefCell, mem, rc::Rc, sync::Arc};

use bytes::{Bytes, BytesMut};
use dohle_base::Str;
use dohle_net::{ConnectionContext, Frames, Handler, Outcome, Part, Parts, Reply, Response};
use dohle_protocol::{
    ApiKey, Message, Reader, Request, RequestPrefix, Splice, Writer, decode_request_header,
    encode_response,
};
use smallvec::SmallVec;
use tracing::{debug, error};

use crate::{
    Broker,
    api::{
        self, Api, Endpoint, Together,
        endpoint::{Answer, Asked, Body, Call, Ranges},
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

/// For how many requests there is room at first, if there are several.
const TOGETHER: usize = 20;

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
    /// A dispatcher for one network thread, by its number, made in its runtime.
    pub fn new(broker: Arc<Broker>, thread: usize) -> Self {
        let tally = broker.metrics.tally(thread);
        begin_turns();
        start_clock();
        Self { broker, encoder: Rc::new(Encoder { tally, output: RefCell::default() }) }
    }
}

impl Handler for Dispatcher {
    type Session = ();

    fn open(&self, _: &ConnectionContext) {}

    fn handle(
        &self,
        connection: &ConnectionContext,
        (): &mut (),
        frame: Bytes,
        frames: &mut Frames<'_>,
    ) {
        match self.understand(connection, frame) {
            Ok((api, asked)) => (api.run)(self, connection, asked, frames),
            Err(refusal) => frames.reply(*refusal),
        }
    }
}

impl Dispatcher {
    /// What a frame asks for, with the body yet to be decoded; or the reply to one that cannot be
    /// served.
    #[inline]
    fn understand(
        &self,
        connection: &ConnectionContext,
        frame: Bytes,
    ) -> Result<(&'static Api, Asked<Reader>), Box<Reply>> {
        let prefix = RequestPrefix::peek(&frame).map_err(|error| refuse(connection, &error))?;
        let listener = self.broker.listener_kind(connection.listener);
        let Some(api) = ApiKey::from_key(prefix.api_key).and_then(|key| api::find(key, listener))
        else {
            let why = format_args!("API key {} is not served", prefix.api_key);
            return Err(refuse(connection, &why));
        };
        let (version, correlation_id) = (prefix.api_version, prefix.correlation_id);
        if !api.versions.contains(&version) {
            if api.key == ApiKey::ApiVersions {
                let mut body = Body::plain(api::api_versions::unknown_version());
                let response = self.encoder.encode(api.key, 0, correlation_id, &mut body);
                return Err(Box::new(response.map_or(Reply::Close, Reply::Now)));
            }
            let why = format_args!("{} version {version} is not served", api.key.name());
            return Err(refuse(connection, &why));
        }
        let mut body = Reader::new(frame);
        let (_, header) =
            decode_request_header(&mut body).map_err(|error| refuse(connection, &error))?;
        self.encoder.tally.asked(api.key);
        Ok((api, Asked { version, correlation_id, client_id: header.client_id, body }))
    }

    /// Decodes, handles and encodes for one endpoint; `Api::run` of the registry.
    pub(crate) fn run<E: Endpoint>(
        &self,
        connection: &ConnectionContext,
        asked: Asked<Reader>,
        frames: &mut Frames<'_>,
    ) {
        let Asked { version, correlation_id, client_id, mut body } = asked;
        frames.reply(match E::Request::decode(&mut body, version) {
            Ok(request) => {
                let answer = E::handle(self.call(connection, version, &client_id), request);
                self.reply::<E::Request>(version, correlation_id, answer)
            }
            Err(error) => *refuse(connection, &error),
        });
    }

    /// The same, with the requests of its kind that follow: they are answered together.
    pub(crate) fn run_together<E: Together>(
        &self,
        connection: &ConnectionContext,
        first: Asked<Reader>,
        frames: &mut Frames<'_>,
    ) {
        let key = E::Request::KEY.key();
        let is_alike =
            |frame: &[u8]| RequestPrefix::peek(frame).is_ok_and(|prefix| prefix.api_key == key);
        let mut requests = SmallVec::<[Asked<E::Request>; 1]>::new();
        let mut next = first;
        let refusal = loop {
            let Asked { version, correlation_id, client_id, mut body } = next;
            match E::Request::decode(&mut body, version) {
                Ok(body) => requests.push(Asked { version, correlation_id, client_id, body }),
                Err(error) => break Some(refuse(connection, &error)),
            }
            if requests.last().is_some_and(|last| E::may_close(&last.body)) {
                break None;
            }
            let Some(frame) = frames.take_if(is_alike) else { break None };
            requests.reserve(TOGETHER - requests.len().min(TOGETHER));
            match self.understand(connection, frame) {
                Ok((_, asked)) => next = asked,
                Err(refusal) => break Some(refusal),
            }
        };
        if let Some(first) = requests.first() {
            let mut whose = requests.iter();
            let call = self.call(connection, first.version, &first.client_id);
            E::handle_all(call, &requests, |answer| {
                let Asked { version, correlation_id, .. } = whose.next().expect("its request");
                frames.reply(self.reply::<E::Request>(*version, *correlation_id, answer));
            });
        }
        // It was behind them.
        if let Some(refusal) = refusal {
            frames.reply(*refusal);
        }
    }

    fn call<'a>(
        &'a self,
        connection: &'a ConnectionContext,
        version: i16,
        client_id: &'a Option<Str>,
    ) -> Call<'a> {
        let (broker, tally, client_id) = (&self.broker, &self.encoder.tally, client_id.as_ref());
        Call { broker, tally, version, client_id, connection }
    }

    fn reply<R: Request<Response: Message + 'static>>(
        &self,
        version: i16,
        correlation_id: i32,
        mut answer: Answer<R::Response>,
    ) -> Reply {
        let key = R::KEY;
        match answer {
            // Where it lies: messages are large.
            Answer::Now(ref mut body) => {
                let response = self.encoder.encode(key, version, correlation_id, body);
                response.map_or(Reply::Close, Reply::Now)
            }
            Answer::Later(body) => {
                let encoder = Rc::clone(&self.encoder);
                Reply::later(async move {
                    let response = encoder.encode(key, version, correlation_id, &mut body.await);
                    response.map_or(Outcome::Close, Outcome::Response)
                })
            }
            Answer::Silent => Reply::Nothing,
            Answer::Close => Reply::Close,
        }
    }
}

/// Closes the connection and leaves a line for whoever asks why. Boxed: a reply is large, and this one rare.
fn refuse(connection: &ConnectionContext, why: &dyn std::fmt::Display) -> Box<Reply> {
    debug!(peer = %connection.peer, listener = %connection.listener_name, "connection closed: {why}");
    Box::new(Reply::Close)
}

impl Encoder {
    /// The answer as bytes, with the ranges of the body; none if its version cannot carry it. That is
    /// our own fault: the client sees a closed connection, the log says which field.
    fn encode<M: Message>(
        &self,
        key: ApiKey,
        version: i16,
        correlation_id: i32,
        body: &mut Body<M>,
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
        // The rest, however little it is, keeps the memory of the answer before it as well.
        if encoded.len() + output.capacity() <= OUTPUT_KEPT_MAX {
            self.output.replace(output);
        }
        match result {
            Ok(()) => Some(interleave(&encoded, &splices, mem::take(&mut body.ranges))),
            Err(error) => {
                error!(api = key.name(), version, "an answer could not be encoded: {error}");
                None
            }
        }
    }
}

/// The encoded bytes with the file ranges in their gaps.
fn interleave(encoded: &Bytes, splices: &[Splice], ranges: Ranges) -> Response {
    let Some(first) = splices.first() else { return Response::new(encoded.clone()) };
    let mut parts = Parts::with_capacity(2 * splices.len());
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

#[cfg(test)]
mod tests;
