//! Requests that move partitions between the log directories, one after the other.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use dohle_base::Rng;
use dohle_client::{Client, PartitionId, Route};
use dohle_protocol::api::{
    alter_replica_log_dirs_request::{
        AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
    },
    describe_log_dirs_request::DescribeLogDirsRequest,
};
use tokio::task::JoinHandle;

use crate::load::client_config;

/// How long a move is waited for before another is asked for as well.
const WAIT_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// A client at work.
pub(crate) struct Moving {
    done: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What was asked for.
struct Wish {
    topic: &'static str,
    partition: i32,
    target: PathBuf,
}

impl Wish {
    fn is_for(&self, place: &Place) -> bool {
        place.topic == self.topic && place.partition == self.partition
    }

    fn has_come_true(&self, places: &[Place]) -> bool {
        let own: Vec<_> = places.iter().filter(|place| self.is_for(place)).collect();
        !own.is_empty() && own.iter().all(|place| !place.is_future && place.dir == self.target)
    }
}

/// Where a replica lies, as DescribeLogDirs tells.
struct Place {
    dir: PathBuf,
    topic: &'static str,
    partition: i32,
    is_future: bool,
}

impl Moving {
    /// Sets a client to work on the partitions of these topics.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn start(
        topics: Vec<&'static str>,
        dirs: Vec<PathBuf>,
        address: &str,
        seed: u64,
    ) -> Result<Self> {
        let client = Client::new(client_config(address)?)?;
        let done = Arc::new(AtomicUsize::new(0));
        let rng = Rng::from_seed(seed ^ 0x4d6f_7665);
        let task = tokio::spawn(work(Arc::clone(&done), client, topics, dirs, rng));
        Ok(Self { done, task })
    }

    /// How many partitions have come to where they were to go.
    pub(crate) fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Asks for no more. What is under way goes on.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

async fn work(
    done: Arc<AtomicUsize>,
    client: Client,
    topics: Vec<&'static str>,
    dirs: Vec<PathBuf>,
    mut rng: Rng,
) {
    // What took longer than it was waited for.
    let mut late: Vec<Wish> = Vec::new();
    loop {
        tokio::time::sleep(POLL).await;
        let Ok(places) = places(&client, &topics).await else { continue };
        let is_late = late.len();
        late.retain(|wish| !wish.has_come_true(&places));
        done.fetch_add(is_late - late.len(), Ordering::SeqCst);
        let settled: Vec<_> = places.iter().filter(|place| !place.is_future).collect();
        let Some(place) = settled.get(rng.below(settled.len() as u64) as usize) else { continue };
        let others: Vec<_> = dirs.iter().filter(|dir| **dir != place.dir).collect();
        let Some(target) = others.get(rng.below(others.len() as u64) as usize) else { continue };
        if ask(&client, place, target).await.is_err() {
            continue;
        }
        // The last one counts.
        late.retain(|wish| !wish.is_for(place));
        let target = (*target).clone();
        let wish = Wish { topic: place.topic, partition: place.partition, target };
        match comes_true(&client, &topics, &wish).await {
            true => drop(done.fetch_add(1, Ordering::SeqCst)),
            false => late.push(wish),
        }
    }
}

/// Waits for a move, within limits.
async fn comes_true(client: &Client, topics: &[&'static str], wish: &Wish) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < WAIT_MAX {
        tokio::time::sleep(POLL).await;
        if places(client, topics).await.is_ok_and(|places| wish.has_come_true(&places)) {
            return true;
        }
    }
    false
}

async fn places(client: &Client, topics: &[&'static str]) -> Result<Vec<Place>> {
    let answer = client.request(Route::Any, DescribeLogDirsRequest { topics: None }).await?;
    let mut places = Vec::new();
    for dir in answer.results {
        for told in dir.topics {
            let Some(topic) = topics.iter().find(|topic| told.name == **topic) else { continue };
            places.extend(told.partitions.iter().map(|partition| Place {
                dir: PathBuf::from(dir.log_dir.as_str()),
                topic,
                partition: partition.partition_index.0,
                is_future: partition.is_future_key,
            }));
        }
    }
    Ok(places)
}

async fn ask(client: &Client, place: &Place, target: &std::path::Path) -> Result<()> {
    let partitions = [PartitionId(place.partition)].into();
    let topic = AlterReplicaLogDirTopic { name: place.topic.into(), partitions };
    let path = target.to_string_lossy().as_ref().into();
    let dirs = [AlterReplicaLogDir { path, topics: [topic].into() }].into();
    client.request(Route::Any, AlterReplicaLogDirsRequest { dirs }).await?;
    Ok(())
}
