//! `dohle produce`: each line of standard input, or of a file, becomes a record.
//!
//! ```text
//! thread: lines ──▶ records ──▶ producer (batches, retries) ──▶ outcomes, in the order of lines
//! ```
//!
//! The first record that is not written ends the command: what follows it is not to stand before it.

mod lines;
mod template;
mod writing;

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::PathBuf,
    time::Instant,
};

use dohle_client::{
    Acks, Codec, Compression, ErrorCode, ProduceError, Producer, ProducerConfig, Str,
};

use crate::{
    ending::{Failure, Outcome},
    interrupt::Signals,
    progress::Progress,
    remote::RemoteArgs,
    say,
};

use lines::Lines;
use template::Template;
use writing::{Fault, Writing};

/// Lines come fast or one by one, so the linger closes a batch or its size; larger ones than Kafka's
/// 16 KiB save requests.
const BATCH_SIZE: usize = 128 * 1024;

/// Arguments of `dohle produce`.
#[derive(Debug, clap::Args)]
pub(crate) struct ProduceArgs {
    /// The topic
    topic: Str,

    /// The file whose lines to write; standard input if not given
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// What stands between key and value on each line; without it lines have no keys
    #[arg(short, long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,

    /// A header of all records; may be given more than once
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,

    /// The text that stands for a null key or value
    #[arg(long, value_name = "TEXT")]
    null_marker: Option<String>,

    /// The partition; if not given, keys decide, or chance
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// How batches are compressed
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none", value_parser = codec)]
    codec: Codec,

    /// When a record counts as written: 0 sent, 1 the leader has it, all its replicas in sync have it
    #[arg(long, default_value = "all", value_parser = acks)]
    acks: Acks,

    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    remote: RemoteArgs,
}

fn codec(text: &str) -> Result<Codec, String> {
    Codec::from_name(text)
        .ok_or_else(|| format!("is not one of {}", Codec::ALL.map(Codec::name).join(", ")))
}

fn acks(text: &str) -> Result<Acks, &'static str> {
    match text {
        "0" => Ok(Acks::None),
        "1" => Ok(Acks::Leader),
        "all" | "-1" => Ok(Acks::All),
        _ => Err("is not one of 0, 1, all"),
    }
}

/// Writes all lines, then says how many.
pub(crate) async fn run(args: ProduceArgs) -> Outcome {
    let template = Template::new(&args)?;
    let (input, size) = open(&args)?;
    let mut config = ProducerConfig::new(args.remote.connect().await?);
    config.acks = args.acks;
    config.enable_idempotence = args.acks == Acks::All;
    config.compression = Compression::new(args.codec);
    config.batch_size = BATCH_SIZE;
    // For a topic to appear that the broker makes for us.
    config.max_block = args.remote.timeout() * 2 / 3;
    config.delivery_timeout = config.delivery_timeout.max(2 * config.client.request_timeout);
    let producer = Producer::new(config).map_err(Failure::new)?;
    let mut signals = Signals::listen().map_err(Failure::new)?;
    if args.file.is_none() && io::stdin().is_terminal() && !args.quiet {
        say::note("Each line becomes a record. Ctrl-D ends.");
    }
    let begun = Instant::now();
    let is_piped = args.file.is_some() || !io::stdin().is_terminal();
    let progress = (is_piped && !args.quiet).then(|| Progress::new(size));
    let mut writing = Writing::new(producer, template, progress, args.remote.closing_timeout());
    let mut lines = Lines::read(input).map_err(Failure::new)?;
    let end = writing.all(&mut lines, &mut signals).await;
    let closed = writing.close(end, &mut signals).await;
    let written = writing.into_written();
    if !args.quiet && (closed.is_ok() || written.records > 0) {
        let count = say::count(written.records, "record");
        let (size, time) = (say::size(written.bytes), begun.elapsed());
        say::note(format_args!("wrote {count} ({size}) to {} in {:.1?}", args.topic, time));
    }
    closed.map_err(|fault| Failure::new(in_words(&fault, &args)))
}

/// Where lines come from, and how many bytes there are, if that is known.
fn open(args: &ProduceArgs) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    let Some(path) = &args.file else { return Ok((Box::new(io::stdin()), None)) };
    let failed = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// What went wrong, with what to do about it where that is known.
fn in_words(fault: &Fault, args: &ProduceArgs) -> String {
    let source = match &args.file {
        Some(path) => path.display().to_string(),
        None => "standard input".into(),
    };
    match fault {
        Fault::Input(error) => format!("{source}: {error}"),
        Fault::Line { line, fault } => format!("{source}, line {line}: {fault}"),
        Fault::Record {
            error: ProduceError::NotFound { code: Some(ErrorCode::INVALID_TOPIC_EXCEPTION), .. },
            ..
        } => format!("{} is not a valid name of a topic", args.topic),
        Fault::Record { error: ProduceError::NotFound { .. }, .. } => match args.partition {
            Some(partition) => format!(
                "topic {topic} has no partition {partition}; `dohle topic describe {topic}` \
                     shows those that it has",
                topic = args.topic
            ),
            None => format!(
                "topic {topic} does not exist, and the broker does not make it; `dohle topic \
                     create {topic}` does",
                topic = args.topic
            ),
        },
        Fault::Record { line, error } => format!("{source}, line {line}: {error}"),
    }
}
