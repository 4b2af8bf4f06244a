//! `dohle`: one binary that is the node, its tools and a client.
//!
//! ```text
//! dev, server                   a node in this process                    dohle_server
//! storage …                     the directories of one that is not up     dohle_server::storage
//! topic …, produce, consume     a client of any node, ours or Kafka's     dohle_client
//! dump-log                      files of a log                            dohle_log::inspect
//! kafka-…                       Kafka's own tools by their names          the room `kafka`
//! ```
//!
//! Exit codes: 0 if all was done, also if whoever read our output had enough; 1 if not, for one
//! reason or for many, each of which is a line on standard error; 130 or 143 if a signal cut short
//! what was to be done.

mod args;
mod commands;
mod ending;
mod interrupt;
mod kafka;
mod logging;
mod progress;
mod properties_file;
mod remote;
mod say;

use clap::Parser;

use crate::{
    args::{Args, Command},
    commands::{consume, dev, dump_log, produce, server, storage, topic},
    ending::{Outcome, exit_code},
};

fn main() -> std::process::ExitCode {
    if let Some(code) = kafka::run_if_called() {
        return code;
    }
    let outcome = match Args::try_parse() {
        Ok(args) => run(args),
        Err(error) => return args::exit_code(&error),
    };
    exit_code(outcome)
}

fn run(args: Args) -> Outcome {
    logging::start(args.log.as_deref(), args.command.log_default())?;
    match args.command {
        Command::Dev(args) => dev::run(&args),
        Command::Server(args) => server::run(&args),
        Command::Storage(args) => storage::run(&args),
        Command::Topic(args) => remote::run(topic::run(args)),
        Command::Produce(args) => remote::run(produce::run(args)),
        Command::Consume(args) => remote::run(consume::run(args)),
        Command::DumpLog(args) => dump_log::run(&args),
    }
}
