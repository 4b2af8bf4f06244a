//! A node over a simulated disk, with its files and no thread; and what lies in its directory.

use std::collections::VecDeque;

use dohle_base::{BrokerId, Rng, Uuid};
use dohle_controller::{
    Node, NodeConfig, NodeOutput, Reply, Request, RequestToken, SnapshotPolicy,
};
use dohle_log::sim::SimDisk;
use dohle_metadata::{
    MetaProperties,
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

pub(super) const CLUSTER: &str = "ASNFZ4mrze8QMlR2mLrc_g";
pub(super) const DIR: &str = "/m/__cluster_metadata-0";
pub(super) const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Seconds since the beginning.
pub(super) fn at(second: u64) -> Now {
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

pub(super) fn endpoint() -> Endpoint {
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

pub(super) fn directory(disk: &SimDisk) -> Uuid {
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
pub(super) fn load_among(
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
pub(super) struct Running {
    pub(super) node: Node,
    pub(super) files: MetadataFiles<SimDisk>,
    pub(super) second: u64,
}

impl Running {
    /// A start, up to where the broker is in service.
    pub(super) fn start(
        disk: &SimDisk,
        settings: &Settings,
        second: u64,
    ) -> Result<Self, FilesError> {
        let (node, files) = load(disk, settings, second)?;
        let mut running = Self { node, files, second };
        running.carry_out()?;
        running.serve(disk)?;
        Ok(running)
    }

    pub(super) fn serve(&mut self, disk: &SimDisk) -> Result<(), FilesError> {
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

    pub(super) fn ask(&mut self, request: Request) -> Result<Reply, FilesError> {
        self.node.request(at(self.second), RequestToken(9), request);
        Ok(self.carry_out()?.pop_front().expect("a durable log answers"))
    }

    pub(super) fn create(&mut self, name: &str) -> Result<(), FilesError> {
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
    pub(super) fn carry_out(&mut self) -> Result<VecDeque<Reply>, FilesError> {
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
    pub(super) fn clean(&mut self) -> Result<(), FilesError> {
        self.second += 61;
        let start = self.files.clean(at(self.second))?;
        self.node.note_log_start(start);
        Ok(())
    }

    pub(super) fn topics(&self) -> Vec<String> {
        let topics = &self.node.published().image.topics;
        let mut names = topics.iter().map(|topic| topic.name.to_string()).collect::<Vec<_>>();
        names.sort_unstable();
        names
    }
}

pub(super) fn name(index: usize) -> String {
    format!("topic-{index:03}")
}

pub(super) fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// The first offsets of the segments.
pub(super) fn bases(disk: &SimDisk) -> Vec<i64> {
    let names = names(disk).into_iter();
    names.filter_map(|name| name.strip_suffix(".log").map(|base| base.parse().unwrap())).collect()
}

/// Where the snapshots end.
pub(super) fn ends(disk: &SimDisk) -> Vec<i64> {
    let ids = names(disk).into_iter().filter_map(|name| SnapshotId::from_file_name(&name).ok());
    ids.map(|id| id.end_offset.0).collect()
}

/// What Kafka checks when it opens the directory.
pub(super) fn check_for_kafka(disk: &SimDisk) -> Result<(), String> {
    let (first, newest) = (bases(disk).first().copied(), ends(disk).last().copied());
    match (first, newest) {
        (Some(first), Some(newest)) if first > newest => {
            Err(format!("the log begins at {first}, behind the newest snapshot, {newest}"))
        }
        (_, None) => Err("no snapshot".into()),
        _ => Ok(()),
    }
}
