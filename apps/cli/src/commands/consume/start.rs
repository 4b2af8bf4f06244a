//! Which partitions to read, and from where.

use std::collections::{BTreeMap, BTreeSet};

use dohle_client::{
    Admin, Consumer, ErrorCode, IsolationLevel, Offset, OffsetSpec, SeekTo, TopicPartition,
};

use super::ConsumeArgs;
use crate::ending::Failure;

/// Where to begin in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At the oldest record.
    Oldest,
    /// Behind the newest record.
    Newest,
    /// At this offset.
    Offset(i64),
    /// So many offsets before the end.
    Last(i64),
    /// At the first record of this time, in ms since 1970, or later.
    Time(i64),
}

/// Reads what `--offset` takes.
pub(super) fn parse(text: &str) -> Result<Start, &'static str> {
    let number = |text: &str| text.parse().ok().filter(|number: &i64| *number >= 0);
    let start = match text {
        "start" | "earliest" | "beginning" => Some(Start::Oldest),
        "end" | "latest" => Some(Start::Newest),
        _ => match (text.strip_prefix('-'), text.strip_prefix('@')) {
            (Some(count), _) => number(count).map(Start::Last),
            (_, Some(time)) => number(time).map(Start::Time),
            _ => number(text).map(Start::Offset),
        },
    };
    start.ok_or("is not an offset, start, end, -COUNT or @MILLISECONDS")
}

/// The partitions to read: those that are asked for, or all that the topic has.
///
/// # Errors
/// The topic does not exist, or not the partition.
pub(super) async fn partitions(
    admin: &Admin,
    args: &ConsumeArgs,
) -> Result<BTreeSet<TopicPartition>, Failure> {
    let topic = &args.topic;
    let described = admin.describe_topics(std::slice::from_ref(topic)).await;
    let described = described.map_err(|error| args.remote.unanswered("find the topic", &error))?;
    let description = match described.into_iter().next() {
        Some((_, Ok(description))) => description,
        Some((_, Err(error))) if error.code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
            return Err(Failure::new(format!("topic {topic}: {error}")));
        }
        _ => {
            return Err(Failure::new(format!(
                "topic {topic} does not exist; `dohle topic create {topic}` makes it"
            )));
        }
    };
    let all = description.partitions.iter().map(|partition| partition.id);
    let all: BTreeSet<TopicPartition> =
        all.map(|id| TopicPartition::new(topic.clone(), id)).collect();
    if args.partitions.is_empty() {
        return Ok(all);
    }
    let asked = args.partitions.iter().map(|id| {
        let partition = TopicPartition::new(topic.clone(), *id);
        if all.contains(&partition) { Ok(partition) } else { Err(*id) }
    });
    asked.collect::<Result<_, i32>>().map_err(|id| {
        let count = all.len();
        Failure::new(format!("topic {topic} has no partition {id}; it has {count}, from 0 on"))
    })
}

/// Chooses the partitions and goes to where reading is to begin.
///
/// # Errors
/// The ends of the partitions cannot be learnt.
pub(super) async fn assign(
    consumer: &mut Consumer,
    admin: &Admin,
    args: &ConsumeArgs,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<(), Failure> {
    consumer.assign(partitions.iter().cloned()).await;
    let start = match args.offset {
        Some(start) => start,
        None if args.from_beginning => Start::Oldest,
        None => Start::Newest,
    };
    let mut places = BTreeMap::new();
    if let Start::Last(count) = start {
        let oldest = offsets(admin, args, partitions, OffsetSpec::Earliest).await?;
        let ends = offsets(admin, args, partitions, OffsetSpec::Latest).await?;
        for (partition, end) in ends {
            let begin = oldest.get(&partition).map_or(0, |oldest| oldest.0);
            let place = Offset(end.0.saturating_sub(count).max(begin));
            places.insert(partition, SeekTo::Offset(place));
        }
    }
    for partition in partitions {
        let to = match start {
            Start::Oldest => SeekTo::Beginning,
            Start::Newest => SeekTo::End,
            Start::Offset(offset) => SeekTo::Offset(Offset(offset)),
            Start::Time(time) => SeekTo::Timestamp(time),
            Start::Last(_) => places.get(partition).copied().unwrap_or(SeekTo::End),
        };
        consumer.seek(partition, to).await;
    }
    Ok(())
}

/// One offset of each partition.
///
/// # Errors
/// No answer, or a partition without a leader.
pub(super) async fn offsets(
    admin: &Admin,
    args: &ConsumeArgs,
    partitions: &BTreeSet<TopicPartition>,
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let specs = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    let listed = admin.list_offsets(&specs, IsolationLevel::ReadUncommitted).await;
    let listed = listed.map_err(|error| args.remote.unanswered("find the offsets", &error))?;
    let mut offsets = BTreeMap::new();
    for (partition, outcome) in listed {
        let listed =
            outcome.map_err(|code| Failure::new(format!("offsets of {partition}: {code}")))?;
        offsets.extend(listed.offset.map(|offset| (partition, offset)));
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read() {
        let rows = [
            ("0", Some(Start::Offset(0))),
            ("17", Some(Start::Offset(17))),
            ("start", Some(Start::Oldest)),
            ("end", Some(Start::Newest)),
            ("-5", Some(Start::Last(5))),
            ("@1700000000000", Some(Start::Time(1_700_000_000_000))),
            ("", None),
            ("-", None),
            ("--5", None),
            ("@-5", None),
            ("middle", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
