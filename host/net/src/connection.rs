//! One connection: a task that takes turns.
//!
//! A turn polls the waiting replies, hands whole frames to the handler, writes all answers whose
//! turn has come, reads once, and repeats until there is nothing to do or its share of bytes is
//! used up. So all requests that one read brought are handled before their answers leave together.
//!
//! ```text
//!   serving ──▶ answered   the handler ended it, or the thread drains: all answers are out
//!      ├──────▶ peer       the peer closed its side: the known answers are out
//!      ├──────▶ refused    a length that no frame may have: the known answers are out
//!      ├──────▶ expired    no byte moved for too long
//!      ├──────▶ moved      it owes nothing and goes to another thread
//!      └──────▶ failed     the socket or a file failed
//! ```
//!
//! While a connection waits for its last answers it still reads, and forgets what it reads: only so
//! does it notice that the peer has left. Otherwise reading stops while a bound is exceeded (answers
//! that wait, answers that the peer does not take); the peer then feels it through TCP.

mod answers;
mod cold;
mod frames;
mod idle;
mod input;
mod output;

use std::{
    future::poll_fn,
    io, mem,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::mpsc::OwnedPermit,
    time::{Instant, timeout},
};

use self::{answers::Answers, idle::Idle, input::Input, output::Output};
pub use self::{cold::read_now, frames::Frames};
use crate::{
    ConnectionContext, ConnectionId, Handler,
    admission::Admitted,
    balance::{Balance, Stay},
    bell::connection_waker,
    limits::{
        HANDLED_TOGETHER_MAX, LINGER, OUTPUT_BYTES_MAX, REQUEST_TURN_BYTES, REST_MOVED_MAX,
        TURN_BYTES_MAX,
    },
    thread::{Incoming, Past, ThreadState},
};

/// The thread of a connection.
pub(crate) struct Home<H: Handler> {
    pub(crate) handler: Rc<H>,
    pub(crate) thread: Rc<ThreadState>,
    pub(crate) balance: Rc<Balance<H::Session>>,
}

/// A connection on its thread.
pub(crate) struct Connection<H: Handler> {
    stream: TcpStream,
    context: ConnectionContext,
    session: H::Session,
    handler: Rc<H>,
    thread: Rc<ThreadState>,
    balance: Rc<Balance<H::Session>>,
    presence: Presence,
    input: Input,
    answers: Answers,
    output: Output,
    idle: Idle,
    stay: Stay,
    /// It is to go to another thread, and handles no more frames before that.
    leaves: bool,
    /// Set when no more is to be read, with the reason.
    input_end: Option<End<H::Session>>,
    /// Wakes this task from any thread; none before its first turn.
    waker: Option<Waker>,
    admitted: Admitted,
}

/// Counts a connection among those of its thread.
struct Presence {
    thread: Rc<ThreadState>,
    id: ConnectionId,
    /// It goes to another thread and is not closed.
    moves: bool,
}

/// Why a connection ends, or its task.
enum End<S> {
    /// It goes on where there is a place for it.
    Moved(OwnedPermit<Incoming<S>>),
    Answered,
    Peer,
    Refused,
    Expired,
    Failed(io::Error),
}

impl<H: Handler> Connection<H> {
    /// Takes over a connection with its non-blocking socket.
    ///
    /// # Errors
    /// If the socket cannot be registered for events.
    pub(crate) fn open(incoming: Incoming<H::Session>, home: Home<H>) -> io::Result<Self> {
        let Incoming { stream, context, admitted, past } = incoming;
        let Home { handler, thread, balance } = home;
        let context = ConnectionContext { thread: balance.thread(), ..context };
        let stream = TcpStream::from_std(stream)?;
        let is_new = past.is_none();
        let presence = Presence::enter(&thread, context.id, is_new);
        let (session, rest) = match past {
            Some(Past { session, rest }) => (session, rest),
            None => (handler.open(&context), Bytes::new()),
        };
        let buffers = Rc::clone(&thread.buffers);
        let input = Input::new(buffers, thread.options.request_bytes_max, &rest);
        let idle = Idle::new(thread.options.idle_max);
        Ok(Self {
            session,
            stream,
            context,
            handler,
            thread,
            balance,
            presence,
            input,
            answers: Answers::default(),
            output: Output::default(),
            idle,
            stay: Stay::begin(is_new, Instant::now()),
            leaves: false,
            input_end: None,
            waker: None,
            admitted,
        })
    }

    /// Serves the connection until its end, or until it goes to another thread.
    pub(crate) async fn run(mut self) {
        let end = poll_fn(|cx| self.turn(cx)).await;
        let (connection, peer) = (self.context.id.0, self.context.peer);
        match end {
            End::Moved(place) => self.go(place),
            End::Answered => {
                tracing::debug!(connection, %peer, "closed by us after its answers");
                self.linger().await;
            }
            End::Peer => tracing::debug!(connection, %peer, "closed by the peer"),
            End::Refused => tracing::debug!(connection, %peer, "closed after a forbidden length"),
            End::Expired => {
                tracing::debug!(connection, %peer, "closed because it was idle");
                self.thread.counters.expired();
            }
            End::Failed(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // No peer can cause this: the log took bytes away that an answer had promised.
                tracing::warn!(connection, %peer, "closed: a file is shorter than an answer says");
            }
            End::Failed(error) => tracing::debug!(connection, %peer, %error, "failed"),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<End<H::Session>> {
        // A task keeps its waker, so once is enough.
        let waker = self.waker.take().unwrap_or_else(|| {
            self.thread.remember(self.context.id, cx.waker());
            connection_waker(&self.thread.bell, cx.waker())
        });
        let end = self.act(cx, &mut Context::from_waker(&waker));
        self.waker = Some(waker);
        match end.is_pending().then(|| self.place(cx)).flatten() {
            Some(place) => Poll::Ready(End::Moved(place)),
            None => end,
        }
    }

    /// A turn. Replies that are not known yet wake through `replies`.
    fn act(&mut self, cx: &mut Context<'_>, replies: &mut Context<'_>) -> Poll<End<H::Session>> {
        let mut budget = TURN_BYTES_MAX;
        self.answers.poll_all(replies, &mut self.output);
        loop {
            let handled = self.handle_frames();
            self.answers.poll_new(replies, &mut self.output);
            if let Err(error) = self.write(cx, &mut budget) {
                return Poll::Ready(End::Failed(error));
            }
            budget = budget.saturating_sub(handled * REQUEST_TURN_BYTES);
            if let Some(end) = self.end() {
                return Poll::Ready(end);
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                break;
            }
            if self.input_end.is_some() {
                break;
            }
            if self.is_finishing() {
                // Read on, to notice when the peer leaves, and to leave nothing unread behind.
                self.input.discard();
            } else if !self.may_handle() {
                break;
            } else if self.input.is_ready() {
                continue;
            }
            match self.input.poll_read(cx, &mut self.stream) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.input_end = Some(End::Peer),
                Poll::Ready(Ok(read)) => {
                    self.thread.counters.received(read);
                    self.idle.moved();
                    budget = budget.saturating_sub(read);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(End::Failed(error)),
            }
        }
        self.input.settle();
        if self.idle.poll_expired(cx, !self.answers.is_empty() || self.output.waits_for_disk()) {
            return Poll::Ready(End::Expired);
        }
        Poll::Pending
    }

    /// Hands whole frames to the handler, as long as there is room for their answers and it is the turn of this
    /// connection; says how many.
    fn handle_frames(&mut self) -> usize {
        let mut handled = 0;
        while handled < HANDLED_TOGETHER_MAX && self.may_handle() {
            let frame = match self.input.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(bad) => {
                    self.thread.refuse_frame(&self.context, bad.0);
                    self.input_end = Some(End::Refused);
                    break;
                }
            };
            let size = frame.len();
            let (answers, output) = (&mut self.answers, &mut self.output);
            let mut frames = Frames::behind(size, &mut self.input, answers, output);
            self.handler.handle(&self.context, &mut self.session, frame, &mut frames);
            handled += frames.handled();
        }
        if handled > 0 {
            self.thread.counters.handled(handled as u64);
        }
        handled
    }

    fn write(&mut self, cx: &mut Context<'_>, budget: &mut usize) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let before = *budget;
        let mut scratch = self.thread.scratch.borrow_mut();
        let flushed = self.output.poll_flush(cx, &self.stream, &mut scratch, budget);
        drop(scratch);
        self.thread.counters.read_cold(self.output.take_cold_reads());
        let sent = before - *budget;
        if sent > 0 {
            self.thread.counters.sent(sent);
            self.idle.moved();
        }
        match flushed {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Whether another request may be read and handled.
    fn may_handle(&self) -> bool {
        self.input_end.is_none()
            && !self.leaves
            && !self.is_finishing()
            && self.answers.has_room()
            && self.answers.memory_bytes() + self.output.memory_bytes() < OUTPUT_BYTES_MAX
    }

    /// Whether only answers already owed are still to be sent.
    fn is_finishing(&self) -> bool {
        self.answers.is_sealed() || self.thread.is_draining()
    }

    /// At the end of a turn: a place on another thread, if it should go there and nothing holds it here.
    ///
    /// One that has many requests in flight may never owe nothing: it handles no more frames until it does.
    fn place(&mut self, cx: &Context<'_>) -> Option<OwnedPermit<Incoming<H::Session>>> {
        let moved = self.idle.take_moved()?;
        let may_leave =
            self.input_end.is_none() && self.input.held() <= REST_MOVED_MAX && !self.is_finishing();
        let is_due = self.balance.is_due(&mut self.stay, moved) && may_leave;
        let has_left_frames = mem::take(&mut self.leaves);
        if is_due && self.answers.is_empty() && self.output.is_empty() {
            if let Some(place) = self.balance.place() {
                return Some(place);
            }
        } else if is_due {
            self.leaves = has_left_frames || self.answers.count() > 1;
        }
        if has_left_frames && !self.leaves {
            cx.waker().wake_by_ref();
        }
        None
    }

    /// Goes to another thread.
    fn go(self, place: OwnedPermit<Incoming<H::Session>>) {
        let Self { stream, context, session, mut input, admitted, mut presence, .. } = self;
        match stream.into_std() {
            Ok(stream) => {
                presence.moves = true;
                drop(presence);
                let past = Some(Past { session, rest: input.take_rest() });
                place.send(Incoming { stream, context, admitted, past });
            }
            Err(error) => {
                tracing::warn!(peer = %context.peer, %error, "cannot hand over a connection")
            }
        }
    }

    fn end(&mut self) -> Option<End<H::Session>> {
        if !self.output.is_empty() {
            return None;
        }
        if self.is_finishing() && self.answers.is_empty() {
            return Some(End::Answered);
        }
        self.input_end.take()
    }

    /// Closes without losing the last answers: a socket that is closed while it holds unread bytes
    /// is reset, and a reset discards what the peer has not been sent yet.
    async fn linger(&mut self) {
        // On the heap, because what lives across an await is part of every connection's task.
        let mut scratch = vec![0; 4096];
        // Without unread bytes a plain close is enough, and the common case.
        if !matches!(self.stream.try_read(&mut scratch), Ok(1..)) {
            return;
        }
        let discard = async {
            self.stream.shutdown().await?;
            loop {
                self.stream.readable().await?;
                match self.stream.try_read(&mut scratch) {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        // Whether the peer closed, failed or stayed, this side is done.
        let _: Result<io::Result<()>, _> = timeout(LINGER, discard).await;
    }
}

impl<H: Handler> Clone for Home<H> {
    fn clone(&self) -> Self {
        let (handler, thread) = (Rc::clone(&self.handler), Rc::clone(&self.thread));
        Self { handler, thread, balance: Rc::clone(&self.balance) }
    }
}

impl Presence {
    fn enter(thread: &Rc<ThreadState>, id: ConnectionId, is_new: bool) -> Self {
        thread.enter(is_new);
        Self { thread: Rc::clone(thread), id, moves: false }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.thread.leave(self.id, !self.moves);
    }
}
