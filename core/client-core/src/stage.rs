//! A stage for tests: a machine, a clock that is moved by hand, and brokers whose every word is in
//! the test. Connecting, agreeing on versions and metadata go by themselves.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use dohle_base::{BrokerId, LeaderEpoch, Now, PartitionId, Str, Timestamp, TopicId, Uuid};
use dohle_protocol::{
    ApiKey, Reader, Request, Writer,
    api::{
        api_versions_request::ApiVersionsRequest,
        api_versions_response::{ApiVersion, ApiVersionsResponse},
        metadata_request::MetadataRequest,
        metadata_response::{
            MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
            MetadataResponseTopic,
        },
    },
    decode_request_header, encode_response,
};

use crate::{Address, ClientConfig, Core, Input, LinkId, Output};

/// A machine among scripted brokers.
pub(crate) struct Stage<C> {
    pub(crate) core: C,
    pub(crate) now: Now,
    /// The answer to every metadata request, cut down to the topics asked for.
    pub(crate) metadata: MetadataResponse,
    /// Newest versions offered, where they are not the newest that there are.
    pub(crate) newest: BTreeMap<ApiKey, i16>,
    /// Addresses that nobody listens at.
    pub(crate) dead: Vec<Address>,
    links: BTreeMap<LinkId, Address>,
    requests: VecDeque<Asked>,
}

/// A request that a broker got.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) link: LinkId,
    pub(crate) address: Address,
    correlation_id: i32,
    body: Bytes,
}

/// A configuration that starts at broker 1.
pub(crate) fn client_config() -> ClientConfig {
    ClientConfig::new(vec![address(1)])
}

/// Where broker `id` listens.
pub(crate) fn address(id: i32) -> Address {
    Address { host: format!("b{id}").into(), port: 9092 }
}

/// A cluster of brokers 1 to `brokers`.
pub(crate) fn cluster(brokers: i32) -> MetadataResponse {
    let brokers = (1..=brokers).map(|id| MetadataResponseBroker {
        node_id: BrokerId(id),
        host: address(id).host,
        port: 9092,
        rack: None,
    });
    MetadataResponse {
        brokers: brokers.collect(),
        controller_id: BrokerId(1),
        cluster_id: Some("cluster".into()),
        ..Default::default()
    }
}

/// A topic whose partitions are led by these brokers, in epoch 1.
pub(crate) fn topic(name: &str, leaders: &[i32]) -> MetadataResponseTopic {
    let partitions = leaders.iter().zip(0..).map(|(leader, index)| MetadataResponsePartition {
        partition_index: PartitionId(index),
        leader_id: BrokerId(*leader),
        leader_epoch: LeaderEpoch(1),
        replica_nodes: vec![BrokerId(*leader)],
        isr_nodes: vec![BrokerId(*leader)],
        ..Default::default()
    });
    MetadataResponseTopic {
        name: Some(name.into()),
        topic_id: topic_id(name),
        partitions: partitions.collect(),
        ..Default::default()
    }
}

/// The id of a topic on this stage.
pub(crate) fn topic_id(name: &str) -> TopicId {
    TopicId(Uuid(1_000 + name.bytes().map(u128::from).sum::<u128>()))
}

impl Asked {
    /// The request as what it is.
    pub(crate) fn body<M: Request>(&self) -> M {
        assert_eq!(self.key, M::KEY);
        let mut r = Reader::new(self.body.clone());
        let message = M::decode(&mut r, self.version).expect("our requests can be read");
        r.finish().expect("and nothing is behind them");
        message
    }
}

impl<C: Core> Stage<C> {
    /// The curtain rises.
    pub(crate) fn new(core: C, metadata: MetadataResponse) -> Self {
        let instant = dohle_base::Instant(1_000_000_000_000);
        let now = Now { instant, wall: Timestamp(1_700_000_000_000) };
        let (newest, links) = (BTreeMap::new(), BTreeMap::new());
        let (dead, requests) = (Vec::new(), VecDeque::new());
        Self { core, now, metadata, newest, dead, links, requests }
    }

    /// Lets everything happen that goes by itself.
    pub(crate) fn settle(&mut self) {
        self.core.handle_timeout(self.now);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Connect { link, address } if self.dead.contains(&address) => {
                    self.core.handle_input(self.now, Input::Closed { link });
                }
                Output::Connect { link, address } => {
                    self.links.insert(link, address);
                    self.core.handle_input(self.now, Input::Connected { link });
                }
                Output::Close { link } => {
                    self.links.remove(&link);
                    self.requests.retain(|asked| asked.link != link);
                }
                Output::Send { link, frame, report } => {
                    self.take(link, frame);
                    if report {
                        self.core.handle_input(self.now, Input::Written { link });
                    }
                }
            }
        }
        self.check_no_spinning();
    }

    /// What is due now has been done: a machine that wants to be woken at once would never sleep.
    fn check_no_spinning(&self) {
        let wake = self.core.poll_timeout();
        assert!(wake.is_none_or(|wake| wake > self.now.instant), "woken at once, again and again");
    }

    fn take(&mut self, link: LinkId, frame: Bytes) {
        let mut r = Reader::new(frame.slice(4..));
        let (key, header) = decode_request_header(&mut r).expect("our headers can be read");
        let asked = Asked {
            key,
            version: header.request_api_version,
            link,
            address: self.links[&link].clone(),
            correlation_id: header.correlation_id,
            body: r.take_rest(),
        };
        match key {
            ApiKey::ApiVersions => {
                let versions = self.versions();
                self.answer::<ApiVersionsRequest>(&asked, &versions);
            }
            ApiKey::Metadata => {
                let wanted = asked.body::<MetadataRequest>().topics;
                let mut answer = self.metadata.clone();
                if let Some(wanted) = wanted {
                    let names: Vec<_> = wanted.into_iter().map(|topic| topic.name).collect();
                    answer.topics.retain(|topic| names.contains(&topic.name));
                }
                self.answer::<MetadataRequest>(&asked, &answer);
            }
            _ => self.requests.push_back(asked),
        }
    }

    fn versions(&self) -> ApiVersionsResponse {
        let api_keys = ApiKey::ALL.iter().map(|key| ApiVersion {
            api_key: key.key(),
            min_version: key.advertised_min_version(),
            max_version: self.newest.get(key).copied().unwrap_or(key.max_stable_version()),
        });
        ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() }
    }

    /// The next request, which must be an `M`.
    pub(crate) fn expect<M: Request>(&mut self) -> (Asked, M) {
        self.settle();
        let asked = self.requests.pop_front();
        let asked = asked.unwrap_or_else(|| panic!("{} did not come", M::NAME));
        let body = asked.body::<M>();
        (asked, body)
    }

    /// The first request that is an `M`, whatever came before.
    pub(crate) fn find<M: Request>(&mut self) -> Option<(Asked, M)> {
        self.settle();
        let at = self.requests.iter().position(|asked| asked.key == M::KEY)?;
        let asked = self.requests.remove(at)?;
        let body = asked.body::<M>();
        Some((asked, body))
    }

    /// No request may be waiting.
    pub(crate) fn expect_silence(&mut self) {
        self.settle();
        let waiting: Vec<_> = self.requests.iter().map(|asked| asked.key).collect();
        assert!(waiting.is_empty(), "{waiting:?}");
    }

    /// Answers a request.
    pub(crate) fn answer<M: Request>(&mut self, asked: &Asked, response: &M::Response) {
        let mut w = Writer::new();
        encode_response(&mut w, asked.key, asked.version, asked.correlation_id, response)
            .expect("a test's answers fit their version");
        let frame = w.into_bytes().slice(4..);
        self.core.handle_input(self.now, Input::Received { link: asked.link, frame });
    }

    /// Answers a request with these bytes behind the correlation id.
    pub(crate) fn answer_bytes(&mut self, asked: &Asked, bytes: &[u8]) {
        let frame = [&asked.correlation_id.to_be_bytes(), bytes].concat().into();
        self.core.handle_input(self.now, Input::Received { link: asked.link, frame });
    }

    /// Ends the connection that a request came on.
    pub(crate) fn cut(&mut self, asked: &Asked) {
        let link = asked.link;
        self.links.remove(&link);
        self.requests.retain(|other| other.link != link);
        self.core.handle_input(self.now, Input::Closed { link });
    }

    /// Lets time pass, waking the machine whenever it wants.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now.instant + duration;
        self.settle();
        while let Some(wake) = self.core.poll_timeout().filter(|wake| *wake <= end) {
            self.now.instant = wake;
            self.settle();
        }
        self.now.instant = end;
        self.settle();
    }

    /// Leadership of a partition moves, in the next epoch.
    pub(crate) fn move_leader(&mut self, name: &str, partition: usize, leader: i32) {
        let name = Some(Str::from(name));
        let topic = self.metadata.topics.iter_mut().find(|topic| topic.name == name);
        let partition = &mut topic.expect("the topic is on stage").partitions[partition];
        partition.leader_id = BrokerId(leader);
        partition.leader_epoch.0 += 1;
    }
}
