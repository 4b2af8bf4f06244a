//! What a control record says.

use dohle_protocol::{
    Message, Schema,
    json::read,
    records::raft::{
        kraft_version_record::KRaftVersionRecord, leader_change_message::LeaderChangeMessage,
        snapshot_footer_record::SnapshotFooterRecord, snapshot_header_record::SnapshotHeaderRecord,
        voters_record::VotersRecord,
    },
};
use dohle_records::{ControlType, EndTxnMarker, Record};

use super::fault::Problem;

/// The version that the records of the quorum are read as.
const VERSION: i16 = 0;

/// In the words of Kafka's tool, behind the record's metadata.
pub(super) fn text(record: &Record<'_>) -> Result<String, Problem> {
    let kind = ControlType::of(record).map_err(Problem::Control)?;
    let (title, schema): (_, &Schema) = match kind {
        ControlType::Abort | ControlType::Commit => return marker(record),
        ControlType::LeaderChange => (" LeaderChange:", &LeaderChangeMessage::SCHEMA),
        ControlType::SnapshotHeader => (" SnapshotHeader", &SnapshotHeaderRecord::SCHEMA),
        ControlType::SnapshotFooter => (" SnapshotFooter", &SnapshotFooterRecord::SCHEMA),
        ControlType::KRaftVersion => (" KRaftVersion", &KRaftVersionRecord::SCHEMA),
        ControlType::KRaftVoters => (" KRaftVoters", &VotersRecord::SCHEMA),
        ControlType::Unknown(id) => return Ok(format!(" controlType: UNKNOWN({id})")),
    };
    let value = record.value.ok_or(Problem::ControlValue { part: "the value" })?;
    let (json, _) = read(schema, value, VERSION).map_err(Problem::ControlJson)?;
    Ok(format!("{title} {json}"))
}

fn marker(record: &Record<'_>) -> Result<String, Problem> {
    if record.value.is_none() {
        return Err(Problem::ControlValue { part: "the value" });
    }
    let marker = EndTxnMarker::parse(record).map_err(Problem::Control)?;
    let end = if marker.committed { "COMMIT" } else { "ABORT" };
    Ok(format!(" endTxnMarker: {end} coordinatorEpoch: {}", marker.coordinator_epoch))
}
