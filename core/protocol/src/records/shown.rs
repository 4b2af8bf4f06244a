//! Stored records as JSON, taken out of their frames, in the words of Kafka's dump tool.

use super::{
    consumer_protocol::{
        consumer_protocol_assignment::ConsumerProtocolAssignment,
        consumer_protocol_subscription::ConsumerProtocolSubscription,
    },
    group::{GroupRecordKey, GroupRecordValue},
    metadata::MetadataRecord,
    share::{ShareRecordKey, ShareRecordValue},
    transaction::{TransactionRecordKey, TransactionRecordValue},
};
use crate::{
    Message, Schema,
    json::{Json, JsonError, read},
};

/// The frame of metadata records that is known.
const FRAME_VERSION: u32 = 1;
/// The type of the record that a classic group is kept in.
const GROUP_METADATA: i16 = 2;
/// The protocol type of those classic groups whose members are consumers.
const CONSUMER: &str = "consumer";

/// Why a stored record cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShowError {
    /// A varint of a metadata record's frame is cut.
    #[error("Error while reading {0}")]
    Frame(&'static str),
    /// A number of a metadata record's frame that is larger than any.
    #[error("Value for {0} was too large.")]
    FrameTooLarge(&'static str),
    /// A frame of a time before there were others.
    #[error(
        "Could not deserialize metadata record with frame version 0. Note that upgrades from the preview release of KRaft in 2.8 to newer versions are not supported."
    )]
    PreviewFrame,
    /// A frame that is not known.
    #[error(
        "Could not deserialize metadata record due to unknown frame version {0}(only frame version 1 is supported)"
    )]
    UnknownFrame(i16),
    /// A metadata record of a type that does not exist.
    #[error("org.apache.kafka.common.errors.UnsupportedVersionException: Unknown metadata id {0}")]
    UnknownMetadata(i16),
    /// A metadata record that is not what its type says.
    #[error("Failed to deserialize record with type {0}")]
    Metadata(i16),
    /// Bytes behind a metadata record.
    #[error("Found {count} byte(s) of garbage after {record_type}")]
    Garbage {
        /// How many.
        count: usize,
        /// The record's type.
        record_type: i16,
    },
    /// A coordinator's record of a type that does not exist.
    #[error("Found an unknown record type {0}")]
    UnknownType(i16),
    /// A coordinator's record in a version that does not exist.
    #[error("Found an unknown record version {version} for {record_type} type")]
    UnknownVersion {
        /// The record's type.
        record_type: i16,
        /// The version.
        version: i16,
    },
    /// A record of remote log metadata that its type does not allow, in Kafka's words.
    #[error("{0}")]
    RemoteLog(&'static str),
    /// One whose offsets are none of a segment.
    #[error("{}", offsets_words(*start, *end))]
    RemoteOffsets {
        /// Where the segment starts.
        start: i64,
        /// Where it ends.
        end: i64,
    },
    /// Fewer than two bytes of a coordinator's record.
    #[error("Could not read version from {0}'s buffer.")]
    NoVersion(&'static str),
    /// A coordinator's record that is not what its type says.
    #[error(
        "Could not read record with version {version} from {part}'s buffer due to: {}.",
        kafka_words(fault)
    )]
    Coordinator {
        /// Its key or its value.
        part: &'static str,
        /// The version of that.
        version: i16,
        /// What is wrong.
        fault: JsonError,
    },
}

fn offsets_words(start: i64, end: i64) -> String {
    if start < 0 {
        return format!(
            "Unexpected start offset = {start}. StartOffset for a remote segment cannot be negative"
        );
    }
    format!(
        "Unexpected end offset = {end}. EndOffset for a remote segment cannot be less than startOffset = {start}"
    )
}

/// Where Kafka's exception has no message, its tools print `null`.
fn kafka_words(fault: &JsonError) -> String {
    match fault {
        JsonError::Ends => "null".to_owned(),
        fault => fault.to_string(),
    }
}

/// A record of the metadata log, with type and version.
///
/// # Errors
/// Bytes that are not one, or not one alone.
pub fn show_metadata_record(value: Option<&[u8]>) -> Result<Json, ShowError> {
    // No value at all ends as early as an empty one.
    let framed = Framed::read(value.unwrap_or_default(), MetadataRecord::schema_of)?;
    Ok(Json::Object(vec![
        ("type", Json::Text(screaming(framed.schema.name))),
        ("version", Json::Number(framed.version.into())),
        ("data", framed.data),
    ]))
}

/// A record in the frame of metadata.
pub(super) struct Framed {
    pub(super) schema: &'static Schema,
    version: i16,
    pub(super) data: Json,
}

impl Framed {
    pub(super) fn read(
        mut bytes: &[u8],
        schema_of: fn(i16) -> Option<&'static Schema>,
    ) -> Result<Self, ShowError> {
        let frame = small(&mut bytes, "frame version")?;
        if frame == 0 {
            return Err(ShowError::PreviewFrame);
        }
        if u32::try_from(frame) != Ok(FRAME_VERSION) {
            return Err(ShowError::UnknownFrame(frame));
        }
        let record_type = small(&mut bytes, "type")?;
        let version = small(&mut bytes, "version")?;
        let schema = schema_of(record_type).ok_or(ShowError::UnknownMetadata(record_type))?;
        let (data, count) =
            read(schema, bytes, version).map_err(|_| ShowError::Metadata(record_type))?;
        if count > 0 {
            return Err(ShowError::Garbage { count, record_type });
        }
        Ok(Self { schema, version, data })
    }
}

/// A number of the frame.
fn small(bytes: &mut &[u8], what: &'static str) -> Result<i16, ShowError> {
    let mut value: u32 = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first().ok_or(ShowError::Frame(what))?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return i16::try_from(value).map_err(|_| ShowError::FrameTooLarge(what));
        }
    }
    Err(ShowError::Frame(what))
}

/// `TOPIC_RECORD` from `TopicRecord`.
fn screaming(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    let mut was_capital = true;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !was_capital {
            text.push('_');
        }
        was_capital = letter.is_ascii_uppercase();
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// A log that a coordinator keeps its state in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorLog {
    /// `__consumer_offsets`.
    Group,
    /// `__transaction_state`.
    Transaction,
    /// `__share_group_state`.
    Share,
}

/// What a coordinator's record says about its key.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownValue {
    /// The key, with its type.
    pub key: Json,
    /// The value, with its version; none for a tombstone.
    pub value: Option<Json>,
}

impl CoordinatorLog {
    /// A record of the log. Bytes behind key and value are not looked at, as Kafka does not.
    ///
    /// # Errors
    /// Bytes that are not one; [`ShowError::UnknownType`] of the key.
    pub fn show(self, mut key: &[u8], value: Option<&[u8]>) -> Result<ShownValue, ShowError> {
        let record_type = number(&mut key, "key")?;
        let (of_key, of_value) =
            self.schemas(record_type).ok_or(ShowError::UnknownType(record_type))?;
        let bad = |part, version| move |fault| ShowError::Coordinator { part, version, fault };
        let (data, _) = read(of_key, key, 0).map_err(bad("key", record_type))?;
        let shown =
            Json::Object(vec![("type", Json::Text(record_type.to_string())), ("data", data)]);
        let Some(mut value) = value else { return Ok(ShownValue { key: shown, value: None }) };
        let version = number(&mut value, "value")?;
        if !(of_value.versions.first..=of_value.versions.last).contains(&version) {
            return Err(ShowError::UnknownVersion { record_type, version });
        }
        let (mut data, _) = read(of_value, value, version).map_err(bad("value", version))?;
        match self {
            Self::Group if record_type == GROUP_METADATA => show_members(&mut data),
            Self::Transaction => name_status(&mut data),
            Self::Group | Self::Share => {}
        }
        let value =
            Json::Object(vec![("version", Json::Text(version.to_string())), ("data", data)]);
        Ok(ShownValue { key: shown, value: Some(value) })
    }

    fn schemas(self, record_type: i16) -> Option<(&'static Schema, &'static Schema)> {
        let (key, value) = match self {
            Self::Group => {
                (GroupRecordKey::schema_of(record_type), GroupRecordValue::schema_of(record_type))
            }
            Self::Transaction => (
                TransactionRecordKey::schema_of(record_type),
                TransactionRecordValue::schema_of(record_type),
            ),
            Self::Share => {
                (ShareRecordKey::schema_of(record_type), ShareRecordValue::schema_of(record_type))
            }
        };
        key.zip(value)
    }
}

fn number(bytes: &mut &[u8], part: &'static str) -> Result<i16, ShowError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(ShowError::NoVersion(part))?;
    *bytes = rest;
    Ok(i16::from_be_bytes(*number))
}

/// What consumers of a classic group told one another, in place of the bytes, where it is that.
fn show_members(group: &mut Json) {
    if !matches!(group.get("protocolType"), Some(Json::Text(kind)) if kind == CONSUMER) {
        return;
    }
    let Some(Json::Array(members)) = group.get_mut("members") else { return };
    for member in members {
        show_inner(member, "subscription", &ConsumerProtocolSubscription::SCHEMA);
        show_inner(member, "assignment", &ConsumerProtocolAssignment::SCHEMA);
    }
}

fn show_inner(member: &mut Json, field: &str, schema: &Schema) {
    let Some(slot) = member.get_mut(field) else { return };
    let Json::Bytes(bytes) = &*slot else { return };
    let Some((version, rest)) = bytes.split_first_chunk() else { return };
    if let Ok((json, _)) = read(schema, rest, i16::from_be_bytes(*version)) {
        *slot = json;
    }
}

/// The name of a transaction's state in place of its number.
fn name_status(transaction: &mut Json) {
    const NAMES: [&str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];
    let Some(status) = transaction.get_mut("transactionStatus") else { return };
    let Json::Number(number) = *status else { return };
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
    *status = Json::Text(name.map_or_else(|| number.to_string(), |name| (*name).to_owned()));
}
