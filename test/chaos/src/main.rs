//! A real node that is killed, loses power, runs out of disk, and loses one of its disks: `dohle-chaos
//! COMMAND`.
//!
//! Each command starts `dohle server` on a directory of its own, loads it with idempotent producers
//! that wait for `acks=all`, hurts it again and again, and reads everything back each time:
//!
//! ```text
//! load ──records, acks──▶ ledger ◀──what was read── judge
//!   │                                                 │
//!   └──────▶ node (killed, cut, full, disk) ◀─────────┘
//! ```
//!
//! - whatever was acknowledged is at the offset that was told, byte for byte;
//! - whatever was once read stays; nothing is there twice; nothing is there that nobody sent;
//! - committed offsets of a group never go back;
//! - and enough happened for that to mean something.
//!
//! What the node does inside is none of this program's business: it knows the wire, the process and
//! the disk.

mod boot;
mod bytes;
mod cli;
mod commits;
mod directories;
mod disk;
mod full;
mod judge;
mod keys;
mod ledger;
mod load;
mod many;
mod moves;
mod namespace;
mod node;
mod outage;
mod purges;
mod report;
mod rolls;
mod rounds;
mod settings;
mod short;
mod volume;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// For those who call: this machine cannot do it, as opposed to: it was done and went wrong.
const SKIPPED: u8 = 77;

fn main() -> ExitCode {
    chaos().unwrap_or_else(|error| {
        eprintln!("chaos: {error:#}");
        ExitCode::FAILURE
    })
}

fn chaos() -> Result<ExitCode> {
    let command = cli::Command::parse();
    if command.needs_volume() {
        if let Some(reason) = volume::missing() {
            println!("chaos: skipped: {reason}");
            return Ok(ExitCode::from(SKIPPED));
        }
        if let Some(code) = namespace::enter()? {
            return Ok(code);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(command) => outcome,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    });
    // Clients may still wait for a node that is gone.
    runtime.shutdown_background();
    outcome
}

async fn run(command: cli::Command) -> Result<ExitCode> {
    match command {
        cli::Command::Kill(args) => rounds::run(args, rounds::Kind::Kill).await,
        cli::Command::Power(args) => rounds::run(args, rounds::Kind::Power).await,
        cli::Command::Bytes(args) => bytes::run(args).await,
        cli::Command::Full(args) => full::run(args).await,
        cli::Command::Disk(args) => disk::run(args).await,
        cli::Command::Many(args) => many::run(args).await,
    }
}
