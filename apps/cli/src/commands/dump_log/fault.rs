//! Why a file cannot be shown to its end, in our words.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use dohle_log::{Corruption, DamageReason, IoError, LogError};
use dohle_protocol::json::JsonError;
use dohle_records::{BatchError, ControlError};

/// What ends a dump.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing can be written any more.
    Output(io::Error),
    /// A file cannot be read on.
    File {
        path: PathBuf,
        /// The byte where the trouble begins, if it is within the file.
        position: Option<u64>,
        problem: Problem,
    },
}

/// What is wrong with a file, or with the question.
#[derive(Debug)]
pub(super) enum Problem {
    /// The disk failed.
    Disk(IoError),
    /// There is no batch, or no whole head of one.
    NoBatch(BatchError),
    /// A name that does not begin with an offset.
    NotANumber(String),
    /// The name of a snapshot that is too short to have this part.
    SnapshotName { start: usize, end: usize, length: usize },
    /// A segment that is longer than any position in it can be told.
    TooLong { size: u64 },
    /// A limit below zero.
    NegativeLimit { limit: i32, file_size: u64 },
    /// A format from before all formats.
    Magic(i8),
    /// A batch of a codec that does not exist.
    Codec { id: u8 },
    /// The records of a batch.
    Records { error: BatchError, magic: i8 },
    /// A control record.
    Control(ControlError),
    /// A control record without a part of it.
    ControlValue { part: &'static str },
    /// A control record of the quorum whose value is not what its type says.
    ControlJson(JsonError),
    /// A record without the key that the decoder needs.
    NoKey { offset: i64 },
    /// A key or a value that is not the number that the decoder makes of it.
    NotThatLong { needed: usize, length: usize },
    /// An entry of an index that points out of the segment.
    OutOfSegment { position: i64, file_size: u64, segment: PathBuf },
    /// An entry of an index behind which there is no whole batch.
    NothingThere { position: i64 },
    /// An index of times without its index of offsets.
    NoOffsetIndex,
    /// What a node would find wrong with an index before it trusts it.
    Sanity(String),
    /// An entry of an index of transactions.
    TransactionVersion(i16),
    /// A line of a text file.
    Line { line: usize, reason: &'static str },
    /// What a file says, or the place of a file, in the words of who reads it.
    Text(String),
    /// A class that is written in Java.
    JavaClass(String),
    /// A flag of Kafka's tool is wrong; only its front can say how.
    Flag(crate::kafka::Exception),
}

impl Fault {
    pub(super) fn at(path: &Path, position: Option<u64>, problem: Problem) -> Self {
        Self::File { path: path.to_owned(), position, problem }
    }

    /// What a walk over batches says.
    pub(super) fn of_walk(path: &Path, error: LogError) -> Self {
        let damaged = match error {
            LogError::Io(error) => return Self::at(path, None, Problem::Disk(error)),
            LogError::Corrupt(damaged) => *damaged,
            other => unreachable!("a walk over batches looks at nothing else: {other}"),
        };
        let Corruption { position, reason, .. } = damaged;
        let DamageReason::Batch(error) = reason else {
            unreachable!("a walk over batches compares none with another")
        };
        Self::at(path, Some(position), Problem::NoBatch(error))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(error) => write!(f, "standard output: {error}"),
            Self::File { path, position: None, problem } => {
                write!(f, "{}: {problem}", path.display())
            }
            Self::File { path, position: Some(position), problem } => {
                write!(f, "{} at {position}: {problem}", path.display())
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => write!(f, "{error}"),
            Self::NoBatch(BatchError::BadLength { length, .. }) => {
                write!(f, "no batch has a length of {length}")
            }
            Self::NoBatch(error) => write!(f, "{error}"),
            Self::NotANumber(text) => {
                write!(f, "the name should begin with a number, not '{text}'")
            }
            Self::SnapshotName { .. } => {
                f.write_str("the name should be of the form OFFSET-EPOCH.checkpoint")
            }
            Self::TooLong { size } => write!(f, "{size} bytes are too many for a segment"),
            Self::NegativeLimit { limit, .. } => write!(f, "a limit of {limit} bytes"),
            Self::Magic(magic) => write!(f, "there is no format {magic}"),
            Self::Codec { id } => write!(f, "codec {id} does not exist"),
            Self::Records { error, .. } => write!(f, "the records of the batch: {error}"),
            Self::Control(error) => write!(f, "{error}"),
            Self::ControlValue { part } => write!(f, "{part} of a control record is missing"),
            Self::ControlJson(error) => write!(f, "the value of a control record: {error}"),
            Self::NoKey { offset } => {
                write!(f, "record {offset} has no key, so it is none of this decoder")
            }
            Self::NotThatLong { needed, length } => {
                write!(f, "{length} bytes where the decoder needs {needed}")
            }
            Self::OutOfSegment { position, file_size, segment } => write!(
                f,
                "an entry points to {position}, {} has {file_size} bytes",
                segment.display()
            ),
            Self::NothingThere { position } => {
                write!(f, "an entry points to {position}, where there is no whole batch")
            }
            Self::NoOffsetIndex => f.write_str("there is no index of offsets beside it"),
            Self::Sanity(text) => f.write_str(text),
            Self::TransactionVersion(version) => {
                write!(f, "an entry of version {version}, only 0 is known")
            }
            Self::Line { line, reason } => write!(f, "line {line}: {reason}"),
            Self::Text(text) => f.write_str(text),
            Self::JavaClass(class) => {
                write!(f, "{class} is a Java class, which this tool cannot load")
            }
            Self::Flag(exception) => write!(f, "{exception}"),
        }
    }
}
