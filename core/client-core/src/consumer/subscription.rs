//! What members of a group tell its leader, and what the leader tells them: opaque bytes to the
//! coordinator, a version and a message to us. Source: the consumer embedded protocol, KIP-429,
//! KIP-792.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dohle_base::{PartitionId, Str};
use dohle_protocol::{
    DecodeError, EncodeError, Message, Reader, Writer,
    records::consumer_protocol::{
        consumer_protocol_assignment::{self, ConsumerProtocolAssignment},
        consumer_protocol_subscription::{self, ConsumerProtocolSubscription},
    },
};

use crate::TopicPartition;

/// What a member wants and has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    /// The topics that it subscribes to.
    pub(super) topics: BTreeSet<Str>,
    /// The partitions that it still has.
    pub(super) owned: BTreeSet<TopicPartition>,
    /// The generation in which it got them, or −1.
    pub(super) generation: i32,
    /// Its name, if it is a static member.
    pub(super) instance_id: Option<Str>,
}

impl Subscription {
    /// As bytes for the coordinator.
    ///
    /// # Errors
    /// Names that are too long.
    pub(super) fn encode(&self, rack: Option<&Str>) -> Result<Bytes, EncodeError> {
        // Before version 2 there was no field for the generation; the sticky assignors of those
        // clients look for it here.
        let user_data = Bytes::copy_from_slice(&self.generation.to_be_bytes());
        let owned = by_topic(&self.owned).into_iter().map(|(topic, partitions)| {
            consumer_protocol_subscription::TopicPartition { topic, partitions }
        });
        let message = ConsumerProtocolSubscription {
            topics: self.topics.iter().cloned().collect(),
            user_data: Some(user_data),
            owned_partitions: owned.collect(),
            generation_id: self.generation,
            rack_id: rack.cloned(),
        };
        encode(&message)
    }

    /// From bytes of another member.
    ///
    /// # Errors
    /// Bytes that are not a subscription.
    pub(super) fn decode(bytes: Bytes, instance_id: Option<Str>) -> Result<Self, DecodeError> {
        let message: ConsumerProtocolSubscription = decode(bytes)?;
        let told = message.user_data.as_deref().and_then(<[u8]>::first_chunk);
        let generation = match message.generation_id {
            -1 => told.map_or(-1, |bytes| i32::from_be_bytes(*bytes)),
            generation => generation,
        };
        let owned = message.owned_partitions.into_iter().map(|t| (t.topic, t.partitions));
        let (topics, owned) = (message.topics.into_iter().collect(), flat(owned));
        Ok(Self { topics, owned, generation, instance_id })
    }
}

/// An assignment as bytes for the coordinator.
///
/// # Errors
/// Names that are too long.
pub(super) fn encode_assignment(
    partitions: &BTreeSet<TopicPartition>,
) -> Result<Bytes, EncodeError> {
    let assigned = by_topic(partitions).into_iter().map(|(topic, partitions)| {
        consumer_protocol_assignment::TopicPartition { topic, partitions }
    });
    encode(&ConsumerProtocolAssignment { assigned_partitions: assigned.collect(), user_data: None })
}

/// An assignment from the bytes that the coordinator passed on. No bytes are no partitions.
///
/// # Errors
/// Bytes that are not an assignment.
pub(crate) fn decode_assignment(bytes: Bytes) -> Result<BTreeSet<TopicPartition>, DecodeError> {
    if bytes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let message: ConsumerProtocolAssignment = decode(bytes)?;
    Ok(flat(message.assigned_partitions.into_iter().map(|t| (t.topic, t.partitions))))
}

/// The newest version: readers that know less pass over what is behind it.
fn encode<M: Message>(message: &M) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    w.put(M::MAX_VERSION);
    message.encode(&mut w, M::MAX_VERSION)?;
    Ok(w.into_bytes())
}

fn decode<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut r = Reader::new(bytes);
    let version: i16 = r.get()?;
    // What newer versions add comes behind what we know.
    M::decode(&mut r, version.min(M::MAX_VERSION))
}

fn by_topic(partitions: &BTreeSet<TopicPartition>) -> BTreeMap<Str, Vec<PartitionId>> {
    let mut topics: BTreeMap<Str, Vec<PartitionId>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.clone()).or_default().push(partition.partition);
    }
    topics
}

fn flat(topics: impl Iterator<Item = (Str, Vec<PartitionId>)>) -> BTreeSet<TopicPartition> {
    let partitions = topics.flat_map(|(topic, partitions)| {
        partitions.into_iter().map(move |partition| TopicPartition::new(topic.clone(), partition))
    });
    partitions.collect()
}
