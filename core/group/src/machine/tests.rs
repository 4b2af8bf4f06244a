//! Goal: no sequence of requests, silences, refused appends and failovers breaks what clients rely
//! on.
//!
//! Method: seeded random clients that use what they were told, and some that make things up. The
//! invariants: a replay gives the same state; nobody is answered twice; whoever waits when the
//! coordinator goes away is told; time always moves on; members of a stable group hold what the
//! record says.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use dohle_base::{ErrorCode, PartitionId, Rng, Timestamp, Uuid};
use dohle_machine::{Journal, Runtime};
use dohle_protocol::api::{
    heartbeat_request::HeartbeatRequest,
    join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
    leave_group_request::{LeaveGroupRequest, MemberIdentity},
    offset_commit_request::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    },
    sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment},
};

use super::*;
use crate::{Caller, GroupSettings, ReplyToken, classic::GroupState};

/// A log that may refuse.
#[derive(Default)]
struct Log {
    records: Vec<GroupRecord>,
    refuses: bool,
}

impl Journal<GroupRecord> for Log {
    type Error = ();

    fn append(&mut self, records: &[GroupRecord]) -> Result<Offset, ()> {
        if self.refuses {
            return Err(());
        }
        let first = Offset(self.records.len() as i64);
        self.records.extend_from_slice(records);
        Ok(first)
    }
}

/// The clients, the coordinator and its log.
struct World {
    rng: Rng,
    runtime: Runtime<GroupMachine>,
    log: Log,
    now: Now,
    requests: u64,
    /// Requests without an answer.
    open: BTreeSet<ReplyToken>,
    /// The groups of JoinGroups.
    joins: BTreeMap<ReplyToken, Str>,
    /// What clients know of themselves: group, member id, and the generation they were told.
    members: Vec<(Str, Str, i32)>,
    /// The log has refused, so that members may be answered whose request is still kept.
    has_refused: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: Rng::from_seed(seed),
            runtime: Runtime::default(),
            log: Log::default(),
            now: Now { wall: Timestamp(1_000_000), ..Now::default() },
            requests: 0,
            open: BTreeSet::new(),
            joins: BTreeMap::new(),
            members: Vec::new(),
            has_refused: false,
        };
        world.load();
        world
    }

    fn load(&mut self) {
        self.runtime = self.replayed();
        let settings = GroupSettings { group_size_max: 4, ..GroupSettings::default() };
        self.hand(Command::Configure(settings));
        self.hand(Command::Loaded);
    }

    fn replayed(&self) -> Runtime<GroupMachine> {
        let mut runtime = Runtime::default();
        for (at, record) in self.log.records.iter().enumerate() {
            runtime.replay(Offset(at as i64), record);
        }
        runtime
    }

    fn hand(&mut self, command: Command) {
        let result = self.runtime.handle(self.now, command, &mut self.log);
        self.see(result.map_err(|rejected| rejected.effects));
    }

    fn see(&mut self, result: Result<(), Vec<Effect>>) {
        if let Err(effects) = result {
            self.has_refused = true;
            for effect in effects {
                let failed = effect.fail(ErrorCode::COORDINATOR_NOT_AVAILABLE);
                failed.map(|(token, _)| self.open.remove(&token));
            }
        }
        self.runtime.handle_high_watermark(self.runtime.applied_end());
        while let Some(effect) = self.runtime.poll_effect() {
            let (token, reply) = match effect {
                Effect::Reply { token, reply } => (token, reply),
                Effect::Told { group_id, member_id } => {
                    let told = Command::Told { group_id, member_id };
                    self.runtime.handle(self.now, told, &mut self.log).expect("it writes nothing");
                    continue;
                }
                _ => continue,
            };
            let waited = self.open.remove(&token);
            assert!(waited || self.has_refused, "{token:?} is answered twice: {reply:?}");
            self.learn(token, reply);
        }
    }

    fn learn(&mut self, token: ReplyToken, reply: Reply) {
        let (Reply::Join(joined), Some(group_id)) = (reply, self.joins.remove(&token)) else {
            return;
        };
        self.members.retain(|(_, member_id, _)| *member_id != joined.member_id);
        if !joined.member_id.is_empty() && self.members.len() < 8 {
            self.members.push((group_id, joined.member_id, joined.generation_id));
        }
    }

    fn caller(&mut self) -> Caller {
        self.requests += 1;
        let token = ReplyToken(self.requests);
        self.open.insert(token);
        let api_version = [0, 3, 4, 9][self.rng.below(4) as usize];
        Caller { token, api_version, client_id: "c".into(), client_host: "/h".into() }
    }

    fn someone(&mut self) -> (Str, Str, i32) {
        let at = self.rng.below(self.members.len() as u64 + 1) as usize;
        match self.members.get(at) {
            Some(member) => member.clone(),
            None => (["g", "h"][self.rng.below(2) as usize].into(), "".into(), -1),
        }
    }

    fn instance(&mut self) -> Option<Str> {
        let name = ["one", "two"][self.rng.below(2) as usize];
        (self.rng.below(3) == 0).then(|| name.into())
    }

    fn step(&mut self) {
        match self.rng.below(20) {
            0 => {
                self.log.refuses = self.rng.below(4) == 0;
            }
            1 => self.fail_over(),
            2..=5 => self.pass_time(),
            6..=11 => self.join(),
            12..=14 => self.sync(),
            15 => self.leave(),
            16 => self.heartbeat(),
            17 | 18 => self.commit(),
            _ => {
                let caller = self.caller();
                self.hand(Command::DeleteGroups(caller, vec!["g".into(), "h".into()]));
            }
        }
        if self.rng.below(8) == 0 {
            let forgotten = self.rng.below(self.members.len() as u64 + 1) as usize;
            if forgotten < self.members.len() {
                self.members.remove(forgotten);
            }
        }
        self.check();
    }

    fn fail_over(&mut self) {
        self.log.refuses = false;
        self.hand(Command::Unloaded);
        assert!(self.open.is_empty(), "somebody waits for ever: {:?}", self.open);
        self.has_refused = false;
        self.load();
    }

    fn pass_time(&mut self) {
        let ms = [0, 500, 1_000, 3_000, 9_000, 400_000][self.rng.below(6) as usize];
        let end = self.now.instant + Duration::from_millis(ms);
        let mut ticks = 0;
        while let Some(due) = self.runtime.deadline().filter(|due| *due <= end) {
            self.now.instant = self.now.instant.max(due);
            let result = self.runtime.tick(self.now, &mut self.log);
            if result.is_err() {
                let refused = self.runtime.handle(self.now, Command::TickRefused, &mut self.log);
                refused.expect("it writes nothing");
            }
            self.see(result.map_err(|rejected| rejected.effects));
            ticks += 1;
            if self.log.refuses && ticks > 50 {
                self.log.refuses = false;
            }
            assert!(ticks < 2_000, "time does not pass");
        }
        self.now.instant = end;
        self.now.wall.0 += ms as i64;
    }

    fn join(&mut self) {
        let (group_id, member_id, _) = self.someone();
        let protocols = [&["a", "b"] as &[&str], &["b", "a"], &["b"]][self.rng.below(3) as usize];
        let request = JoinGroupRequest {
            group_id,
            member_id,
            group_instance_id: self.instance(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: [0, 15_000, 60_000][self.rng.below(3) as usize],
            protocol_type: "consumer".into(),
            protocols: protocols
                .iter()
                .map(|name| JoinGroupRequestProtocol { name: (*name).into(), ..Default::default() })
                .collect(),
            ..JoinGroupRequest::default()
        };
        let fresh_id = Uuid(u128::from(self.rng.next_u64()));
        let caller = self.caller();
        self.joins.insert(caller.token, request.group_id.clone());
        self.hand(Command::Join { caller, request, fresh_id });
    }

    fn sync(&mut self) {
        let (group_id, member_id, generation_id) = self.someone();
        let assignments = self.members.iter().map(|(_, member_id, _)| SyncGroupRequestAssignment {
            member_id: member_id.clone(),
            assignment: Bytes::copy_from_slice(member_id.as_bytes()),
        });
        let assignments = assignments.collect();
        let request = SyncGroupRequest {
            group_id,
            member_id,
            generation_id,
            assignments,
            protocol_type: Some("consumer".into()),
            ..SyncGroupRequest::default()
        };
        let caller = Caller { api_version: 3, ..self.caller() };
        self.hand(Command::Sync(caller, request));
    }

    fn leave(&mut self) {
        let (group_id, member_id, _) = self.someone();
        let group_instance_id = self.instance();
        let members = vec![MemberIdentity {
            member_id: member_id.clone(),
            group_instance_id,
            ..MemberIdentity::default()
        }];
        let caller = self.caller();
        let request = LeaveGroupRequest { group_id, member_id, members };
        self.hand(Command::Leave(caller, request));
    }

    fn heartbeat(&mut self) {
        let (group_id, member_id, generation_id) = self.someone();
        let request =
            HeartbeatRequest { group_id, member_id, generation_id, ..HeartbeatRequest::default() };
        let caller = self.caller();
        self.hand(Command::Heartbeat(caller, request));
    }

    fn commit(&mut self) {
        let (group_id, member_id, generation) = self.someone();
        let partitions = (0..3).map(|id| OffsetCommitRequestPartition {
            partition_index: PartitionId(id),
            ..OffsetCommitRequestPartition::default()
        });
        let topic = OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: partitions.collect(),
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id,
            generation_id_or_member_epoch: generation,
            member_id,
            retention_time_ms: [-1, 5_000][self.rng.below(2) as usize],
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let caller = self.caller();
        self.hand(Command::OffsetCommit(caller, request));
    }

    fn check(&self) {
        let (machine, session) = (self.runtime.machine(), self.runtime.session());
        for (group_id, live) in &session.live {
            let stored = machine.classic(group_id).expect("a live group has a record");
            if live.state == GroupState::Stable {
                let (live, stored) = (&live.group, stored);
                assert_eq!(live.generation_id, stored.generation_id);
                assert!(live.members.keys().eq(stored.members.keys()), "{live:?} {stored:?}");
            }
            let ids: BTreeSet<&Str> = live.known_ids().collect();
            let waiting = live.joining.keys().chain(live.syncing.keys());
            assert!(waiting.into_iter().all(|id| live.group.members.contains_key(id)));
            assert!(live.pending_join.iter().all(|id| !live.group.members.contains_key(id)));
            assert!(ids.len() == live.group.members.len() + live.pending_join.len());
            // Somebody is silent, or something else is waited for: never nothing.
            assert!(self.runtime.deadline().is_some());
        }
    }
}

#[test]
fn no_sequence_of_events_breaks_what_clients_rely_on() {
    let mut states = BTreeMap::<&str, u32>::new();
    for seed in 0..150 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.step();
            for live in world.runtime.session().live.values() {
                *states.entry(live.state.name()).or_default() += 1;
            }
        }
        assert_eq!(world.replayed().machine(), world.runtime.machine(), "seed {seed}");
        world.fail_over();
    }
    // The clients really got somewhere.
    for state in ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable"] {
        assert!(states.get(state).is_some_and(|count| *count > 100), "{states:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let log = |seed| {
        let mut world = World::new(seed);
        (0..300).for_each(|_| world.step());
        world.log.records
    };
    assert_eq!(log(7), log(7));
    assert_ne!(log(7), log(8));
}
