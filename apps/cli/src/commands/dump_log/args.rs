//! `dohle dump-log` with flags of our own.
//!
//! It goes on with the next file where one cannot be read, and fails at the end then, or if an index
//! does not fit its segment.

use std::{
    fs,
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use dohle_log::PartitionDir;
use dohle_protocol::records::CoordinatorLog;

use super::{
    IndexKind, IndexView, Questions, SegmentView,
    decoder::{Decoder, Plain},
    fault::Fault,
    file::{self, Kind},
    findings::Findings,
    page::Page,
    side_files::SideFile,
};
use crate::ending::{Ending, Failure, Outcome};

/// How far behind a position of an index its batch may reach. Source: Kafka's tool.
const BATCH_SIZE_MAX: i32 = 5 * 1024 * 1024;

/// Arguments of `dohle dump-log`.
#[derive(Debug, clap::Args)]
pub(crate) struct DumpLogArgs {
    /// Files of a log, or directories of partitions or logs, of which all files are shown
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Show each record, not only batches
    #[arg(short, long)]
    records: bool,

    /// Show what is in the records: keys and values
    #[arg(short, long)]
    contents: bool,

    /// Show nothing else of the records than what is in them
    #[arg(long, requires = "contents")]
    bare: bool,

    /// What the contents are
    #[arg(short, long, value_enum, default_value = "auto", value_name = "WHAT")]
    decoder: DecoderName,

    /// Do not show indexes, only compare them with their segments
    #[arg(long, conflicts_with = "sanity")]
    compare: bool,

    /// Do not show indexes, only say whether a node would build them anew
    #[arg(long)]
    sanity: bool,

    /// Show no more of a segment than this
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i32).range(0..))]
    max_bytes: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DecoderName {
    /// By the name of the partition's directory
    Auto,
    Text,
    /// Of __cluster_metadata
    Metadata,
    /// Of __consumer_offsets
    Offsets,
    /// Of __transaction_state
    Transactions,
    /// Of __share_group_state
    Share,
    /// Of __remote_log_metadata
    Remote,
}

/// Shows the files.
pub(crate) fn run(args: &DumpLogArgs) -> Outcome {
    let (mut out, mut err) = (BufWriter::with_capacity(1 << 16, io::stdout().lock()), io::stderr());
    let mut page = Page::new(&mut out, &mut err);
    let mut findings = Findings::default();
    let mut problems = Vec::new();
    for path in files(&args.paths)? {
        let shown = match SideFile::of(&path) {
            Some(side_file) => args
                .segment(&path)
                .and_then(|view| side_file.show(&path, &view, &mut page, &mut findings)),
            None => {
                let kind = Kind::in_any_stage(&path);
                file::show(&path, kind, args, &mut page, &mut findings)
            }
        };
        match shown {
            Ok(()) => {}
            Err(Fault::Output(error)) => return Err(Failure::of_output(&error)),
            Err(fault) => {
                page.end_line().map_err(|error| Failure::of_output(&error))?;
                problems.push(fault);
            }
        }
    }
    let done = findings.report(&mut page).and_then(|()| page.flush());
    done.map_err(|error| Failure::of_output(&error))?;
    match (problems.is_empty(), findings.are_bad()) {
        (false, _) => Err(Failure::all(problems)),
        (true, true) => Ok(Ending::ProblemsFound),
        (true, false) => Ok(Ending::Done),
    }
}

/// The files themselves, and those in the directories that we know what to do with, sorted.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
        let mut within = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            within.push(entry.map_err(failed)?.path());
        }
        within.retain(|path| Kind::in_any_stage(path).is_some() || SideFile::of(path).is_some());
        within.sort();
        files.append(&mut within);
    }
    Ok(files)
}

impl Questions for DumpLogArgs {
    fn segment(&self, path: &Path) -> Result<SegmentView, Fault> {
        Ok(SegmentView {
            records: self.records || self.contents,
            metadata: !self.bare,
            contents: self.contents.then(|| self.decoder.of(path)),
            bytes_max: self.max_bytes.unwrap_or(i32::MAX),
        })
    }

    fn index(&self, _path: &Path) -> Result<IndexView, Fault> {
        let kind = match (self.sanity, self.compare) {
            (true, _) => IndexKind::Sanity,
            (false, true) => IndexKind::Compared,
            (false, false) => IndexKind::Shown,
        };
        Ok(IndexView { kind, batch_size_max: BATCH_SIZE_MAX })
    }
}

impl DecoderName {
    fn of(self, path: &Path) -> Decoder {
        match self {
            Self::Auto => Self::by_directory(path).of(path),
            Self::Text => Decoder::Plain { key: Plain::Text, value: Plain::Text },
            Self::Metadata => Decoder::Metadata,
            Self::Offsets => Decoder::Coordinator(CoordinatorLog::Group),
            Self::Transactions => Decoder::Coordinator(CoordinatorLog::Transaction),
            Self::Share => Decoder::Coordinator(CoordinatorLog::Share),
            Self::Remote => Decoder::RemoteLog,
        }
    }

    fn by_directory(path: &Path) -> Self {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let dir = whole.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let dir = dir.and_then(|name| PartitionDir::parse(name).ok());
        match dir.as_ref().map(|dir| dir.topic.as_str()) {
            Some("__cluster_metadata") => Self::Metadata,
            Some("__consumer_offsets") => Self::Offsets,
            Some("__transaction_state") => Self::Transactions,
            Some("__share_group_state") => Self::Share,
            Some("__remote_log_metadata") => Self::Remote,
            _ => Self::Text,
        }
    }
}
