//! One of several disks fails under a node that is written to: from some moment on every call to it is
//! told `EIO`.
//!
//! ```text
//! load ─▶ the disk fails ─▶ the node stays, says so, serves the others ─▶ it is killed
//!   ▲        (one time in three it starts and is killed once more before the disk is back,
//!   │         one time in three the disk is back and fails again during a start)
//!   └── nothing is lost ◀── all is read ◀── it starts ◀── the file system is mounted anew
//! ```
//!
//! It is killed and not stopped while producers are at work: a clean stop leaves only the last batch of each
//! producer in the snapshots, as Kafka's does, and one that tries an earlier one again could be there twice.
//! At the end, with nobody at work, it has to stop without the disk.
//!
//! Producers of both kinds write to each of the two halves all the time: who waits for a partition that is
//! offline must not hold up who writes to another one.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dohle_base::Rng;
use dohle_client::ErrorCode;

use crate::{
    cli::Chaos,
    directories::{Directories, Told},
    judge::{Findings, Judge, Reach},
    ledger::Ledger,
    load::{Load, Manner, TOPIC},
    node::{Layout, Node},
    rounds::{add_panics, end, make_topic, prepare, seed},
    volume::Volume,
};

const PARTITIONS: i32 = 6;
const FILLING_MAX: u64 = 600;
const VOLUME_SIZE: u64 = 512 << 20;
/// Who delivers again outlives every outage.
const PATIENCE: Duration = Duration::from_secs(600);
/// Who does not gives a record up: one cannot even be sent while its partition has no leader.
const PATIENCE_ONCE: Duration = Duration::from_millis(500);
/// How long a node is at work before its disk fails, at most.
const WORK_MAX_MS: u64 = 400;
/// How long a turn of events may take that is waited for, on whatever machine: a node knows that a disk
/// has failed which is written to, it serves the others, and enough has happened for the next failure.
const TURN_MAX: Duration = Duration::from_secs(120);
/// How many records of the partitions that go on must be acknowledged behind the failure.
const BEHIND_MIN: usize = 50;
/// How many acknowledged records a round must have on average in each half: fewer prove nothing.
const ACKNOWLEDGED_MIN: usize = 20;

/// What is answered where a partition is not served. A node that has started without the disk does not
/// know what lies there, as with Kafka.
const NOT_SERVED: [ErrorCode; 2] =
    [ErrorCode::KAFKA_STORAGE_ERROR, ErrorCode::NOT_LEADER_OR_FOLLOWER];

/// What happened, for whoever reads the output.
#[derive(Default)]
struct Report {
    flushed: u32,
    dropped: u32,
    starts_without: u32,
    in_start: u32,
    /// How long each start took, up to where it served.
    starts: Vec<Duration>,
    /// How long the node took to know.
    noticed: Vec<Duration>,
    /// How long it then took until clients were told who leads.
    told: Vec<Duration>,
}

/// Runs all rounds.
pub(crate) async fn run(args: Chaos) -> Result<ExitCode> {
    let seed = seed(&args);
    let dir = prepare(&args.dir, "disk")?;
    println!("chaos: Disk, {} rounds, --seed {seed}, in {}", args.rounds, dir.display());
    let outcome = fail_all(&args, &dir, seed).await;
    let findings = outcome.with_context(|| format!("seed {seed}, see {}", dir.display()))?;
    end(&args, &findings, &dir, seed)
}

async fn fail_all(args: &Chaos, dir: &Path, seed: u64) -> Result<Findings> {
    let mut rng = Rng::from_seed(seed);
    let volume = Volume::make(dir, "volume", VOLUME_SIZE)?;
    let mut data = vec![dir.join("a"), volume.path().join("b")];
    if rng.below(2) == 0 {
        data.push(dir.join("c"));
    }
    let failing = data[1].clone();
    let layout = Layout { dir: dir.to_owned(), data, metadata: None };
    // Dropped before the volume: who has files open there must be gone.
    let mut node = Node::format(&args.binary, &layout, &args.overrides)?;
    let starting = node.start()?;
    node.ready(starting).await?;
    let address = node.address();
    make_topic(&address, TOPIC, PARTITIONS).await?;
    let directories = Directories::new(&address)?;
    let lost = directories.one(&failing).await?.partitions;
    let kept: BTreeSet<_> = (0..PARTITIONS).filter(|index| !lost.contains(index)).collect();
    ensure!(!lost.is_empty() && !kept.is_empty(), "vacuous: all partitions lie in one place");

    let ledger = Arc::new(Ledger::new(seed, PARTITIONS, FILLING_MAX));
    let mut loads = Vec::new();
    for half in [&lost, &kept] {
        for (manner, patience) in [(Manner::Idempotent, PATIENCE), (Manner::Once, PATIENCE_ONCE)] {
            loads.push(Load::start_in(&ledger, half.clone(), &address, manner, patience)?);
        }
    }
    let judge = Judge::new(&ledger, &address);
    let mut scene = Scene { node, volume, failing, lost, kept, directories, ledger, judge };
    let mut report = Report::default();
    let mut findings = Findings::default();
    for round in 1..=args.rounds {
        tokio::time::sleep(Duration::from_millis(50 + rng.below(WORK_MAX_MS))).await;
        scene.wait_until_written(round).await?;
        ensure!(loads.iter().all(Load::is_at_work), "a producer has given up");
        findings =
            scene.round(&mut rng, &mut report).await.with_context(|| format!("round {round}"))?;
        if !findings.is_empty() {
            println!("chaos: round {round}");
            break;
        }
    }
    if findings.is_empty() {
        for load in loads {
            load.finish().await?;
        }
        findings = scene.judge.look(Reach::Whole).await?;
    }
    if findings.is_empty() {
        findings = scene.stop_without(&mut rng, &mut report).await.context("a stop")?;
    }
    let Scene { mut node, lost, kept, ledger, judge, .. } = scene;
    node.kill()?;
    add_panics(&node, args, &mut findings)?;
    let acknowledged = [&lost, &kept].map(|half| ledger.acknowledged_in(half));
    report.tell(acknowledged, judge.records_read);
    for (error, count) in ledger.refused() {
        println!("chaos: {count} records: {error}");
    }
    if findings.is_empty() {
        let is_enough = acknowledged.iter().all(|count| *count >= least(args.rounds));
        ensure!(is_enough, "vacuous: fewer than {} records acknowledged", least(args.rounds));
    }
    Ok(findings)
}

/// How many records of each half must be acknowledged in so many rounds.
fn least(rounds: u32) -> usize {
    ACKNOWLEDGED_MIN * rounds as usize
}

/// A node, one of whose directories lies on a disk of its own.
struct Scene {
    node: Node,
    volume: Volume,
    failing: PathBuf,
    /// The partitions there.
    lost: BTreeSet<i32>,
    /// The others.
    kept: BTreeSet<i32>,
    directories: Directories,
    ledger: Arc<Ledger>,
    judge: Judge,
}

impl Scene {
    async fn round(&mut self, rng: &mut Rng, report: &mut Report) -> Result<Findings> {
        self.fail(rng, report)?;
        self.wait_until_noticed(report).await?;
        let mut findings = self.look_without(&[ErrorCode::KAFKA_STORAGE_ERROR]).await?;
        self.node.kill()?;
        if findings.is_empty() && rng.below(3) == 0 {
            findings = self.start_without(report).await.context("a start without the disk")?;
            report.starts_without += 1;
        }
        self.bring_back(rng)?;
        if findings.is_empty() && rng.below(3) == 0 {
            findings = self.fail_in_start(rng, report).await.context("failed during a start")?;
            self.bring_back(rng)?;
        }
        if !findings.is_empty() {
            return Ok(findings);
        }
        let starting = self.node.start()?;
        report.starts.push(self.node.ready(starting).await?);
        self.judge.look(Reach::Tail).await
    }

    /// Waits until enough was written to both halves for this round to mean something: how fast that is
    /// nobody judges here.
    async fn wait_until_written(&mut self, round: u32) -> Result<()> {
        let begun = Instant::now();
        loop {
            let halves = [&self.lost, &self.kept].map(|half| self.ledger.acknowledged_in(half));
            if halves.iter().all(|count| *count >= least(round)) {
                return Ok(());
            }
            ensure!(self.node.is_alive(), "the node is gone");
            ensure!(begun.elapsed() < TURN_MAX, "{halves:?} records acknowledged by round {round}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The node starts and ends while the disk is still dead.
    async fn start_without(&mut self, report: &mut Report) -> Result<Findings> {
        let starting = self.node.start()?;
        self.node.ready(starting).await?;
        self.wait_until_noticed(report).await?;
        let findings = self.look_without(&NOT_SERVED).await?;
        self.node.kill()?;
        Ok(findings)
    }

    /// The disk fails again at any moment of a start, or just after it.
    async fn fail_in_start(&mut self, rng: &mut Rng, report: &mut Report) -> Result<Findings> {
        let starting = self.node.start()?;
        let usual = report.starts.last().map_or(40, |start| start.as_millis() as u64);
        tokio::time::sleep(Duration::from_millis(rng.below(usual + 1))).await;
        self.fail(rng, report)?;
        report.in_start += 1;
        self.node.ready(starting).await?;
        self.wait_until_noticed(report).await?;
        let findings = self.look_without(&NOT_SERVED).await?;
        self.node.kill()?;
        Ok(findings)
    }

    /// The file system is mounted anew.
    fn bring_back(&mut self, rng: &mut Rng) -> Result<()> {
        self.volume.unmount()?;
        self.volume.mount(["data=ordered", "data=writeback"][rng.below(2) as usize])
    }

    /// The disk fails: with all that was written on it, or with no more than was synced.
    fn fail(&self, rng: &mut Rng, report: &mut Report) -> Result<()> {
        if rng.below(2) == 0 {
            report.flushed += 1;
            return self.volume.cut_flushed();
        }
        report.dropped += 1;
        // A sync that is under way at that moment may say that all is well although it is not, see
        // `outage`; a real disk does not. So none is.
        self.node.hold()?;
        self.volume.cut()?;
        self.node.let_go()
    }

    /// Waits until the node knows that the disk has failed, then until clients are told: that the
    /// partitions have no leader has to be in the metadata log first.
    async fn wait_until_noticed(&mut self, report: &mut Report) -> Result<()> {
        let begun = Instant::now();
        let mut has_time = || {
            ensure!(self.node.is_alive(), "the node is gone");
            ensure!(begun.elapsed() < TURN_MAX, "the node does not say that the disk has failed");
            Ok(tokio::time::sleep(Duration::from_millis(5)))
        };
        while self.directories.one(&self.failing).await?.error != ErrorCode::KAFKA_STORAGE_ERROR {
            has_time()?.await;
        }
        report.noticed.push(begun.elapsed());
        while !self.directories.metadata().await?.iter().all(|(index, told)| {
            !self.lost.contains(index) || told.error_code == ErrorCode::LEADER_NOT_AVAILABLE
        }) {
            has_time()?.await;
        }
        report.told.push(begun.elapsed() - report.noticed[report.noticed.len() - 1]);
        Ok(())
    }

    /// What is wrong with a node that has lost the disk. Who reads or writes a partition there is answered
    /// with one of `codes`.
    async fn look_without(&mut self, codes: &[ErrorCode]) -> Result<Findings> {
        let before = self.ledger.acknowledged_in(&self.kept);
        let mut findings = Findings::default();
        for told in self.directories.all().await? {
            let is_failing = told.path == self.failing;
            let wanted = if is_failing { ErrorCode::KAFKA_STORAGE_ERROR } else { ErrorCode::NONE };
            if told.error != wanted || !told.partitions.is_subset(&self.kept) {
                let Told { path, error, partitions } = told;
                findings.add(format!("{}: {error}, with {partitions:?}", path.display()));
            }
        }
        self.look_at_metadata(&mut findings).await?;
        for index in &self.lost {
            let produced = self.directories.produce(*index).await?;
            let fetched = self.directories.fetch(*index).await?;
            if !codes.contains(&produced) || !codes.contains(&fetched) {
                findings.add(format!("{TOPIC}-{index}: Produce {produced}, Fetch {fetched}"));
            }
        }
        let begun = Instant::now();
        while self.ledger.acknowledged_in(&self.kept) < before + BEHIND_MIN {
            ensure!(self.node.is_alive(), "the node is gone");
            ensure!(begun.elapsed() < TURN_MAX, "the other partitions are not written to");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if findings.is_empty() {
            self.judge.offline.clone_from(&self.lost);
            findings = self.judge.look(Reach::Tail).await?;
            self.judge.offline.clear();
        }
        Ok(findings)
    }

    /// Whether clients see which partitions have no leader.
    async fn look_at_metadata(&self, findings: &mut Findings) -> Result<()> {
        for (index, told) in self.directories.metadata().await? {
            let is_lost = self.lost.contains(&index);
            let is_told = !told.error_code.is_error()
                && told.leader_id.0 == 1
                && told.offline_replicas.is_empty();
            let is_told_lost = told.error_code == ErrorCode::LEADER_NOT_AVAILABLE
                && told.leader_id.0 == -1
                && told.offline_replicas.iter().map(|replica| replica.0).eq([1]);
            if !(if is_lost { is_told_lost } else { is_told }) {
                findings.add(format!("{TOPIC}-{index}, offline: {is_lost}, is told as {told:?}"));
            }
        }
        Ok(())
    }

    /// The disk fails once more, with nobody at work, and the node has to stop all the same.
    async fn stop_without(&mut self, rng: &mut Rng, report: &mut Report) -> Result<Findings> {
        self.fail(rng, report)?;
        self.node.stop()?;
        self.bring_back(rng)?;
        let starting = self.node.start()?;
        report.starts.push(self.node.ready(starting).await?);
        self.judge.look(Reach::Whole).await
    }
}

impl Report {
    fn tell(&self, [lost, kept]: [usize; 2], read: u64) {
        let [noticed, told] = [&self.noticed, &self.told]
            .map(|times| times.iter().max().copied().unwrap_or_default());
        println!(
            "chaos: {} times with all that was written, {} times without what was not synced; known \
             after {noticed:.0?} and told to clients {told:.0?} later at most; {} starts without the \
             disk, it failed in {} starts; {lost} records acknowledged on it and {kept} beside it, \
             {read} records read",
            self.flushed, self.dropped, self.starts_without, self.in_start,
        );
    }
}
