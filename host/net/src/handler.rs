//! The seam between the network and whoever understands the frames: one handler for each network
//! thread, one session for each connection, one reply for each frame.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::{Frames, Response};

/// Answers the frames of all connections of one network thread.
///
/// It is created on its thread and never leaves it, so it need not be `Send`; what it changes sits
/// in cells. It runs inside the thread's runtime: `tokio::task::spawn_local` and timers work, and
/// anything that blocks delays every connection of the thread.
pub trait Handler: 'static {
    /// What the handler remembers about one connection, such as who authenticated on it. It goes with
    /// the connection to the handler of another thread. It is dropped when the connection closes; a
    /// `Drop` of its own is how a handler hears of that.
    type Session: Send + 'static;

    /// Called once for each connection, before its first frame.
    fn open(&self, connection: &ConnectionContext) -> Self::Session;

    /// Answers one frame. Frames of a connection come in the order in which they arrived, also
    /// while earlier replies are still [`Reply::Later`].
    ///
    /// Its reply goes to `frames`. From there the handler may take some that are behind it, to do
    /// together what is cheaper so; each has its reply, too, in their order, when this returns.
    ///
    /// `frame` excludes the length prefix and may have any content and length from 0 to
    /// `Options::request_bytes_max`. It is a slice of a receive buffer shared with neighbouring
    /// frames: keeping even a part of it keeps the whole buffer (512 KiB or the frame, whichever is
    /// larger), so copy what is to live long.
    fn handle(
        &self,
        connection: &ConnectionContext,
        session: &mut Self::Session,
        frame: Bytes,
        frames: &mut Frames<'_>,
    );
}

/// A reply that is not known yet. Dropped unfinished when its connection closes first.
pub type Later = Pin<Box<dyn Future<Output = Outcome>>>;

/// What becomes of a request.
pub enum Reply {
    /// Answer at once.
    Now(Response),
    /// Answer when the future resolves. Later answers queue behind it.
    Later(Later),
    /// No answer at all, as for a produce request with `acks=0`.
    Nothing,
    /// Answer, send everything that came before, then close. No later frame is handled.
    Last(Response),
    /// Send the answers to earlier requests, then close. No later frame is handled.
    Close,
}

/// What a [`Reply::Later`] resolves to; the variants are those of [`Reply`].
pub enum Outcome {
    /// The answer.
    Response(Response),
    /// No answer.
    Nothing,
    /// The answer, and the last one on this connection.
    Last(Response),
    /// No answer and the end of the connection.
    Close,
}

impl Reply {
    /// A reply that `future` will know.
    pub fn later(future: impl Future<Output = Outcome> + 'static) -> Self {
        Self::Later(Box::pin(future))
    }
}

/// Names one connection for as long as the server runs; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Who is at the other end, and where it came in.
#[derive(Clone, Debug)]
pub struct ConnectionContext {
    /// Unique within the server.
    pub id: ConnectionId,
    /// The peer. An IPv4 peer of a dual-stack listener is given as IPv4.
    pub peer: SocketAddr,
    /// Position of the listener in the list given to `Server::start`.
    pub listener: usize,
    /// Name of that listener.
    pub listener_name: Arc<str>,
    /// The network thread on which the connection lives now, from 0.
    pub thread: usize,
}
