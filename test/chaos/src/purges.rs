//! Requests that delete records, most of them into the middle of a batch that was just acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use dohle_base::Rng;
use dohle_client::{Admin, Offset, TopicPartition};
use tokio::task::JoinHandle;

use crate::{
    judge::Findings,
    ledger::Ledger,
    load::{TOPIC, client_config},
};

/// How far before the end of what is acknowledged a request deletes, at most: among the last
/// batches, or so far that there is something to read.
const BEFORE_END_MAX: [u64; 2] = [8, 500];

/// What was asked for and what was answered, by partition.
pub(crate) struct Purges {
    /// Up to here the node may have deleted.
    tried: Vec<AtomicI64>,
    /// Up to here it said that it had.
    told: Vec<AtomicI64>,
    answered: AtomicUsize,
    stop: AtomicBool,
}

/// A client at work.
pub(crate) struct Purging {
    pub(crate) purges: Arc<Purges>,
    task: JoinHandle<()>,
}

impl Purging {
    /// Sets a client to work.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn start(ledger: &Arc<Ledger>, address: &str, seed: u64) -> Result<Self> {
        let admin = Admin::new(client_config(address)?)?;
        let zeros = || (0..ledger.partitions()).map(|_| AtomicI64::new(0)).collect();
        let purges = Purges {
            tried: zeros(),
            told: zeros(),
            answered: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        };
        let purges = Arc::new(purges);
        let task = tokio::spawn(work(
            Arc::clone(&purges),
            Arc::clone(ledger),
            admin,
            Rng::from_seed(seed ^ 0x5075_7267),
        ));
        Ok(Self { purges, task })
    }

    /// Asks for no more, and waits for the last answer: what a request that nobody waits for deletes, if
    /// it is all that there is, whoever reads then would wait for. Says how many were answered.
    pub(crate) async fn finish(self) -> Result<usize> {
        self.purges.stop.store(true, Ordering::Relaxed);
        self.task.await?;
        Ok(self.purges.answered())
    }
}

impl Purges {
    /// How many requests were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Up to where each partition's records are deleted for good.
    pub(crate) fn told(&self) -> Vec<i64> {
        self.told.iter().map(|told| told.load(Ordering::SeqCst)).collect()
    }

    /// Whether the partitions start where they may, if all of `told` was answered before the starts
    /// were asked for.
    pub(crate) fn check(&self, told: &[i64], starts: &[i64], findings: &mut Findings) {
        for (partition, (start, told)) in starts.iter().zip(told).enumerate() {
            let tried = self.tried[partition].load(Ordering::SeqCst);
            if start < told || *start > tried {
                findings.add(format!(
                    "{TOPIC}-{partition} starts at {start}; all before {told} was deleted, before {tried} it was tried"
                ));
            }
        }
    }
}

async fn work(purges: Arc<Purges>, ledger: Arc<Ledger>, admin: Admin, mut rng: Rng) {
    while !purges.stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let partition = rng.below(u64::from(ledger.partitions().unsigned_abs())) as i32;
        let distance_max = BEFORE_END_MAX[rng.below(2) as usize];
        let distance = rng.below(distance_max) as i64;
        let before = ledger.acknowledged_end(partition) - distance;
        let index = partition as usize;
        if before <= purges.tried[index].fetch_max(before, Ordering::SeqCst) {
            continue;
        }
        let asked = BTreeMap::from([(TopicPartition::new(TOPIC, partition), Offset(before))]);
        // Whatever else comes of it, the next request is for another offset.
        let Ok(answer) = admin.delete_records(&asked).await else { continue };
        if answer.into_iter().all(|(_, deleted)| deleted.is_ok()) {
            purges.told[index].fetch_max(before, Ordering::SeqCst);
            purges.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}
