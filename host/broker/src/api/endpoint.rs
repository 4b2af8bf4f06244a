//! What every file of this folder implements: one API key, the versions served, and how it is answered.
//!
//! A handler runs on the network thread that read the request. It answers at once, or hands back a
//! future that runs on the same thread; it never blocks, and holds no lock across an await.

use std::{future::Future, net::IpAddr, ops::RangeInclusive, pin::Pin, sync::Arc};

use dohle_base::Str;
use dohle_net::{ConnectionContext, Part};
use dohle_protocol::{Message, Request};
use smallvec::SmallVec;

use crate::{Broker, metrics::Tally};

/// A request's surroundings.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The node.
    pub(crate) broker: &'a Arc<Broker>,
    /// What this thread has answered.
    pub(crate) tally: &'a Arc<Tally>,
    /// The version of the request, one of those served.
    pub(crate) version: i16,
    /// What the client calls itself.
    pub(crate) client_id: Option<&'a Str>,
    /// Where the request came from.
    pub(crate) connection: &'a ConnectionContext,
}

impl Call<'_> {
    /// The client's address.
    pub(crate) fn peer(&self) -> IpAddr {
        self.connection.peer.ip()
    }
}

/// How a request is answered.
pub(crate) enum Answer<R> {
    /// Now.
    Now(Body<R>),
    /// Once the future is ready.
    Later(Pin<Box<dyn Future<Output = Body<R>>>>),
    /// Not at all: a produce request that wants no acknowledgement.
    Silent,
    /// By closing the connection, after the answers before it.
    Close,
}

/// File ranges: one needs no allocation.
pub(crate) type Ranges = SmallVec<[Part; 1]>;

/// An answer, with the file ranges that its `RecordSet::Spliced` fields stand for.
pub(crate) struct Body<R> {
    /// The message.
    pub(crate) message: R,
    /// The ranges in the order of their fields; a field's token is the index of its own.
    pub(crate) ranges: Ranges,
}

impl<R> Body<R> {
    /// A message whose records, if any, are in memory.
    pub(crate) fn plain(message: R) -> Self {
        Self { message, ranges: Ranges::new() }
    }
}

impl<R> Answer<R> {
    /// A message, now.
    pub(crate) fn now(message: R) -> Self {
        Self::Now(Body::plain(message))
    }

    /// A message, once `future` is ready.
    pub(crate) fn later(future: impl Future<Output = R> + 'static) -> Self {
        Self::Later(Box::pin(async { Body::plain(future.await) }))
    }
}

/// One API key.
pub(crate) trait Endpoint {
    /// What is decoded; its response type is what is encoded.
    type Request: Request<Response: Message + 'static> + 'static;

    /// The versions that are served. What is not here is not advertised.
    const VERSIONS: RangeInclusive<i16>;

    /// Answers a request whose version is one of `VERSIONS`.
    fn handle(
        call: Call<'_>,
        request: Self::Request,
    ) -> Answer<<Self::Request as Request>::Response>;
}

/// A request with what its head says.
pub(crate) struct Asked<R> {
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<Str>,
    /// What it asks for.
    pub(crate) body: R,
}

impl<R> Asked<R> {
    /// The surroundings of this one, which came together with that of `call`.
    pub(crate) fn call<'a>(&'a self, call: Call<'a>) -> Call<'a> {
        Call { version: self.version, client_id: self.client_id.as_ref(), ..call }
    }
}

/// The same for an API whose requests are cheaper to answer together, where one connection has sent
/// several.
pub(crate) trait Together {
    /// As in [`Endpoint`].
    type Request: Request<Response: Message + 'static> + 'static;

    /// As in [`Endpoint`].
    const VERSIONS: RangeInclusive<i16>;

    /// Whether the answer may be the end of the connection: then those behind are not looked at yet.
    fn may_close(request: &Self::Request) -> bool;

    /// Gives `answer` the answer to each request, in their order. `call` is that of the first.
    fn handle_all(
        call: Call<'_>,
        requests: &[Asked<Self::Request>],
        answer: impl FnMut(Answer<<Self::Request as Request>::Response>),
    );
}
