//! What clients and the controller were told, and what a start must make of it.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{BrokerId, LeaderEpoch, Offset, PartitionId, TopicId, Uuid};
use dohle_log::ReadRange;
use dohle_metadata::{MetadataRecord, MetadataState};
use dohle_protocol::records::metadata::{
    config_record::ConfigRecord, partition_change_record::PartitionChangeRecord,
    remove_topic_record::RemoveTopicRecord,
};
use dohle_records::{DECOMPRESSED_SIZE_MAX, split_batches};

use crate::{
    kit::{make_topic, no_topics},
    partition::Partition,
};

/// The only partition of each topic.
pub(super) const INDEX: PartitionId = PartitionId(0);
/// This node.
const SELF: BrokerId = BrokerId(1);

/// All that was told, and the metadata, which is committed elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) metadata: MetadataState,
    pub(super) topics: BTreeMap<TopicId, Topic>,
    /// What was wrong already while the node ran.
    pub(super) complaint: Option<String>,
    /// How many records were sent.
    count: u64,
}

/// What was told of a topic's records.
#[derive(Clone, Debug, Default)]
pub(super) struct Topic {
    /// The keys and values that were sent and may lie at an offset.
    sent: BTreeMap<Offset, BTreeSet<Record>>,
    /// Those that were acknowledged, or read by a consumer.
    acked: BTreeMap<Offset, Record>,
    /// Up to where records were deleted for sure.
    deleted: Offset,
    /// Up to where they may have been: by whoever waits for the answer, or because they are old.
    may_be_deleted: Offset,
    /// Up to where what was acknowledged has to survive a power cut, with all that lies before.
    durable: Offset,
    /// Whether of each key only the newest record is wanted.
    is_compacted: bool,
    /// Whether what is written is acknowledged at once.
    is_os: bool,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// In which it was sent.
    pub(super) epoch: LeaderEpoch,
}

/// The setting that says when records are acknowledged.
pub(super) const DURABILITY: &str = "dohle.durability";

impl Default for Told {
    fn default() -> Self {
        Self { metadata: no_topics(), topics: BTreeMap::new(), complaint: None, count: 0 }
    }
}

impl Told {
    /// Another one for each record.
    pub(super) fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn commit(&mut self, record: MetadataRecord) {
        self.metadata.apply(&record).unwrap();
    }

    /// A topic is made, in the first directory.
    pub(super) fn create(&mut self, name: &str, configs: &[(&str, &str)]) {
        let topic_id = TopicId(Uuid(100 + self.topics.len() as u128));
        let is_compacted = configs.contains(&("cleanup.policy", "compact"));
        self.topics.insert(topic_id, Topic { is_compacted, ..Topic::default() });
        make_topic(&mut self.metadata, name, topic_id, 1, Uuid(7));
        configs.iter().for_each(|(key, value)| self.configure(name, key, value));
    }

    /// A topic has another setting.
    pub(super) fn configure(&mut self, name: &str, key: &str, value: &str) {
        if key == DURABILITY {
            let id = self.id(name);
            self.topic(id).is_os = value == "os";
        }
        self.commit(MetadataRecord::Config(ConfigRecord {
            resource_type: 2,
            resource_name: name.into(),
            name: key.into(),
            value: Some(value.into()),
        }));
    }

    pub(super) fn delete(&mut self, name: &str) {
        let topic_id = self.id(name);
        self.commit(MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }));
    }

    /// The controller takes the directory of a partition.
    pub(super) fn assign(&mut self, topic_id: TopicId, directory: Uuid) {
        self.commit(MetadataRecord::PartitionChange(PartitionChangeRecord {
            partition_id: INDEX,
            topic_id,
            directories: Some(vec![directory]),
            ..PartitionChangeRecord::default()
        }));
    }

    /// This node leads the partition from now on, in a leader epoch of its own, or nobody does.
    pub(super) fn lead(&mut self, name: &str, is_led: bool) {
        let leader = if is_led { SELF } else { BrokerId::NONE };
        self.commit(MetadataRecord::PartitionChange(PartitionChangeRecord {
            partition_id: INDEX,
            topic_id: self.id(name),
            leader,
            ..PartitionChangeRecord::default()
        }));
    }

    /// Nobody is in the way of this node any more.
    pub(super) fn lead_all(&mut self) {
        let topics = self.ids().into_iter().filter(|id| !self.is_led(*id));
        let names =
            topics.filter_map(|id| Some(self.metadata.image().topics.get(id)?.name.clone()));
        for name in names.collect::<Vec<_>>() {
            self.lead(&name, true);
        }
    }

    /// Whether this node is to lead the topic's partition.
    pub(super) fn is_led(&self, id: TopicId) -> bool {
        let topic = self.metadata.image().topics.get(id);
        topic.is_some_and(|topic| topic.partitions[&INDEX].leader == SELF)
    }

    /// The leader epoch of the topic's partition.
    pub(super) fn epoch(&self, id: TopicId) -> LeaderEpoch {
        self.metadata.image().topics.get(id).expect("it was made").partitions[&INDEX].leader_epoch
    }

    /// The topic that has the name now.
    pub(super) fn id(&self, name: &str) -> TopicId {
        self.metadata.image().topics.named(name).expect("it was made").id
    }

    /// The ids of all topics that there are.
    pub(super) fn ids(&self) -> Vec<TopicId> {
        let topics = &self.metadata.image().topics;
        self.topics.keys().copied().filter(|id| topics.get(*id).is_some()).collect()
    }

    pub(super) fn topic(&mut self, id: TopicId) -> &mut Topic {
        self.topics.get_mut(&id).expect("it was made")
    }
}

impl Topic {
    pub(super) fn sent(&mut self, at: Offset, record: Record) {
        self.sent.entry(at).or_default().insert(record);
    }

    pub(super) fn acked(&mut self, at: Offset, record: Record) {
        self.acked.insert(at, record);
        if !self.is_os {
            self.durable = self.durable.max(at.next());
        }
    }

    /// All that was acknowledged is on the disk.
    pub(super) fn flushed(&mut self) {
        let end = self.acked.last_key_value().map(|(at, _)| at.next());
        self.durable = self.durable.max(end.unwrap_or_default());
    }

    /// Whether all that was acknowledged has to survive a power cut.
    pub(super) fn is_durable(&self) -> bool {
        self.acked.range(self.durable..).next().is_none()
    }

    /// The power was off: what did not have to survive that counts as far as it is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn take_loss(&mut self, partition: &Partition) -> Result<(), String> {
        let end = read(partition)?.1.last_key_value().map_or(Offset::ZERO, |(at, _)| at.next());
        self.acked.retain(|at, _| *at < end.max(self.durable));
        Ok(())
    }

    pub(super) fn may_be_deleted(&mut self, to: Offset) {
        self.may_be_deleted = self.may_be_deleted.max(to);
    }

    pub(super) fn deleted(&mut self, to: Offset) {
        self.deleted = self.deleted.max(to);
    }

    /// A consumer reads all that it is given.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn read(&mut self, partition: &Partition) -> Result<(), String> {
        read(partition)?.1.into_iter().for_each(|(at, record)| self.acked(at, record));
        Ok(())
    }

    /// Whether a partition that is served has what was told.
    ///
    /// # Errors
    /// What it has not, or has and should not.
    pub(super) fn check(&self, partition: &Partition) -> Result<(), String> {
        let (start, found) = read(partition)?;
        if start < self.deleted || start > self.deleted.max(self.may_be_deleted) {
            let Self { deleted, may_be_deleted, .. } = self;
            return Err(format!(
                "{partition} starts at {start}, was deleted up to {deleted}, perhaps {may_be_deleted}"
            ));
        }
        for (at, record) in &found {
            if !self.sent.get(at).is_some_and(|sent| sent.contains(record)) {
                return Err(format!("{partition} has {record} at {at}, which nobody sent"));
            }
        }
        self.check_epochs(partition, &found)?;
        for (at, record) in self.acked.range(start..) {
            let is_newer =
                |(later, other): (&Offset, &Record)| later > at && other.key == record.key;
            let has_newer = self.is_compacted && found.iter().any(is_newer);
            if found.get(at) != Some(record) && !has_newer {
                return Err(format!("{partition} has lost {record} at {at}"));
            }
        }
        Ok(())
    }

    /// Whether a follower or a consumer is told the leader epochs in which records were sent. Not of those whose
    /// deletion was on its way: their epochs may be gone before they are.
    fn check_epochs(
        &self,
        partition: &Partition,
        found: &BTreeMap<Offset, Record>,
    ) -> Result<(), String> {
        let offline = |code| format!("{partition} is offline: {code:?}");
        let epoch_of = |at| partition.with_leader(|leader| leader.log().epoch_of(at));
        for (at, record) in found.range(self.may_be_deleted..) {
            let told = epoch_of(*at).map_err(offline)?;
            if told != record.epoch {
                return Err(format!("{partition} tells epoch {told} of {record} at {at}"));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What large ones are filled with tells nothing.
        let value = String::from_utf8_lossy(&self.value);
        write!(f, "{} in epoch {}", value.trim_end(), self.epoch)
    }
}

/// Where a partition starts, and what a consumer is given of it.
fn read(partition: &Partition) -> Result<(Offset, BTreeMap<Offset, Record>), String> {
    let offline = |code| format!("{partition} is offline: {code:?}");
    let standing = partition.with_leader(|leader| leader.standing()).map_err(offline)?;
    let (mut from, mut found) = (standing.log_start, BTreeMap::new());
    while from < standing.high_watermark {
        let (up_to, size_max) = (standing.high_watermark, usize::MAX);
        let range = ReadRange { from, up_to, size_max, at_least_one: true };
        let read = partition.with_leader(|leader| leader.log_mut().read(range)).map_err(offline)?;
        let unread = |error: &dyn std::fmt::Display| format!("{partition} at {from}: {error}");
        let Some(slice) = read.map_err(|error| unread(&error))? else { break };
        let bytes = slice.read().map_err(|error| unread(&error))?;
        for batch in split_batches(&bytes).map_err(|error| unread(&error))? {
            from = batch.view().next_offset();
            let epoch = batch.view().partition_leader_epoch();
            let records = batch.view().decompress(DECOMPRESSED_SIZE_MAX).unwrap();
            for record in records.records().map(Result::unwrap) {
                let part = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
                if record.offset >= standing.log_start {
                    let (key, value) = (part(record.key), part(record.value));
                    found.insert(record.offset, Record { key, value, epoch });
                }
            }
        }
    }
    Ok((standing.log_start, found))
}
