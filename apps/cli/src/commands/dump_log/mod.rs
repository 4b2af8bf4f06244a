//! `dohle dump-log`: what is in the files of a log, and `kafka-dump-log`, which is the same with the
//! flags and manners of Kafka's tool.
//!
//! ```text
//! args, kafka_flags   two ways to ask: `Questions`
//! file                one file: by its suffix to one of those below
//!   segment, records, control, decoder      .log .checkpoint
//!   offset_index, time_index                .index .timeindex, compared with their segment
//!   transaction_index, producers            .txnindex .snapshot
//! side_files          one file of those that only we show: by its name
//!   write_ahead                             dohle.wal
//! findings            what was odd, told at the end
//! fault, kafka_faults why a file cannot be shown to its end, in our words and as Kafka's exception
//! ```
//!
//! Lines are Kafka's for both, because people know them and scripts read them. Memory: a batch with
//! its records, a piece of an index, and what is found.

mod args;
mod control;
mod decoder;
mod fault;
mod file;
mod findings;
mod kafka_faults;
mod kafka_flags;
mod offset_index;
mod page;
mod producers;
mod records;
mod segment;
mod side_files;
mod time_index;
mod transaction_index;
mod write_ahead;

use std::path::Path;

use decoder::Decoder;
use fault::Fault;

pub(crate) use args::{DumpLogArgs, run};
pub(crate) use kafka_flags::run_as_kafka;

/// What is wanted of the files, asked for each as it comes, because only then an answer can be
/// wrong.
trait Questions {
    /// Of segments and snapshots.
    fn segment(&self, path: &Path) -> Result<SegmentView, Fault>;
    /// Of indexes.
    fn index(&self, path: &Path) -> Result<IndexView, Fault>;
}

/// What is shown of a segment.
#[derive(Debug)]
struct SegmentView {
    /// Records, not only batches.
    records: bool,
    /// Offsets, sizes and the like of records; and control records.
    metadata: bool,
    /// Keys and values, made readable.
    contents: Option<Decoder>,
    /// How much of a file is read. Behind less than all, bytes that are no batch are no news.
    bytes_max: i32,
}

/// What is done with an index.
#[derive(Clone, Copy, Debug)]
struct IndexView {
    kind: IndexKind,
    /// How far a batch may reach behind the position in an index.
    batch_size_max: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IndexKind {
    /// Its entries are shown and compared with the segment.
    Shown,
    /// They are only compared.
    Compared,
    /// Only what recovery would ask is asked.
    Sanity,
}
