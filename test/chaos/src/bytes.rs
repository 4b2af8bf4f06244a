//! Random damage in any file of a node that is down, and a start.
//!
//! Whatever was damaged, the node must not panic, and nothing may be missing in silence: either all
//! that was acknowledged is there, or the node or the client is told, by name of the file if the node
//! does not start. With the files as they were all is there again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dohle_base::Rng;

use crate::{
    cli::Chaos,
    judge::{Findings, Judge, Reach},
    ledger::Ledger,
    load::{Load, Manner, TOPIC},
    node::{Layout, Node},
    rounds::{end, make_topic, prepare, seed},
    volume::files,
};

const PARTITIONS: i32 = 2;
const FILLING_MAX: u64 = 600;
/// How long producers fill the node first, and with how many records at least.
const FILL: Duration = Duration::from_secs(2);
const FILL_MIN: usize = 500;
const FILL_MAX: Duration = Duration::from_secs(120);

/// What a round came to.
#[derive(Default)]
struct Outcomes {
    harmless: u32,
    told_by_node: u32,
    told_by_client: u32,
    refused: u32,
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
    let (data, kept) = (dir.join("data"), dir.join("kept"));
    let layout = Layout { dir: dir.to_owned(), data: vec![data.clone()], metadata: None };
    let mut node = Node::format(&args.binary, &layout, &args.overrides)?;
    let starting = node.start()?;
    node.ready(starting).await?;
    make_topic(&node.address(), TOPIC, PARTITIONS).await?;
    let ledger = Arc::new(Ledger::new(seed, PARTITIONS, FILLING_MAX));
    let load = Load::start(&ledger, &node.address(), Manner::Idempotent, Duration::from_secs(60))?;
    let begun = Instant::now();
    while begun.elapsed() < FILL || ledger.acknowledged_count() < FILL_MIN {
        let count = ledger.acknowledged_count();
        ensure!(begun.elapsed() < FILL_MAX, "vacuous: {count} records acknowledged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    load.finish().await?;

    let (mut rng, mut outcomes) = (Rng::from_seed(seed), Outcomes::default());
    for round in 1..=args.rounds {
        if rng.below(2) == 0 {
            node.stop()?
        } else {
            node.kill()?
        }
        copy(&data, &kept)?;
        let path = damage(&data, &mut rng)?;
        let findings = look(&mut node, &ledger, &path, &mut outcomes).await?;
        if !findings.is_empty() {
            println!("chaos: round {round}, {}", path.display());
            return Ok(findings);
        }
        node.kill()?;
        copy(&kept, &data)?;
        let starting = node.start()?;
        node.ready(starting).await.context("with the files as they were")?;
        let findings = Judge::new(&ledger, &node.address()).look(Reach::Whole).await?;
        ensure!(findings.is_empty(), "with the files as they were: {findings}");
    }
    let Outcomes { harmless, told_by_node, told_by_client, refused } = outcomes;
    println!(
        "chaos: {} files damaged: {harmless} without harm, {told_by_node} told by the node, \
         {told_by_client} by the client, {refused} times no start",
        args.rounds
    );
    Ok(Findings::default())
}

/// Starts the node with the damage, and says what is wrong with how it takes it.
async fn look(
    node: &mut Node,
    ledger: &Arc<Ledger>,
    path: &Path,
    outcomes: &mut Outcomes,
) -> Result<Findings> {
    let said_before = node.said()?.len();
    let starting = node.start()?;
    let served = node.ready(starting).await;
    let mut wrong = Findings::default();
    let seen = match &served {
        Ok(_) => Some(Judge::new(ledger, &node.address()).look(Reach::Whole).await),
        Err(_) => None,
    };
    node.panics()?.into_iter().for_each(|line| wrong.add(line));
    let said = node.said()?.split_off(said_before);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match seen {
        None if said.contains(name) => outcomes.refused += 1,
        None => wrong.add(format!("does not start, and does not name {name}: {said}")),
        Some(Ok(findings)) if findings.is_empty() => outcomes.harmless += 1,
        Some(Ok(_)) if said.contains(name) => outcomes.told_by_node += 1,
        Some(Ok(findings)) => wrong.add(format!("missing in silence: {findings}")),
        Some(Err(_)) => outcomes.told_by_client += 1,
    }
    Ok(wrong)
}

/// Damages one file, and says which.
fn damage(data: &Path, rng: &mut Rng) -> Result<PathBuf> {
    let mut files = files(data)?;
    files.retain(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 0));
    let path = files.swap_remove(rng.below(files.len() as u64) as usize);
    let mut bytes = fs::read(&path)?;
    let at = rng.below(bytes.len() as u64) as usize;
    let end = at + 1 + rng.below((bytes.len() - at).min(4096) as u64) as usize;
    match rng.below(5) {
        0 | 1 => bytes[at] ^= 1 << rng.below(8),
        2 => rng.fill(&mut bytes[at..end]),
        3 => bytes[at..end].fill(0),
        _ => bytes.truncate(at),
    }
    fs::write(&path, bytes)?;
    Ok(path)
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
