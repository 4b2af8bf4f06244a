//! When to end by ourselves: after so many records, or where the partitions ended when we began.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dohle_client::{Admin, Consumer, ConsumerRecord, Offset, OffsetSpec, TopicPartition};

use super::{ConsumeArgs, start};
use crate::ending::Failure;

/// What is left to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Goal {
    /// Records; none means as many as there are.
    records: Option<u64>,
    /// The ends of partitions that are not reached; none means for ever.
    ends: Option<BTreeMap<TopicPartition, Offset>>,
    /// Whether partitions come from a group: those that are not ours are not our goal.
    in_group: bool,
}

impl Goal {
    /// What the arguments say of these partitions.
    ///
    /// # Errors
    /// Their ends cannot be learnt.
    pub(super) async fn new(
        args: &ConsumeArgs,
        admin: &Admin,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<Self, Failure> {
        let ends = match args.until_end {
            true => Some(start::offsets(admin, args, partitions, OffsetSpec::Latest).await?),
            false => None,
        };
        Ok(Self { records: args.max_messages, ends, in_group: args.group.is_some() })
    }

    /// Whether only a signal ends the command.
    pub(super) fn is_endless(&self) -> bool {
        self.records.is_none() && self.ends.is_none()
    }

    /// After how long without records it is worth to ask again. An end can be reached without one: the
    /// partition may be empty, or end with what is no record.
    pub(super) fn check_interval(&self) -> Duration {
        Duration::from_millis(if self.ends.is_some() { 20 } else { 1_000 })
    }

    /// The records that are still wanted. They count as read.
    pub(super) fn wanted<'a>(&mut self, records: &'a [ConsumerRecord]) -> &'a [ConsumerRecord] {
        let Some(left) = &mut self.records else { return records };
        let count = usize::try_from(*left).unwrap_or(usize::MAX).min(records.len());
        *left -= count as u64;
        &records[..count]
    }

    /// Whether there is nothing left to be read. In a group, as soon as it has given us something.
    pub(super) async fn is_reached(&mut self, consumer: &mut Consumer) -> bool {
        if self.records == Some(0) {
            return true;
        }
        let Some(ends) = &mut self.ends else { return false };
        let mut open = ends.clone();
        if self.in_group {
            let ours = consumer.assignment().await;
            if ours.is_empty() {
                return false;
            }
            open.retain(|partition, _| ours.contains(partition));
        }
        for (partition, end) in open {
            match consumer.position(&partition).await {
                Some(position) if position >= end => {
                    ends.remove(&partition);
                }
                _ => return false,
            }
        }
        true
    }
}
