//! The load generator and the floor of the benchmarks: `dohle-bench COMMAND`.
//!
//! The generator speaks the wire itself with frames that are encoded once, so that it costs less
//! than any broker and never is what is measured. Each command drives one broker with one load and
//! prints one line of JSON; alternating brokers, rounds, ratios and tables are the business of
//! `test/bench/run`. Nothing here knows which broker it talks to.

mod cli;
mod control;
mod e2e;
mod fetch;
mod first_ack;
mod floor;
mod frames;
mod idle;
mod inbox;
mod latency;
mod listener;
mod meter;
mod poller;
mod produce;
mod records;
mod sweep;
mod usage;
mod wake;

use anyhow::Result;
use clap::Parser;

fn main() -> Result<()> {
    match cli::Command::parse() {
        cli::Command::Produce(args) => print(&produce::run(&args)?),
        cli::Command::Fetch(args) => print(&fetch::run(&args)?),
        cli::Command::E2e(args) => print(&e2e::run(&args)?),
        cli::Command::Wake(args) => print(&wake::run(&args)?),
        cli::Command::FirstAck(args) => print(&first_ack::run(&args)?),
        cli::Command::Sweep(args) => print(&sweep::run(&args)?),
        cli::Command::Idle(args) => {
            let held = idle::run(&args)?;
            print(&held.report);
            if args.hold {
                held.until_input_ends()?;
            }
        }
        cli::Command::Floor(args) => floor::run(&args)?,
    }
    Ok(())
}

fn print(report: &serde_json::Value) {
    println!("{report}");
}
