//! A network thread: its runtime, its handler, and what its connections share.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::spawn_local,
    time::{Instant, timeout_at},
};

use crate::{
    ConnectionContext, ConnectionId, Handler, Options, ThreadCounters,
    admission::Admitted,
    balance::Balance,
    bell::Bell,
    buffers::Buffers,
    connection::{Connection, Home},
    limits::SCRATCH_BYTES,
    log_gate::LogGate,
};

/// Tells all threads to stop: none while the server runs, then the time by which answers still owed
/// must be out.
pub(crate) type StopAt = Option<Instant>;

/// A connection on its way to a thread.
pub(crate) struct Incoming<S> {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) context: ConnectionContext,
    pub(crate) admitted: Admitted,
    /// None if it was just accepted.
    pub(crate) past: Option<Past<S>>,
}

/// What a connection brings along from the thread on which it was.
pub(crate) struct Past<S> {
    pub(crate) session: S,
    /// What was received of its next frames.
    pub(crate) rest: Bytes,
}

/// What the connections of one thread share.
pub(crate) struct ThreadState {
    pub(crate) options: Arc<Options>,
    pub(crate) counters: Arc<ThreadCounters>,
    pub(crate) buffers: Rc<RefCell<Buffers>>,
    /// Wakes them from other threads.
    pub(crate) bell: Arc<Bell>,
    /// Short file ranges on their way into a vectored write.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    draining: Cell<bool>,
    /// Number of open connections.
    open: Cell<usize>,
    /// Their tasks.
    tasks: RefCell<BTreeMap<ConnectionId, Waker>>,
    /// Told when the last connection has closed.
    empty: Notify,
    refused: LogGate,
}

impl ThreadState {
    pub(crate) fn new(options: Arc<Options>, counters: Arc<ThreadCounters>) -> Self {
        Self {
            options,
            counters,
            buffers: Rc::default(),
            bell: Bell::here(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            draining: Cell::new(false),
            open: Cell::new(0),
            tasks: RefCell::default(),
            empty: Notify::new(),
            refused: LogGate::default(),
        }
    }

    /// Whether connections finish what they have begun and read no more.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// A connection has opened, or come from another thread.
    pub(crate) fn enter(&self, is_new: bool) {
        if is_new {
            self.counters.opened()
        } else {
            self.counters.came()
        }
        self.open.set(self.open.get() + 1);
    }

    /// Remembers the task of a connection, to be woken when the thread drains. A task keeps its
    /// waker, so once is enough.
    pub(crate) fn remember(&self, id: ConnectionId, waker: &Waker) {
        self.tasks.borrow_mut().insert(id, waker.clone());
    }

    /// A connection has closed, or gone to another thread.
    pub(crate) fn leave(&self, id: ConnectionId, is_closed: bool) {
        if is_closed {
            self.counters.closed()
        } else {
            self.counters.left()
        }
        self.tasks.borrow_mut().remove(&id);
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            self.empty.notify_one();
        }
    }

    /// Counts a frame of a forbidden length and says so now and then.
    pub(crate) fn refuse_frame(&self, connection: &ConnectionContext, length: i32) {
        self.counters.refused_frame();
        if let Some(suppressed) = self.refused.pass() {
            tracing::warn!(
                connection = connection.id.0,
                peer = %connection.peer,
                listener = %connection.listener_name,
                length,
                max = self.options.request_bytes_max,
                looks_like = looks_like(length),
                suppressed,
                "closing a connection: a frame of this length is not allowed"
            );
        }
    }

    /// Makes the connections finish, and waits for them until `stop_at`.
    async fn drain(&self, stop_at: Instant) {
        self.draining.set(true);
        for waker in self.tasks.borrow().values() {
            waker.wake_by_ref();
        }
        while self.open.get() > 0 {
            if timeout_at(stop_at, self.empty.notified()).await.is_err() {
                let connections = self.open.get();
                tracing::warn!(connections, "closing connections that still owe answers");
                return;
            }
        }
    }
}

/// Serves connections until told to stop, then until they are finished or time is up.
pub(crate) async fn serve<H: Handler>(
    handler: H,
    state: Rc<ThreadState>,
    balance: Rc<Balance<H::Session>>,
    mut incoming: mpsc::Receiver<Incoming<H::Session>>,
    mut stop: watch::Receiver<StopAt>,
) {
    let home = Home { handler: Rc::new(handler), thread: state, balance };
    let bell = Arc::clone(&home.thread.bell);
    spawn_local(poll_fn(move |cx| bell.poll(cx)));
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(incoming) = incoming.recv() => open(incoming, &home),
            else => break,
        }
    }
    drop(incoming);
    let stop_at = stop.borrow().unwrap_or_else(Instant::now);
    home.thread.drain(stop_at).await;
}

fn open<H: Handler>(incoming: Incoming<H::Session>, home: &Home<H>) {
    let peer = incoming.context.peer;
    match Connection::open(incoming, home.clone()) {
        Ok(connection) => {
            spawn_local(connection.run());
        }
        Err(error) => tracing::warn!(%peer, %error, "cannot take over a connection"),
    }
}

/// What a length says if it is the start of another protocol: the usual mistake in a configuration.
fn looks_like(length: i32) -> &'static str {
    match length.to_be_bytes() {
        [0x16, 0x03, ..] => "TLS on a plaintext listener",
        [b'G', b'E', b'T', b' '] | [b'P', b'O', b'S', b'T'] | [b'H', b'E', b'A', b'D'] => "HTTP",
        _ => "unknown",
    }
}
