//! The command line as a whole. What a command takes stands beside the command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        consume::ConsumeArgs, dev::DevArgs, dump_log::DumpLogArgs, produce::ProduceArgs,
        server::ServerArgs, storage::StorageArgs, topic::TopicArgs,
    },
    kafka,
};

/// An event streaming platform that takes Apache Kafka's place.
#[derive(Debug, Parser)]
#[command(
    name = "dohle",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = format!(
        "Kafka's own tools, with their flags, also through links of these names: {}",
        kafka::names()
    )
)]
pub(crate) struct Args {
    /// What to log to standard error, such as `info` or `warn,dohle_broker=debug`; else RUST_LOG
    /// says
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve on this machine at once, without any configuration
    Dev(DevArgs),
    /// Serve as a server.properties file says
    Server(ServerArgs),
    /// Prepare and inspect the directories of a node
    Storage(StorageArgs),
    /// Make, list, describe and delete topics
    Topic(TopicArgs),
    /// Write lines as records
    Produce(ProduceArgs),
    /// Read records as lines
    Consume(ConsumeArgs),
    /// Show what is in the files of a log
    DumpLog(DumpLogArgs),
}

impl Command {
    /// What is logged if nobody says: a server tells what it does, a tool only what goes wrong.
    pub(crate) fn log_default(&self) -> &'static str {
        match self {
            Self::Server(_) => "info",
            Self::Dev(_) => "warn",
            Self::Storage(_)
            | Self::Topic(_)
            | Self::Produce(_)
            | Self::Consume(_)
            | Self::DumpLog(_) => "error",
        }
    }
}

/// Shows help, or what is wrong with the arguments. Kafka's tools end with 1 on bad arguments.
pub(crate) fn exit_code(error: &clap::Error) -> ExitCode {
    // Nobody is left to hear that nobody listens.
    let _ = error.print();
    if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
