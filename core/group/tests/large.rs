//! Goal: what one client may send, however large, holds up nobody else, and keeps no more memory
//! than it has to.
//!
//! Times are bounds that work per pair would miss by far and work per item never comes near.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is quadratic takes minutes: only time tells"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use dohle_base::{ErrorCode, Now, Offset, PartitionId, ProducerId, Str, TopicId, Uuid};
use dohle_group::{
    Caller, Command, Effect, GroupMachine, GroupRecord, GroupSettings, ListFilter, Reply,
    ReplyToken,
};
use dohle_machine::{Journal, Runtime};
use dohle_protocol::{
    Message, Reader, Writer,
    api::{
        join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
        join_group_response::JoinGroupResponse,
        offset_commit_request::{
            OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
        },
        sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment},
    },
};

/// Far above what the work takes, and far below what it would take for each pair.
const SOON: Duration = Duration::from_secs(8);
const JOIN_VERSION: i16 = 3;
const SYNC_VERSION: i16 = 3;

/// A log that refuses batches with more bytes of keys and values.
struct Log {
    records: Vec<GroupRecord>,
    bytes_max: usize,
}

impl Journal<GroupRecord> for Log {
    type Error = ();

    fn append(&mut self, records: &[GroupRecord]) -> Result<Offset, ()> {
        let pairs = records.iter().map(|record| record.encode().unwrap().unwrap());
        let size = pairs.map(|pair| pair.key.len() + pair.value.map_or(0, |value| value.len()));
        if size.sum::<usize>() > self.bytes_max {
            return Err(());
        }
        let first = Offset(self.records.len() as i64);
        self.records.extend_from_slice(records);
        Ok(first)
    }
}

struct Stage {
    runtime: Runtime<GroupMachine>,
    log: Log,
    now: Now,
}

impl Stage {
    fn new(bytes_max: usize) -> Self {
        let log = Log { records: Vec::new(), bytes_max };
        let mut stage = Self { runtime: Runtime::default(), log, now: Now::default() };
        let settings = GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() };
        stage.hand(Command::Configure(settings));
        stage.hand(Command::Loaded);
        stage
    }

    /// The answers that a command has given.
    fn hand(&mut self, command: Command) -> Vec<Reply> {
        self.runtime.handle(self.now, command, &mut self.log).unwrap();
        self.replies()
    }

    /// The answers of the next tick, whenever it is due, if one is; as a driver would, tells if it was too large.
    fn tick(&mut self) -> Vec<Reply> {
        let Some(deadline) = self.runtime.deadline() else { return Vec::new() };
        self.now.instant = self.now.instant.max(deadline);
        if self.runtime.tick(self.now, &mut self.log).is_err() {
            return self.hand(Command::TickTooLarge);
        }
        self.replies()
    }

    fn replies(&mut self) -> Vec<Reply> {
        self.runtime.handle_high_watermark(self.runtime.applied_end());
        let effects = std::iter::from_fn(|| self.runtime.poll_effect());
        let replies = effects.filter_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(reply),
            Effect::ParkedJoin { .. } => None,
        });
        replies.collect()
    }

    fn join(&mut self, protocols: Vec<JoinGroupRequestProtocol>) -> Vec<Reply> {
        let request = join_request(protocols);
        self.hand(Command::Join { caller: caller(JOIN_VERSION), request, fresh_id: Uuid(5) })
    }
}

fn caller(api_version: i16) -> Caller {
    let (client_id, client_host) = ("c".into(), "/h".into());
    Caller { token: ReplyToken(1), api_version, client_id, client_host }
}

fn protocol(name: impl Into<Str>, metadata: &[u8]) -> JoinGroupRequestProtocol {
    let metadata = Bytes::copy_from_slice(metadata);
    JoinGroupRequestProtocol { name: name.into(), metadata }
}

fn join_request(protocols: Vec<JoinGroupRequestProtocol>) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "h".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols,
        ..JoinGroupRequest::default()
    }
}

fn joined(replies: &[Reply]) -> Option<&JoinGroupResponse> {
    match replies {
        [] => None,
        [Reply::Join(response)] => Some(response),
        other => panic!("{other:?}"),
    }
}

fn commit(group_id: Str, index: i32) -> Command {
    let partition = OffsetCommitRequestPartition {
        partition_index: PartitionId(index),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id,
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    Command::OffsetCommit(caller(8), request)
}

/// A message as a connection has it: fields share the memory of the frame.
fn received<M: Message>(message: &M, version: i16) -> (M, Bytes) {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).unwrap();
    let frame = writer.into_bytes();
    (M::decode(&mut Reader::new(frame.clone()), version).unwrap(), frame)
}

/// A log may take less than one portion of tombstones, and not even one of them.
#[test]
fn tombstones_that_are_too_large_hold_up_no_other_timer_and_come_in_smaller_portions() {
    // (`max.message.bytes`, whether a tombstone fits it in the end)
    for (bytes_max, fits) in [(5_000, true), (600, false)] {
        let mut stage = Stage::new(1 << 20);
        let group_id = Str::from("g".repeat(1_000));
        (0..40).for_each(|index| {
            stage.hand(commit(group_id.clone(), index));
        });
        stage.log.bytes_max = bytes_max;
        stage.hand(Command::TopicsDeleted(vec![("t".into(), TopicId::ZERO)]));
        assert!(joined(&stage.join(vec![protocol("range", b"")])).is_none(), "it gathers");
        let replies: Vec<_> = (0..3).flat_map(|_| stage.tick()).collect();
        let joined = joined(&replies).expect("another timer had its turn");
        assert_eq!(joined.error_code, ErrorCode::NONE);
        (0..60).for_each(|_| {
            stage.tick();
        });
        let left = stage.runtime.machine().offsets().committed(&group_id, "t", PartitionId(39));
        assert_eq!(left.is_none(), fits, "{bytes_max}");
    }
}

#[test]
fn a_member_with_very_many_protocols_is_let_in_at_once() {
    const COUNT: usize = 150_000;
    let mut stage = Stage::new(1 << 20);
    let names = (0..COUNT).map(|at| protocol(format!("{at}"), b"")).chain([protocol("7", b"x")]);
    let names = names.collect();
    let start = Instant::now();
    assert!(joined(&stage.join(names)).is_none());
    let replies = stage.tick();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let joined = joined(&replies).unwrap();
    assert_eq!((joined.error_code, joined.protocol_name.as_deref()), (ErrorCode::NONE, Some("0")));
}

#[test]
fn of_two_protocols_of_a_name_the_first_counts() {
    let mut stage = Stage::new(1 << 20);
    stage.join(vec![protocol("a", b"first"), protocol("b", b""), protocol("a", b"second")]);
    let replies = stage.tick();
    let joined = joined(&replies).unwrap();
    assert_eq!(joined.members[0].metadata, b"first"[..]);
}

/// A frame may lie in a buffer of half a mebibyte, and members live for days.
#[test]
fn members_keep_no_buffer_that_a_request_came_in() {
    let mut stage = Stage::new(1 << 20);
    let sent = join_request(vec![protocol("range", b"subscription")]);
    let (request, frame) = received(&sent, JOIN_VERSION);
    stage.hand(Command::Join { caller: caller(JOIN_VERSION), request, fresh_id: Uuid(5) });
    assert!(frame.is_unique(), "of the JoinGroup");
    let replies = stage.tick();
    let joined = joined(&replies).unwrap();
    let assignment = SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: Bytes::from_static(b"share"),
    };
    let sent = SyncGroupRequest {
        group_id: "h".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: vec![assignment],
        ..SyncGroupRequest::default()
    };
    let (request, frame) = received(&sent, SYNC_VERSION);
    let replies = stage.hand(Command::Sync(caller(SYNC_VERSION), request));
    let [Reply::Sync(synced)] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!((synced.error_code, &synced.assignment[..]), (ErrorCode::NONE, &b"share"[..]));
    assert!(frame.is_unique(), "of the SyncGroup");
}

/// What is loaded comes in reads of some mebibytes.
#[test]
fn members_keep_no_buffer_that_they_were_loaded_from() {
    let mut stage = Stage::new(1 << 20);
    stage.join(vec![protocol("range", b"subscription")]);
    let replies = stage.tick();
    let joined = joined(&replies).unwrap();
    let request = SyncGroupRequest {
        group_id: "h".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..SyncGroupRequest::default()
    };
    stage.hand(Command::Sync(caller(SYNC_VERSION), request));
    let stored = stage.log.records.iter().map(|record| record.encode().unwrap().unwrap());
    let stored: Vec<_> = stored.collect();
    let mut loaded = Runtime::<GroupMachine>::default();
    for (offset, pair) in (0..).zip(&stored) {
        let (key, value) = (pair.key.clone(), pair.value.clone());
        let record = GroupRecord::decode(key, value, ProducerId::NONE).unwrap();
        loaded.replay(Offset(offset), &record);
    }
    assert_eq!(loaded.machine(), stage.runtime.machine());
    assert!(stored.iter().all(|pair| pair.key.is_unique()));
    assert!(stored.iter().all(|pair| pair.value.as_ref().is_none_or(Bytes::is_unique)));
}

#[test]
fn groups_are_listed_at_once_whatever_the_filters_name() {
    let mut stage = Stage::new(1 << 20);
    (0..1_000).for_each(|at| {
        stage.hand(commit(Str::from(format!("g{at}")), 0));
    });
    let unknown = (0..100_000).map(|at| Str::from(format!("state {at}")));
    let unknown: Vec<Str> = unknown.collect();
    let with_one = [&unknown[..], &["  eMPTY ".into()]].concat();
    // (states, types, how many groups)
    let rows = [
        (&unknown[..], &[][..], 0),
        (&with_one[..], &[][..], 1_000),
        (&with_one[..], &["Classic".into()][..], 1_000),
        (&[][..], &["share".into()][..], 0),
        (&[][..], &[][..], 1_000),
    ];
    let start = Instant::now();
    for (states, types, count) in rows {
        let filter = ListFilter::new(states, types);
        let replies = stage.hand(Command::ListGroups { caller: caller(5), filter });
        let [Reply::ListGroups(groups)] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!(groups.len(), count);
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}
