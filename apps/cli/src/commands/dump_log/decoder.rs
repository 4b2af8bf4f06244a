//! Keys and values made readable.

use std::borrow::Cow;

use dohle_base::text_lossy;
use dohle_protocol::records::{
    CoordinatorLog, ShowError, show_metadata_record, show_remote_log_record,
};
use dohle_records::Record;

use super::fault::Problem;

/// What the records of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// What applications write.
    Plain { key: Plain, value: Plain },
    /// The cluster's metadata.
    Metadata,
    /// What is in remote storage.
    RemoteLog,
    /// The state of a coordinator.
    Coordinator(CoordinatorLog),
}

/// What a key or a value of an application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// Text, whatever the bytes are.
    Text,
    /// A number in the first four bytes.
    Integer,
    /// A number in the first eight bytes.
    Long,
    /// Bytes, in hexadecimal digits.
    Bytes,
}

/// What is shown of a record; each part only if there is one.
#[derive(Debug, Default)]
pub(super) struct Contents<'a> {
    pub(super) key: Option<Cow<'a, str>>,
    pub(super) value: Option<Cow<'a, str>>,
}

impl Decoder {
    /// A record's contents. What a decoder of our own logs cannot make out it says in their place,
    /// as Kafka's tool does, so that the other records are still shown.
    pub(super) fn contents<'a>(&self, record: &Record<'a>) -> Result<Contents<'a>, Problem> {
        match self {
            Self::Plain { key, value } => Ok(Contents {
                key: record.key.map(|bytes| key.text(bytes)).transpose()?,
                value: record.value.map(|bytes| value.text(bytes)).transpose()?,
            }),
            Self::Metadata => Ok(unkeyed("", record, show_metadata_record(record.value))),
            Self::RemoteLog => Ok(unkeyed("offset ", record, show_remote_log_record(record.value))),
            Self::Coordinator(log) => coordinator(*log, record),
        }
    }
}

/// A record whose key says nothing; `before` is what Kafka says before an offset.
fn unkeyed(
    before: &str,
    record: &Record<'_>,
    shown: Result<impl ToString, ShowError>,
) -> Contents<'static> {
    let value = match shown {
        Ok(shown) => shown.to_string(),
        Err(error) => format!("Error at {before}{}, skipping. {error}", record.offset.0),
    };
    Contents { key: None, value: Some(value.into()) }
}

fn coordinator(log: CoordinatorLog, record: &Record<'_>) -> Result<Contents<'static>, Problem> {
    let offset = record.offset.0;
    let key = record.key.ok_or(Problem::NoKey { offset })?;
    Ok(match log.show(key, record.value) {
        Ok(shown) => {
            let value = shown.value.map_or("<DELETE>".into(), |value| value.to_string().into());
            Contents { key: Some(shown.key.to_string().into()), value: Some(value) }
        }
        Err(ShowError::UnknownType(id)) => {
            let text = format!("Unknown record type {id} at offset {offset}, skipping.");
            Contents { key: Some(text.into()), value: None }
        }
        Err(error) => {
            let text = format!("Error at offset {offset}, skipping. {error}");
            Contents { key: Some(text.into()), value: None }
        }
    })
}

impl Plain {
    fn text(self, bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
        let too_short = |needed| Problem::NotThatLong { needed, length: bytes.len() };
        Ok(match self {
            Self::Text => text_lossy(bytes),
            Self::Integer => {
                let number = bytes.first_chunk().ok_or(too_short(4))?;
                i32::from_be_bytes(*number).to_string().into()
            }
            Self::Long => {
                let number = bytes.first_chunk().ok_or(too_short(8))?;
                i64::from_be_bytes(*number).to_string().into()
            }
            Self::Bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}
