//! Puts answers into the order of their requests.
//!
//! ```text
//!   waiting ─ known ─ waiting ─ known ─ known        slots, oldest first
//!      └─ becomes known: it and the known ones behind it move to the output
//! ```
//!
//! While nothing waits there are no slots, and an answer goes straight to the output.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use super::output::Output;
use crate::{
    Later, Outcome, Reply,
    limits::{ANSWERS_WAITING_MAX, PIECE_OVERHEAD, REQUEST_BYTES_WAITING_MAX},
};

/// Slots for which an idle connection keeps memory.
const SLOTS_KEPT: usize = 8;

/// The replies that are not known yet and those that are queued behind them.
#[derive(Default)]
pub(crate) struct Answers {
    slots: VecDeque<Slot>,
    /// Slots before this one have been polled at least once.
    polled: usize,
    /// Bytes of the requests whose replies are not known.
    request_bytes: usize,
    /// Bytes of the known answers in the slots.
    memory_bytes: usize,
    /// A reply that ends the connection has been given, perhaps behind others.
    sealed: bool,
}

enum Slot {
    Waiting { future: Later, request_bytes: usize },
    Known(Outcome),
}

impl Answers {
    /// Takes the reply to a request of `request_bytes`. After a reply that ends the connection,
    /// later ones are ignored.
    pub(crate) fn push(&mut self, reply: Reply, request_bytes: usize, output: &mut Output) {
        if self.sealed {
            return;
        }
        let outcome = match reply {
            // The most of them: an answer is large, and is moved no more than it has to be.
            Reply::Now(response) if self.slots.is_empty() => return output.push(response),
            Reply::Later(future) => {
                self.request_bytes += request_bytes;
                self.slots.push_back(Slot::Waiting { future, request_bytes });
                return;
            }
            Reply::Now(response) => Outcome::Response(response),
            Reply::Nothing => Outcome::Nothing,
            Reply::Last(response) => Outcome::Last(response),
            Reply::Close => Outcome::Close,
        };
        self.sealed = matches!(outcome, Outcome::Last(_) | Outcome::Close);
        if self.slots.is_empty() {
            send(outcome, output);
        } else {
            self.memory_bytes += memory_bytes(&outcome);
            self.slots.push_back(Slot::Known(outcome));
        }
    }

    /// Polls every waiting reply, after a wake-up that may be any one's.
    pub(crate) fn poll_all(&mut self, cx: &mut Context<'_>, output: &mut Output) {
        self.polled = 0;
        self.poll_new(cx, output);
    }

    /// Polls the replies that were never polled, and sends what has become known in its turn.
    pub(crate) fn poll_new(&mut self, cx: &mut Context<'_>, output: &mut Output) {
        if self.slots.is_empty() {
            return;
        }
        for slot in self.slots.iter_mut().skip(self.polled) {
            let Slot::Waiting { future, request_bytes } = slot else { continue };
            let Poll::Ready(outcome) = future.as_mut().poll(cx) else { continue };
            self.request_bytes -= *request_bytes;
            self.memory_bytes += memory_bytes(&outcome);
            *slot = Slot::Known(outcome);
        }
        self.polled = self.slots.len();
        self.send_known(output);
    }

    /// Whether another request may be handled before the waiting ones are answered.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_behind(0, 0)
    }

    /// The same, where so many more requests with so many bytes are without a reply.
    pub(crate) fn has_room_behind(&self, requests: usize, bytes: usize) -> bool {
        self.slots.len() + requests < ANSWERS_WAITING_MAX
            && self.request_bytes + bytes < REQUEST_BYTES_WAITING_MAX
    }

    /// Bytes of answers held in memory here.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// How many answers are owed, or known and behind one that is owed.
    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }

    /// Whether no answer is owed.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the connection ends with the answers given so far.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed
    }

    fn send_known(&mut self, output: &mut Output) {
        while let Some(Slot::Known(_)) = self.slots.front() {
            let Some(Slot::Known(outcome)) = self.slots.pop_front() else { break };
            self.polled -= 1;
            self.memory_bytes -= memory_bytes(&outcome);
            if matches!(outcome, Outcome::Last(_) | Outcome::Close) {
                *self = Self { sealed: true, ..Self::default() };
            }
            send(outcome, output);
        }
        if self.slots.is_empty() && self.slots.capacity() > SLOTS_KEPT {
            self.slots = VecDeque::new();
        }
    }
}

fn send(outcome: Outcome, output: &mut Output) {
    match outcome {
        Outcome::Response(response) | Outcome::Last(response) => output.push(response),
        Outcome::Nothing | Outcome::Close => {}
    }
}

fn memory_bytes(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Response(response) | Outcome::Last(response) => {
            response.memory_size() + (1 + response.parts.len()) * PIECE_OVERHEAD
        }
        Outcome::Nothing | Outcome::Close => 0,
    }
}
