//! Reads a log as a consumer does, and takes the hash of what it is given.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::Offset;
use dohle_log::{Log, ReadRange, sim::SimDisk};
use dohle_records::{ControlType, DECOMPRESSED_SIZE_MAX, Record, split_batches};
use sha2::{Digest, Sha256};

/// What a consumer wants to see of transactions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    Uncommitted,
    Committed,
}

/// What a consumer saw.
pub(crate) struct RecordHash {
    pub(crate) count: usize,
    first: Option<Offset>,
    last: Option<Offset>,
    hash: Sha256,
}

impl RecordHash {
    /// Reads all of a log, in pieces so small that each look-up is tried.
    pub(crate) fn of(log: &mut Log<SimDisk>, isolation: Isolation) -> Self {
        let end = log.log_end_offset();
        let stable = log.last_stable_offset(end);
        let up_to = if isolation == Isolation::Committed { stable } else { end };
        let mut this = Self { count: 0, first: None, last: None, hash: Sha256::new() };
        let mut next = log.log_start_offset();
        let mut open = BTreeSet::new();
        loop {
            let range = ReadRange { from: next, up_to, size_max: 1_000, at_least_one: true };
            let Some(slice) = log.read(range).unwrap() else { return this };
            let bytes = slice.read().unwrap();
            let mut starts = BTreeMap::<_, Vec<_>>::new();
            if isolation == Isolation::Committed {
                for aborted in log.aborted_transactions(next, up_to).unwrap() {
                    starts.entry(aborted.first_offset).or_default().push(aborted.producer_id);
                }
            }
            for batch in split_batches(&bytes).unwrap() {
                let view = batch.view();
                view.check_crc().unwrap();
                for (_, producers) in starts.extract_if(..=view.last_offset(), |_, _| true) {
                    open.extend(producers);
                }
                let payload = view.decompress(DECOMPRESSED_SIZE_MAX).unwrap();
                let mut records = payload.records().map(Result::unwrap);
                if view.attributes().is_control() {
                    let ends = records.next().map(|record| ControlType::of(&record).unwrap());
                    if ends == Some(ControlType::Abort) {
                        open.remove(&view.producer_id());
                    }
                } else if !(view.attributes().is_transactional()
                    && open.contains(&view.producer_id()))
                {
                    // A batch may begin before what was asked for.
                    records.filter(|record| record.offset >= next).for_each(|r| this.take(&r));
                }
                next = view.next_offset();
            }
        }
    }

    pub(crate) fn first_last(&self) -> String {
        match (self.first, self.last) {
            (Some(first), Some(last)) => format!("{first}..{last}"),
            _ => "-1..-1".to_owned(),
        }
    }

    pub(crate) fn hex(self) -> String {
        hex(&self.hash.finalize())
    }

    fn take(&mut self, record: &Record<'_>) {
        self.count += 1;
        self.first.get_or_insert(record.offset);
        self.last = Some(record.offset);
        self.hash.update(record.offset.0.to_be_bytes());
        self.hash.update(record.timestamp.0.to_be_bytes());
        self.take_bytes(record.key);
        self.take_bytes(record.value);
        self.hash.update((record.headers.len() as i32).to_be_bytes());
        for header in record.headers.iter() {
            self.take_bytes(Some(header.key));
            self.take_bytes(header.value);
        }
    }

    fn take_bytes(&mut self, bytes: Option<&[u8]>) {
        self.hash.update(bytes.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        self.hash.update(bytes.unwrap_or_default());
    }
}

/// The SHA-256 of a file, in hex digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
