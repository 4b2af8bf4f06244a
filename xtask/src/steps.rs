//! What the commands run, step by step.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{layers, node::DevNode};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs one step in the root of the project and says how long it took.
fn run(program: &str, args: &[&str]) -> Result<()> {
    run_with(program, args, &[])
}

/// The same with variables of its own.
fn run_with(program: &str, args: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let line = [&[program], args].concat().join(" ");
    println!("\n=== {line}");
    let start = Instant::now();
    let status = Command::new(program)
        .args(args)
        .envs(variables.iter().copied())
        .current_dir(root())
        .status()
        .with_context(|| format!("could not start {line}"))?;
    println!("=== {:.1} s, {status}", start.elapsed().as_secs_f64());
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// Formatting, lints, layers.
pub(crate) fn check() -> Result<()> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    merges()?;
    layers::check()
}

/// No file has a conflict of a merge in it: no compiler reads the texts.
fn merges() -> Result<()> {
    let search = ["grep", "-nE", "^(<{7}|>{7}) "];
    let found = Command::new("git").args(search).current_dir(root()).output().context("git")?;
    match found.status.code() {
        Some(1) => Ok(()),
        Some(0) => {
            let lines = String::from_utf8_lossy(&found.stdout).trim_end().to_owned();
            Err(anyhow!(lines).context("a merge left conflicts"))
        }
        _ => bail!("git grep: {}", String::from_utf8_lossy(&found.stderr).trim_end()),
    }
}

/// All Rust tests, and those of the benchmarks' runner.
pub(crate) fn unit() -> Result<()> {
    run("cargo", &["test", "--workspace", "--quiet"])?;
    run(
        "python3",
        &["-m", "unittest", "discover", "-t", "test/bench", "-s", "test/bench/runner/tests"],
    )
}

/// The codecs against the classes and schemas in Kafka's jars, and what we format against its tool and broker.
pub(crate) fn protocol() -> Result<()> {
    let found = Command::new("test/compat/kafka-libs").current_dir(root()).output();
    let found = found.context("test/compat/kafka-libs")?;
    if !found.status.success() {
        bail!("Kafka's jars: {}", String::from_utf8_lossy(&found.stderr).trim_end());
    }
    let libs = String::from_utf8(found.stdout).context("the path of Kafka's jars")?;
    let libs = libs.trim_end();
    run("test/protocol-oracle/run", &[libs])?;
    let tests = ["test", "--quiet", "--workspace", "--test", "cli", "kafka"];
    run_with("cargo", &[&tests[..], &["--", "--ignored"]].concat(), &[("KAFKA_LIBS", libs)])
}

/// The node and the programs that load and hurt it, always together: of another selection Cargo would build with other
/// features, and link all of it anew.
fn release() -> Result<()> {
    let build = ["build", "--release"];
    let packages = ["dohle-cli", "dohle-bench", "dohle-chaos"].map(|name| ["--package", name]);
    run("cargo", &[&build[..], packages.as_flattened()].concat())
}

/// Our own client against a node built from this tree.
pub(crate) fn client() -> Result<()> {
    release()?;
    let node = DevNode::start(&root())?;
    let tests = ["test", "--quiet", "--package", "dohle-client", "--test", "live"];
    run_with("cargo", &tests, &[("DOHLE_TEST_BOOTSTRAP", node.address())])
}

/// Foreign clients against a node built from this tree.
pub(crate) fn compat(args: &[String]) -> Result<()> {
    release()?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run("test/compat/run", if args.is_empty() { &["quick"] } else { &args })
}

/// What dohle-chaos ends with where the machine cannot do it: no root, no loop devices.
const SKIPPED: i32 = 77;

/// A node that is hurt, and held to what it acknowledged: a few dozen kills and power cuts, unless
/// the arguments say what to do.
pub(crate) fn chaos(args: &[String]) -> Result<()> {
    release()?;
    let args = args.iter().map(String::as_str).collect::<Vec<_>>();
    match args.first() {
        None => {}
        Some(option) if option.starts_with('-') => {
            hurt(&[&["kill"], &args[..]].concat())?;
            hurt(&[&["power"], &args[..]].concat())?;
            // Who says what the node is at meanwhile gets that alone.
            let plain = ["--rounds", "--seed", "--binary", "--dir"];
            let mut options = args.iter().filter(|arg| arg.starts_with('-'));
            return if options.all(|arg| plain.contains(arg)) { mixed(&args) } else { Ok(()) };
        }
        Some(_) => return hurt(&args),
    }
    hurt(&["kill", "--rounds", "30"])?;
    hurt(&["power", "--rounds", "30"])?;
    hurt(&["power", "--short", "--rounds", "20"])?;
    hurt(&["power", "--purged", "--partitions", "24", "--rounds", "15"])?;
    hurt(&["power", "--large", "--rounds", "5"])?;
    hurt(&["power", "--rolls", "--purged", "--moves", "--rounds", "10"])?;
    hurt(&["power", "--compacted", "--short", "--moves", "--rounds", "10"])?;
    hurt(&["kill", "--large", "--rolls", "--compacted", "--moves", "--rounds", "5"])?;
    // The judge is not blind: with this setting a power cut takes what was acknowledged.
    let os = "dohle.durability=os";
    hurt(&["power", "--rounds", "10", "--override", os, "--expect-loss"])?;
    hurt(&["bytes", "--rounds", "30"])?;
    // A fifth of the handles, as of the 100,000 partitions that are its default.
    hurt(&["many", "--partitions", "3000", "--handles", "600"])?;
    hurt(&["full"])?;
    hurt(&["disk", "--rounds", "12"])
}

/// Large records fill a disk: half a gibibyte a round.
const LARGE_ROUNDS_MAX: u32 = 20;

/// The same with all that a node can be at, in a tenth as many rounds of each kind: with large records,
/// of which there are no more than the disk has room for, and without.
fn mixed(args: &[&str]) -> Result<()> {
    let at = args.iter().position(|arg| *arg == "--rounds");
    let rounds = at.and_then(|at| args.get(at + 1)).and_then(|rounds| rounds.parse::<u32>().ok());
    let rounds = (rounds.unwrap_or(30) / 10).max(1);
    let (few, many) = (rounds.min(LARGE_ROUNDS_MAX).to_string(), rounds.to_string());
    let with = |rounds| {
        let mut args = args.to_vec();
        match at.and_then(|at| args.get_mut(at + 1)) {
            Some(given) => *given = rounds,
            None => args.extend(["--rounds", rounds]),
        }
        args
    };
    let busy = ["--rolls", "--compacted", "--moves"];
    for kind in ["kill", "power"] {
        hurt(&[&[kind, "--large"], &busy[..], &with(&few)].concat())?;
        hurt(&[&[kind, "--purged"], &busy[..], &with(&many)].concat())?;
    }
    Ok(())
}

fn hurt(args: &[&str]) -> Result<()> {
    println!("\n=== dohle-chaos {}", args.join(" "));
    let program = root().join("target/release/dohle-chaos");
    let status = Command::new(program).args(args).current_dir(root()).status();
    match status.context("dohle-chaos")? {
        status if status.success() => Ok(()),
        // A machine that is made for tests must be able to do it; a developer's need not.
        status if status.code() == Some(SKIPPED) && std::env::var_os("CI").is_none() => Ok(()),
        status => bail!("dohle-chaos {}: {status}", args.join(" ")),
    }
}

/// The same load on both brokers.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    release()?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run("test/bench/run", &args)
}

/// What a request costs in instructions, allocations and system calls, against what it may.
pub(crate) fn counts(args: &[String]) -> Result<()> {
    release()?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run("test/bench/counts", &args)
}

/// Everything that a pull request must pass.
pub(crate) fn test() -> Result<()> {
    check()?;
    unit()?;
    protocol()?;
    client()?;
    counts(&[])?;
    compat(&[])?;
    chaos(&[])
}
