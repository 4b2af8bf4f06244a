//! `dohle topic delete`.

use dohle_client::{Admin, ErrorCode, Str};

use super::{ending, fault};
use crate::{
    ending::{Failure, Outcome},
    remote::RemoteArgs,
    say,
};

/// Arguments of `dohle topic delete`.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// Their names
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<Str>,

    /// Topics that do not exist are no error
    #[arg(long)]
    if_exists: bool,

    #[command(flatten)]
    remote: RemoteArgs,
}

/// Deletes the topics and says which.
pub(super) async fn run(args: DeleteArgs) -> Outcome {
    let admin = Admin::new(args.remote.connect().await?).map_err(Failure::new)?;
    let outcomes = admin
        .delete_topics(&args.topics)
        .await
        .map_err(|error| args.remote.unanswered("delete topics", &error))?;
    let mut faults = Vec::new();
    for (topic, outcome) in outcomes {
        match outcome {
            Ok(()) => say::result(format!("deleted {topic}"))?,
            Err(error) if args.if_exists && error.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                say::result(format!("{topic} does not exist"))?;
            }
            Err(error) => faults.push(fault(&topic, &error)),
        }
    }
    ending(faults)
}
