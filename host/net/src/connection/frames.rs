//! What a handler sees of a connection: frames that have come whole, and where replies go.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{answers::Answers, input::Input, output::Output};
use crate::Reply;

/// The frames behind one that is handled, and the replies to it and to those of them that are taken.
pub struct Frames<'a> {
    input: &'a mut Input,
    answers: &'a mut Answers,
    output: &'a mut Output,
    /// Sizes of the frames that were given out.
    sizes: SmallVec<[usize; 24]>,
    /// Their sum.
    bytes: usize,
    /// How many of them have their reply.
    answered: usize,
}

impl<'a> Frames<'a> {
    /// Those behind a frame of `size` bytes.
    pub(super) fn behind(
        size: usize,
        input: &'a mut Input,
        answers: &'a mut Answers,
        output: &'a mut Output,
    ) -> Self {
        let sizes = SmallVec::from_slice(&[size]);
        Self { input, answers, output, sizes, bytes: size, answered: 0 }
    }

    /// Takes the next frame, without its prefix, if it is here, may be handled yet, and is `wanted`.
    pub fn take_if(&mut self, wanted: impl FnOnce(&[u8]) -> bool) -> Option<Bytes> {
        let unanswered = self.sizes.len() - self.answered;
        if !self.answers.has_room_behind(unanswered, self.bytes) || !wanted(self.input.peek()?) {
            return None;
        }
        let frame = self.input.next_frame().ok()??;
        self.sizes.push(frame.len());
        self.bytes += frame.len();
        Some(frame)
    }

    /// Answers the first of the frames given out that has no answer.
    pub fn reply(&mut self, reply: Reply) {
        let size = self.sizes.get(self.answered).expect("one reply for a frame");
        self.answers.push(reply, *size, self.output);
        self.answered += 1;
    }

    /// How many frames were handled.
    pub(super) fn handled(&self) -> usize {
        assert_eq!(self.answered, self.sizes.len(), "each frame is replied to");
        self.answered
    }
}
