//! Producers that send without pause, and note each outcome in the ledger.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use dohle_client::{ClientConfig, Delivery, Producer, ProducerConfig, ProducerRecord};
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::ledger::{Ledger, RecordId};

/// The topic of everything.
pub(crate) const TOPIC: &str = "chaos";
/// Producers side by side.
const PRODUCERS: usize = 3;

/// How producers deliver, all with `acks=all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Again until it is acknowledged.
    Idempotent,
    /// Without idempotence, and therefore once: what is tried again could be there twice.
    Once,
}

/// A `max.request.size` that takes a large record of each partition.
const LARGE_REQUEST: usize = 32 << 20;
/// `buffer.memory` for requests like that.
const LARGE_BUFFER: usize = 128 << 20;

/// Records of a producer without an outcome.
const IN_FLIGHT_MAX: usize = 100;

/// Producers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    producers: Vec<JoinHandle<Result<()>>>,
}

/// As impatient as a test must be: a node that is back is found at once.
pub(crate) fn client_config(address: &str) -> Result<ClientConfig> {
    Ok(ClientConfig {
        request_timeout: Duration::from_secs(10),
        api_timeout: Duration::from_secs(20),
        retry_backoff: Duration::from_millis(10),
        retry_backoff_max: Duration::from_millis(100),
        reconnect_backoff: Duration::from_millis(5),
        reconnect_backoff_max: Duration::from_millis(50),
        ..ClientConfig::parse(address)?
    })
}

/// The settings of a client whose requests go out once: if one is sent again because its answer is late, it is
/// told that all is done already.
pub(crate) fn once_config(address: &str, time: Duration) -> Result<ClientConfig> {
    Ok(ClientConfig { request_timeout: time, api_timeout: time, ..client_config(address)? })
}

impl Load {
    /// Sets producers to work; each tries to deliver a record for so long.
    pub(crate) fn start(
        ledger: &Arc<Ledger>,
        address: &str,
        manner: Manner,
        patience: Duration,
    ) -> Result<Self> {
        let partitions = (0..ledger.partitions()).collect();
        Self::start_in(ledger, partitions, address, manner, patience)
    }

    /// The same for some of the partitions.
    pub(crate) fn start_in(
        ledger: &Arc<Ledger>,
        partitions: BTreeSet<i32>,
        address: &str,
        manner: Manner,
        patience: Duration,
    ) -> Result<Self> {
        let partitions = Arc::new(partitions);
        let stop = Arc::new(AtomicBool::new(false));
        let mut client = client_config(address)?;
        client.request_timeout = client.request_timeout.min(patience / 2);
        let mut config = ProducerConfig {
            delivery_timeout: patience,
            linger: Duration::from_millis(1),
            enable_idempotence: manner == Manner::Idempotent,
            retries: if manner == Manner::Idempotent { u32::MAX } else { 0 },
            ..ProducerConfig::new(client)
        };
        if ledger.has_large() {
            (config.max_request_size, config.buffer_memory) = (LARGE_REQUEST, LARGE_BUFFER);
        }
        let producer = |_| {
            let (ledger, partitions) = (Arc::clone(ledger), Arc::clone(&partitions));
            tokio::spawn(work(ledger, partitions, config.clone(), Arc::clone(&stop)))
        };
        Ok(Self { producers: (0..PRODUCERS).map(producer).collect(), stop })
    }

    /// Whether no producer has given up.
    pub(crate) fn is_at_work(&self) -> bool {
        !self.producers.iter().any(JoinHandle::is_finished)
    }

    /// Sends no more, and waits for the outcome of all that was sent.
    pub(crate) async fn finish(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for producer in self.producers {
            producer.await??;
        }
        Ok(())
    }
}

async fn work(
    ledger: Arc<Ledger>,
    partitions: Arc<BTreeSet<i32>>,
    config: ProducerConfig,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    let window = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let failed = Arc::new(AtomicBool::new(false));
    while !stop.load(Ordering::Relaxed) {
        let producer = Producer::new(config.clone())?;
        while !stop.load(Ordering::Relaxed) && !failed.swap(false, Ordering::Relaxed) {
            let permit = Arc::clone(&window).acquire_owned().await?;
            let id = ledger.send_to(&partitions);
            let record = ProducerRecord::new(TOPIC, ledger.value_of(id));
            let delivery = producer.send(record.with_partition(ledger.partition_of(id))).await?;
            let (notes, failed) = (Arc::clone(&ledger), Arc::clone(&failed));
            tokio::spawn(async move {
                note(&notes, id, delivery, &failed).await;
                drop(permit);
            });
            if id.is_multiple_of(4) && !ledger.is_large(id) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        // An application goes on with a new producer after an error that does not pass.
        producer.close().await;
    }
    let _all = window.acquire_many(IN_FLIGHT_MAX as u32).await?;
    Ok(())
}

async fn note(ledger: &Ledger, id: RecordId, delivery: Delivery, failed: &AtomicBool) {
    let outcome = delivery.await;
    failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
    ledger.note(id, outcome);
}
