//! Goal: whoever asks is answered, whatever becomes of the thread and of what it writes; and what it writes can
//! be read again.

use std::ops::Range;

use dohle_base::{Offset, Uuid};
use dohle_group::Caller;
use dohle_protocol::api::{
    heartbeat_request::HeartbeatRequest,
    join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
    offset_commit_request::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    },
};
use dohle_records::Entry;
use dohle_replication::{Isolation, Read};

use super::*;
use crate::{
    durability::tests::{Node, is_committed_soon, node},
    kit::SOON,
};

fn caller(coordinator: &Coordinator, api_version: i16) -> Caller {
    Caller {
        token: coordinator.token(),
        api_version,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
    }
}

fn heartbeat(coordinator: &Coordinator) -> Command {
    heartbeat_of(coordinator, "", "")
}

/// In the first generation of a group.
fn heartbeat_of(coordinator: &Coordinator, group_id: &str, member_id: &str) -> Command {
    let request = HeartbeatRequest {
        group_id: group_id.into(),
        member_id: member_id.into(),
        generation_id: 1,
        ..Default::default()
    };
    Command::Heartbeat(caller(coordinator, 4), request)
}

/// From somebody who is no member, for as many partitions.
fn commit(coordinator: &Coordinator, partitions: i32) -> Command {
    commit_of(coordinator, "g", 0..partitions)
}

fn commit_of(coordinator: &Coordinator, group_id: &str, partitions: Range<i32>) -> Command {
    let partition = |index| OffsetCommitRequestPartition {
        partition_index: PartitionId(index),
        committed_offset: Offset(42),
        ..Default::default()
    };
    let partitions = partitions.map(partition).collect();
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: group_id.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    Command::OffsetCommit(caller(coordinator, 8), request)
}

/// The first member of a group, which waits for others.
fn join(coordinator: &Coordinator) -> Command {
    join_of(coordinator, "h", Uuid(5))
}

fn join_of(coordinator: &Coordinator, group_id: &str, fresh_id: Uuid) -> Command {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    let request = JoinGroupRequest {
        group_id: group_id.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    Command::Join { caller: caller(coordinator, 3), request, fresh_id }
}

fn error_of(reply: Reply) -> ErrorCode {
    match reply {
        Reply::Heartbeat(response) => response.error_code,
        Reply::Join(response) => response.error_code,
        Reply::Sync(response) => response.error_code,
        Reply::Leave(response) => response.error_code,
        Reply::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        Reply::OffsetFetch(response) => response.error_code,
        Reply::OffsetDelete(response) => response.error_code,
        Reply::DescribeGroups(groups) => groups[0].error_code,
        Reply::ListGroups(groups) => groups.err().unwrap_or(ErrorCode::NONE),
        Reply::DeleteGroups(groups) => groups[0].error_code,
    }
}

/// One request of each kind.
fn one_of_each(coordinator: &Coordinator) -> [Command; 10] {
    let groups = || vec!["g".into()];
    [
        join(coordinator),
        Command::Sync(caller(coordinator, 5), Default::default()),
        heartbeat(coordinator),
        Command::Leave(caller(coordinator, 5), Default::default()),
        commit(coordinator, 1),
        Command::OffsetFetch {
            caller: caller(coordinator, 8),
            request: Default::default(),
            require_stable: false,
        },
        Command::OffsetDelete(caller(coordinator, 0), Default::default()),
        Command::DescribeGroups(caller(coordinator, 5), groups()),
        Command::ListGroups { caller: caller(coordinator, 5), filter: Default::default() },
        Command::DeleteGroups(caller(coordinator, 2), groups()),
    ]
}

/// What the thread does, at times that a test says.
struct Turns {
    node: Node,
    coordinator: Coordinator,
    worker: Worker,
    events: mpsc::Receiver<Event>,
    jobs: jobs::Receiver<Job>,
    now: Now,
}

impl Turns {
    /// A partition has been given to it, but not been read yet.
    fn elected() -> Self {
        let (inbox, events) = mpsc::channel(100);
        let (jobs, queue) = jobs::channel();
        let settings = GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() };
        let commit_max = Duration::from_secs(3_600);
        let writes = GroupWrites { commit_max, compression: Compression::NONE };
        let mut turns = Self {
            node: node(1),
            coordinator: Coordinator { inbox, next_token: AtomicU64::new(0) },
            worker: Worker::new(settings, writes, jobs),
            events,
            jobs: queue,
            now: Clock::start().now(),
        };
        turns.tell(Event::Elected(Arc::clone(turns.partition())));
        turns
    }

    fn loaded() -> Self {
        let mut turns = Self::elected();
        turns.load();
        turns
    }

    fn partition(&self) -> &Arc<Partition> {
        &self.node.partitions[0]
    }

    fn tell(&mut self, event: Event) {
        assert!(self.worker.handle(self.now, event).is_continue());
    }

    /// What the loader does.
    fn load(&mut self) {
        while let Ok(Job { id, partition }) = self.jobs.try_recv() {
            let machine = load::load(&partition, || true);
            self.worker.take_over(self.now, Outcome { id, partition, machine });
        }
    }

    /// A request comes, which the thread has not looked at yet.
    fn ask(&mut self, command: Command) -> oneshot::Receiver<Reply> {
        let (reply, answer) = oneshot::channel();
        let (token, command) = (command.token().unwrap(), Box::new(command));
        let event = Event::Ask(PartitionId(0), Asked { token, command, reply });
        self.coordinator.inbox.try_send(event).unwrap_or_else(|_| panic!("no room"));
        answer
    }

    /// The thread comes to itself after a time that it was held up for or had nothing to do in.
    fn pass(&mut self, time: Duration) {
        self.now.instant = self.now.instant + time;
        for _ in 0..20 {
            if self.worker.deadline().is_none_or(|deadline| deadline > self.now.instant) {
                return;
            }
            assert!(self.worker.tick(self.now, &mut self.events).is_continue());
        }
        panic!("time does not pass");
    }

    /// All that was asked is handled, and what was written is committed.
    fn serve(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.tell(event);
        }
        self.pass(Duration::ZERO);
        let end = self.partition().with_leader(|leader| leader.standing().log_end).unwrap();
        assert!(is_committed_soon(self.partition(), end));
        self.worker.led.values_mut().for_each(|led| led.release(self.now));
    }

    fn answer(&mut self, command: Command) -> Reply {
        let mut answer = self.ask(command);
        self.serve();
        answer.try_recv().expect("an answer")
    }

    fn heartbeat(&mut self, group_id: &str, member_id: &str) -> ErrorCode {
        error_of(self.answer(heartbeat_of(&self.coordinator, group_id, member_id)))
    }

    /// The members of a new group.
    fn members(&mut self, group_id: &str, count: u128) -> Vec<Str> {
        let joins = (0..count).map(|id| join_of(&self.coordinator, group_id, Uuid(id + 1)));
        let joins: Vec<_> = joins.collect();
        let answers: Vec<_> = joins.into_iter().map(|join| self.ask(join)).collect();
        self.serve();
        let member = |mut answer: oneshot::Receiver<Reply>| match answer.try_recv() {
            Ok(Reply::Join(joined)) if !joined.error_code.is_error() => joined.member_id,
            other => panic!("{other:?}"),
        };
        answers.into_iter().map(member).collect()
    }
}

fn started(writes: GroupWrites, initial_rebalance_delay_ms: i32) -> Coordinator {
    let settings = GroupSettings { initial_rebalance_delay_ms, ..GroupSettings::default() };
    Coordinator::start(settings, writes, Clock::start(), &Fatal::default()).unwrap().0
}

fn ask(coordinator: &Coordinator, command: Command) -> Reply {
    ask_of(coordinator, PartitionId(0), command)
}

fn ask_of(coordinator: &Coordinator, partition: PartitionId, command: Command) -> Reply {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // Longer than any write of these tests may wait.
    let limit = SOON + Duration::from_secs(30);
    runtime.block_on(async {
        let answer = coordinator.ask(partition, command);
        tokio::time::timeout(limit, answer).await.expect("an answer")
    })
}

#[test]
fn who_waits_for_too_long_until_a_write_is_committed_is_told_to_ask_again() {
    let node = node(1);
    let elected = |commit_max, initial_rebalance_delay_ms| {
        let writes = GroupWrites { commit_max, compression: Compression::NONE };
        let coordinator = started(writes, initial_rebalance_delay_ms);
        coordinator.elected(Arc::clone(&node.partitions[0]));
        coordinator
    };
    let before = elected(SOON, 0);
    assert_eq!(error_of(ask(&before, join(&before))), ErrorCode::NONE, "its group is written");
    before.stop();
    // Nothing becomes durable any more.
    node.dir.write_ahead().die();
    let commit_max = Duration::from_millis(50);
    let coordinator = elected(commit_max, 300);
    let reply = ask(&coordinator, join(&coordinator));
    assert_eq!(error_of(reply), ErrorCode::NONE, "it waited for other members, not for a write");
    for _ in 0..2 {
        let asked = std::time::Instant::now();
        let reply = ask(&coordinator, commit(&coordinator, 1));
        assert_eq!(error_of(reply), ErrorCode::COORDINATOR_NOT_AVAILABLE);
        assert!(asked.elapsed() >= commit_max);
    }
}

#[test]
fn while_a_partition_is_read_the_groups_of_others_go_on() {
    let node = node(2);
    let writes = GroupWrites { commit_max: SOON, compression: Compression::NONE };
    let coordinator = started(writes, 0);
    let ask_other = || error_of(ask_of(&coordinator, PartitionId(1), commit(&coordinator, 1)));
    coordinator.elected(Arc::clone(&node.partitions[1]));
    assert_eq!(ask_other(), ErrorCode::NONE);
    // Nothing of it can be read before this is let go.
    let unreadable = node.partitions[0].state();
    coordinator.elected(Arc::clone(&node.partitions[0]));
    let meanwhile = ask_other();
    drop(unreadable);
    assert_eq!(meanwhile, ErrorCode::NONE);
}

#[test]
fn who_asks_while_a_partition_is_read_is_told_so_after_a_moment() {
    let mut turns = Turns::elected();
    let commands = || one_of_each(&turns.coordinator);
    let (early, late) = (commands(), commands());
    let mut early = early.map(|command| turns.ask(command));
    turns.serve();
    turns.pass(LOAD_PATIENCE - Duration::from_millis(1));
    assert!(early.iter_mut().all(|answer| answer.try_recv().is_err()), "it may be there soon");
    turns.pass(Duration::from_millis(1));
    let early = early.map(|mut answer| answer.try_recv().expect("the time is over"));
    let late = late.map(|command| turns.answer(command));
    for reply in early.into_iter().chain(late) {
        let expected = match reply {
            // Its member must not take itself for expelled. Source: Kafka 4.4.
            Reply::Heartbeat(_) => ErrorCode::NONE,
            _ => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        };
        let said = format!("{reply:?}");
        assert_eq!(error_of(reply), expected, "{said}");
    }
    turns.load();
    let commit = commit(&turns.coordinator, 1);
    assert_eq!(error_of(turns.answer(commit)), ErrorCode::NONE);
}

#[test]
fn who_asks_right_before_a_partition_is_read_to_its_end_is_answered_as_if_after() {
    let mut turns = Turns::elected();
    let commands = one_of_each(&turns.coordinator);
    let mut answers = commands.map(|command| turns.ask(command));
    turns.serve();
    turns.load();
    turns.serve();
    for answer in &mut answers {
        let error = error_of(answer.try_recv().expect("an answer"));
        assert_ne!(error, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        assert_ne!(error, ErrorCode::NOT_COORDINATOR);
    }
}

#[test]
fn a_partition_that_is_lost_while_it_is_read_has_no_coordinator() {
    let mut turns = Turns::elected();
    let mut waiting = turns.ask(join(&turns.coordinator));
    turns.serve();
    turns.tell(Event::Resigned(PartitionId(0)));
    assert_eq!(error_of(waiting.try_recv().unwrap()), ErrorCode::NOT_COORDINATOR);
    turns.load();
    let join = || join(&turns.coordinator);
    let (before, after) = (join(), join());
    assert_eq!(error_of(turns.answer(before)), ErrorCode::NOT_COORDINATOR);
    // What was read for an earlier leadership is nothing to a later one.
    turns.tell(Event::Elected(Arc::clone(turns.partition())));
    let earlier = turns.jobs.try_recv().unwrap();
    turns.tell(Event::Elected(Arc::clone(turns.partition())));
    let machine = load::load(turns.partition(), || true);
    let outcome = Outcome { id: earlier.id, partition: earlier.partition, machine };
    turns.worker.take_over(turns.now, outcome);
    assert!(turns.worker.led.is_empty());
    turns.load();
    assert_eq!(error_of(turns.answer(after)), ErrorCode::NONE);
}

#[test]
fn a_timer_whose_write_is_refused_holds_up_no_other_and_is_tried_again() {
    let mut turns = Turns::loaded();
    let alone = turns.members("a", 1);
    turns.pass(Duration::from_millis(1));
    let two = turns.members("b", 2);
    turns.pass(Duration::from_secs(5));
    assert_eq!(turns.heartbeat("b", &two[1]), ErrorCode::NONE);
    // That the last member has gone would be written, that one of two has would not.
    turns.partition().set_refuses_acks_all(true);
    turns.pass(Duration::from_secs(6));
    assert_eq!(turns.heartbeat("b", &two[1]), ErrorCode::REBALANCE_IN_PROGRESS);
    turns.partition().set_refuses_acks_all(false);
    turns.pass(Duration::from_secs(1));
    assert_eq!(turns.heartbeat("a", &alone[0]), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_whose_heartbeat_has_come_while_the_thread_was_held_up_is_not_expelled() {
    let mut turns = Turns::loaded();
    let members = turns.members("a", 2);
    let heartbeat = heartbeat_of(&turns.coordinator, "a", &members[0]);
    let mut answer = turns.ask(heartbeat);
    turns.pass(Duration::from_secs(11));
    turns.serve();
    // The other one was silent.
    assert_eq!(error_of(answer.try_recv().unwrap()), ErrorCode::NONE);
    assert_eq!(turns.heartbeat("a", &members[0]), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(turns.heartbeat("a", &members[1]), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_group_is_written_with_the_codec_that_was_set_and_read_again() {
    for codec in Codec::ALL {
        let node = node(1);
        let partition = &node.partitions[0];
        let writes = GroupWrites { commit_max: SOON, compression: codec.into() };
        let coordinator = started(writes, 0);
        coordinator.elected(Arc::clone(partition));
        let reply = ask(&coordinator, commit(&coordinator, 100));
        assert_eq!(error_of(reply), ErrorCode::NONE, "{codec}");
        assert!(is_committed_soon(partition, Offset(100)));
        let read = Read {
            from: Offset(0),
            size_max: 1 << 20,
            at_least_one: true,
            isolation: Isolation::LogEnd,
        };
        let slice = partition.with_leader(|leader| leader.read(read)).unwrap().unwrap().slice;
        let bytes = slice.unwrap().read().unwrap();
        let batch = Entry::parse(&bytes).unwrap().batch().unwrap();
        assert_eq!(batch.attributes().codec(), Some(codec));
        let loaded =
            load::load(partition, || true).unwrap_or_else(|error| panic!("{codec}: {error}"));
        let offsets = loaded.machine().offsets();
        let found = (0..100).filter_map(|index| offsets.committed("g", "t", PartitionId(index)));
        assert!(found.map(|found| found.offset).eq([Offset(42); 100]), "{codec}");
    }
}

/// The offsets of a group with a long name are deleted with their topic: their tombstones are more than a
/// batch may have.
#[test]
fn tombstones_of_any_size_are_written_and_hold_up_nobody() {
    let node = node(1);
    let partition = &node.partitions[0];
    let writes = GroupWrites { commit_max: SOON, compression: Compression::NONE };
    let coordinator = started(writes, 0);
    coordinator.elected(Arc::clone(partition));
    let group_id = "n".repeat(30_000);
    for partitions in [0..20, 20..40] {
        let reply = ask(&coordinator, commit_of(&coordinator, &group_id, partitions));
        assert_eq!(error_of(reply), ErrorCode::NONE);
    }
    coordinator.topics_deleted(vec![("t".into(), TopicId::ZERO)]);
    assert_eq!(error_of(ask(&coordinator, join(&coordinator))), ErrorCode::NONE);
    let is_gone = || {
        let loaded = load::load(partition, || true).unwrap();
        loaded.machine().offsets().committed(&group_id, "t", PartitionId(39)).is_none()
    };
    let start = std::time::Instant::now();
    while !is_gone() {
        assert!(start.elapsed() < SOON, "the offsets stay");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_request_that_the_thread_dies_with_is_refused() {
    let (inbox, mut events) = mpsc::channel(1);
    let coordinator = Coordinator { inbox, next_token: AtomicU64::new(0) };
    let asked = coordinator.ask(PartitionId(0), heartbeat(&coordinator));
    let dies = async {
        drop(events.recv().await);
        drop(events);
    };
    let (reply, ()) = tokio::join!(asked, dies);
    assert_eq!(error_of(reply), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    let reply = coordinator.ask(PartitionId(0), heartbeat(&coordinator)).await;
    assert_eq!(error_of(reply), ErrorCode::COORDINATOR_NOT_AVAILABLE, "and all after it");
}
