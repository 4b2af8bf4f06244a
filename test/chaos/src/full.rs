//! A small file system that is filled while records are produced, and has room again.
//!
//! Two cases: the disk of the partitions is full, and that of the metadata log. In both the node must
//! stay, tell its clients that it cannot write, lose nothing that it acknowledged, and write again once
//! there is room.

use std::{
    io::Write,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dohle_client::{Admin, Producer, ProducerConfig, ProducerRecord};

use crate::{
    cli::Chaos,
    judge::{Findings, Judge, Reach},
    ledger::Ledger,
    load::{Load, Manner, TOPIC, client_config, once_config},
    node::{Layout, Node},
    rounds::{end, make_topic, prepare, seed},
    volume::Volume,
};

/// Room for some segments and a write-ahead log.
const VOLUME_SIZE: u64 = 48 << 20;
/// The metadata log's disk.
const METADATA_SIZE: u64 = 16 << 20;
/// Bytes of a record at most: some thousands of records fill the disk.
const FILLING_MAX: u64 = 20_000;
/// How long clients try.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing may happen until there is no room, or room again.
const TURN_MAX: Duration = Duration::from_secs(120);
/// What is told where there is no room.
const FULL: &str = "KAFKA_STORAGE_ERROR";
/// What is told where the metadata log has none: it will be tried again, or it is known already.
const METADATA_FULL: [&str; 2] = ["REQUEST_TIMED_OUT", FULL];
/// What the ballast topic takes.
const BALLAST: usize = 12 << 20;
const BALLAST_TOPIC: &str = "ballast";

/// Runs both cases.
pub(crate) async fn run(args: Chaos) -> Result<ExitCode> {
    let seed = seed(&args);
    let dir = prepare(&args.dir, "full")?;
    println!("chaos: Full, --seed {seed}, in {}", dir.display());
    let outcome = fill(&args, &dir, seed).await;
    let findings = outcome.with_context(|| format!("seed {seed}, see {}", dir.display()))?;
    end(&args, &findings, &dir, seed)
}

async fn fill(args: &Chaos, dir: &Path, seed: u64) -> Result<Findings> {
    let volume = Volume::make(dir, "volume", VOLUME_SIZE)?;
    let metadata = Volume::make(dir, "metadata", METADATA_SIZE)?;
    let layout = Layout {
        dir: dir.to_owned(),
        data: vec![volume.path().join("data")],
        metadata: Some(metadata.path().join("data")),
    };
    let mut overrides = args.overrides.clone();
    overrides.push("log.segment.delete.delay.ms=1000".to_owned());
    let mut node = Node::format(&args.binary, &layout, &overrides)?;
    let starting = node.start()?;
    node.ready(starting).await?;
    let address = node.address();
    make_topic(&address, TOPIC, 2).await?;
    make_topic(&address, BALLAST_TOPIC, 1).await?;
    put_ballast(&address).await.context("ballast")?;

    let ledger = Arc::new(Ledger::new(seed, 2, FILLING_MAX));
    let mut judge = Judge::new(&ledger, &address);
    partitions_full(&mut node, &ledger, &mut judge)
        .await
        .context("the disk of partitions is full")?;
    let mut findings = judge.look(Reach::Whole).await?;
    if findings.is_empty() {
        metadata_full(&mut node, metadata.path())
            .await
            .context("the metadata log's disk is full")?;
        findings = judge.look(Reach::Whole).await?;
    }
    // What was acknowledged is there after a start, too.
    node.kill()?;
    let starting = node.start()?;
    node.ready(starting).await?;
    if findings.is_empty() {
        findings = judge.look(Reach::Whole).await?;
    }
    node.kill()?;
    node.panics()?.into_iter().for_each(|line| findings.add(line));
    println!(
        "chaos: {} records acknowledged, {} read",
        ledger.acknowledged_count(),
        judge.records_read
    );
    Ok(findings)
}

/// Produces until nothing is acknowledged any more, makes room, and produces again.
async fn partitions_full(node: &mut Node, ledger: &Arc<Ledger>, judge: &mut Judge) -> Result<()> {
    let address = node.address();
    let load = Load::start(ledger, &address, Manner::Idempotent, PATIENCE)?;
    let (mut acknowledged, mut progress) = (0, Instant::now());
    // On a slow disk other records may be given up before it is full.
    while !ledger.refused().keys().any(|error| error.contains(FULL)) {
        let count = ledger.acknowledged_count();
        if count > acknowledged {
            (acknowledged, progress) = (count, Instant::now());
        }
        ensure!(progress.elapsed() < TURN_MAX, "no producer was told: {:?}", ledger.refused());
        ensure!(load.is_at_work(), "a producer has given up");
        ensure!(node.is_alive(), "the node is gone");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let full = ledger.acknowledged_count();
    println!("chaos: full after {full} records: {:?}", ledger.refused());
    ensure!(full > 500, "vacuous: full too early");
    let findings = judge.look(Reach::Whole).await.context("reading from a full disk")?;
    ensure!(findings.is_empty(), "{findings}");
    ensure!(node.is_alive(), "the node is gone");

    let admin = Admin::new(once_config(&address, TURN_MAX)?)?;
    let deleted = admin.delete_topics(&[BALLAST_TOPIC.into()]).await?;
    deleted.into_iter().try_for_each(|(_, deleted)| deleted).context("to delete the ballast")?;
    let begun = Instant::now();
    while ledger.acknowledged_count() < full + 500 {
        ensure!(begun.elapsed() < TURN_MAX, "not writable again: {:?}", ledger.refused());
        ensure!(node.is_alive(), "the node is gone");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("chaos: written to again after {:.1?}", begun.elapsed());
    load.finish().await
}

/// Fills the metadata log's disk with a file; what needs the controller must fail, and then work.
async fn metadata_full(node: &mut Node, volume: &Path) -> Result<()> {
    let address = node.address();
    let ballast = volume.join("ballast");
    let mut file = std::fs::File::create(&ballast)?;
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).and_then(|()| file.sync_data()).is_ok() {}
    }
    let (mut refused, begun) = (None, Instant::now());
    for index in 0.. {
        ensure!(begun.elapsed() < TURN_MAX && index < 10_000, "topics go on being made");
        ensure!(node.is_alive(), "the node is gone");
        let made = make_topic_in(&address, &format!("full-{index}"), TURN_MAX).await;
        if let Err(error) = made {
            refused = Some(error);
            break;
        }
    }
    let refused = format!("{:#}", refused.context("no error")?);
    println!("chaos: no topic: {refused}");
    ensure!(METADATA_FULL.iter().any(|code| refused.contains(code)), "it is told something else");
    drop(file);
    std::fs::remove_file(&ballast)?;
    let begun = Instant::now();
    for index in 0.. {
        ensure!(node.is_alive(), "the node is gone");
        match make_topic_in(&address, &format!("room-{index}"), TURN_MAX).await {
            Ok(()) => break,
            Err(error) => ensure!(begun.elapsed() < TURN_MAX, "no topic again: {error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("chaos: topics again after {:.1?}", begun.elapsed());
    Ok(())
}

async fn make_topic_in(address: &str, name: &str, time: Duration) -> Result<()> {
    tokio::time::timeout(time, make_topic(address, name, 1)).await.context("no answer")?
}

/// A topic of so many bytes, to be deleted when room is needed.
async fn put_ballast(address: &str) -> Result<()> {
    let producer = Producer::new(ProducerConfig::new(client_config(address)?))?;
    let mut deliveries = Vec::new();
    for _ in 0..BALLAST / (64 << 10) {
        let record = ProducerRecord::new(BALLAST_TOPIC, vec![b'x'; 64 << 10]);
        deliveries.push(producer.send(record).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    producer.close().await;
    Ok(())
}
