//! One outage after the other under load, and a look at what is left each time.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use dohle_base::Rng;
use dohle_client::{Admin, NewTopic};

use crate::{
    boot::Boot,
    bytes::offline,
    cli::Chaos,
    commits::Commits,
    judge::{Findings, Judge, Reach, Removal},
    keys::{self, Keys},
    ledger::Ledger,
    load::{Load, Manner, TOPIC, once_config},
    moves::Moving,
    node::{Layout, Node},
    outage::Outage,
    purges::Purging,
    report::Report,
    rolls::Rolls,
    settings, short,
    volume::Volume,
};

/// A producer outlives every outage.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a node is at work between two outages, at most.
const WORK_MAX_MS: u64 = 400;
/// How long a node may be at work between two outages until enough has happened: how fast it is nobody
/// judges here.
const WORK_MAX: Duration = Duration::from_secs(120);
/// How long a topic may take to be made.
const TOPIC_MAX: Duration = Duration::from_secs(120);
/// After how many rounds everything is read.
const WHOLE_EVERY: u32 = 100;

/// What kind of outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kill,
    Power,
}

/// Runs all rounds.
pub(crate) async fn run(args: Chaos, kind: Kind) -> Result<ExitCode> {
    let seed = seed(&args);
    let dir = prepare(&args.dir, if kind == Kind::Kill { "kill" } else { "power" })?;
    println!("chaos: {kind:?}, {} rounds, --seed {seed}, in {}", args.rounds, dir.display());
    let mut report = Report::default();
    let outcome = hurt(&args, kind, &dir, seed, &mut report).await;
    println!("chaos: {report}");
    let findings = outcome.with_context(|| format!("seed {seed}, see {}", dir.display()))?;
    end(&args, &findings, &dir, seed)
}

pub(crate) fn seed(args: &Chaos) -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    args.seed.unwrap_or_else(|| u64::from(now().subsec_nanos()))
}

/// An empty directory for a run.
pub(crate) fn prepare(dir: &Path, name: &str) -> Result<PathBuf> {
    let dir = dir.join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).context("the last run's directory")?;
    }
    std::fs::create_dir_all(&dir)?;
    Ok(std::fs::canonicalize(dir)?)
}

/// What the run comes to. What a good one leaves is of no use.
pub(crate) fn end(args: &Chaos, findings: &Findings, dir: &Path, seed: u64) -> Result<ExitCode> {
    match (findings.is_empty(), args.expect_loss) {
        (true, false) => {
            std::fs::remove_dir_all(dir)?;
            println!("chaos: nothing was lost");
        }
        (false, true) => {
            std::fs::remove_dir_all(dir)?;
            println!("chaos: as expected, {findings}");
        }
        (true, true) => {
            bail!("no loss was found, which these settings must have: the judge is blind")
        }
        (false, false) => bail!("seed {seed}, see {}: {findings}", dir.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A panic is a finding, and never the loss that is expected.
pub(crate) fn add_panics(node: &Node, args: &Chaos, findings: &mut Findings) -> Result<()> {
    let panics = node.panics()?;
    ensure!(panics.is_empty() || !args.expect_loss, "{}", panics.join("; "));
    panics.into_iter().for_each(|line| findings.add(line));
    Ok(())
}

async fn hurt(
    args: &Chaos,
    kind: Kind,
    dir: &Path,
    seed: u64,
    report: &mut Report,
) -> Result<Findings> {
    let (mut outage, data) = disks(args, kind, dir, seed)?;
    let layout = Layout { dir: dir.to_owned(), data: data.clone(), metadata: None };
    // Dropped before the volume: who has files open there must be gone.
    let mut node = Node::format(&args.binary, &layout, &settings::overrides(args))?;
    let starting = node.start()?;
    node.ready(starting).await?;
    outage.check(&mut node).await?;
    let address = node.address();
    let partitions = i32::from(args.partitions());
    make_topic_with(&address, TOPIC, partitions, &settings::topic_config(args)).await?;

    let (filling_max, large) = settings::fillings(args);
    let ledger = Ledger::new(seed, partitions, filling_max).with_large(large);
    let ledger = Arc::new(ledger);
    let load = Load::start(&ledger, &address, Manner::Idempotent, PATIENCE)?;
    let commits = Commits::start(&address)?;
    let mut judge = Judge::new(&ledger, &address);
    if args.short {
        judge.removal = Removal::Retention;
    }
    let purging = args.purged.then(|| Purging::start(&ledger, &address, seed)).transpose()?;
    if let Some(purging) = &purging {
        judge.removal = Removal::Purges(Arc::clone(&purging.purges));
    }
    let keys = match args.compacted {
        true => {
            make_topic_with(&address, keys::TOPIC, keys::PARTITIONS, &keys::TOPIC_CONFIG).await?;
            Some(Keys::start(&address, seed, PATIENCE)?)
        }
        false => None,
    };
    let moving = match args.moves {
        true => {
            let topics = [Some(TOPIC), keys.as_ref().map(|_| keys::TOPIC)];
            let topics = topics.into_iter().flatten().collect();
            Some(Moving::start(topics, data.clone(), &address, seed)?)
        }
        false => None,
    };
    let mut rolls = Rolls::default();
    let mut rng = Rng::from_seed(seed);
    let mut findings = Findings::default();
    for round in 1..=args.rounds {
        tokio::time::sleep(Duration::from_millis(20 + rng.below(WORK_MAX_MS))).await;
        ledger.allow_large(settings::LARGE_MAX * u64::from(round));
        let (begun, removed_before) = (Instant::now(), report.removed);
        loop {
            ensure!(load.is_at_work(), "a producer has given up");
            if args.short {
                report.removed = removed_before + short::count_removed(&data, TOPIC)?;
            }
            (report.acknowledged, report.commits) =
                (ledger.acknowledged_count(), commits.acknowledged());
            if args.rolls {
                report.rolled = rolls.count(&data, TOPIC)?;
            }
            if args.compacted {
                report.compacted = keys::compacted_to(&data).max(report.compacted);
            }
            report.large = ledger.acknowledged_large();
            report.moved = moving.as_ref().map_or(0, Moving::done);
            report.purges = purging.as_ref().map_or(0, |purging| purging.purges.answered());
            let Some(lack) = report.lacks(args, round) else { break };
            let is_over = begun.elapsed() > WORK_MAX;
            ensure!(!is_over, "round {round}: {lack}, after {WORK_MAX:?} of work: {report}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        report.compacted_before = report.compacted;
        let held = match &keys {
            Some(keys) => Some(keys.hold().await?),
            None => None,
        };
        outage.strike(&mut node, &mut rng)?;
        report.outages += 1;
        restart(&mut node, &mut outage, &mut rng, report).await?;
        let reach = if round % WHOLE_EVERY == 0 { Reach::Whole } else { Reach::Tail };
        if args.expect_loss {
            // What cannot be read any more may be cut off, or its partition not served: both are a loss.
            judge.offline = offline(&address, TOPIC, partitions).await?;
        }
        findings = judge.look(reach).await?;
        judge.offline.iter().for_each(|index| findings.add(format!("{TOPIC}-{index} is offline")));
        if !args.expect_loss || findings.is_empty() {
            commits.look(&mut findings).await?;
        }
        if let Some(keys) = &keys {
            keys.look(&data, &mut findings).await?;
        }
        drop(held);
        if !findings.is_empty() {
            println!("chaos: round {round}");
            break;
        }
    }
    commits.stop();
    if let Some(moving) = &moving {
        moving.stop();
    }
    if let Some(keys) = &keys {
        keys.stop();
    }
    if let Some(purging) = purging {
        report.purges = purging.finish().await?;
    }
    if findings.is_empty() {
        load.finish().await?;
        findings = judge.look(Reach::Whole).await?;
    }
    (report.acknowledged, report.commits) = (ledger.acknowledged_count(), commits.acknowledged());
    report.records_read = judge.records_read;
    node.kill()?;
    add_panics(&node, args, &mut findings)?;
    for (error, count) in ledger.refused() {
        println!("chaos: {count} records: {error}");
    }
    if findings.is_empty() {
        report.compacted_before = 0;
        let lack = report.lacks(args, args.rounds);
        ensure!(lack.is_none(), "vacuous: {}", lack.unwrap_or_default());
    }
    Ok(findings)
}

/// What is hurt, and the log directories: two if partitions move, on one file system or on two.
fn disks(args: &Chaos, kind: Kind, dir: &Path, seed: u64) -> Result<(Outage, Vec<PathBuf>)> {
    let names = if args.moves { &["data", "other"][..] } else { &["data"] };
    if kind == Kind::Kill {
        return Ok((Outage::Kill, names.iter().map(|name| dir.join(name)).collect()));
    }
    let size = settings::volume_size(args);
    let mut volumes = vec![Volume::make(dir, "volume", size)?];
    if args.moves && seed % 2 == 1 {
        volumes.push(Volume::make(dir, "volume-other", size)?);
    }
    let ring = volumes.iter().cycle();
    let data = names.iter().zip(ring).map(|(name, volume)| volume.path().join(name));
    let data = data.collect::<Vec<_>>();
    let boot = Boot::first(dir, &data, seed)?;
    Ok((Outage::PowerCut { volumes, boot }, data))
}

/// Starts the node; in one of four cases the next outage does not wait until it serves.
async fn restart(
    node: &mut Node,
    outage: &mut Outage,
    rng: &mut Rng,
    report: &mut Report,
) -> Result<()> {
    loop {
        let starting = node.start()?;
        if rng.below(4) > 0 {
            report.starts.push(node.ready(starting).await?);
            return outage.check(node).await;
        }
        let usual = report.starts.last().map_or(40, |start| start.as_millis() as u64);
        tokio::time::sleep(Duration::from_millis(rng.below(usual + 1))).await;
        outage.strike_start(node, rng)?;
        report.outages += 1;
        report.outages_in_start += 1;
    }
}

pub(crate) async fn make_topic(address: &str, name: &str, partitions: i32) -> Result<()> {
    make_topic_with(address, name, partitions, &[]).await
}

pub(crate) async fn make_topic_with(
    address: &str,
    name: &str,
    partitions: i32,
    config: &[(&str, &str)],
) -> Result<()> {
    let admin = Admin::new(once_config(address, TOPIC_MAX)?)?;
    let mut topic = NewTopic::new(name, partitions, 1);
    topic.configs.extend(config.iter().map(|(key, value)| ((*key).into(), Some((*value).into()))));
    let made = admin.create_topics(&[topic], false).await?;
    made.into_iter().try_for_each(|(_, made)| made.map(drop)).context("the topic")
}
