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
    Caller, Command, Effect, GroupMachine, GroupRecord, GroupSettings, ListFilter, Names, Reply,
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
const SOON: Duration = Duration::from_secs(60);
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
    /// What the operator was told.
    told: Vec<Names>,
}

impl Stage {
    fn new(bytes_max: usize) -> Self {
        let log = Log { records: Vec::new(), bytes_max };
        let (now, told) = (Now::default(), Vec::new());
        let mut stage = Self { runtime: Runtime::default(), log, now, told };
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
        let mut replies = Vec::new();
        while let Some(effect) = self.runtime.poll_effect() {
            match effect {
                Effect::Reply { reply, .. } => replies.push(reply),
                Effect::ParkedJoin { .. } => {}
                Effect::Told { group_id, member_id } => {
                    let told = Command::Told { group_id, member_id };
                    self.runtime.handle(self.now, told, &mut self.log).expect("it writes nothing");
                }
                Effect::TombstoneTooLarge(names) => self.told.push(names),
            }
        }
        replies
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

fn has_offset(stage: &Stage, group_id: &str, index: i32) -> bool {
    stage.runtime.machine().offsets().committed(group_id, "t", PartitionId(index)).is_some()
}

/// How many tombstones each tick writes, until nothing is due now.
fn portions(stage: &mut Stage) -> Vec<usize> {
    let mut portions = Vec::new();
    while stage.runtime.deadline().is_some_and(|due| due <= stage.now.instant) {
        assert!(portions.len() < 1_000, "a tick makes no progress");
        let before = stage.log.records.len();
        stage.tick();
        portions.push(stage.log.records.len() - before);
    }
    portions
}

fn delete_topic(stage: &mut Stage) {
    stage.hand(Command::TopicsDeleted(vec![("t".into(), TopicId::ZERO)]));
}

/// A limit may be raised, and a portion may have been too large for one long name only.
#[test]
fn portions_of_tombstones_grow_again_after_they_were_too_large() {
    const COUNT: i32 = 2_000;
    let mut stage = Stage::new(1 << 20);
    let group_id = Str::from("g".repeat(100));
    (0..COUNT).for_each(|index| {
        stage.hand(commit(group_id.clone(), index));
    });
    stage.log.bytes_max = 2_000;
    delete_topic(&mut stage);
    (0..10).for_each(|_| {
        stage.tick();
    });
    stage.log.bytes_max = 1 << 20;
    let portions = portions(&mut stage);
    assert!(!has_offset(&stage, &group_id, COUNT - 1));
    let largest = *portions.iter().max().unwrap();
    assert!(largest > 200, "{portions:?}");
}

/// Where the limit stays it is met from time to time, which costs a refusal and no time.
#[test]
fn a_limit_that_stays_refuses_few_portions() {
    let mut stage = Stage::new(1 << 20);
    let group_id = Str::from("g".repeat(100));
    (0..2_000).for_each(|index| {
        stage.hand(commit(group_id.clone(), index));
    });
    stage.log.bytes_max = 2_000;
    delete_topic(&mut stage);
    let portions = portions(&mut stage);
    assert_eq!(portions.iter().sum::<usize>(), 2_000, "without waiting");
    let refused = portions.iter().filter(|count| **count == 0).count();
    assert!(refused * 6 < portions.len(), "{refused} of {}", portions.len());
}

/// Tombstones of `long` fit no batch; those of groups before it and behind it do.
fn with_one_too_long(behind: &str) -> (Stage, Str) {
    let mut stage = Stage::new(1 << 20);
    let long = Str::from("l".repeat(1_000));
    for group_id in ["a".into(), long.clone(), behind.into()] {
        (0..3).for_each(|index| {
            stage.hand(commit(group_id.clone(), index));
        });
    }
    stage.log.bytes_max = 600;
    (stage, long)
}

#[test]
fn a_tombstone_that_fits_no_batch_does_not_hold_up_those_behind_it() {
    let (mut stage, long) = with_one_too_long("z");
    delete_topic(&mut stage);
    let written: usize = portions(&mut stage).iter().sum();
    assert_eq!(written, 6);
    assert!(!has_offset(&stage, "a", 2) && !has_offset(&stage, "z", 2));
    assert!(has_offset(&stage, &long, 0));
    let names = Names { group_id: long.clone(), topic: Some("t".into()) };
    assert_eq!(std::mem::take(&mut stage.told), [names]);
    // Later it is tried again, in silence.
    for _ in 0..3 {
        stage.now.instant = stage.runtime.deadline().expect("it is tried again");
        assert!(portions(&mut stage).len() < 10, "and left alone then");
        assert!(has_offset(&stage, &long, 0) && stage.told.is_empty());
    }
    stage.log.bytes_max = 1 << 20;
    stage.now.instant = stage.runtime.deadline().unwrap();
    assert_eq!(portions(&mut stage).iter().sum::<usize>(), 3);
    assert!(!has_offset(&stage, &long, 2));
    for _ in 0..2 {
        // Groups that hold nothing any more go with the next sweep.
        stage.now.instant = stage.runtime.deadline().unwrap();
        portions(&mut stage);
    }
    assert_eq!(stage.runtime.deadline(), None, "nothing is left to wait for");
}

#[test]
fn an_expired_offset_whose_tombstone_fits_no_batch_does_not_hold_up_those_behind_it() {
    let (mut stage, long) = with_one_too_long("z");
    let retention_ms = stage.runtime.session().settings().offsets_retention_ms;
    stage.now.wall.0 += retention_ms;
    let sweep = |stage: &mut Stage| {
        stage.now.instant = stage.runtime.deadline().expect("a sweep is due");
        portions(stage).iter().sum::<usize>()
    };
    assert_eq!(sweep(&mut stage), 6 + 2, "the offsets and the groups");
    assert!(!has_offset(&stage, "z", 2) && has_offset(&stage, &long, 0));
    assert_eq!(std::mem::take(&mut stage.told).len(), 1);
    assert_eq!(sweep(&mut stage), 0);
    assert!(stage.told.is_empty(), "it was said");
    stage.log.bytes_max = 1 << 20;
    assert_eq!(sweep(&mut stage), 3 + 1);
    assert_eq!(stage.runtime.machine(), &GroupMachine::default());
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
    let unknown = (0..400_000).map(|at| Str::from(format!("state {at}")));
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
        let [Reply::ListGroups(Ok(groups))] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!(groups.len(), count);
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}
