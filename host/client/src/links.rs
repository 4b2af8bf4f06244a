//! Carries out what a machine wants of sockets: one task for each link.

use std::collections::HashMap;

use dohle_client_core::{Core, Input, LinkId, Output};
use tokio::{sync::mpsc, task::AbortHandle};

use crate::{
    clock::Clock,
    link::{self, Frame},
};

/// What sockets did and the machine has not been told yet. A socket that has more to say waits.
const INPUTS_MAX: usize = 256;

/// Frames that wait to be written to one socket. A machine has less than this many requests without
/// an answer on one connection.
const FRAMES_MAX: usize = 128;

/// The sockets of one machine.
#[derive(Debug)]
pub(crate) struct Links {
    links: HashMap<LinkId, Link>,
    inputs: mpsc::Sender<Input>,
}

#[derive(Debug)]
struct Link {
    frames: mpsc::Sender<Frame>,
    task: AbortHandle,
}

impl Links {
    /// No socket yet; what they do comes out of the receiver.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Input>) {
        let (inputs, receiver) = mpsc::channel(INPUTS_MAX);
        (Self { links: HashMap::new(), inputs }, receiver)
    }

    /// Does all that `core` wants by now.
    pub(crate) fn carry_out(&mut self, core: &mut impl Core, clock: Clock) {
        while let Some(output) = core.poll_output() {
            match output {
                Output::Connect { link, address } => {
                    let (frames, receiver) = mpsc::channel(FRAMES_MAX);
                    let task =
                        tokio::spawn(link::run(link, address, receiver, self.inputs.clone()));
                    self.links.insert(link, Link { frames, task: task.abort_handle() });
                }
                Output::Send { link, frame, report } => {
                    let sent = self.links.get(&link).is_some_and(|open| {
                        open.frames.try_send(Frame { bytes: frame, report }).is_ok()
                    });
                    // The task has ended, and its last word is on its way.
                    if !sent {
                        self.close(link);
                        core.handle_input(clock.now(), Input::Closed { link });
                    }
                }
                Output::Close { link } => self.close(link),
            }
        }
    }

    fn close(&mut self, link: LinkId) {
        if let Some(open) = self.links.remove(&link) {
            open.task.abort();
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for link in self.links.values() {
            link.task.abort();
        }
    }
}
