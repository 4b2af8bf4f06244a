//! Files of Kafka 4.4.0, and files that must not be taken for complete.

use dohle_base::{BrokerId, LeaderEpoch};

use super::*;

const BOOTSTRAP: &[u8] =
    include_bytes!("../../testdata/kafka-4.4.0/00000000000000000000-0000000000.checkpoint");
const SNAPSHOT: &[u8] =
    include_bytes!("../../testdata/kafka-4.4.0/00000000000000000194-0000000001.checkpoint");

fn snapshot_id() -> SnapshotId {
    SnapshotId { end_offset: Offset(194), epoch: LeaderEpoch(1) }
}

fn rebuild(checkpoint: &Checkpoint) -> Bytes {
    let Checkpoint { id, last_timestamp, kraft_version, voters, records } = checkpoint;
    let mut builder = CheckpointBuilder::new(*id, *last_timestamp, *kraft_version, voters.as_ref());
    for record in records {
        builder.push(record.clone());
    }
    builder.finish()
}

#[test]
fn kafkas_bootstrap_checkpoint_is_read_and_made_again() {
    let file = Bytes::from_static(BOOTSTRAP);
    let checkpoint = Checkpoint::parse(SnapshotId::BOOTSTRAP, &file).unwrap();
    assert_eq!((checkpoint.kraft_version, checkpoint.records.len()), (1, 7));
    let voters = checkpoint.voters.clone().unwrap();
    let voter = voters.voter(BrokerId(1)).unwrap();
    assert_eq!(voter.directory_id.to_string(), "sample-node1-dir-AAAAA");
    assert_eq!(voter.endpoints[0].port, 33101);
    let again = rebuild(&checkpoint);
    assert_eq!(Checkpoint::parse(SnapshotId::BOOTSTRAP, &again), Ok(checkpoint));
    assert_eq!(again.len(), file.len(), "the same but for the times of batches");
}

#[test]
fn kafkas_snapshot_is_read() {
    let checkpoint = Checkpoint::parse(snapshot_id(), &Bytes::from_static(SNAPSHOT)).unwrap();
    assert_eq!(checkpoint.last_timestamp, Timestamp(1_795_360_879_085));
    // 144 records, of which three are the head's and one the footer's.
    assert_eq!(checkpoint.records.len(), 140);
}

#[test]
fn a_large_snapshot_has_several_batches() {
    let records: Vec<Bytes> = (0..3_000).map(|n| Bytes::from(vec![n as u8; 1_000])).collect();
    let checkpoint = Checkpoint {
        id: snapshot_id(),
        last_timestamp: Timestamp(5),
        kraft_version: 0,
        voters: None,
        records,
    };
    let file = rebuild(&checkpoint);
    assert_eq!(dohle_records::split_batches(&file).unwrap().len(), 5, "head, three of data, foot");
    assert_eq!(Checkpoint::parse(snapshot_id(), &file), Ok(checkpoint));
}

#[test]
fn a_torn_file_is_never_taken_for_complete() {
    let file = Bytes::from_static(BOOTSTRAP);
    for end in 0..file.len() {
        let torn = file.slice(..end);
        assert!(Checkpoint::parse(SnapshotId::BOOTSTRAP, &torn).is_err(), "{end} bytes");
    }
}

#[test]
fn a_changed_byte_is_noticed() {
    for at in 0..BOOTSTRAP.len() {
        let mut file = BOOTSTRAP.to_vec();
        file[at] ^= 0x20;
        let parsed = Checkpoint::parse(SnapshotId::BOOTSTRAP, &Bytes::from(file));
        // Base offset and leader epoch lie outside the checksum; they are not used here.
        if let Ok(parsed) = parsed {
            let same = Checkpoint::parse(SnapshotId::BOOTSTRAP, &Bytes::from_static(BOOTSTRAP));
            assert_eq!(Ok(parsed), same, "byte {at}");
        }
    }
}

#[test]
fn the_footer_is_the_end() {
    let twice = [BOOTSTRAP, BOOTSTRAP].concat();
    let error = Checkpoint::parse(SnapshotId::BOOTSTRAP, &Bytes::from(twice)).unwrap_err();
    assert_eq!(error, CheckpointError::BehindFooter { position: BOOTSTRAP.len() });
}
