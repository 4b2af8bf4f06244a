//! `dohle consume`: records as lines on standard output.
//!
//! With `--group` the group shares the partitions out and remembers how far it is; without, this
//! command reads all partitions, or those that are named, from where it is told.
//!
//! Invariant: an offset is committed only when all records before it were written out.

mod format;
mod goal;
mod output;
mod start;

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    pin::pin,
    time::Duration,
};

use dohle_client::{
    Admin, CommitError, CommittedOffset, ConsumeError, Consumer, ConsumerConfig, ConsumerRecord,
    LeaderEpoch, Offset, OffsetReset, Polled, Str, TopicPartition,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    ending::{Ending, Failure, Outcome},
    interrupt::{Signal, Signals},
    progress::{Amount, Progress},
    remote::RemoteArgs,
    say,
};

use format::Format;
use goal::Goal;
use output::Output;
use start::Start;

/// How often offsets are committed. Source: Kafka's `auto.commit.interval.ms`.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// How long a signal waits for what is being written: as long as it takes whoever reads.
const WRITE_WAIT: Duration = Duration::from_millis(500);

/// Arguments of `dohle consume`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConsumeArgs {
    /// The topic
    topic: Str,

    /// The group that shares the partitions and remembers offsets
    #[arg(short, long, value_name = "GROUP", conflicts_with_all = ["partitions", "offset"])]
    group: Option<Str>,

    /// Where to begin, in a group only where it has no offset: at the oldest record instead of
    /// behind the newest
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,

    /// Where to begin: an offset, start, end, -N for the last N of each partition, or @MS for a time
    /// in milliseconds since 1970
    #[arg(short, long, value_name = "OFFSET", allow_hyphen_values = true, value_parser = start::parse)]
    offset: Option<Start>,

    /// The partitions to read, separated by commas; all if not given
    #[arg(
        short,
        long = "partition",
        value_name = "PARTITION",
        value_delimiter = ',',
        value_parser = clap::value_parser!(i32).range(0..)
    )]
    partitions: Vec<i32>,

    /// How many records to read; for ever if not given
    #[arg(short = 'n', long, value_name = "COUNT")]
    max_messages: Option<u64>,

    /// End where the partitions ended when we began
    #[arg(short = 'e', long)]
    until_end: bool,

    /// How a record is written: %t topic, %p partition, %o offset, %d its time in ms since 1970, %k
    /// key, %v value, %h headers, %K and %V bytes of key and value, %% a percent sign; \n \t \r \0
    /// \\ and \xFF for bytes
    #[arg(short, long, value_name = "FORMAT", default_value = "%v\\n", value_parser = Format::parse)]
    format: Format,

    #[command(flatten)]
    remote: RemoteArgs,
}

/// Writes records until there are as many as wanted, or a signal comes.
pub(crate) async fn run(args: ConsumeArgs) -> Outcome {
    let client = args.remote.connect().await?;
    let admin = Admin::new(client.clone()).map_err(Failure::new)?;
    let mut config = ConsumerConfig::new(client);
    config.group_id = args.group.clone();
    // We commit what was written out, and not what was received.
    config.enable_auto_commit = false;
    config.allow_auto_create_topics = false;
    let from_oldest = args.from_beginning;
    config.auto_offset_reset =
        if from_oldest { OffsetReset::Earliest } else { OffsetReset::Latest };
    let mut signals = Signals::listen().map_err(Failure::new)?;
    let mut consumer = Consumer::new(config).map_err(Failure::new)?;

    let known = start::partitions(&admin, &args).await?;
    let goal = match &args.group {
        Some(_) => {
            consumer.subscribe([args.topic.clone()]).await.map_err(Failure::new)?;
            Goal::new(&args, &admin, &known).await?
        }
        None => {
            let goal = Goal::new(&args, &admin, &known).await?;
            start::assign(&mut consumer, &admin, &args, &known).await?;
            goal
        }
    };
    if io::stdout().is_terminal() && args.group.is_none() && !args.has_start() {
        say::note("Waiting for new records. --from-beginning shows the old ones, too.");
    }
    let is_endless = goal.is_endless();
    let mut reading = Reading {
        consumer,
        goal,
        output: Output::default(),
        written: Amount::default(),
        progress: (!io::stdout().is_terminal()).then(|| Progress::new(None)),
        in_group: args.group.is_some(),
        uncommitted: BTreeMap::new(),
        commit_at: Instant::now() + COMMIT_INTERVAL,
        closing_timeout: args.remote.closing_timeout(),
    };
    let end = reading.all(&args.format, &mut signals).await;
    // Offsets of what was written before a fault are as good as any.
    let closed = reading.close(!matches!(end, Ok(None)), &mut signals).await;
    let signal = end?;
    closed?;
    // Who reads without an end ends with a signal.
    Ok(match signal {
        Some(signal) if !is_endless => Ending::Interrupted(signal),
        _ => Ending::Done,
    })
}

impl ConsumeArgs {
    fn has_start(&self) -> bool {
        self.from_beginning || self.offset.is_some()
    }
}

struct Reading {
    consumer: Consumer,
    goal: Goal,
    output: Output,
    written: Amount,
    progress: Option<Progress>,
    in_group: bool,
    /// The next offset to read of partitions where records were written out since the last commit.
    uncommitted: BTreeMap<TopicPartition, Offset>,
    commit_at: Instant,
    /// How long the last commit and leaving the group may take together after a signal, or an error.
    closing_timeout: Duration,
}

impl Reading {
    /// Reads until the goal is reached or a signal comes.
    async fn all(
        &mut self,
        format: &Format,
        signals: &mut Signals,
    ) -> Result<Option<Signal>, Failure> {
        while !self.goal.is_reached(&mut self.consumer).await {
            let pause = tokio::time::sleep(self.goal.check_interval());
            let polled = tokio::select! {
                signal = signals.next() => return Ok(Some(signal)),
                polled = self.consumer.next() => polled,
                () = pause => {
                    self.commit_if_due().await?;
                    continue;
                }
            };
            match polled.map_err(|error| Failure::new(in_words(&error)))? {
                Polled::Records(records) => {
                    let records = self.goal.wanted(&records);
                    if let Some(signal) = self.write(format, records, signals).await? {
                        return Ok(Some(signal));
                    }
                }
                Polled::Revoked(_) => self.commit().await?,
                Polled::Lost(partitions) => {
                    self.uncommitted.retain(|partition, _| !partitions.contains(partition));
                }
                Polled::Assigned(_) => {}
            }
            self.commit_if_due().await?;
        }
        Ok(None)
    }

    /// Writes records out. A signal meanwhile does not wait for a reader that has stopped reading.
    async fn write(
        &mut self,
        format: &Format,
        records: &[ConsumerRecord],
        signals: &mut Signals,
    ) -> Result<Option<Signal>, Failure> {
        let mut writing = pin!(self.output.write(format, records));
        let (size, signal) = tokio::select! {
            size = &mut writing => (size?, None),
            signal = signals.next() => match timeout(WRITE_WAIT, writing).await {
                Ok(size) => (size?, Some(signal)),
                Err(_) => return Ok(Some(signal)),
            },
        };
        self.written.bytes += size;
        self.written.records += records.len() as u64;
        if let Some(progress) = &mut self.progress {
            progress.show(self.written);
        }
        if self.in_group {
            let next = |record: &ConsumerRecord| (record.topic_partition(), record.offset.plus(1));
            self.uncommitted.extend(records.iter().map(next));
        }
        Ok(signal)
    }

    async fn commit_if_due(&mut self) -> Result<(), Failure> {
        if Instant::now() < self.commit_at {
            return Ok(());
        }
        self.commit_at = Instant::now() + COMMIT_INTERVAL;
        self.commit().await
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        let offset = |(partition, offset)| {
            let leader_epoch = LeaderEpoch::NONE;
            (partition, CommittedOffset { offset, leader_epoch, metadata: None })
        };
        let offsets = std::mem::take(&mut self.uncommitted).into_iter().map(offset).collect();
        match self.consumer.commit_offsets(offsets).await {
            Ok(()) => Ok(()),
            // Others have our partitions now, and read again what we did not commit.
            Err(CommitError::Rebalanced { .. }) => Ok(()),
            Err(error) => Err(Failure::new(format!("offsets were not committed: {error}"))),
        }
    }

    /// Commits and leaves the group. Who is in a hurry waits for no longer than a person does, all
    /// others for as long as the client does, and a signal ends it at once.
    async fn close(mut self, is_in_hurry: bool, signals: &mut Signals) -> Result<(), Failure> {
        if !self.in_group {
            return Ok(());
        }
        let deadline = sleep(if is_in_hurry { self.closing_timeout } else { Duration::MAX });
        let mut deadline = pin!(deadline);
        let late = |why| Err(Failure::new(format!("the last offsets were not committed: {why}")));
        let committed = tokio::select! {
            committed = self.commit() => committed,
            () = &mut deadline => return late("no answer in time"),
            _ = signals.next() => return late("there was no time"),
        };
        // If we do not say that we go, the coordinator notices by itself.
        tokio::select! {
            () = self.consumer.close() => {}
            () = &mut deadline => {}
            _ = signals.next() => {}
        }
        committed
    }
}

fn in_words(error: &ConsumeError) -> String {
    match error {
        ConsumeError::Corrupt { partition, offset, .. } => format!(
            "{error}; `--partition {} --offset {}` reads on behind it",
            partition.partition.0,
            offset.0.saturating_add(1)
        ),
        error => error.to_string(),
    }
}
