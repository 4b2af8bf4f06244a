//! All that the thread has to do, done when it is wanted.

use std::sync::Arc;

use super::{Moves, worker::Worker};
use crate::Broker;

/// How many turns a move takes at most: it is one step in each, and copies little.
const TURNS_MAX: usize = 100;

impl Moves {
    /// Carries out what was asked for.
    pub(crate) fn step(&self, broker: &Arc<Broker>) {
        let mut worker = Worker::new(Arc::clone(broker), Arc::clone(&self.shared));
        for _ in 0..TURNS_MAX {
            let new = self.shared.take_new();
            if new.is_empty() && self.targets().is_empty() {
                return;
            }
            worker.turn(new);
        }
        panic!("moves do not end: {:?}", self.targets());
    }
}
