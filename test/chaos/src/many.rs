//! More partitions than file handles: each takes a record and has it, before and after kill -9 and a
//! clean stop, and the node keeps within what the system allows it.
//!
//! The system refuses a handle above the limit, and a map: so a node that needs more is one that fails
//! requests. How many it has open is counted all the time.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dohle_client::{
    ClientConfig, Consumer, ConsumerConfig, OffsetReset, Producer, ProducerConfig, ProducerRecord,
    TopicPartition,
};

use crate::{
    cli::Many,
    load::client_config,
    node::{Layout, Node},
    rounds::{make_topic, prepare},
};

/// Partitions of a topic, at most.
const TOPIC_SIZE: u32 = 5_000;
/// What a process may have on a system that nobody has changed. Source: `vm.max_map_count`, proc(5).
const MAPS_MAX: usize = 65_530;
/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often handles are counted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs it.
pub(crate) async fn run(args: Many) -> Result<ExitCode> {
    let dir = prepare(&args.dir, "many")?;
    let Many { partitions, handles, .. } = args;
    println!("chaos: {partitions} partitions within {handles} handles, in {}", dir.display());
    fill(&args, &dir).await.with_context(|| format!("see {}", dir.display()))?;
    fs::remove_dir_all(&dir)?;
    println!("chaos: nothing was lost");
    Ok(ExitCode::SUCCESS)
}

async fn fill(args: &Many, dir: &Path) -> Result<()> {
    let layout = Layout { dir: dir.to_owned(), data: vec![dir.join("data")], metadata: None };
    let mut node = Node::format(&args.binary, &layout, &[])?;
    node.limit_handles(args.handles);
    let topics = topics(args.partitions);
    for (round, name) in ["first", "second", "third"].into_iter().enumerate() {
        let begun = Instant::now();
        let starting = node.start()?;
        let watch = Watch::start(node.id().context("it was started")?);
        node.ready(starting).await?;
        let started = begun.elapsed();
        let begun = Instant::now();
        for (topic, partitions) in &topics {
            if round == 0 {
                make_topic(&node.address(), topic, *partitions).await?;
            }
        }
        let made = begun.elapsed();
        let begun = Instant::now();
        for (topic, partitions) in &topics {
            write(&node.address(), topic, *partitions, name).await?;
        }
        let written = begun.elapsed();
        let begun = Instant::now();
        for (topic, partitions) in &topics {
            read(&node.address(), topic, *partitions, round + 1).await?;
        }
        let (open, maps) = watch.finish()?;
        println!(
            "chaos: {name}: started in {started:.1?}, made in {made:.1?}, written in {written:.1?}, \
             read in {:.1?}; {open} handles and {maps} maps at most",
            begun.elapsed()
        );
        // The other half is for connections.
        ensure!(open <= args.handles / 2, "{open} handles are open of {}", args.handles);
        ensure!(open > args.handles / 4, "vacuous: {open} handles are open of {}", args.handles);
        ensure!(maps < MAPS_MAX, "{maps} maps");
        if round == 0 { node.kill()? } else { node.stop()? }
    }
    let said = node.said()?;
    let complaints = said.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
    let complaints: Vec<_> = complaints.take(5).collect();
    ensure!(complaints.is_empty(), "the node complains:\n{}", complaints.join("\n"));
    let panics = node.panics()?;
    ensure!(panics.is_empty(), "{}", panics.join("\n"));
    Ok(())
}

fn topics(mut partitions: u32) -> Vec<(String, i32)> {
    let mut topics = Vec::new();
    while partitions > 0 {
        let size = partitions.min(TOPIC_SIZE);
        topics.push((format!("many-{}", topics.len()), size as i32));
        partitions -= size;
    }
    topics
}

fn patient_config(address: &str) -> Result<ClientConfig> {
    let client = client_config(address)?;
    Ok(ClientConfig { request_timeout: PATIENCE, api_timeout: PATIENCE, ..client })
}

/// Appends a record to each partition.
async fn write(address: &str, topic: &str, partitions: i32, round: &str) -> Result<()> {
    let config = ProducerConfig {
        delivery_timeout: 2 * PATIENCE,
        ..ProducerConfig::new(patient_config(address)?)
    };
    let producer = Producer::new(config)?;
    let mut deliveries = Vec::new();
    for index in 0..partitions {
        let record = ProducerRecord::new(topic, format!("{round} of {index}"));
        deliveries.push(producer.send(record.with_partition(index)).await?);
    }
    for (index, delivery) in deliveries.into_iter().enumerate() {
        delivery.await.with_context(|| format!("{topic}-{index}"))?;
    }
    producer.close().await;
    Ok(())
}

/// Reads all partitions, which have so many records each.
async fn read(address: &str, topic: &str, partitions: i32, count: usize) -> Result<()> {
    let mut consumer = Consumer::new(ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        max_poll_records: 10_000,
        ..ConsumerConfig::new(patient_config(address)?)
    })?;
    consumer.assign((0..partitions).map(|index| TopicPartition::new(topic, index))).await;
    let mut seen = BTreeSet::new();
    while seen.len() < count * partitions as usize {
        let records = consumer.poll(PATIENCE).await?;
        let missing = count * partitions as usize - seen.len();
        ensure!(!records.is_empty(), "{topic}: {missing} records do not come");
        for record in records {
            let value = record.value.unwrap_or_default();
            let place = format!(" of {}", record.partition.0);
            ensure!(value.ends_with(place.as_bytes()), "{topic}{place}: another one's record");
            let is_new = seen.insert((record.partition.0, value));
            ensure!(is_new, "{topic}{place}: a record is there twice");
        }
    }
    consumer.close().await;
    Ok(())
}

/// Counts what a process has open, all the time.
struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<[AtomicUsize; 2]>,
    thread: JoinHandle<Result<()>>,
}

impl Watch {
    fn start(process: u32) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::<[AtomicUsize; 2]>::default());
        let (stopped, noted) = (Arc::clone(&stop), Arc::clone(&most));
        let thread = std::thread::spawn(move || {
            let proc = PathBuf::from(format!("/proc/{process}"));
            while !stopped.load(Ordering::Relaxed) {
                let handles = fs::read_dir(proc.join("fd"))?.count();
                let maps = fs::read_to_string(proc.join("maps"))?.lines().count();
                noted[0].fetch_max(handles, Ordering::Relaxed);
                noted[1].fetch_max(maps, Ordering::Relaxed);
                std::thread::sleep(LOOK_EVERY);
            }
            Ok(())
        });
        Self { stop, most, thread }
    }

    /// The most handles and maps that were seen.
    fn finish(self) -> Result<(usize, usize)> {
        self.stop.store(true, Ordering::Relaxed);
        let counted = self.thread.join().map_err(|_| anyhow::anyhow!("the count had panicked"))?;
        counted.context("the node's files cannot be counted")?;
        let [handles, maps] = &*self.most;
        Ok((handles.load(Ordering::Relaxed), maps.load(Ordering::Relaxed)))
    }
}
