//! A blocking connection for what is done once a run: topics made and deleted, first records.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use dohle_base::{ErrorCode, Offset, Str};
use dohle_protocol::{
    Request,
    api::{
        api_versions_request::ApiVersionsRequest,
        create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest},
        delete_topics_request::{DeleteTopicState, DeleteTopicsRequest},
    },
};

use crate::{
    frames::{self, Ack, Partition},
    records,
};

/// Longer than any broker takes for a topic, shorter than anyone waits.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
const CREATE_TOPICS_VERSION: i16 = 5;
const DELETE_TOPICS_VERSION: i16 = 6;
const API_VERSIONS_VERSION: i16 = 3;

/// More than this is not an answer to what is asked here.
const ANSWER_SIZE_MAX: usize = 1 << 20;

/// Since when a topic is there. What was there before is somebody else's and is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    Now,
    Before,
}

/// A topic to be made, with one replica.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: i32,
    /// Its configuration, by key and value.
    pub(crate) config: &'a [(String, String)],
}

#[derive(Debug)]
pub(crate) struct Control {
    socket: TcpStream,
}

impl Control {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(Self { socket })
    }

    /// Sends a frame and waits for the answer, which comes without its size.
    pub(crate) fn exchange(&mut self, frame: &[u8]) -> Result<Bytes> {
        self.send(frame)?;
        self.receive()
    }

    /// Sends one frame or several.
    pub(crate) fn send(&mut self, frames: &[u8]) -> Result<()> {
        Ok(self.socket.write_all(frames)?)
    }

    /// Waits for the next answer.
    pub(crate) fn receive(&mut self) -> Result<Bytes> {
        let mut size = [0; 4];
        self.socket.read_exact(&mut size).context("no answer")?;
        let size = u32::from_be_bytes(size) as usize;
        if size > ANSWER_SIZE_MAX {
            bail!("an answer of {size} bytes");
        }
        let mut answer = vec![0; size];
        self.socket.read_exact(&mut answer).context("half an answer")?;
        Ok(answer.into())
    }

    /// Asks what the broker can do; the answer only shows that it answers.
    pub(crate) fn api_versions(&mut self) -> Result<()> {
        let answer = self.exchange(&Self::api_versions_frame()?)?;
        Self::check_api_versions(answer)
    }

    pub(crate) fn api_versions_frame() -> Result<Bytes> {
        let body = ApiVersionsRequest {
            client_software_name: Str::from("dohle-bench"),
            client_software_version: Str::from(env!("CARGO_PKG_VERSION")),
            ..ApiVersionsRequest::default()
        };
        frames::request(API_VERSIONS_VERSION, &body)
    }

    pub(crate) fn check_api_versions(answer: Bytes) -> Result<()> {
        let answer = frames::answer::<ApiVersionsRequest>(answer, API_VERSIONS_VERSION)?;
        let error = answer.error_code;
        if error != ErrorCode::NONE {
            bail!("ApiVersions refused: {error}");
        }
        Ok(())
    }

    /// Makes a topic.
    pub(crate) fn create_topic(&mut self, new: &NewTopic<'_>) -> Result<Created> {
        let name = new.name;
        let config = |(key, value): &(String, String)| CreatableTopicConfig {
            name: Str::from(key),
            value: Some(Str::from(value)),
        };
        let topic = CreatableTopic {
            name: Str::from(name),
            num_partitions: new.partitions,
            replication_factor: 1,
            configs: new.config.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let body = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 30_000,
            ..CreateTopicsRequest::default()
        };
        let response = self.call(CREATE_TOPICS_VERSION, &body)?;
        match response.topics.first().map(|topic| topic.error_code) {
            Some(ErrorCode::NONE) => Ok(Created::Now),
            Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Ok(Created::Before),
            Some(error) => bail!("could not create {name}: {error}"),
            None => bail!("could not create {name}: an answer without topics"),
        }
    }

    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<()> {
        let topic = DeleteTopicState { name: Some(Str::from(name)), ..DeleteTopicState::default() };
        let body = DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: 30_000,
            ..DeleteTopicsRequest::default()
        };
        let response = self.call(DELETE_TOPICS_VERSION, &body)?;
        match response.responses.first().map(|topic| topic.error_code) {
            Some(ErrorCode::NONE) => Ok(()),
            Some(error) => bail!("could not delete {name}: {error}"),
            None => bail!("could not delete {name}: an answer without topics"),
        }
    }

    /// Produces one small record, once, and gives its offset.
    pub(crate) fn produce_one(&mut self, partition: &Partition) -> Result<Offset> {
        let frame = frames::produce(partition, -1, records::small_batch())?;
        let answer = self.exchange(&frame)?;
        Ack::of(partition)?.base_offset(&answer)
    }

    /// Makes a topic and waits until each of its partitions has taken a record: some brokers say
    /// that a topic is there before its leaders know.
    pub(crate) fn ready_topic(&mut self, new: &NewTopic<'_>) -> Result<Created> {
        let created = self.create_topic(new)?;
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        for index in 0..new.partitions {
            let partition = Partition { topic: new.name.to_owned(), index };
            while let Err(error) = self.produce_one(&partition) {
                if Instant::now() > deadline {
                    return Err(error.context(format!("{}-{index} takes no records", new.name)));
                }
                sleep(Duration::from_millis(5));
            }
        }
        Ok(created)
    }

    /// As `ready_topic`, for loads that need a topic with nothing else in it.
    pub(crate) fn new_topic(&mut self, new: &NewTopic<'_>) -> Result<()> {
        match self.ready_topic(new)? {
            Created::Now => Ok(()),
            Created::Before => {
                bail!("topic {} is there already, and this load needs a new one", new.name)
            }
        }
    }

    fn call<M: Request>(&mut self, version: i16, body: &M) -> Result<M::Response> {
        let answer = self.exchange(&frames::request(version, body)?)?;
        frames::answer::<M>(answer, version)
    }
}
