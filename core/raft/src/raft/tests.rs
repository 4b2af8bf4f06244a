//! A sole voter from its files to leadership and back: what is written in which order, and what is
//! told only after it is durable.

use dohle_base::{BrokerId, Uuid};
use dohle_records::{BatchView, split_batches};

use super::*;
use crate::{Checkpoint, CheckpointBuilder, Endpoint, LoadError};

const LOG: &[u8] = include_bytes!("../../testdata/kafka-4.4.0/00000000000000000000.log");
const BOOTSTRAP: &[u8] =
    include_bytes!("../../testdata/kafka-4.4.0/00000000000000000000-0000000000.checkpoint");
const SNAPSHOT: &[u8] =
    include_bytes!("../../testdata/kafka-4.4.0/00000000000000000194-0000000001.checkpoint");
const QUORUM_STATE: &[u8] = include_bytes!("../../testdata/kafka-4.4.0/quorum-state");

fn now() -> Now {
    Now { instant: Instant(1), wall: Timestamp(1_700_000_000_000) }
}

fn config(port: u16) -> Config {
    let directory: Uuid = "sample-node1-dir-AAAAA".parse().unwrap();
    let endpoint = Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port };
    let own = ReplicaKey::new(BrokerId(1), directory);
    Config { own, endpoints: vec![endpoint], static_voters: VoterSet::default() }
}

fn static_config(voters: &str) -> Config {
    Config { static_voters: VoterSet::from_static(voters, "CONTROLLER").unwrap(), ..config(33101) }
}

fn bootstrap() -> Checkpoint {
    Checkpoint::parse(SnapshotId::BOOTSTRAP, &Bytes::from_static(BOOTSTRAP)).unwrap()
}

/// Hands over a log as a host does: what is in the snapshot is not read.
fn load(loader: &mut Loader, log: &[u8]) -> Result<(), LoadError> {
    let batches = split_batches(&Bytes::copy_from_slice(log)).unwrap();
    let start = batches.first().map_or(Offset::ZERO, |first| first.view().base_offset());
    let end = batches.last().map_or(start, |last| last.view().next_offset());
    let epochs = batches.iter().map(|batch| batch.view());
    loader.log(start, end, epochs.map(|b| (b.partition_leader_epoch(), b.base_offset())))?;
    let from = loader.snapshot_end();
    for batch in batches.iter().filter(|batch| batch.view().next_offset() > from) {
        loader.batch(&batch.view())?;
    }
    Ok(())
}

/// The log from its `index`th batch on.
fn log_from(index: usize) -> Vec<u8> {
    let batches = split_batches(&Bytes::from_static(LOG)).unwrap();
    batches.iter().skip(index).flat_map(|batch| batch.bytes().to_vec()).collect()
}

fn started(config: Config) -> Raft {
    let mut loader = Loader::new(config, None).unwrap();
    loader.checkpoint(&bootstrap());
    loader.start(now()).unwrap()
}

/// The outputs that are there, in short.
fn drain(raft: &mut Raft) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(output) = raft.poll_output() {
        lines.push(match output {
            Output::ResetLog { start } => format!("reset log to {start}"),
            Output::PersistElection { token, file } => {
                let state = ElectionState::parse(&file).unwrap();
                let (epoch, leader) = (state.epoch, state.leader.unwrap_or(BrokerId::NONE));
                format!("{}: persist epoch {epoch} leader {leader}", token.0)
            }
            Output::Append { token, base_offset, end_offset, batch } => {
                let view = BatchView::parse(&batch).unwrap();
                view.check_crc().unwrap();
                assert_eq!((view.base_offset(), view.next_offset()), (base_offset, end_offset));
                let kind = if view.attributes().is_control() { "control" } else { "data" };
                let epoch = view.partition_leader_epoch();
                format!("{}: append {kind} {base_offset}..{end_offset} epoch {epoch}", token.0)
            }
            Output::BecameLeader { epoch } => format!("became leader of {epoch}"),
            Output::HighWatermark(offset) => format!("high watermark {offset}"),
            Output::Resigned { epoch } => format!("resigned {epoch}"),
        });
    }
    lines
}

fn persisted(raft: &mut Raft, token: u64) -> Vec<String> {
    raft.handle(now(), Input::Persisted { token: Token(token) });
    drain(raft)
}

#[test]
fn a_formatted_directory_becomes_a_leader() {
    let mut raft = started(config(33101));
    assert_eq!(drain(&mut raft), ["0: persist epoch 1 leader 1", "1: append control 0..3 epoch 1"]);
    assert_eq!(raft.high_watermark(), None);
    assert_eq!(persisted(&mut raft, 0), ["became leader of 1"]);
    assert_eq!(persisted(&mut raft, 1), ["high watermark 3"]);
}

#[test]
fn the_first_batch_is_kafkas() {
    let mut raft = started(config(33101));
    let batch = std::iter::from_fn(|| raft.poll_output())
        .find_map(|output| match output {
            Output::Append { batch, .. } => Some(batch),
            _ => None,
        })
        .unwrap();
    let kafkas = split_batches(&Bytes::from_static(LOG)).unwrap().swap_remove(0);
    let values = |view: BatchView<'_>| {
        let payload = view.decompress(1_000).unwrap();
        let records = payload.records().map(|record| {
            let record = record.unwrap();
            (record.key.unwrap().to_vec(), record.value.unwrap().to_vec())
        });
        records.collect::<Vec<_>>()
    };
    assert_eq!(values(BatchView::parse(&batch).unwrap()), values(kafkas.view()));
}

#[test]
fn nothing_rests_on_what_is_not_durable() {
    let mut raft = started(config(33101));
    drain(&mut raft);
    let first = raft.append(now(), &[Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
    assert_eq!(first, Ok(Offset(3)));
    assert_eq!(drain(&mut raft), ["2: append data 3..5 epoch 1"]);
    assert_eq!(raft.append(now(), &[Bytes::from_static(b"c")]), Ok(Offset(5)));
    assert_eq!(drain(&mut raft), ["3: append data 5..6 epoch 1"]);
    assert_eq!(raft.high_watermark(), None);
    assert_eq!(persisted(&mut raft, 2), ["became leader of 1", "high watermark 5"]);
    assert_eq!(persisted(&mut raft, 2), Vec::<String>::new());
    assert_eq!(persisted(&mut raft, 3), ["high watermark 6"]);
}

#[test]
fn a_directory_of_kafka_is_led_in_the_next_epoch() {
    let mut loader = Loader::new(config(33101), Some(QUORUM_STATE)).unwrap();
    let id = SnapshotId { end_offset: Offset(194), epoch: LeaderEpoch(1) };
    loader.checkpoint(&Checkpoint::parse(id, &Bytes::from_static(SNAPSHOT)).unwrap());
    load(&mut loader, LOG).unwrap();
    let mut raft = loader.start(now()).unwrap();
    assert_eq!(
        drain(&mut raft),
        ["0: persist epoch 2 leader 1", "1: append control 245..246 epoch 2"],
        "the voters are in the log already"
    );
    assert_eq!(persisted(&mut raft, 1), ["became leader of 2", "high watermark 246"]);
    assert_eq!(raft.end_offset(LeaderEpoch(1)), Some((LeaderEpoch(1), Offset(245))));
    assert_eq!(
        (raft.epoch_at(Offset(245)), raft.epoch_at(Offset(246))),
        (Some(LeaderEpoch(1)), Some(LeaderEpoch(2)))
    );
    let described = raft.describe(now()).unwrap();
    assert_eq!((described.leader, described.epoch), (BrokerId(1), LeaderEpoch(2)));
    assert_eq!(described.voters[0].progress.end_offset, Some(Offset(246)));
    assert_eq!(described.high_watermark, Offset(246));
}

#[test]
fn a_moved_listener_goes_into_the_log() {
    let mut loader = Loader::new(config(40000), Some(QUORUM_STATE)).unwrap();
    loader.checkpoint(&bootstrap());
    load(&mut loader, LOG).unwrap();
    let mut raft = loader.start(now()).unwrap();
    assert_eq!(drain(&mut raft)[1], "1: append control 245..248 epoch 2");
    let voter = raft.control().voters.voter(BrokerId(1)).unwrap();
    assert_eq!(voter.endpoints[0].port, 40000);
    assert_eq!(
        raft.control_at(Offset(200)).voters.voter(BrokerId(1)).unwrap().endpoints[0].port,
        33101
    );
}

#[test]
fn epochs_never_decrease_over_restarts() {
    // Each row: what quorum-state holds, and the epoch that follows with a log of epoch 1.
    for (file, epoch) in [
        (None, 2),
        (
            Some(
                r#"{"leaderId":-1,"leaderEpoch":0,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
            ),
            2,
        ),
        (
            Some(
                r#"{"leaderId":1,"leaderEpoch":4,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
            ),
            5,
        ),
        (
            Some(
                r#"{"leaderId":-1,"leaderEpoch":4,"votedId":1,"votedDirectoryId":"sample-node1-dir-AAAAA","data_version":1}"#,
            ),
            4,
        ),
        (
            Some(
                r#"{"leaderId":-1,"leaderEpoch":4,"votedId":2,"votedDirectoryId":"sample-node1-dir-AAAAA","data_version":1}"#,
            ),
            5,
        ),
    ] {
        let mut loader = Loader::new(config(33101), file.map(str::as_bytes)).unwrap();
        loader.checkpoint(&bootstrap());
        load(&mut loader, LOG).unwrap();
        let raft = loader.start(now()).unwrap();
        assert_eq!(raft.epoch(), LeaderEpoch(epoch), "{file:?}");
    }
}

#[test]
fn static_voters_leave_no_voters_in_the_log() {
    let mut loader = Loader::new(static_config("1@127.0.0.1:33101"), None).unwrap();
    let bare = CheckpointBuilder::new(SnapshotId::BOOTSTRAP, Timestamp(0), 0, None).finish();
    loader.checkpoint(&Checkpoint::parse(SnapshotId::BOOTSTRAP, &bare).unwrap());
    let mut raft = loader.start(now()).unwrap();
    let Some(Output::PersistElection { file, .. }) = raft.poll_output() else { panic!() };
    let expected = r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;
    assert_eq!(file, expected);
    assert_eq!(drain(&mut raft), ["1: append control 0..1 epoch 1"]);
}

#[test]
fn the_leader_change_batch_is_the_documented_one() {
    let voter = |id| LeaderChangeVoter { voter_id: BrokerId(id), ..LeaderChangeVoter::default() };
    let message = LeaderChangeMessage {
        version: 0,
        leader_id: BrokerId(1),
        voters: [1, 2, 3].map(voter).to_vec(),
        granting_voters: [1, 2].map(voter).to_vec(),
    };
    let place = Place { base_offset: Offset(0), epoch: LeaderEpoch(1), timestamp: Timestamp(0) };
    let batch = control_batch(place, &[ControlRecord::LeaderChange(message)]);
    let hex: String = batch.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = "00000000000000000000005e00000001021336a89b00200000000000000000000000000000000000000000ffffffffffffffffffffffffffff00000001580000000800000002440000000000010400000001000000000200000000030003000000010000000002000000";
    assert_eq!(hex, expected);
}

#[test]
fn the_data_batch_is_the_documented_one() {
    let values = [
        Bytes::from_static(b"\x01\x0c\x00\x11metadata.version\x00\x1e\x00"),
        Bytes::from_static(b"\x01\x14\x00\x00"),
    ];
    let place = Place { base_offset: Offset(1), epoch: LeaderEpoch(1), timestamp: Timestamp(0) };
    let batch = data_batch(place, &values).unwrap();
    let hex: String = batch.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = "00000000000000010000005a0000000102c87cb92f00000000000100000000000000000000000000000000ffffffffffffffffffffffffffff000000023a000000012e010c00116d657461646174612e76657273696f6e001e00001400000201080114000000";
    assert_eq!(hex, expected);
}

#[test]
fn whoever_resigned_appends_nothing() {
    let mut raft = started(config(33101));
    drain(&mut raft);
    raft.handle(now(), Input::Shutdown);
    assert_eq!(drain(&mut raft), ["resigned 1"]);
    let error = AppendError::NotLeader { leader: Some(BrokerId(1)), epoch: LeaderEpoch(1) };
    assert_eq!(raft.append(now(), &[Bytes::from_static(b"a")]), Err(error));
    assert_eq!(raft.describe(now()), None);
}

#[test]
fn too_much_at_once_is_refused_without_a_trace() {
    let mut raft = started(config(33101));
    drain(&mut raft);
    let huge = Bytes::from(vec![0; crate::BATCH_SIZE_MAX]);
    assert!(matches!(raft.append(now(), &[huge]), Err(AppendError::TooLarge { .. })));
    assert_eq!((raft.log_end(), drain(&mut raft)), (Offset(3), vec![]));
}

#[test]
fn a_snapshot_ahead_of_the_log_restarts_the_log() {
    let mut loader = Loader::new(config(33101), Some(QUORUM_STATE)).unwrap();
    let id = SnapshotId { end_offset: Offset(194), epoch: LeaderEpoch(1) };
    loader.checkpoint(&Checkpoint::parse(id, &Bytes::from_static(SNAPSHOT)).unwrap());
    let first = split_batches(&Bytes::from_static(LOG)).unwrap().swap_remove(0);
    load(&mut loader, first.bytes()).unwrap();
    let mut raft = loader.start(now()).unwrap();
    let lines = drain(&mut raft);
    assert_eq!(lines[0], "reset log to 194");
    assert_eq!(lines[2], "2: append control 194..195 epoch 2".replace("2: ", "1: "));
    assert_eq!(raft.log_start(), Offset(194));
}

#[test]
fn a_log_that_is_empty_where_the_snapshot_is_not_begins_at_its_end() {
    for (start, is_reset) in [(0, true), (194, false)] {
        let mut loader = Loader::new(config(33101), Some(QUORUM_STATE)).unwrap();
        let id = SnapshotId { end_offset: Offset(194), epoch: LeaderEpoch(1) };
        loader.checkpoint(&Checkpoint::parse(id, &Bytes::from_static(SNAPSHOT)).unwrap());
        loader.log(Offset(start), Offset(start), []).unwrap();
        let mut raft = loader.start(now()).unwrap();
        assert_eq!(drain(&mut raft)[0] == "reset log to 194", is_reset);
        assert_eq!((raft.log_start(), raft.log_end()), (Offset(194), Offset(195)));
        assert_eq!(raft.epoch_at(Offset(194)), Some(LeaderEpoch(1)), "the snapshot's");
    }
}

#[test]
fn what_the_snapshot_has_need_not_be_in_the_log() {
    let batches = split_batches(&Bytes::from_static(LOG)).unwrap();
    let first_behind = batches.iter().position(|b| b.view().base_offset() >= Offset(194)).unwrap();
    for first in [1, first_behind / 2, first_behind] {
        let mut loader = Loader::new(config(33101), Some(QUORUM_STATE)).unwrap();
        let id = SnapshotId { end_offset: Offset(194), epoch: LeaderEpoch(1) };
        loader.checkpoint(&Checkpoint::parse(id, &Bytes::from_static(SNAPSHOT)).unwrap());
        load(&mut loader, &log_from(first)).unwrap();
        let mut raft = loader.start(now()).unwrap();
        let lines = ["0: persist epoch 2 leader 1", "1: append control 245..246 epoch 2"];
        assert_eq!(drain(&mut raft), lines, "the voters are in the snapshot");
        assert_eq!(raft.log_start(), batches[first].view().base_offset());
        assert_eq!(raft.end_offset(LeaderEpoch(1)), Some((LeaderEpoch(1), Offset(245))));
    }
}

#[test]
fn a_log_that_cannot_be_led_is_refused() {
    let directory = |text: &str| Config {
        own: ReplicaKey::new(BrokerId(1), text.parse().unwrap()),
        ..config(33101)
    };
    let start = |config: Config, bootstrap_too: bool| {
        let mut loader = Loader::new(config, None).unwrap();
        if bootstrap_too {
            loader.checkpoint(&bootstrap());
        }
        loader.start(now()).map(|_| ()).unwrap_err()
    };
    assert_eq!(start(config(33101), false), LoadError::NoVoters);
    let no_voter = |config: &Config| {
        let ReplicaKey { id, directory_id } = config.own;
        LoadError::NotAVoter { id, directory_id }
    };
    let other_disk = directory("AAAAAAAAAAAAAAAAAAAAfw");
    assert_eq!(start(other_disk.clone(), true), no_voter(&other_disk));
    assert!(no_voter(&other_disk).to_string().contains("directory.id is AAAAAAAAAAAAAAAAAAAAfw,"));
    let three = static_config("1@a:1,2@b:2,3@c:3");
    assert_eq!(start(three, false), LoadError::SeveralVoters { count: 3 });
    let another = static_config("2@b:2");
    assert_eq!(start(another.clone(), false), no_voter(&another));
    let mut newer = Loader::new(config(33101), None).unwrap();
    newer.checkpoint(&Checkpoint { kraft_version: 2, ..bootstrap() });
    assert_eq!(newer.start(now()).map(|_| ()), Err(LoadError::KRaftVersion { version: 2 }));
}

#[test]
fn a_log_with_holes_is_refused() {
    let batches = split_batches(&Bytes::from_static(LOG)).unwrap();
    let mut loader = Loader::new(config(33101), None).unwrap();
    loader.log(Offset(0), Offset(245), []).unwrap();
    loader.batch(&batches[0].view()).unwrap();
    let gap = loader.batch(&batches[2].view()).unwrap_err();
    assert_eq!(gap, LoadError::Gap { expected: Offset(3), got: Offset(13) });
    let cut_short = loader.start(now()).map(|_| ()).unwrap_err();
    assert_eq!(cut_short, LoadError::Gap { expected: Offset(3), got: Offset(245) });
    let mut loader = Loader::new(config(33101), None).unwrap();
    let headless = load(&mut loader, &log_from(1)).unwrap_err();
    assert_eq!(headless, LoadError::NoSnapshot { log_start: Offset(3) });
}

#[test]
fn a_log_older_than_the_snapshot_that_it_goes_on_from_is_refused() {
    let mut loader = Loader::new(config(33101), None).unwrap();
    let id = SnapshotId { end_offset: Offset(194), epoch: LeaderEpoch(2) };
    loader.checkpoint(&Checkpoint::parse(id, &Bytes::from_static(SNAPSHOT)).unwrap());
    let error = load(&mut loader, LOG).unwrap_err();
    let (epoch, last) = (LeaderEpoch(1), LeaderEpoch(2));
    assert!(
        matches!(error, LoadError::EpochDecreases { epoch: e, last: l, .. } if (e, l) == (epoch, last)),
        "{error}"
    );
}
