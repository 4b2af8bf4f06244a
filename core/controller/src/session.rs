//! What the controller may forget when it fails over: when each broker was last heard of.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, Instant, Offset};

/// When brokers were heard of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    contacts: BTreeMap<BrokerId, Contact>,
}

/// When one broker was heard of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Contact {
    /// In which of its lives.
    pub(crate) epoch: i64,
    pub(crate) last: Instant,
    /// How far it has published the metadata; none if it never said.
    pub(crate) metadata_offset: Option<Offset>,
    /// The end of the log when it began to shut down: others must know that before it goes.
    pub(crate) shutdown_offset: Option<Offset>,
}

/// A change of the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Soft {
    /// A broker was heard of.
    Touch {
        /// The broker.
        id: BrokerId,
        /// Its epoch; another than before begins anew.
        epoch: i64,
        /// How far it has published the metadata, if it said.
        metadata_offset: Option<Offset>,
    },
    /// A broker is shutting down, and the log ended here.
    ShuttingDown {
        /// The broker.
        id: BrokerId,
        /// The end of the log.
        offset: Offset,
    },
    /// A broker's session is over.
    Forget {
        /// The broker.
        id: BrokerId,
    },
}

impl Session {
    pub(crate) fn contact(&self, id: BrokerId) -> Option<&Contact> {
        self.contacts.get(&id)
    }

    pub(crate) fn contacts(&self) -> impl Iterator<Item = (BrokerId, &Contact)> {
        self.contacts.iter().map(|(id, contact)| (*id, contact))
    }

    pub(crate) fn apply(&mut self, now: Instant, change: Soft) {
        match change {
            Soft::Touch { id, epoch, metadata_offset } => {
                let known = self.contacts.remove(&id).filter(|contact| contact.epoch == epoch);
                let mut contact = known.unwrap_or(Contact {
                    epoch,
                    last: now,
                    metadata_offset: None,
                    shutdown_offset: None,
                });
                contact.last = now;
                contact.metadata_offset = metadata_offset.or(contact.metadata_offset);
                self.contacts.insert(id, contact);
            }
            Soft::ShuttingDown { id, offset } => {
                if let Some(contact) = self.contacts.get_mut(&id) {
                    contact.shutdown_offset = Some(offset);
                }
            }
            Soft::Forget { id } => {
                self.contacts.remove(&id);
            }
        }
    }
}
