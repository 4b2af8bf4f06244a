//! Why a file cannot be shown to its end, as the exception that ends Kafka's tool.
//!
//! Class and message are Kafka's wherever the cause is the same. Where Java would say how its own
//! code stumbled (an index out of bounds, a null), the message is ours.

use std::{io::ErrorKind, path::Path};

use dohle_protocol::json::JsonError;
use dohle_records::{BatchError, ControlError};

use super::{
    fault::{Fault, Problem},
    file::absolute,
};
use crate::kafka::{Exception, Stop};

const CORRUPT_RECORD: &str = "org.apache.kafka.common.errors.CorruptRecordException";
const INVALID_RECORD: &str = "org.apache.kafka.common.InvalidRecordException";
const KAFKA: &str = "org.apache.kafka.common.KafkaException";
const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";

/// How the tool ends.
pub(super) fn stop(fault: Fault) -> Stop {
    match fault {
        Fault::Output(error) => error.into(),
        Fault::File { path, position, problem } => {
            exception(&path, position.unwrap_or(0), problem).into()
        }
    }
}

fn exception(path: &Path, position: u64, problem: Problem) -> Exception {
    match problem {
        Problem::Flag(exception) => exception,
        Problem::Disk(error) if error.is_not_found() => {
            Exception::new("java.nio.file.NoSuchFileException", error.path.display())
        }
        Problem::Disk(error) if error.kind == ErrorKind::PermissionDenied => {
            Exception::new("java.nio.file.AccessDeniedException", error.path.display())
        }
        Problem::Disk(error) => Exception::new("java.io.IOException", error),
        Problem::NoBatch(error) => no_batch(path, position, &error),
        Problem::NotANumber(text) => Exception::new(
            "java.lang.NumberFormatException",
            format_args!("For input string: \"{text}\""),
        ),
        Problem::SnapshotName { start, end, length } => Exception::new(
            "java.lang.StringIndexOutOfBoundsException",
            format_args!("begin {start}, end {end}, length {length}"),
        ),
        Problem::TooLong { size } => Exception::new(
            KAFKA,
            format_args!(
                "The size of segment {} ({size}) is larger than the maximum allowed segment size of {}",
                path.display(),
                i32::MAX
            ),
        ),
        Problem::NegativeLimit { limit, file_size } => Exception::new(
            ILLEGAL_ARGUMENT,
            format_args!("Invalid size: {limit} in read from {}", file_records(path, file_size)),
        ),
        Problem::Magic(magic) => {
            Exception::new(ILLEGAL_ARGUMENT, format_args!("Invalid magic used in LegacyRecord: {magic}"))
        }
        Problem::Codec { id } => {
            Exception::new(ILLEGAL_ARGUMENT, format_args!("Unknown compression type id: {id}"))
        }
        Problem::Records { error, magic } => records(&error, magic),
        Problem::Control(error) => control(&error),
        problem @ Problem::ControlValue { .. } => {
            Exception::new("java.lang.NullPointerException", problem)
        }
        Problem::ControlJson(JsonError::Ends) => {
            Exception::silent("java.nio.BufferUnderflowException")
        }
        Problem::ControlJson(error) => Exception::new("java.lang.RuntimeException", error),
        Problem::NoKey { offset } => Exception::new(
            "java.lang.RuntimeException",
            format_args!(
                "Failed to decode message at offset {offset} using the specified decoder (message had a missing key)"
            ),
        ),
        Problem::NotThatLong { .. } => Exception::silent("java.nio.BufferUnderflowException"),
        Problem::OutOfSegment { position, file_size, segment } => {
            let records = file_records(&segment, file_size);
            if position < 0 {
                let text = format!("Invalid position: {position} in read from {records}");
                return Exception::new(ILLEGAL_ARGUMENT, text);
            }
            let text = format!("Slice from position {position} exceeds end position of {records}");
            Exception::new(ILLEGAL_ARGUMENT, text)
        }
        Problem::NothingThere { .. } => Exception::silent("java.util.NoSuchElementException"),
        Problem::NoOffsetIndex => Exception::new(ILLEGAL_ARGUMENT, "Invalid max index size: -1"),
        Problem::Sanity(text) => Exception::new(
            "org.apache.kafka.storage.internals.log.CorruptIndexException",
            text,
        ),
        Problem::TransactionVersion(version) => Exception::new(
            KAFKA,
            format_args!(
                "Unexpected aborted transaction version {version} in transaction index {}, supported version range is 0 to 0",
                absolute(path).display()
            ),
        ),
        Problem::JavaClass(class) => Exception {
            class: "java.lang.RuntimeException",
            message: Some("Failed to load decoder class".to_owned()),
            more: vec![
                format!("Caused by: java.lang.ClassNotFoundException: {class}"),
                "Java classes cannot be loaded here; built in are org.apache.kafka.tools.api.StringDecoder, IntegerDecoder, LongDecoder and DefaultDecoder.".to_owned(),
            ],
        },
        // Of files that this tool passes over.
        problem @ (Problem::Line { .. } | Problem::Text(_)) => {
            Exception::new("java.lang.RuntimeException", problem)
        }
    }
}

/// A segment as Java describes it.
fn file_records(path: &Path, size: u64) -> String {
    format!("FileRecords(size={size}, file={}, start=0, end={})", path.display(), i32::MAX)
}

fn no_batch(path: &Path, position: u64, error: &BatchError) -> Exception {
    match error {
        BatchError::BadLength { length, .. } => Exception::new(
            CORRUPT_RECORD,
            format_args!(
                "Found record size {length} smaller than minimum record overhead (14) in file {}.",
                path.display()
            ),
        ),
        _ => Exception::new(
            KAFKA,
            format_args!(
                "Failed to load record batch at position {position} from {}",
                path.display()
            ),
        ),
    }
}

fn records(error: &BatchError, magic: i8) -> Exception {
    match error {
        BatchError::BadCount { count, .. } => Exception::new(
            INVALID_RECORD,
            format_args!("Found invalid record count {count} in magic v{magic} batch"),
        ),
        BatchError::TrailingBytes { .. } => Exception::new(
            INVALID_RECORD,
            "Incorrect declared batch size, records still remaining in file",
        ),
        BatchError::BadRecord { .. } => {
            Exception::new(INVALID_RECORD, format_args!("Found invalid record structure: {error}"))
        }
        BatchError::BadCompression { .. } => {
            Exception::new(KAFKA, format_args!("Failed to decompress record stream: {error}"))
        }
        BatchError::TooLarge { .. } => Exception::new("java.lang.OutOfMemoryError", error),
        BatchError::BadLength { .. } | BatchError::Truncated { .. } => {
            Exception::silent("java.lang.IndexOutOfBoundsException")
        }
        error => Exception::new(INVALID_RECORD, error),
    }
}

fn control(error: &ControlError) -> Exception {
    match error {
        ControlError::BadVersion { version } => Exception::new(
            INVALID_RECORD,
            format_args!(
                "Invalid version found for control record: {version}. May indicate data corruption"
            ),
        ),
        ControlError::Truncated { size } => Exception::new(
            INVALID_RECORD,
            format_args!(
                "Invalid value size found for control record key. Must have at least 4 bytes, but found only {size}"
            ),
        ),
        error @ ControlError::NotEndTxn { .. } => Exception::new(INVALID_RECORD, error),
    }
}
