//! `dohle topic create`.

use dohle_client::{Admin, ErrorCode, NewTopic, Str};

use super::{ending, fault};
use crate::{
    ending::{Failure, Outcome},
    remote::RemoteArgs,
    say,
};

/// Arguments of `dohle topic create`.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// Their names
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<Str>,

    /// Partitions of each; the broker's num.partitions if not given
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// Replicas of each partition; the broker's default.replication.factor if not given
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,

    /// A setting of the topics, such as retention.ms=60000; may be given more than once
    #[arg(short, long = "config", value_name = "KEY=VALUE")]
    configs: Vec<String>,

    /// Topics that exist already are no error
    #[arg(long)]
    if_not_exists: bool,

    #[command(flatten)]
    remote: RemoteArgs,
}

/// Makes the topics and says which.
pub(super) async fn run(args: CreateArgs) -> Outcome {
    let configs = args.configs.iter().map(|text| config(text)).collect::<Result<Vec<_>, _>>()?;
    let new_topic = |name: &Str| NewTopic {
        name: name.clone(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: configs.clone(),
        ..NewTopic::default()
    };
    let topics: Vec<NewTopic> = args.topics.iter().map(new_topic).collect();
    let admin = Admin::new(args.remote.connect().await?).map_err(Failure::new)?;
    let outcomes = admin
        .create_topics(&topics, false)
        .await
        .map_err(|error| args.remote.unanswered("create topics", &error))?;
    let mut faults = Vec::new();
    for (topic, outcome) in outcomes {
        match outcome {
            Ok(created) if created.partitions > 0 => {
                let partitions = u64::try_from(created.partitions).unwrap_or(0);
                say::result(format!("created {topic} ({})", say::count(partitions, "partition")))?;
            }
            Ok(_) => say::result(format!("created {topic}"))?,
            Err(error) if args.if_not_exists && error.code == ErrorCode::TOPIC_ALREADY_EXISTS => {
                say::result(format!("{topic} exists already"))?;
            }
            Err(error) => faults.push(fault(&topic, &error)),
        }
    }
    ending(faults)
}

fn config(text: &str) -> Result<(Str, Option<Str>), Failure> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().into(), Some(value.trim().into()))),
        None => Err(Failure::new(format!("--config {text}: is not of the form KEY=VALUE"))),
    }
}
