//! What lies in the directory besides the ledger's records: a compacted topic, one whose first records
//! were deleted, one with an aborted transaction, and a group's offset.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dohle_base::{ProducerEpoch, ProducerId, Timestamp};
use dohle_client::{
    Admin, ClientConfig, CommittedOffset, Consumer, ConsumerConfig, IsolationLevel, Offset,
    OffsetReset, OffsetSpec, Producer, ProducerConfig, ProducerRecord, SeekTo, Str, TopicPartition,
};
use dohle_records::{BatchBuilder, BatchSpec, EndTxnMarker, NewRecord, Producer as Writer};

use super::kinds::by_kind;
use crate::{judge::Findings, load::client_config, rounds::make_topic_with};

const COMPACTED: &str = "compacted";
const PURGED: &str = "purged";
const ABORTED: &str = "aborted";
const TOPICS: [&str; 3] = [COMPACTED, PURGED, ABORTED];
/// The topics, and of how many partitions they are.
pub(super) const ONE_EACH: [(&str, i32); 3] = [(COMPACTED, 1), (PURGED, 1), (ABORTED, 1)];
const GROUP: &str = "bytes";
const COMMITTED: i64 = 17;
/// Records of `PURGED`, and how many of them are deleted.
const WRITTEN: usize = 60;
const DELETED: i64 = 40;
const KEYS: usize = 20;
/// How long the node may take to clean, to write a checkpoint or to make a segment's files.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client tries what may be impossible: a node that serves here answers in milliseconds.
pub(super) const TRIED: Duration = Duration::from_secs(6);
/// The same for what the node serves: all that it waits for is a disk.
const SERVED: Duration = Duration::from_secs(30);

/// A record, without its time.
type Seen = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// What was there before the damage.
pub(super) struct Witness {
    address: String,
    /// By topic, in the order of offsets.
    records: BTreeMap<&'static str, Vec<Seen>>,
}

/// Clients that do not wait long for what may not come.
pub(super) fn brief_config(address: &str) -> Result<ClientConfig> {
    Ok(ClientConfig { request_timeout: TRIED, api_timeout: TRIED, ..client_config(address)? })
}

/// Settings with which a small directory has all kinds of files.
pub(super) const OVERRIDES: [&str; 2] =
    ["log.cleaner.backoff.ms=50", "metadata.log.max.record.bytes.between.snapshots=500"];

/// So many segments of a few records.
pub(super) const SMALL_SEGMENTS: (&str, &str) = ("internal.segment.bytes", "16384");

/// Writes what is there besides the ledger's records, but for the transaction.
pub(super) async fn write(address: &str, data: &Path) -> Result<()> {
    let compact =
        [SMALL_SEGMENTS, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")];
    make_topic_with(address, COMPACTED, 1, &compact).await?;
    make_topic_with(address, PURGED, 1, &[SMALL_SEGMENTS]).await?;
    make_topic_with(address, ABORTED, 1, &[]).await?;
    let producer = Producer::new(ProducerConfig::new(client_config(address)?))?;
    let send = async |topic, key: usize, filling: usize| {
        let record = ProducerRecord::new(topic, vec![b'v'; filling]).with_partition(0);
        let delivery = producer.send(record.with_key(format!("key {key}"))).await?;
        delivery.await.with_context(|| format!("{topic}: a record")).map(drop)
    };
    for round in 0..30 {
        for key in 0..KEYS {
            send(COMPACTED, key, 100 + round).await?;
        }
    }
    for index in 0..WRITTEN {
        send(PURGED, index, 900).await?;
    }
    for index in 0..3 {
        send(ABORTED, index, 10).await?;
    }
    producer.close().await;
    let admin = Admin::new(client_config(address)?)?;
    let before = BTreeMap::from([(TopicPartition::new(PURGED, 0), Offset(DELETED))]);
    for (_, deleted) in admin.delete_records(&before).await? {
        deleted.map_err(|code| anyhow::anyhow!("records deleted: {code:?}"))?;
    }
    commit(address).await?;
    for (file, topic) in
        [("cleaner-offset-checkpoint", COMPACTED), ("log-start-offset-checkpoint", PURGED)]
    {
        let entry = format!("{topic} 0 ");
        let is_there =
            || fs::read_to_string(data.join(file)).is_ok_and(|text| text.contains(&entry));
        wait(file, is_there).await?;
    }
    let snapshot =
        || by_kind(data).is_ok_and(|found| found.contains_key("__cluster_metadata .checkpoint"));
    wait("a metadata snapshot", snapshot).await
}

async fn commit(address: &str) -> Result<()> {
    let config = ConsumerConfig {
        group_id: Some(GROUP.into()),
        ..ConsumerConfig::new(client_config(address)?)
    };
    let mut consumer = Consumer::new(config)?;
    let partition = TopicPartition::new(PURGED, 0);
    consumer.assign([partition.clone()]).await;
    let committed = CommittedOffset::new(Offset(COMMITTED));
    consumer.commit_offsets(BTreeMap::from([(partition, committed)])).await?;
    consumer.close().await;
    Ok(())
}

async fn wait(what: &str, is_there: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_there() {
        ensure!(begun.elapsed() < PATIENCE, "vacuous: no {what} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Writes an aborted transaction behind a log, as Kafka does that is killed later. The node is down.
pub(super) fn plant_transaction(data: &Path) -> Result<()> {
    let dir = data.join(format!("{ABORTED}-0"));
    let path = dir.join(format!("{:020}.log", 0));
    let (id, epoch, now) = (ProducerId(4_000), ProducerEpoch(0), Timestamp(1_700_000_000_000));
    let mut batch = BatchBuilder::new(BatchSpec {
        producer: Writer { id, epoch, base_sequence: 0 },
        transactional: true,
        ..BatchSpec::default()
    });
    for _ in 0..2 {
        let value = Some(&b"aborted"[..]);
        batch.append(&NewRecord { timestamp: now, value, ..NewRecord::default() })?;
    }
    let marker = EndTxnMarker { committed: false, coordinator_epoch: 0 };
    let mut file = OpenOptions::new().append(true).open(&path)?;
    for (offset, bytes) in [(3, batch.finish()), (5, marker.batch(id, epoch, now))] {
        let mut bytes = bytes.to_vec();
        bytes[..8].copy_from_slice(&i64::to_be_bytes(offset));
        bytes[12..16].copy_from_slice(&i32::to_be_bytes(0));
        file.write_all(&bytes)?;
    }
    fs::remove_file(data.join(".kafka_cleanshutdown")).context("the node was to stop clean")?;
    Ok(())
}

impl Witness {
    /// Notes what is there now.
    pub(super) async fn of(address: &str) -> Result<Self> {
        let mut witness = Self { address: address.to_owned(), records: BTreeMap::new() };
        for topic in TOPICS {
            let seen = witness.read(topic).await.with_context(|| topic.to_owned())?;
            witness.records.insert(topic, seen);
        }
        let [compacted, purged, aborted] = TOPICS.map(|topic| witness.records[topic].len());
        let keys = witness.newest(&witness.records[COMPACTED]).len();
        ensure!(keys == KEYS, "{keys} of {KEYS} keys are left of {compacted} records");
        ensure!(purged == WRITTEN - DELETED as usize, "{purged} records are left");
        ensure!(aborted == 3, "an aborted transaction is shown: {aborted} records");
        Ok(witness)
    }

    /// What is not as it was.
    pub(super) async fn look(&self) -> Findings {
        let mut findings = Findings::default();
        for topic in TOPICS {
            match self.read(topic).await {
                Err(error) => findings.add(format!("{topic}: {error:#}")),
                Ok(seen) if self.is_the_same(topic, &seen) => {}
                Ok(seen) => findings.add(format!(
                    "{topic}: {} records, {} before",
                    seen.len(),
                    self.records[topic].len()
                )),
            }
        }
        if let Err(error) = self.check_committed().await {
            findings.add(format!("group {GROUP}: {error:#}"));
        }
        findings
    }

    fn is_the_same(&self, topic: &str, seen: &[Seen]) -> bool {
        let before = &self.records[topic];
        match topic {
            // It may have been cleaned once more.
            COMPACTED => self.newest(seen) == self.newest(before),
            _ => seen == before,
        }
    }

    fn newest<'a>(&self, seen: &'a [Seen]) -> BTreeMap<&'a [u8], &'a Seen> {
        seen.iter().map(|seen| (seen.1.as_deref().unwrap_or_default(), seen)).collect()
    }

    async fn read(&self, topic: &'static str) -> Result<Vec<Seen>> {
        let admin = Admin::new(brief_config(&self.address)?)?;
        let partition = TopicPartition::new(topic, 0);
        let asked = BTreeMap::from([(partition.clone(), OffsetSpec::Latest)]);
        let listed = admin.list_offsets(&asked, IsolationLevel::ReadCommitted).await?;
        let listed = listed.into_values().next().context("an answer")?;
        let end = listed.map_err(|code| anyhow::anyhow!("its end: {code:?}"))?;
        let end = end.offset.context("an end")?;
        let mut consumer = Consumer::new(ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            isolation_level: IsolationLevel::ReadCommitted,
            ..ConsumerConfig::new(brief_config(&self.address)?)
        })?;
        consumer.assign([partition.clone()]).await;
        consumer.seek(&partition, SeekTo::Beginning).await;
        let mut seen = Vec::new();
        let mut heard = Instant::now();
        while consumer.position(&partition).await.is_none_or(|position| position < end) {
            let records = consumer.poll(Duration::from_millis(200)).await?;
            if !records.is_empty() {
                heard = Instant::now();
            }
            ensure!(heard.elapsed() < TRIED, "nothing comes before offset {end}");
            seen.extend(records.into_iter().map(|record| {
                let bytes = |bytes: Option<bytes::Bytes>| bytes.map(Vec::from);
                (record.offset.0, bytes(record.key), bytes(record.value))
            }));
        }
        consumer.close().await;
        Ok(seen)
    }

    async fn check_committed(&self) -> Result<()> {
        let admin = Admin::new(brief_config(&self.address)?)?;
        let found = admin.list_group_offsets(&Str::from(GROUP), false).await?;
        let found = found.into_values().next().context("nothing is committed")?;
        let found = found.map_err(|code| anyhow::anyhow!("{code:?}"))?.offset.0;
        ensure!(found == COMMITTED, "{found} is committed, {COMMITTED} was");
        Ok(())
    }
}

/// The partitions of a topic that cannot be asked for their end.
pub(crate) async fn offline(address: &str, topic: &str, partitions: i32) -> Result<BTreeSet<i32>> {
    let admin = Admin::new(brief_config(address)?)?;
    let mut offline = BTreeSet::new();
    for index in 0..partitions {
        let asked = BTreeMap::from([(TopicPartition::new(topic, index), OffsetSpec::Latest)]);
        let listed = admin.list_offsets(&asked, IsolationLevel::ReadUncommitted).await?;
        if listed.into_values().any(|listed| listed.is_err()) {
            offline.insert(index);
        }
    }
    Ok(offline)
}

/// Appends to each of these partitions, and reads it back.
pub(super) async fn append(
    address: &str,
    partitions: impl Iterator<Item = (&'static str, i32)>,
    findings: &mut Findings,
) -> Result<u32> {
    let mut appended = 0;
    for (topic, index) in partitions {
        match append_to(address, topic, index).await {
            Ok(()) => appended += 1,
            Err(error) => findings.add(format!("{topic}-{index} takes no record: {error:#}")),
        }
    }
    Ok(appended)
}

async fn append_to(address: &str, topic: &str, index: i32) -> Result<()> {
    let producer = Producer::new(ProducerConfig {
        delivery_timeout: SERVED,
        linger: Duration::ZERO,
        ..ProducerConfig::new(ClientConfig {
            request_timeout: SERVED / 2,
            ..brief_config(address)?
        })
    })?;
    let value = "behind the damage";
    let record = ProducerRecord::new(topic, value).with_key("behind").with_partition(index);
    let delivered = producer.send(record).await?.await?;
    producer.close().await;
    let offset = delivered.offset.context("an offset")?;
    let mut consumer = Consumer::new(ConsumerConfig::new(brief_config(address)?))?;
    let partition = TopicPartition::new(topic, index);
    consumer.assign([partition.clone()]).await;
    consumer.seek(&partition, SeekTo::Offset(offset)).await;
    let records = consumer.poll(SERVED).await?;
    consumer.close().await;
    let first = records.first().context("nothing is read back")?;
    ensure!(first.offset == offset, "offset {} is read at {offset}", first.offset);
    ensure!(first.value.as_deref() == Some(value.as_bytes()), "other bytes are read at {offset}");
    Ok(())
}
