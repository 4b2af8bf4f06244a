//! Records of `__remote_log_metadata`, in the words of Kafka's dump tool: not as JSON, but as Java shows
//! the objects that it makes of them.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
};

use super::{
    log::RemoteLogRecord,
    shown::{Framed, ShowError},
};
use crate::json::Json;

const SEGMENT_STATES: [&str; 4] = [
    "COPY_SEGMENT_STARTED",
    "COPY_SEGMENT_FINISHED",
    "DELETE_SEGMENT_STARTED",
    "DELETE_SEGMENT_FINISHED",
];
const PARTITION_STATES: [&str; 3] =
    ["DELETE_PARTITION_MARKED", "DELETE_PARTITION_STARTED", "DELETE_PARTITION_FINISHED"];

/// A record of remote log metadata.
///
/// # Errors
/// Bytes that are not one, or not one alone, or that no object is made of.
pub fn show_remote_log_record(value: Option<&[u8]>) -> Result<String, ShowError> {
    let Some(value) = value else { return Err(ShowError::RemoteLog(NO_VALUE)) };
    let Framed { schema, data, .. } = Framed::read(value, RemoteLogRecord::schema_of)?;
    // The words of a class are the name of its record.
    let class = schema.name.strip_suffix("Record").unwrap_or(schema.name);
    let common = format!(
        "eventTimestampMs={}, brokerId={}",
        number(&data, "eventTimestampMs"),
        number(&data, "brokerId")
    );
    let shown = match class {
        "RemotePartitionDeleteMetadata" => {
            let state = state(&data, "remotePartitionDeleteState", &PARTITION_STATES);
            format!("topicPartition={}, state={}, {common}", Partition(&data), state?)
        }
        "RemoteLogSegmentMetadataUpdate" => {
            let state = state(&data, "remoteLogSegmentState", &SEGMENT_STATES)?;
            let (id, custom) = (Segment(&data), Custom(&data));
            format!("remoteLogSegmentId={id}, customMetadata={custom}, state={state}, {common}")
        }
        "RemoteLogSegmentMetadataSnapshot" => {
            let state = state(&data, "remoteLogSegmentState", &SEGMENT_STATES)?;
            // Not who said it, nor when.
            format!("segmentId={}, {}", text(&data, "segmentId"), segment(&data, false, state)?)
        }
        _ => {
            let (start, end) = (number(&data, "startOffset"), number(&data, "endOffset"));
            if start < 0 || end < start {
                return Err(ShowError::RemoteOffsets { start, end });
            }
            epochs(&data)?;
            let state = state(&data, "remoteLogSegmentState", &SEGMENT_STATES)?;
            format!("remoteLogSegmentId={}, {}", Segment(&data), segment(&data, true, state)?)
        }
    };
    Ok(format!("{class}{{{shown}}}"))
}

/// What Java says of a value that is not there.
const NO_VALUE: &str = "Cannot invoke \"java.nio.ByteBuffer.remaining()\" because the return value of \"org.apache.kafka.common.record.internal.Record.value()\" is null";

/// What a segment and its snapshot have in common, with who said it and when, or without.
fn segment(data: &Json, is_told_by: bool, state: &str) -> Result<String, ShowError> {
    let told = |field| match is_told_by {
        true => format!("{field}={}, ", number(data, field)),
        false => String::new(),
    };
    Ok(format!(
        "startOffset={}, endOffset={}, {}maxTimestampMs={}, {}segmentLeaderEpochs={}, \
         segmentSizeInBytes={}, customMetadata={}, state={state}, txnIdxEmpty={}",
        number(data, "startOffset"),
        number(data, "endOffset"),
        told("brokerId"),
        number(data, "maxTimestampMs"),
        told("eventTimestampMs"),
        epochs(data)?,
        number(data, "segmentSizeInBytes"),
        Custom(data),
        // Not there where it is not so.
        data.get("txnIndexEmpty") == Some(&Json::Bool(true)),
    ))
}

fn number(data: &Json, field: &str) -> i64 {
    match data.get(field) {
        Some(Json::Number(number)) => *number,
        _ => 0,
    }
}

fn text<'a>(data: &'a Json, field: &str) -> &'a str {
    match data.get(field) {
        Some(Json::Text(text)) => text,
        _ => "",
    }
}

fn state(data: &Json, field: &str, names: &[&'static str]) -> Result<&'static str, ShowError> {
    let name = usize::try_from(number(data, field)).ok().and_then(|at| names.get(at)).copied();
    name.ok_or(ShowError::RemoteLog(match names.len() {
        // Java has no words for this one.
        3 => "null",
        _ => "state can not be null",
    }))
}

/// Where leader epochs begin, sorted; the last one of those that come twice.
fn epochs(data: &Json) -> Result<String, ShowError> {
    let Some(Json::Array(entries)) = data.get("segmentLeaderEpochs") else {
        return Err(ShowError::RemoteLog(NO_EPOCHS));
    };
    let of = |entry: &Json| (number(entry, "leaderEpoch"), number(entry, "offset"));
    let epochs: BTreeMap<i64, i64> = entries.iter().map(of).collect();
    if epochs.is_empty() {
        return Err(ShowError::RemoteLog(NO_EPOCHS));
    }
    let shown: Vec<_> = epochs.iter().map(|(epoch, start)| format!("{epoch}={start}")).collect();
    Ok(format!("{{{}}}", shown.join(", ")))
}

const NO_EPOCHS: &str = "segmentLeaderEpochs can not be null or empty";

/// The partition that a part of a record names.
struct Partition<'a>(&'a Json);

impl Display for Partition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(entry) = self.0.get("topicIdPartition") else { return Ok(()) };
        let (id, name) = (text(entry, "id"), text(entry, "name"));
        write!(f, "{id}:{name}-{}", number(entry, "partition"))
    }
}

/// The segment that a record names.
struct Segment<'a>(&'a Json);

impl Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(entry) = self.0.get("remoteLogSegmentId") else { return Ok(()) };
        let (partition, id) = (Partition(entry), text(entry, "id"));
        write!(f, "RemoteLogSegmentId{{topicIdPartition={partition}, id={id}}}")
    }
}

/// What a plug-in keeps with a segment: only its size is shown.
struct Custom<'a>(&'a Json);

impl Display for Custom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get("customMetadata") {
            Some(Json::Bytes(bytes)) => {
                write!(f, "Optional[CustomMetadata{{{} bytes}}]", bytes.len())
            }
            _ => f.write_str("Optional.empty"),
        }
    }
}
