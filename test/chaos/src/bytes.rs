//! Random damage in each kind of file of a node that is down, and a start.
//!
//! Whatever was damaged, the node must not panic, and nothing may be missing in silence: either all
//! that was acknowledged is there, or the node says of the file what is wrong with it, and where. What
//! it serves takes records, and has them. With the files as they were all is there again.
//!
//! Two things the node need not tell. One is what is wrong with the bytes of a batch that was flushed long ago: it
//! sends them as they are, and the client finds out by the checksum. The other are numbers that could be true in
//! files that have no checksum with Kafka: where a log starts, and which transactions were aborted.

mod kinds;
mod told;
mod witness;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dohle_base::Rng;

pub(crate) use self::witness::offline;
use self::{
    kinds::{Damage, KINDS, by_kind, check_all_are_there, damage},
    told::tells,
    witness::{Witness, append, plant_transaction},
};
use crate::{
    cli::Chaos,
    judge::{Findings, Judge, Reach},
    ledger::Ledger,
    load::{Load, Manner, TOPIC},
    node::{Layout, Node},
    rounds::{end, make_topic_with, prepare, seed},
};

const PARTITIONS: i32 = 2;
const FILLING_MAX: u64 = 600;
/// How long producers fill the node first, and with how many records at least.
const FILL: Duration = Duration::from_secs(2);
const FILL_MIN: usize = 1_000;
const FILL_MAX: Duration = Duration::from_secs(120);
/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Harmless,
    /// Something is missing, and the node says why.
    Told,
    /// Records that come with a wrong checksum.
    Checksum,
    /// Another number was believed, which nothing contradicts.
    Believed,
    /// The node does not start, and says why.
    Refused,
}

/// A node that is damaged again and again.
struct Bench<'a> {
    data: PathBuf,
    kept: PathBuf,
    node: Node,
    ledger: &'a Arc<Ledger>,
    witness: Witness,
    appended: u32,
}

/// Runs all rounds.
pub(crate) async fn run(args: Chaos) -> Result<ExitCode> {
    let seed = seed(&args);
    let dir = prepare(&args.dir, "bytes")?;
    println!("chaos: Bytes, {} rounds, --seed {seed}, in {}", args.rounds, dir.display());
    let outcome = damage_all(&args, &dir, seed).await;
    let findings = outcome.with_context(|| format!("seed {seed}, see {}", dir.display()))?;
    end(&args, &findings, &dir, seed)
}

async fn damage_all(args: &Chaos, dir: &Path, seed: u64) -> Result<Findings> {
    let ledger = Arc::new(Ledger::new(seed, PARTITIONS, FILLING_MAX));
    let mut bench = Bench::fill(args, dir, &ledger).await?;
    let (mut rng, mut outcomes) = (Rng::from_seed(seed), BTreeMap::<_, Vec<&str>>::new());
    let mut findings = Findings::default();
    for round in 1..=args.rounds {
        let kind = KINDS[(round as usize - 1) % KINDS.len()];
        let files = bench.end(kind, rng.below(2) == 0).await?;
        copy(&bench.data, &bench.kept)?;
        let damage = damage(&files, &mut rng)?;
        match bench.look(&damage).await? {
            Ok(outcome) => outcomes.entry(outcome).or_default().push(kind),
            Err(wrong) => {
                println!("chaos: round {round}, {damage}: {wrong}");
                findings.extend(wrong);
            }
        }
        bench.node.kill()?;
        copy(&bench.kept, &bench.data)?;
        bench.start().await.context("with the files as they were")?;
        let lost = Judge::new(&ledger, &bench.node.address()).look(Reach::Whole).await?;
        ensure!(lost.is_empty(), "with the files as they were: {lost}");
    }
    for (outcome, kinds) in outcomes {
        println!("chaos: {outcome:?} {} times: {}", kinds.len(), kinds.join(", "));
    }
    println!("chaos: {} records behind damage", bench.appended);
    ensure!(bench.appended > args.rounds, "vacuous: hardly a partition took a record");
    Ok(findings)
}

impl<'a> Bench<'a> {
    /// A node whose directory has files of all kinds.
    async fn fill(args: &Chaos, dir: &Path, ledger: &'a Arc<Ledger>) -> Result<Self> {
        let (data, kept) = (dir.join("data"), dir.join("kept"));
        let layout = Layout { dir: dir.to_owned(), data: vec![data.clone()], metadata: None };
        let own = witness::OVERRIDES.map(str::to_owned);
        let overrides = [&own[..], &args.overrides].concat();
        let mut node = Node::format(&args.binary, &layout, &overrides)?;
        let starting = node.start()?;
        node.ready(starting).await?;
        let address = node.address();
        make_topic_with(&address, TOPIC, PARTITIONS, &[witness::SMALL_SEGMENTS]).await?;
        let load = Load::start(ledger, &address, Manner::Idempotent, Duration::from_secs(60))?;
        let begun = Instant::now();
        while begun.elapsed() < FILL || ledger.acknowledged_count() < FILL_MIN {
            let count = ledger.acknowledged_count();
            ensure!(begun.elapsed() < FILL_MAX, "vacuous: {count} records acknowledged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        load.finish().await?;
        witness::write(&address, &data).await?;
        node.stop()?;
        plant_transaction(&data)?;
        let starting = node.start()?;
        node.ready(starting).await.context("with a transaction that Kafka left")?;
        let witness = Witness::of(&address).await?;
        node.stop()?;
        check_all_are_there(&data)?;
        let mut bench = Self { data, kept, node, ledger, witness, appended: 0 };
        bench.start().await?;
        Ok(bench)
    }

    /// Ends the node, so that there are files of a kind: some only a clean stop leaves.
    async fn end(&mut self, kind: &str, is_clean: bool) -> Result<Vec<PathBuf>> {
        if !is_clean {
            self.node.kill()?;
            if let Some(files) = by_kind(&self.data)?.remove(kind) {
                return Ok(files);
            }
            self.start().await?;
        }
        self.node.stop()?;
        let files = by_kind(&self.data)?.remove(kind);
        files.with_context(|| format!("no file of the kind {kind}"))
    }

    async fn start(&mut self) -> Result<Duration> {
        let starting = self.node.start()?;
        self.node.ready(starting).await
    }

    /// Starts the node with the damage, and says what is wrong with how it takes it.
    async fn look(&mut self, damage: &Damage) -> Result<Result<Outcome, Findings>> {
        let said_before = self.node.said()?.len();
        let served = self.start().await.is_ok();
        let (mut missing, mut wrong) = (Findings::default(), Findings::default());
        if served {
            self.ask(&mut missing, &mut wrong).await?;
        }
        self.node.panics()?.into_iter().for_each(|line| wrong.add(line));
        let said = self.node.said()?.split_off(said_before);
        let told = tells(&said, &self.data, &damage.path);
        let outcome = match told {
            _ if served && missing.is_empty() => Outcome::Harmless,
            Ok(()) if served => Outcome::Told,
            Ok(()) => Outcome::Refused,
            Err(_) if served && missing.are_all("checksum") => Outcome::Checksum,
            Err(_) if served && is_believed(&damage.path, &missing) => Outcome::Believed,
            Err(lack) => {
                let what = if served { missing.to_string() } else { "does not start".to_owned() };
                wrong.add(format!("{what}\n  and is not told: {lack}"));
                Outcome::Refused
            }
        };
        Ok(if wrong.is_empty() { Ok(outcome) } else { Err(wrong) })
    }

    /// Reads all there is, appends to what is served, and reads that.
    async fn ask(&mut self, missing: &mut Findings, wrong: &mut Findings) -> Result<()> {
        let address = self.node.address();
        let mut judge = Judge::new(self.ledger, &address);
        judge.offline = offline(&address, TOPIC, PARTITIONS).await?;
        // Behind a segment that was cut in its middle nothing comes.
        judge.silence_max = witness::TRIED;
        for index in &judge.offline {
            missing.add(format!("{TOPIC}-{index} is offline"));
        }
        match judge.look(Reach::Whole).await {
            Ok(found) => missing.extend(found),
            Err(error) => missing.add(format!("{error:#}")),
        }
        missing.extend(self.witness.look().await);
        let mut served = Vec::new();
        for (topic, partitions) in [(TOPIC, PARTITIONS)].into_iter().chain(witness::ONE_EACH) {
            let offline = offline(&address, topic, partitions).await?;
            let online = (0..partitions).filter(|index| !offline.contains(index));
            served.extend(online.map(|index| (topic, index)));
        }
        self.appended += append(&address, served.into_iter(), wrong).await?;
        Ok(())
    }
}

/// Whether nothing else is wrong than what depends on a file without a checksum.
fn is_believed(path: &Path, missing: &Findings) -> bool {
    let is_of = |ending: &str| path.to_string_lossy().ends_with(ending);
    is_of("log-start-offset-checkpoint") && missing.are_all("purged: ")
        || is_of(".txnindex") && missing.are_all("aborted: ")
}

/// Makes a directory as another one is.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}
