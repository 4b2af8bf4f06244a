//! What a poll brings: news first, then records from the buffer.

use std::collections::VecDeque;

use super::{
    ConsumeError, Consumer, ConsumerEvent, ConsumerRecord, Notice, Polled, fetched::Reading,
};

impl<T> Consumer<T> {
    /// Answers the poll, if there is one and something to tell.
    pub(super) fn serve(&mut self) {
        if self.poll.is_none() {
            return;
        }
        let outcome = match self.notices.pop_front() {
            Some(Notice::Assigned(partitions)) => Ok(Polled::Assigned(partitions)),
            Some(Notice::Revoked(partitions)) => Ok(Polled::Revoked(partitions)),
            Some(Notice::Lost(partitions)) => Ok(Polled::Lost(partitions)),
            Some(Notice::Error(error)) => Err(error),
            None => match self.next_outcome() {
                Some(outcome) => outcome,
                None => return,
            },
        };
        if let Some(token) = self.poll.take() {
            self.events.push_back(ConsumerEvent::Polled { token, outcome });
        }
    }

    fn next_outcome(&mut self) -> Option<Result<Polled, ConsumeError>> {
        if let Some(error) = &self.group_failed {
            return Some(Err(error.clone()));
        }
        if self.topics.is_none() && self.positions.partitions.is_empty() {
            return Some(Err(ConsumeError::NothingChosen));
        }
        let records = self.take_records();
        if records.is_empty() {
            // Reading may have found something to tell instead.
            return match self.notices.pop_front() {
                Some(Notice::Error(error)) => Some(Err(error)),
                Some(other) => {
                    self.notices.push_front(other);
                    None
                }
                None => None,
            };
        }
        Some(Ok(Polled::Records(records)))
    }

    pub(super) fn reading(&self) -> Reading {
        Reading { isolation: self.config.isolation_level, check_crcs: self.config.check_crcs }
    }

    fn take_records(&mut self) -> Vec<ConsumerRecord> {
        let mut records = Vec::new();
        if !self.membership.may_consume() {
            return records;
        }
        let (reading, max) = (self.reading(), self.config.max_poll_records);
        let mut kept = VecDeque::new();
        while let Some(mut fetched) = self.buffer.pop_front() {
            let Some(position) = self.positions.get_mut(&fetched.partition) else { continue };
            if position.consumed().is_none_or(|place| place.offset != fetched.from.offset) {
                continue;
            }
            if position.paused || records.len() >= max {
                kept.push_back(fetched);
                continue;
            }
            let taken = fetched.take(max - records.len(), reading, &mut records);
            position.consume_to(fetched.from);
            match taken {
                Ok(Some(_)) => kept.push_back(fetched),
                Ok(None) => {}
                Err(source) => {
                    let (partition, offset) = (fetched.partition, fetched.from.offset);
                    let error =
                        ConsumeError::Corrupt { partition: partition.clone(), offset, source };
                    self.lose(&partition, error);
                }
            }
        }
        self.buffer = kept;
        records
    }
}
