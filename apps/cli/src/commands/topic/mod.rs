//! `dohle topic`: topics of a cluster.

mod create;
mod delete;
mod describe;
mod list;

use clap::Subcommand;
use dohle_client::{ErrorCode, ServerError, Str};

use crate::ending::{Ending, Failure, Outcome};

/// Arguments of `dohle topic`.
#[derive(Debug, clap::Args)]
pub(crate) struct TopicArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make topics
    Create(create::CreateArgs),
    /// List topics
    List(list::ListArgs),
    /// Show the partitions of topics
    Describe(describe::DescribeArgs),
    /// Delete topics with all their records
    Delete(delete::DeleteArgs),
}

/// Does what is asked.
pub(crate) async fn run(args: TopicArgs) -> Outcome {
    match args.command {
        Command::Create(args) => create::run(args).await,
        Command::List(args) => list::run(args).await,
        Command::Describe(args) => describe::run(args).await,
        Command::Delete(args) => delete::run(args).await,
    }
}

/// All is done if nothing went wrong.
fn ending(faults: Vec<String>) -> Outcome {
    if faults.is_empty() { Ok(Ending::Done) } else { Err(Failure::all(faults)) }
}

/// What the broker has against a topic, with what to do about it where that is known.
fn fault(topic: &Str, error: &ServerError) -> String {
    match error.code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
            format!("topic {topic} does not exist; `dohle topic list` shows those that do")
        }
        ErrorCode::TOPIC_ALREADY_EXISTS => {
            format!("topic {topic} exists already; --if-not-exists passes over it")
        }
        _ => format!("topic {topic}: {error}"),
    }
}
