//! Reads back and compares: the other side.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use dohle_client::{
    Admin, Consumer, ConsumerConfig, ConsumerRecord, IsolationLevel, Offset, OffsetReset,
    OffsetSpec, SeekTo, TopicPartition,
};

use crate::{
    ledger::{Acknowledged, Ledger, RecordId},
    load::{TOPIC, client_config},
    purges::Purges,
    short::KEPT_RECORDS,
};

/// How long nothing may come from a node that serves.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How far before the end of the last look the next one begins: more than is ever unsynced here.
const OVERLAP: i64 = 3_000;
/// Findings of a kind to tell; the rest are counted.
const TOLD_MAX: usize = 5;

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What came since the last look, and some of what came before.
    Tail,
    Whole,
}

/// What takes old records away while they are read.
pub(crate) enum Removal {
    Nothing,
    Retention,
    Purges(Arc<Purges>),
}

/// What was read so far, which must stay so.
pub(crate) struct Judge {
    ledger: Arc<Ledger>,
    address: String,
    seen: Vec<BTreeMap<i64, RecordId>>,
    places: HashMap<RecordId, (i32, i64)>,
    pub(crate) removal: Removal,
    /// The partitions that cannot be read at the moment.
    pub(crate) offline: BTreeSet<i32>,
    /// How long nothing may come.
    pub(crate) silence_max: Duration,
    /// Records that were read, those that were read again included.
    pub(crate) records_read: u64,
}

/// What is wrong.
#[derive(Default)]
pub(crate) struct Findings {
    told: Vec<String>,
    count: usize,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: String) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(finding);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn extend(&mut self, others: Self) {
        let untold = others.count - others.told.len();
        others.told.into_iter().for_each(|finding| self.add(finding));
        self.count += untold;
    }

    /// Whether there are no others than those with this word in them.
    pub(crate) fn are_all(&self, word: &str) -> bool {
        self.count == self.told.len() && self.told.iter().all(|finding| finding.contains(word))
    }
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} findings:\n  {}", self.count, self.told.join("\n  "))
    }
}

impl Judge {
    pub(crate) fn new(ledger: &Arc<Ledger>, address: &str) -> Self {
        let seen = (0..ledger.partitions()).map(|_| BTreeMap::new()).collect();
        let ledger = Arc::clone(ledger);
        Self {
            ledger,
            address: address.to_owned(),
            seen,
            places: HashMap::new(),
            removal: Removal::Nothing,
            offline: BTreeSet::new(),
            silence_max: SILENCE_MAX,
            records_read: 0,
        }
    }

    /// Reads and compares.
    ///
    /// # Errors
    /// The node cannot be asked.
    pub(crate) async fn look(&mut self, reach: Reach) -> Result<Findings> {
        // First: whatever was acknowledged by now must be there.
        let acknowledged = self.ledger.acknowledged();
        let deleted = match &self.removal {
            Removal::Purges(purges) => purges.told(),
            Removal::Nothing | Removal::Retention => Vec::new(),
        };
        let ends = self.offsets(OffsetSpec::Latest).await?;
        let wanted = self.seen.iter().map(|seen| {
            let end = seen.last_key_value().map_or(0, |(offset, _)| offset + 1);
            if reach == Reach::Tail { (end - OVERLAP).max(0) } else { 0 }
        });
        let wanted = wanted.collect::<Vec<_>>();
        let mut findings = Findings::default();
        acknowledged.conflicts.iter().for_each(|conflict| findings.add(conflict.clone()));
        let mut starts = self.starts(wanted).await?;
        let found = self.read(&starts, &ends, &mut findings).await?;
        if self.is_shortened() {
            // What was removed while it was read may have been met or not.
            starts = self.starts(starts).await?;
            if let Removal::Purges(purges) = &self.removal {
                let earliest = self.offsets(OffsetSpec::Earliest).await?;
                purges.check(&deleted, &earliest, &mut findings);
            } else {
                check_kept(&starts, &self.offsets(OffsetSpec::Latest).await?, &mut findings);
            }
            check_whole(&starts, &ends, &found, &mut findings);
        }
        for (partition, found) in found.iter().enumerate() {
            if self.offline.contains(&(partition as i32)) {
                continue;
            }
            let start = starts[partition];
            let told = [("acknowledged", &acknowledged.by_offset), ("read before", &self.seen)];
            for (how, told) in told {
                compare(how, partition, told[partition].range(start..), found, &mut findings);
            }
        }
        self.remember(found, &mut findings);
        if reach == Reach::Whole && !self.is_shortened() && self.offline.is_empty() {
            self.check_somewhere(&acknowledged, &mut findings);
        }
        Ok(findings)
    }

    fn is_shortened(&self) -> bool {
        !matches!(self.removal, Removal::Nothing)
    }

    /// From where on to look: `wanted`, or where the partition starts by now.
    async fn starts(&self, wanted: Vec<i64>) -> Result<Vec<i64>> {
        if !self.is_shortened() {
            return Ok(wanted);
        }
        let starts = self.offsets(OffsetSpec::Earliest).await?;
        Ok(wanted.into_iter().zip(starts).map(|(wanted, start)| wanted.max(start)).collect())
    }

    /// Where the partitions begin or end for consumers; 0 of those that are offline.
    async fn offsets(&self, spec: OffsetSpec) -> Result<Vec<i64>> {
        let admin = Admin::new(client_config(&self.address)?)?;
        let partition = |index| (TopicPartition::new(TOPIC, index), spec);
        let online = (0..self.ledger.partitions()).filter(|index| !self.offline.contains(index));
        let asked = online.map(partition).collect();
        let listed = admin.list_offsets(&asked, IsolationLevel::ReadUncommitted).await?;
        let mut offsets = vec![0; self.seen.len()];
        for (partition, listed) in listed {
            let listed = listed.map_err(|code| anyhow::anyhow!("{partition}: {code:?}"))?;
            offsets[partition.partition.0 as usize] = listed.offset.context("an offset")?.0;
        }
        Ok(offsets)
    }

    async fn read(
        &mut self,
        starts: &[i64],
        ends: &[i64],
        findings: &mut Findings,
    ) -> Result<Vec<BTreeMap<i64, RecordId>>> {
        let config = ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            max_poll_records: 5_000,
            ..ConsumerConfig::new(client_config(&self.address)?)
        };
        let mut consumer = Consumer::new(config)?;
        let partition = |index: usize| TopicPartition::new(TOPIC, index as i32);
        let wanted = (0..ends.len()).filter(|index| starts[*index] < ends[*index]);
        let wanted = wanted.collect::<Vec<_>>();
        consumer.assign(wanted.iter().map(|index| partition(*index))).await;
        for index in &wanted {
            consumer.seek(&partition(*index), SeekTo::Offset(Offset(starts[*index]))).await;
        }
        let mut next = starts.to_vec();
        let mut found = vec![BTreeMap::new(); ends.len()];
        while wanted.iter().any(|index| next[*index] < ends[*index]) {
            let records = consumer.poll(self.silence_max).await?;
            if records.is_empty() {
                findings
                    .add(format!("nothing comes behind offsets {next:?}, the ends are {ends:?}"));
                break;
            }
            for record in records {
                self.take(&record, &mut next, &mut found, findings);
            }
        }
        consumer.close().await;
        Ok(found)
    }

    fn take(
        &mut self,
        record: &ConsumerRecord,
        next: &mut [i64],
        found: &mut [BTreeMap<i64, RecordId>],
        findings: &mut Findings,
    ) {
        let (partition, offset) = (record.partition.0, record.offset.0);
        let index = partition as usize;
        // If old records go faster than the reader, it goes on where the partition starts: see `check_whole`.
        if offset != next[index] && !(self.is_shortened() && offset > next[index]) {
            findings.add(format!("{TOPIC}-{partition}: offset {offset} comes at {}", next[index]));
        }
        next[index] = offset + 1;
        self.records_read += 1;
        match self.ledger.recognize(partition, record.value.as_deref().unwrap_or_default()) {
            Ok(id) => {
                found[index].insert(offset, id);
            }
            Err(why) => findings.add(format!("{TOPIC}-{partition} at {offset}: {why}")),
        }
    }

    /// Takes in what was read: it must not be anywhere else.
    fn remember(&mut self, found: Vec<BTreeMap<i64, RecordId>>, findings: &mut Findings) {
        for (index, found) in found.into_iter().enumerate() {
            for (offset, id) in found {
                let place = (index as i32, offset);
                match self.places.insert(id, place) {
                    Some(other) if other != place => {
                        findings.add(format!("record {id} is at {other:?} and at {place:?}"));
                    }
                    _ => {
                        self.seen[index].insert(offset, id);
                    }
                }
            }
        }
    }

    fn check_somewhere(&self, acknowledged: &Acknowledged, findings: &mut Findings) {
        for id in acknowledged.somewhere.iter().filter(|id| !self.places.contains_key(id)) {
            findings.add(format!("record {id} was acknowledged, and is nowhere"));
        }
    }
}

/// No more was removed than may be. The ends were asked for after the starts.
fn check_kept(starts: &[i64], ends: &[i64], findings: &mut Findings) {
    for (partition, (start, end)) in starts.iter().zip(ends).enumerate() {
        if *start > 0 && start + KEPT_RECORDS > *end {
            findings.add(format!("{TOPIC}-{partition} starts at {start} and ends at {end}"));
        }
    }
}

/// From where the partitions start by now nothing is missing.
fn check_whole(
    starts: &[i64],
    ends: &[i64],
    found: &[BTreeMap<i64, RecordId>],
    findings: &mut Findings,
) {
    for (partition, found) in found.iter().enumerate() {
        let wanted = starts[partition]..ends[partition];
        if let Some(lost) = wanted.clone().find(|offset| !found.contains_key(offset)) {
            findings.add(format!("{TOPIC}-{partition} at {lost}: nothing, of {wanted:?}"));
        }
    }
}

/// Whether all that was told is there.
fn compare<'a>(
    how: &str,
    partition: usize,
    told: impl Iterator<Item = (&'a i64, &'a RecordId)>,
    found: &BTreeMap<i64, RecordId>,
    findings: &mut Findings,
) {
    for (offset, id) in told {
        match found.get(offset) {
            Some(there) if there == id => {}
            Some(other) => findings.add(format!(
                "{TOPIC}-{partition} at {offset}: record {other}, record {id} was {how}"
            )),
            None => findings
                .add(format!("{TOPIC}-{partition} at {offset}: nothing, record {id} was {how}")),
        }
    }
}
