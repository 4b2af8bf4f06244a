//! A Kafka client: produce, consume and administrate, against Dohle and Apache Kafka alike.
//!
//! The thinking is done by the machines of `dohle-client-core`; here are sockets, clocks and the
//! async interface. Everything runs in tasks of the caller's tokio runtime:
//!
//! ```text
//!   Producer, Consumer, Client ──commands──▶ one task a client ──▶ one task a connection ──▶ broker
//!        (handles)             ◀──outcomes──   (owns a machine)  ◀──     (owns a socket)
//! ```
//!
//! All queues are bounded; a dropped future loses nothing that was promised; an idle client wakes
//! up for heartbeats and metadata only. Plaintext only so far.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use dohle_client::{ClientConfig, Producer, ProducerConfig, ProducerRecord};
//!
//! let producer = Producer::new(ProducerConfig::new(ClientConfig::parse("localhost:9092")?))?;
//! let delivery = producer.send(ProducerRecord::new("greetings", "hello")).await?;
//! println!("written to {:?}", delivery.await?.offset);
//! producer.close().await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod client;
mod clock;
mod consumer;
mod link;
mod links;
mod producer;

pub use admin::Admin;
pub use client::Client;
pub use consumer::Consumer;
pub use producer::{Delivery, Producer};

pub use dohle_base::{
    BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionId, Str, Timestamp, TopicId, Uuid,
};
pub use dohle_client_core::{
    Acks, Address, AddressError, Assignor, ClientConfig, CommitError, CommittedOffset, ConfigError,
    ConsumeError, ConsumerConfig, ConsumerRecord, CoordinatorKind, Delivered, IsolationLevel,
    Limits, OffsetReset, Polled, ProduceError, ProducerConfig, ProducerRecord, RequestError, Route,
    SeekTo, ServerError, TopicPartition, Verdict,
    admin::{
        cluster::{BrokerNode, ClusterDescription},
        configs::{
            AlterConfig, ConfigEntry, ConfigOperation, ConfigResource, ConfigResourceKind,
            ConfigSource, ConfigSynonym, Detail,
        },
        groups::{GroupDescription, GroupListing, MemberDescription},
        offsets::{ListedOffset, OffsetSpec},
        topics::{
            CreatedTopic, NewPartitions, NewTopic, PartitionDescription, TopicDescription,
            TopicListing,
        },
    },
};
pub use dohle_records::{Codec, Compression, OwnedHeader, TimestampType};
