//! `dohle topic describe`.

use dohle_client::{Admin, BrokerId, PartitionDescription, Str, TopicDescription};
use serde_json::{Value, json};

use super::{ending, fault};
use crate::{
    ending::{Failure, Outcome},
    remote::RemoteArgs,
    say,
};

/// Arguments of `dohle topic describe`.
#[derive(Debug, clap::Args)]
pub(crate) struct DescribeArgs {
    /// Their names; all that are not internal if none is given
    #[arg(value_name = "TOPIC")]
    topics: Vec<Str>,

    /// As a JSON array
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    remote: RemoteArgs,
}

/// Prints topics with their partitions.
pub(super) async fn run(args: DescribeArgs) -> Outcome {
    let admin = Admin::new(args.remote.connect().await?).map_err(Failure::new)?;
    let unanswered = |error| args.remote.unanswered("describe topics", &error);
    let names = if args.topics.is_empty() {
        let listed = admin.list_topics().await.map_err(unanswered)?;
        listed.into_iter().filter(|topic| !topic.internal).map(|topic| topic.name).collect()
    } else {
        args.topics.clone()
    };
    let mut described = Vec::new();
    let mut faults = Vec::new();
    for (topic, outcome) in admin.describe_topics(&names).await.map_err(unanswered)? {
        match outcome {
            Ok(description) => described.push(description),
            Err(error) => faults.push(fault(&topic, &error)),
        }
    }
    if args.json {
        say::result(Value::from(described.iter().map(as_json).collect::<Vec<_>>()))?;
    } else if !described.is_empty() {
        let tables: Vec<String> = described.iter().map(as_table).collect();
        say::result(tables.join("\n\n"))?;
    }
    ending(faults)
}

fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

fn as_json(topic: &TopicDescription) -> Value {
    let partitions: Vec<Value> = topic
        .partitions
        .iter()
        .map(|partition| {
            json!({
                "partition": partition.id.0,
                "leader": partition.leader.map(|id| id.0),
                "leader_epoch": partition.leader_epoch.0,
                "replicas": numbers(&partition.replicas),
                "isr": numbers(&partition.isr),
                "offline": numbers(&partition.offline),
            })
        })
        .collect();
    json!({
        "name": topic.name.as_str(),
        "id": topic.id.to_string(),
        "internal": topic.internal,
        "partitions": partitions,
    })
}

fn as_table(topic: &TopicDescription) -> String {
    let head = ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "OFFLINE"];
    let mut rows = vec![head.map(String::from)];
    rows.extend(topic.partitions.iter().map(row));
    let mut text = format!("{} (id {})", topic.name, topic.id);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str("\n  ");
        text.push_str(line.trim_end());
    }
    text
}

fn row(partition: &PartitionDescription) -> [String; 6] {
    let list = |ids: &[BrokerId]| {
        let ids: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
        if ids.is_empty() { "-".into() } else { ids.join(",") }
    };
    [
        partition.id.0.to_string(),
        partition.leader.map_or_else(|| "none".into(), |id| id.0.to_string()),
        partition.leader_epoch.0.to_string(),
        list(&partition.replicas),
        list(&partition.isr),
        list(&partition.offline),
    ]
}
