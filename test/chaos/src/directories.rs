//! What a node says of its log directories and of the partitions in them, asked once and without a
//! client that would try again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use dohle_client::{BrokerId, Client, ErrorCode, Offset, PartitionId, Route};
use dohle_protocol::{
    RecordSet,
    api::{
        describe_log_dirs_request::DescribeLogDirsRequest,
        fetch_request::{FetchPartition, FetchRequest, FetchTopic},
        metadata_request::{MetadataRequest, MetadataRequestTopic},
        metadata_response::MetadataResponsePartition,
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
    },
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use crate::load::{TOPIC, client_config};

/// A log directory, as DescribeLogDirs tells.
pub(crate) struct Told {
    pub(crate) path: PathBuf,
    pub(crate) error: ErrorCode,
    /// Those of the topic that lie there.
    pub(crate) partitions: BTreeSet<i32>,
}

/// Asks a node.
pub(crate) struct Directories {
    client: Client,
}

impl Directories {
    pub(crate) fn new(address: &str) -> Result<Self> {
        Ok(Self { client: Client::new(client_config(address)?)? })
    }

    /// All log directories, in the order of the configuration.
    pub(crate) async fn all(&self) -> Result<Vec<Told>> {
        let request = DescribeLogDirsRequest { topics: None };
        let answer = self.client.request(Route::Any, request).await?;
        let told = answer.results.into_iter().map(|dir| {
            let topics = dir.topics.iter().filter(|topic| topic.name == TOPIC);
            let partitions = topics.flat_map(|topic| &topic.partitions);
            Told {
                path: PathBuf::from(dir.log_dir.as_str()),
                error: dir.error_code,
                partitions: partitions.map(|partition| partition.partition_index.0).collect(),
            }
        });
        Ok(told.collect())
    }

    /// What is told of one of them.
    pub(crate) async fn one(&self, path: &Path) -> Result<Told> {
        let mut all = self.all().await?.into_iter();
        all.find(|dir| dir.path == path).with_context(|| format!("{} is not told", path.display()))
    }

    /// The topic's partitions as clients see them.
    pub(crate) async fn metadata(&self) -> Result<BTreeMap<i32, MetadataResponsePartition>> {
        let topic =
            MetadataRequestTopic { name: Some(TOPIC.into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let topic = self.client.request(Route::Any, request).await?.topics.into_iter().next();
        let partitions = topic.context("the topic is not told")?.partitions.into_iter();
        Ok(partitions.map(|partition| (partition.partition_index.0, partition)).collect())
    }

    /// What the only broker answers to a record.
    pub(crate) async fn produce(&self, index: i32) -> Result<ErrorCode> {
        let mut batch = BatchBuilder::new(BatchSpec::default());
        batch
            .append(&NewRecord { value: Some(b"nobody may read this"), ..NewRecord::default() })?;
        let records = Some(RecordSet::Bytes(batch.finish()));
        let data = PartitionProduceData { index: PartitionId(index), records };
        let topic_id = self.topic_id().await?;
        let topic =
            TopicProduceData { name: TOPIC.into(), topic_id, partition_data: [data].into() };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 10_000,
            topic_data: [topic].into(),
            ..ProduceRequest::default()
        };
        let answer = self.client.request(Route::Broker(BrokerId(1)), request).await?;
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        Ok(partitions.next().context("no answer for the partition")?.error_code)
    }

    /// What it answers to who reads from the start.
    pub(crate) async fn fetch(&self, index: i32) -> Result<ErrorCode> {
        let partition = FetchPartition {
            partition: PartitionId(index),
            fetch_offset: Offset(0),
            partition_max_bytes: 1,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            topic_id: self.topic_id().await?,
            partitions: [partition].into(),
        };
        let request = FetchRequest {
            max_bytes: 1,
            session_epoch: -1,
            topics: [topic].into(),
            ..FetchRequest::default()
        };
        let answer = self.client.request(Route::Broker(BrokerId(1)), request).await?;
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        Ok(partitions.next().context("no answer for the partition")?.error_code)
    }

    async fn topic_id(&self) -> Result<dohle_client::TopicId> {
        let topic =
            MetadataRequestTopic { name: Some(TOPIC.into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let topic = self.client.request(Route::Any, request).await?.topics.into_iter().next();
        Ok(topic.context("the topic is not told")?.topic_id)
    }
}
