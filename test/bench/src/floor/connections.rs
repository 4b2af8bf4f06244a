//! Connections by number. A number is given again when its connection is gone.

use super::connection::Connection;

#[derive(Default)]
pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
}

impl Connections {
    /// The number that the next one gets.
    pub(super) fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    pub(super) fn add(&mut self, connection: Connection) {
        match self.free.pop() {
            Some(number) => self.slots[number] = Some(connection),
            None => self.slots.push(Some(connection)),
        }
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Connection> {
        self.slots.get_mut(number)?.as_mut()
    }

    pub(super) fn remove(&mut self, number: usize) {
        if self.slots.get_mut(number).and_then(Option::take).is_some() {
            self.free.push(number);
        }
    }
}
