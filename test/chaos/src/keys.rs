//! A compacted topic: values of keys that are written anew and deleted all the time while it is
//! compacted.
//!
//! Nothing is sent from before an outage until all was read after it, so the newest value of nearly
//! every key is one that was acknowledged before the outage; what had no answer then is acknowledged
//! by the time it is read. So each key has the newest value that was sent, or, if that deletes it, none; and
//! where the node says that it has compacted, it has one value of each at most.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use dohle_base::Rng;
use dohle_client::{
    Admin, Consumer, ConsumerConfig, ConsumerRecord, Delivery, IsolationLevel, Offset, OffsetReset,
    OffsetSpec, Producer, ProducerConfig, ProducerRecord, SeekTo, TopicPartition,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use crate::{judge::Findings, load::client_config};

/// The compacted topic.
pub(crate) const TOPIC: &str = "keys";
pub(crate) const PARTITIONS: i32 = 2;
const KEYS: u32 = 400;
/// Records without an outcome: few beside the keys, for of those that have one an outage may take
/// another one unnoticed.
const IN_FLIGHT_MAX: u32 = 60;
/// One in so many deletes its key.
const DELETES: u64 = 4;
const FILLING_MAX: u64 = 300;
/// How long nothing may come from a node that serves, nor an outcome.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const VERSION: &str = "version";
/// Where a node notes up to where it has compacted: a version, a count, and a line for each partition.
const CHECKPOINT: &str = "cleaner-offset-checkpoint";

/// The topic's settings: what was deleted is forgotten at the next opportunity.
pub(crate) const TOPIC_CONFIG: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("internal.segment.bytes", "16384"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "0"),
];

/// The node's: there is always something to compact.
pub(crate) const OVERRIDES: [&str; 1] = ["log.cleaner.backoff.ms=5"];

/// Someone who writes keys.
pub(crate) struct Keys {
    seed: u64,
    address: String,
    told: Arc<Mutex<Told>>,
    /// Who has it may send.
    gate: Arc<Semaphore>,
    window: Arc<Semaphore>,
    task: JoinHandle<Result<()>>,
}

/// By key, what was sent and what was answered.
#[derive(Default)]
struct Told {
    /// The newest version of a key; versions count from 1.
    sent: HashMap<u32, u64>,
    offsets: HashMap<(u32, u64), i64>,
    /// What went wrong with records that should have been delivered.
    refused: Vec<String>,
}

impl Keys {
    /// Sets a producer to work, on a topic that is there.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn start(address: &str, seed: u64, patience: Duration) -> Result<Self> {
        let config = ProducerConfig {
            delivery_timeout: patience,
            linger: Duration::from_millis(1),
            enable_idempotence: true,
            retries: u32::MAX,
            ..ProducerConfig::new(client_config(address)?)
        };
        let told = Arc::<Mutex<Told>>::default();
        let gate = Arc::new(Semaphore::new(1));
        let window = Arc::new(Semaphore::new(IN_FLIGHT_MAX as usize));
        let producer = Producer::new(config)?;
        let (ours, doors) = (Arc::clone(&told), (Arc::clone(&gate), Arc::clone(&window)));
        let task = tokio::spawn(work(ours, doors, producer, seed));
        Ok(Self { seed, address: address.to_owned(), told, gate, window, task })
    }

    /// Nothing is sent until what this gives is dropped.
    pub(crate) async fn hold(&self) -> Result<OwnedSemaphorePermit> {
        ensure!(!self.task.is_finished(), "the producer of keys has given up");
        Ok(Arc::clone(&self.gate).acquire_owned().await?)
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    /// Waits for all answers, and reads everything, while nothing is sent. `data` are the node's directories.
    pub(crate) async fn look(&self, data: &[PathBuf], findings: &mut Findings) -> Result<()> {
        // First: it may be compacted while it is read.
        let compacted = compacted(data);
        let drained = self.window.acquire_many(IN_FLIGHT_MAX);
        let drained = tokio::time::timeout(SILENCE_MAX, drained).await;
        let _drained = drained.context("records of keys get no answer")??;
        let records = self.read(findings).await?;
        lock(&self.told).check(self.seed, &records, findings);
        check_compacted(&compacted, &records, findings);
        Ok(())
    }

    async fn read(&self, findings: &mut Findings) -> Result<Vec<ConsumerRecord>> {
        let admin = Admin::new(client_config(&self.address)?)?;
        let partitions = (0..PARTITIONS).map(|index| TopicPartition::new(TOPIC, index));
        let partitions: Vec<_> = partitions.collect();
        let asked = partitions.iter().map(|one| (one.clone(), OffsetSpec::Latest)).collect();
        let mut ends = BTreeMap::new();
        for (partition, end) in admin.list_offsets(&asked, IsolationLevel::ReadUncommitted).await? {
            let end = end.map_err(|code| anyhow::anyhow!("{partition}: {code:?}"))?;
            ends.insert(partition, end.offset.context("an offset")?);
        }
        let config = ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            max_poll_records: 5_000,
            ..ConsumerConfig::new(client_config(&self.address)?)
        };
        let mut consumer = Consumer::new(config)?;
        consumer.assign(partitions.iter().cloned()).await;
        for partition in &partitions {
            consumer.seek(partition, SeekTo::Offset(Offset(0))).await;
        }
        let (mut records, mut begun) = (Vec::new(), Instant::now());
        loop {
            // The last records may be gone: where the reader is counts.
            let mut is_whole = true;
            for partition in &partitions {
                let at = consumer.position(partition).await.unwrap_or_default();
                is_whole &= at >= ends[partition];
            }
            if is_whole {
                break;
            }
            let polled = consumer.poll(Duration::from_millis(50)).await?;
            if !polled.is_empty() {
                begun = Instant::now();
            }
            records.extend(polled);
            if begun.elapsed() > SILENCE_MAX {
                findings.add(format!("{TOPIC}: nothing comes any more, the ends are {ends:?}"));
                break;
            }
        }
        consumer.close().await;
        Ok(records)
    }
}

impl Told {
    /// Compares with all that the topic has.
    fn check(&self, seed: u64, records: &[ConsumerRecord], findings: &mut Findings) {
        let mut newest = BTreeMap::new();
        records.iter().for_each(|record| self.take(seed, record, &mut newest, findings));
        self.refused.iter().for_each(|why| findings.add(format!("{TOPIC}: {why}")));
        for (key, sent) in &self.sent {
            let found = newest.get(key).copied();
            let is_forgotten = found.is_none() && value_of(seed, *key, *sent).is_none();
            if found != Some(*sent) && !is_forgotten {
                findings.add(format!(
                    "{TOPIC}: key {key} has version {found:?}, the newest is {sent}, at {:?}",
                    self.offsets.get(&(*key, *sent))
                ));
            }
        }
    }

    /// Checks one record, and takes it for the newest of its key so far.
    fn take(
        &self,
        seed: u64,
        record: &ConsumerRecord,
        newest: &mut BTreeMap<u32, u64>,
        findings: &mut Findings,
    ) {
        let place = format!("{TOPIC}-{} at {}", record.partition.0, record.offset.0);
        let Some((key, version)) = recognize(record) else {
            return findings.add(format!("{place}: nobody sent it"));
        };
        if self.sent.get(&key).is_none_or(|sent| version > *sent)
            || record.partition.0 != partition_of(key)
            || record.value != value_of(seed, key, version)
        {
            findings.add(format!("{place}: not what was sent as version {version} of key {key}"));
        }
        if let Some(offset) = self.offsets.get(&(key, version))
            && *offset != record.offset.0
        {
            findings.add(format!("{place}: version {version} of key {key} was told at {offset}"));
        }
        if let Some(before) = newest.insert(key, version)
            && before >= version
        {
            findings.add(format!("{place}: version {version} of key {key} behind {before}"));
        }
    }
}

/// Up to where each partition is compacted, of those that are.
type Compacted = BTreeMap<i32, u64>;

/// Up to where the topic is compacted, all partitions together.
pub(crate) fn compacted_to(data: &[PathBuf]) -> u64 {
    compacted(data).values().sum()
}

fn compacted(data: &[PathBuf]) -> Compacted {
    let mut partitions = Compacted::new();
    for dir in data {
        // It is written beside and renamed, and not there at first.
        let text = std::fs::read_to_string(dir.join(CHECKPOINT)).unwrap_or_default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (topic, partition) = (words.next(), words.next());
            let partition = partition.and_then(|partition| partition.parse().ok());
            let offset = words.next().and_then(|offset| offset.parse::<u64>().ok());
            if let (Some(TOPIC), Some(partition), Some(offset)) = (topic, partition, offset) {
                let known = partitions.entry(partition).or_insert(0);
                *known = offset.max(*known);
            }
        }
    }
    partitions
}

/// What is compacted has each key once.
fn check_compacted(compacted: &Compacted, records: &[ConsumerRecord], findings: &mut Findings) {
    let mut met = HashMap::new();
    for record in records {
        let (partition, offset) = (record.partition.0, record.offset.0);
        let to = compacted.get(&partition).copied().unwrap_or(0);
        if u64::try_from(offset).is_ok_and(|offset| offset >= to) {
            continue;
        }
        if let Some(before) = met.insert((partition, record.key.clone()), offset) {
            findings.add(format!(
                "{TOPIC}-{partition}, compacted up to {to}, has a key at {before} and at {offset}"
            ));
        }
    }
}

async fn work(
    told: Arc<Mutex<Told>>,
    (gate, window): (Arc<Semaphore>, Arc<Semaphore>),
    producer: Producer,
    seed: u64,
) -> Result<()> {
    let mut rng = Rng::from_seed(seed ^ 0x4b65_7973);
    for count in 0_u64.. {
        // In this order: who holds the gate waits for all of the window.
        let open = gate.acquire().await?;
        let permit = Arc::clone(&window).acquire_owned().await?;
        let key = rng.below(u64::from(KEYS)) as u32;
        let version = {
            let mut told = lock(&told);
            let version = told.sent.entry(key).or_insert(0);
            *version += 1;
            *version
        };
        let mut record = ProducerRecord::new(TOPIC, Bytes::new())
            .with_key(key.to_be_bytes().to_vec())
            .with_partition(partition_of(key))
            .with_header(VERSION, version.to_be_bytes().to_vec());
        record.value = value_of(seed, key, version);
        let delivery = producer.send(record).await?;
        drop(open);
        let told = Arc::clone(&told);
        tokio::spawn(async move {
            note(&told, (key, version), delivery).await;
            drop(permit);
        });
        if count.is_multiple_of(4) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

async fn note(told: &Mutex<Told>, what: (u32, u64), delivery: Delivery) {
    let outcome = delivery.await;
    let mut told = lock(told);
    match outcome {
        Ok(delivered) => {
            told.offsets.extend(delivered.offset.map(|offset| (what, offset.0)));
        }
        Err(error) => told.refused.push(format!("version {} of key {}: {error}", what.1, what.0)),
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

fn recognize(record: &ConsumerRecord) -> Option<(u32, u64)> {
    let key = record.key.as_deref()?.try_into().ok().map(u32::from_be_bytes)?;
    let header = record.headers.iter().find(|header| &header.key[..] == VERSION.as_bytes())?;
    Some((key, header.value.as_deref()?.try_into().ok().map(u64::from_be_bytes)?))
}

fn partition_of(key: u32) -> i32 {
    (key % PARTITIONS.unsigned_abs()) as i32
}

/// The only value that a version of a key can have: none where it deletes the key.
fn value_of(seed: u64, key: u32, version: u64) -> Option<Bytes> {
    let place = (u64::from(key) << 32) | version;
    let mut rng = Rng::from_seed(seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    if rng.below(DELETES) == 0 {
        return None;
    }
    let mut value = BytesMut::zeroed(rng.below(FILLING_MAX) as usize);
    rng.fill(&mut value);
    Some(value.freeze())
}

#[cfg(test)]
mod tests;
