//! The metadata log goes back as far as retention says, and whatever call the power is cut behind,
//! a start finds all that was answered.
//!
//! Method: a node over a simulated disk makes topics, writes snapshots and shortens its log, cut at
//! each of its disk calls in turn (`dohle_log::sim::cuts`).

use std::{collections::VecDeque, ops::Range};

use dohle_base::{BrokerId, Rng, Uuid};
use dohle_controller::{
    Node, NodeConfig, NodeOutput, Reply, Request, RequestToken, SnapshotPolicy,
};
use dohle_log::sim::{
    Faults, SimDisk,
    cuts::{Fault, Run, at_each_call},
};
use dohle_metadata::{
    MetaProperties, MetadataVersion,
    format::{self, Levels, LevelsRequest, Quorum},
    supported_features,
};
use dohle_protocol::api::{
    broker_heartbeat_request::BrokerHeartbeatRequest,
    broker_registration_request::{BrokerRegistrationRequest, Feature},
    create_topics_request::{CreatableTopic, CreateTopicsRequest},
};
use dohle_raft::{Endpoint, ReplicaKey, SnapshotId, VoterSet};

use super::*;

const CLUSTER: &str = "ASNFZ4mrze8QMlR2mLrc_g";
const DIR: &str = "/m/__cluster_metadata-0";
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Seconds since the beginning.
fn at(second: u64) -> Now {
    let wall = Timestamp(1_700_000_000_000 + second as i64 * 1_000);
    Now { instant: Instant(second * 1_000_000_000), wall }
}

/// Little is much.
pub(in crate::controller) fn settings() -> Settings {
    Settings {
        dir: "/m".into(),
        segment_bytes: 1_500,
        segment_ms: DAY,
        snapshot_bytes: 1_000,
        snapshot_ms: 0,
        retention_bytes: Some(4_000),
        retention_ms: None,
        delete_delay_ms: 10_000,
    }
}

fn endpoint() -> Endpoint {
    Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 33101 }
}

/// A disk on which a metadata directory was formatted.
pub(in crate::controller) fn formatted() -> SimDisk {
    let asked = LevelsRequest { dynamic_quorum: true, ..LevelsRequest::default() };
    let request = format::Request {
        cluster_id: CLUSTER.into(),
        node_id: BrokerId(1),
        quorum: Quorum::Standalone(vec![endpoint()]),
        levels: Levels::choose(&asked).unwrap(),
        scram: Vec::new(),
        now: at(0).wall,
    };
    let disk = SimDisk::new();
    for file in format::directory(&request, true, &mut Rng::from_seed(3)).unwrap() {
        disk.plant(&Path::new("/m").join(file.path), &file.content);
    }
    disk
}

fn directory(disk: &SimDisk) -> Uuid {
    let properties = disk.peek(Path::new("/m/meta.properties")).unwrap();
    MetaProperties::parse(&properties).unwrap().directory_id.unwrap()
}

/// A node that has read its files, and not begun to act.
pub(in crate::controller) fn load(
    disk: &SimDisk,
    settings: &Settings,
    second: u64,
) -> Result<(Node, MetadataFiles<SimDisk>), FilesError> {
    load_among(VoterSet::default(), disk, settings, second)
}

/// The same, where the settings say who votes.
fn load_among(
    static_voters: VoterSet,
    disk: &SimDisk,
    settings: &Settings,
    second: u64,
) -> Result<(Node, MetadataFiles<SimDisk>), FilesError> {
    let mut files = MetadataFiles::open(settings, disk.clone(), at(second).wall)?;
    let config = NodeConfig {
        raft: dohle_raft::Config {
            own: ReplicaKey::new(BrokerId(1), directory(disk)),
            endpoints: vec![endpoint()],
            static_voters,
        },
        settings: dohle_controller::Settings {
            node_id: BrokerId(1),
            cluster_id: CLUSTER.into(),
            ..Default::default()
        },
        incarnation_id: Uuid(u128::from(second) + 0x7000),
        listeners: Vec::new(),
        snapshots: SnapshotPolicy { bytes_max: settings.snapshot_bytes as u64, interval: None },
        seed: second,
    };
    let mut loader = files.loader(config)?;
    files.load(&mut loader)?;
    let started = loader.start(at(second));
    let path = files.dir.clone();
    Ok((started.map_err(|error| FilesError::Unfit { path, error: Box::new(error) })?, files))
}

/// How the broker of such a node registers.
pub(in crate::controller) fn registration(
    disk: &SimDisk,
    second: u64,
) -> BrokerRegistrationRequest {
    let features = supported_features().map(|feature| Feature {
        name: feature.name.into(),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
    });
    BrokerRegistrationRequest {
        broker_id: BrokerId(1),
        cluster_id: CLUSTER.into(),
        incarnation_id: Uuid(u128::from(second) + 0x8000),
        features: features.collect(),
        log_dirs: vec![directory(disk)],
        ..BrokerRegistrationRequest::default()
    }
}

/// A node with its files, and no thread.
struct Running {
    node: Node,
    files: MetadataFiles<SimDisk>,
    second: u64,
}

impl Running {
    /// A start, up to where the broker is in service.
    fn start(disk: &SimDisk, settings: &Settings, second: u64) -> Result<Self, FilesError> {
        let (node, files) = load(disk, settings, second)?;
        let mut running = Self { node, files, second };
        running.carry_out()?;
        running.serve(disk)?;
        Ok(running)
    }

    fn serve(&mut self, disk: &SimDisk) -> Result<(), FilesError> {
        self.ask(Request::RegisterBroker(registration(disk, self.second)))?;
        let broker = self.node.published().image.broker(BrokerId(1)).expect("it was registered");
        let request = BrokerHeartbeatRequest {
            broker_id: BrokerId(1),
            broker_epoch: broker.epoch,
            current_metadata_offset: self.node.published().offset(),
            ..BrokerHeartbeatRequest::default()
        };
        self.ask(Request::BrokerHeartbeat(request))?;
        Ok(())
    }

    fn ask(&mut self, request: Request) -> Result<Reply, FilesError> {
        self.node.request(at(self.second), RequestToken(9), request);
        Ok(self.carry_out()?.pop_front().expect("a durable log answers"))
    }

    fn create(&mut self, name: &str) -> Result<(), FilesError> {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        match self.ask(Request::CreateTopics(request))? {
            Reply::CreateTopics(reply) if !reply.topics[0].error_code.is_error() => Ok(()),
            reply => panic!("{reply:?}"),
        }
    }

    /// Writes what the node wants written, as the driver does.
    fn carry_out(&mut self) -> Result<VecDeque<Reply>, FilesError> {
        let (mut replies, mut written) = (VecDeque::new(), None);
        loop {
            let now = at(self.second);
            while let Some(output) = self.node.poll_output() {
                match output {
                    NodeOutput::ResetLog { start } => self.files.reset(start, now.wall)?,
                    NodeOutput::PersistElection { token, file } => {
                        self.files.persist_election(&file)?;
                        written = Some(token);
                    }
                    NodeOutput::Append { token, base_offset, batch, .. } => {
                        self.files.append(base_offset, &batch, now)?;
                        written = Some(token);
                    }
                    NodeOutput::Snapshot(job) => {
                        self.files.write_snapshot(&job, now)?;
                        self.node.snapshot_written(now, job.id());
                    }
                    NodeOutput::Reply(answer) => replies.push_back(answer.reply),
                    NodeOutput::Active { .. }
                    | NodeOutput::Resigned { .. }
                    | NodeOutput::Publish(_) => {}
                }
            }
            let Some(token) = written.take() else { return Ok(replies) };
            self.files.sync()?;
            self.node.persisted(now, token);
        }
    }

    /// What the driver does once enough time has passed.
    fn clean(&mut self) -> Result<(), FilesError> {
        self.second += 61;
        let start = self.files.clean(at(self.second))?;
        self.node.note_log_start(start);
        Ok(())
    }

    fn topics(&self) -> Vec<String> {
        let topics = &self.node.published().image.topics;
        let mut names = topics.iter().map(|topic| topic.name.to_string()).collect::<Vec<_>>();
        names.sort_unstable();
        names
    }
}

fn name(index: usize) -> String {
    format!("topic-{index:03}")
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// The first offsets of the segments.
fn bases(disk: &SimDisk) -> Vec<i64> {
    let names = names(disk).into_iter();
    names.filter_map(|name| name.strip_suffix(".log").map(|base| base.parse().unwrap())).collect()
}

/// Where the snapshots end.
fn ends(disk: &SimDisk) -> Vec<i64> {
    let ids = names(disk).into_iter().filter_map(|name| SnapshotId::from_file_name(&name).ok());
    ids.map(|id| id.end_offset.0).collect()
}

/// What Kafka checks when it opens the directory.
fn check_for_kafka(disk: &SimDisk) -> Result<(), String> {
    let (first, newest) = (bases(disk).first().copied(), ends(disk).last().copied());
    match (first, newest) {
        (Some(first), Some(newest)) if first > newest => {
            Err(format!("the log begins at {first}, behind the newest snapshot, {newest}"))
        }
        (_, None) => Err("no snapshot".into()),
        _ => Ok(()),
    }
}

/// Topics, snapshots and removals; then the node is started anew, and goes on.
struct Shortening;

#[derive(Default)]
struct Told {
    answered: usize,
    asked: usize,
}

impl Run for Shortening {
    type Told = Told;

    fn disk(&self) -> SimDisk {
        formatted()
    }

    fn run(&self, disk: &SimDisk, told: &mut Told) -> Result<(), String> {
        shorten(disk, told).map_err(|error| error.to_string())
    }

    fn restart(&self, disk: &SimDisk, _told: &Self::Told) {
        // Whether it starts is for `check` to say.
        let _ = Running::start(disk, &settings(), 100_000);
    }

    fn check(&self, disk: &SimDisk, told: &Told) -> Result<(), String> {
        check_for_kafka(disk)?;
        // Each start draws other ids.
        let again = Running::start(disk, &settings(), 200_000 + disk.changes());
        let mut node = again.map_err(|error| error.to_string())?;
        // A check before may have left its own.
        let topics = node.topics().into_iter().filter(|topic| topic.starts_with("topic-"));
        let topics = topics.collect::<Vec<_>>();
        let expected = (0..topics.len()).map(name).collect::<Vec<_>>();
        if topics != expected || !(told.answered..=told.asked).contains(&topics.len()) {
            return Err(format!("{} answered, {} asked: {topics:?}", told.answered, told.asked));
        }
        let goes_on = node.create(&format!("another-{}", node.node.raft().log_end()));
        goes_on.and_then(|()| node.clean()).map_err(|error| error.to_string())?;
        check_for_kafka(disk)
    }
}

fn shorten(disk: &SimDisk, told: &mut Told) -> Result<(), FilesError> {
    for life in 1..=2 {
        let mut node = Running::start(disk, &settings(), life * 10_000)?;
        for _ in 0..10 {
            told.asked += 1;
            node.create(&name(told.answered))?;
            told.answered += 1;
            if told.answered.is_multiple_of(3) {
                node.clean()?;
            }
        }
        node.clean()?;
    }
    Ok(())
}

#[test]
fn the_log_goes_back_as_far_as_retention_says() {
    let settings = Settings { segment_bytes: 1_000, ..settings() };
    let disk = formatted();
    let mut node = Running::start(&disk, &settings, 1).unwrap();
    let mut removed = 0;
    for index in 0..60 {
        node.create(&name(index)).unwrap();
        let before = (bases(&disk), ends(&disk));
        node.clean().unwrap();
        let after = (bases(&disk), ends(&disk));
        removed += before.0.len() - after.0.len();
        assert_eq!(after.1.last(), before.1.last(), "the newest snapshot stays");
        let start = node.files.log.log_start_offset();
        assert_eq!((start, node.node.raft().log_start()), (Offset(after.1[0]), start));
        assert!(after.0[0] <= start.0, "{after:?}");
        assert!(after.0.get(1).is_none_or(|second| *second > start.0), "{after:?}");
        let stored = node.files.snapshots.stored();
        let size = node.files.log.size() + stored.iter().map(|s| s.size).sum::<u64>();
        assert!(size <= 4_000 || stored.len() == 1, "{size} bytes with {} snapshots", stored.len());
        check_for_kafka(&disk).unwrap();
    }
    assert!(removed > 5, "{removed} segments");
    node.second += 10;
    node.clean().unwrap();
    assert_eq!(names(&disk).iter().filter(|name| name.ends_with(".deleted")).count(), 0);
    // A start goes on from there: with the same start, and without what is no more.
    let start = node.files.log.log_start_offset();
    disk.restart(1);
    // All leaders are elected anew in one batch.
    let roomy = Settings { segment_bytes: 1 << 20, ..settings };
    let again = Running::start(&disk, &roomy, 90_000).unwrap();
    assert_eq!(again.files.log.log_start_offset(), start);
    assert_eq!(again.topics(), (0..60).map(name).collect::<Vec<_>>());
}

#[test]
fn a_power_cut_after_any_call_loses_nothing() {
    let whole = formatted();
    shorten(&whole, &mut Told::default()).unwrap();
    let (bases, ends) = (bases(&whole), ends(&whole));
    assert!(bases[0] > 0 && ends[0] > 0, "{bases:?}, {ends:?}");
    let calls = at_each_call(&Shortening, Fault::PowerCut, &[0, 1, 2]);
    let calls = calls.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(calls > 150, "{calls}");
}

#[test]
fn nor_does_an_error_at_any_call() {
    for fault in [Fault::ChangeError, Fault::ChangeFull, Fault::ReadError] {
        at_each_call(&Shortening, fault, &[2]).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

#[test]
fn what_could_not_be_removed_is_removed_the_next_time() {
    let whole = formatted();
    let removals = removals_with(&whole, None);
    assert!(removals.end - removals.start > 5, "{removals:?}");
    // The state of producers before a segment may go with the next segment.
    let but_snapshots = |disk: &SimDisk| {
        let names = names(disk).into_iter();
        names.filter(|name| !name.ends_with(".snapshot")).collect::<Vec<_>>()
    };
    let gone = but_snapshots(&whole);
    for call in removals {
        let disk = formatted();
        removals_with(&disk, Some(call));
        assert_eq!(but_snapshots(&disk), gone, "error at call {call}");
    }
}

/// Shortens a log once, with an error at one call, and then again; the calls of the first time.
fn removals_with(disk: &SimDisk, io_error_at: Option<u64>) -> std::ops::Range<u64> {
    let mut node = Running::start(disk, &settings(), 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    let before = disk.changes();
    disk.set_faults(Faults { io_error_at, ..Faults::default() });
    let cleaned = node.clean();
    let calls = before + 1..disk.changes() + 1;
    match cleaned {
        Err(error) => assert!(io_error_at.is_some() && !error.may_pass(), "{error}"),
        Ok(()) => assert!(io_error_at.is_none()),
    }
    disk.set_faults(Faults::default());
    node.clean().unwrap();
    node.clean().unwrap();
    calls
}

#[test]
fn a_snapshot_goes_when_it_is_old_and_there_is_a_newer_one() {
    let settings = Settings { retention_bytes: None, retention_ms: Some(DAY), ..settings() };
    let disk = formatted();
    let mut node = Running::start(&disk, &settings, 1).unwrap();
    (0..9).for_each(|index| node.create(&name(index)).unwrap());
    node.clean().unwrap();
    let all = ends(&disk);
    assert!(all.len() > 2, "{all:?}");
    // The oldest is the one that formatting left, at 0. Until it is too old the node sleeps.
    let day = DAY as u64 / 1_000;
    let expected = Duration::from_millis(DAY as u64 + 1) - Duration::from_secs(node.second);
    assert_eq!(node.files.idle_time(at(node.second)), Some(expected));
    node.second = day;
    node.files.clean(at(day)).unwrap();
    assert_eq!(ends(&disk), all);
    node.files.clean(at(day + 1)).unwrap();
    assert_eq!(ends(&disk), all[1..]);
    // Only the files that were done with are waited for once there is one left.
    node.files.clean(at(9 * day)).unwrap();
    assert_eq!(ends(&disk), all[all.len() - 1..]);
    assert_eq!(node.files.idle_time(at(9 * day)), Some(Duration::from_secs(10)));
    node.files.clean(at(9 * day + 10)).unwrap();
    assert_eq!(node.files.idle_time(at(9 * day + 10)), None);
    node.create(&name(9)).unwrap();
    let soon = node.files.idle_time(at(node.second));
    assert_eq!(soon, Some(LOOK_AFTER), "something was written");
}

#[test]
fn without_limits_everything_stays() {
    let settings = Settings { retention_bytes: None, ..settings() };
    let disk = formatted();
    let mut node = Running::start(&disk, &settings, 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    let before = names(&disk);
    node.second += 10_000_000;
    node.clean().unwrap();
    assert_eq!(names(&disk), before);
    assert_eq!(node.files.idle_time(at(node.second)), None, "the node sleeps");
}

#[test]
fn segments_roll_by_size_and_by_age() {
    let filled = |bytes, ms| {
        let (segment_bytes, segment_ms, snapshot_bytes) = (bytes, ms, 1 << 20);
        let disk = formatted();
        let settings = Settings { segment_bytes, segment_ms, snapshot_bytes, ..settings() };
        let mut node = Running::start(&disk, &settings, 0).unwrap();
        for index in 0..20 {
            node.second = index as u64;
            node.create(&name(index)).unwrap();
        }
        let size = |base: &i64| disk.size_of(&Path::new(DIR).join(format!("{base:020}.log")));
        bases(&disk).iter().map(|base| size(base).unwrap()).collect::<Vec<_>>()
    };
    let whole = filled(1 << 20, DAY);
    assert_eq!(whole.len(), 1);
    assert_eq!(filled(1 << 20, 4_000).len(), 4, "one each five seconds");
    let by_size = filled(1_500, DAY);
    assert_eq!(by_size.iter().sum::<u64>(), whole[0]);
    assert!(by_size.len() as u64 >= whole[0].div_ceil(1_500), "{by_size:?}");
    assert!(by_size.iter().all(|size| *size <= 1_500), "{by_size:?}");
}

#[test]
fn what_an_interrupted_removal_left_is_tidied_as_kafka_does() {
    let disk = formatted();
    let mut node = Running::start(&disk, &settings(), 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    let zero = Path::new(DIR).join(SnapshotId::BOOTSTRAP.file_name());
    let bootstrap = disk.peek(&zero).unwrap();
    node.clean().unwrap();
    let left = ends(&disk);
    // One below the log's start, as if only its segments had gone; Kafka's names of what is not done.
    disk.plant(&zero, &bootstrap);
    for suffix in [".deleted", "-3217581098715.part"] {
        let name = SnapshotId::BOOTSTRAP.file_name() + suffix;
        disk.plant(&Path::new(DIR).join(name.replace(".checkpoint-32", "-32.checkpoint")), b"x");
    }
    disk.restart(1);
    let again = Running::start(&disk, &settings(), 90_000).unwrap();
    assert_eq!(ends(&disk)[..left.len()], left);
    let rest = names(&disk).into_iter().filter(|n| n.ends_with(".part") || n.ends_with(".deleted"));
    assert_eq!(rest.collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(again.topics().len(), 20);
}

#[test]
fn a_log_that_begins_behind_every_snapshot_is_not_opened_and_not_tidied() {
    let disk = formatted();
    let mut node = Running::start(&disk, &settings(), 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    node.clean().unwrap();
    let zero = Path::new(DIR).join(SnapshotId::BOOTSTRAP.file_name());
    disk.plant(&zero, &formatted().peek(&zero).unwrap());
    for end in ends(&disk).into_iter().filter(|end| *end > 0) {
        let name = names(&disk)
            .into_iter()
            .find(|n| SnapshotId::from_file_name(n).is_ok_and(|id| id.end_offset == Offset(end)));
        disk.remove(&Path::new(DIR).join(name.unwrap())).unwrap();
    }
    let error = Running::start(&disk, &settings(), 90_000).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("expected a snapshot up to there"), "{error}");
    assert_eq!(ends(&disk), [0], "what is left is left for whoever repairs it");
}

#[test]
fn a_log_that_was_lost_behind_a_snapshot_begins_at_its_end() {
    let disk = formatted();
    let mut node = Running::start(&disk, &settings(), 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    node.clean().unwrap();
    let newest = *ends(&disk).last().unwrap();
    for name in names(&disk).into_iter().filter(|name| name.ends_with("log")) {
        disk.remove(&Path::new(DIR).join(name)).unwrap();
    }
    let mut again = Running::start(&disk, &settings(), 90_000).unwrap();
    assert_eq!((ends(&disk)[0], bases(&disk)[0]), (newest, newest));
    again.create("goes-on").unwrap();
    check_for_kafka(&disk).unwrap();
}

/// A directory as Kafka 4.0 to 4.3 leave it without voters in the log: the first records lie beside the log.
fn formatted_by_kafka(release: MetadataVersion) -> (SimDisk, Vec<u8>) {
    let asked = LevelsRequest { release: Some(release), ..LevelsRequest::default() };
    let request = format::Request {
        cluster_id: CLUSTER.into(),
        node_id: BrokerId(1),
        quorum: Quorum::Static,
        levels: Levels::choose(&asked).unwrap(),
        scram: Vec::new(),
        now: at(0).wall,
    };
    let (disk, mut first) = (SimDisk::new(), Vec::new());
    for file in format::directory(&request, true, &mut Rng::from_seed(3)).unwrap() {
        match file.path.ends_with(".checkpoint") {
            true => first = file.content.to_vec(),
            false => disk.plant(&Path::new("/m").join(file.path), &file.content),
        }
    }
    (disk, first)
}

/// With which levels a node begins that finds such first records.
fn begins_with(disk: &SimDisk, first: &[u8]) -> Result<Vec<(String, i16)>, FilesError> {
    let disk = disk.fork();
    disk.plant(&Path::new("/m").join(OLD_BOOTSTRAP), first);
    let voters = VoterSet::from_static("1@127.0.0.1:33101", "CONTROLLER").unwrap();
    let (node, files) = load_among(voters, &disk, &settings(), 1)?;
    let mut running = Running { node, files, second: 1 };
    running.carry_out()?;
    let features = &running.node.published().image.features;
    Ok(features.iter().map(|(name, level)| (name.to_owned(), level)).collect())
}

#[test]
fn damage_in_kafkas_first_records_is_told_with_its_place_and_never_taken_for_others() {
    let release = MetadataVersion(25);
    let (disk, first) = formatted_by_kafka(release);
    let levels = begins_with(&disk, &first).unwrap();
    assert_eq!(levels, [("metadata.version".to_owned(), release.0)]);
    assert_ne!(release, MetadataVersion::LATEST, "what a node begins with that finds nothing");
    let mut batches = Vec::new();
    while let Some(rest) = first.get(batches.last().map_or(0, |batch: &Range<usize>| batch.end)..)
        && !rest.is_empty()
    {
        let start = first.len() - rest.len();
        batches.push(start..start + BatchView::parse(rest).unwrap().size());
    }
    assert_eq!(batches.len(), 3, "header, records, footer");
    let is_told = |left: &[u8], position: usize, what: &str| {
        let error = begins_with(&disk, left).expect_err(what).to_string();
        let place = format!("/m/{OLD_BOOTSTRAP}: checkpoint {OLD_BOOTSTRAP}: at {position}: ");
        assert!(error.starts_with(&place), "{what}: {error}");
        let why = &error[place.len()..];
        assert!(why.contains("expected "), "{what}: {error}");
    };
    for batch in &batches {
        for at in batch.clone() {
            is_told(&first[..at], batch.start, &format!("cut at {at}"));
            // No checksum covers them, and they say nothing of the records.
            let (offset, epoch) =
                (batch.start..batch.start + 8, batch.start + 12..batch.start + 16);
            let is_free = offset.contains(&at) || epoch.contains(&at);
            for mask in [1, 2, 4, 0x80, 0xff] {
                let mut damaged = first.clone();
                damaged[at] ^= mask;
                match begins_with(&disk, &damaged) {
                    Ok(found) => {
                        assert!(is_free && found == levels, "{mask:#x} at {at}: {found:?}")
                    }
                    // An offset that none can be.
                    Err(error) if is_free => {
                        let place = format!("{OLD_BOOTSTRAP}: at {}: base offset -", batch.start);
                        assert!(error.to_string().contains(&place), "{mask:#x} at {at}: {error}");
                    }
                    Err(_) => is_told(&damaged, batch.start, &format!("{mask:#x} at {at}")),
                }
            }
        }
    }
}
