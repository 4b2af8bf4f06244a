//! One file, by its suffix; ours also one that is not in use yet, or any more, by the suffix before.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use dohle_base::Offset;
use dohle_log::{
    Disk,
    disk::{IoError, OpenMode},
};
use dohle_os::{OsDisk, OsFile};

use super::{
    Questions,
    fault::{Fault, Problem},
    findings::Findings,
    offset_index,
    page::Page,
    producers, segment, time_index, transaction_index,
};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Segment,
    Snapshot,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    Producers,
}

/// What follows the suffix of files that are being made, or wait to be removed.
const STAGES: [&str; 4] = [".deleted", ".cleaned", ".swap", ".part"];

impl Kind {
    /// By the suffix; none of those that this tool does not know.
    pub(super) fn of(path: &Path) -> Option<Self> {
        Self::of_name(name(path))
    }

    /// The same of files in any stage: Kafka's tool passes those over that are not in use.
    pub(super) fn in_any_stage(path: &Path) -> Option<Self> {
        let name = name(path);
        Self::of_name(name.strip_suffix(stage(path)).unwrap_or(name))
    }

    fn of_name(name: &str) -> Option<Self> {
        Some(match name.rsplit_once('.')?.1 {
            "log" => Self::Segment,
            "checkpoint" => Self::Snapshot,
            "index" => Self::OffsetIndex,
            "timeindex" => Self::TimeIndex,
            "txnindex" => Self::TransactionIndex,
            "snapshot" => Self::Producers,
            _ => return None,
        })
    }
}

/// Shows a file that is of this kind, if it is of any.
pub(super) fn show(
    path: &Path,
    kind: Option<Kind>,
    questions: &impl Questions,
    page: &mut Page<'_>,
    findings: &mut Findings,
) -> Result<(), Fault> {
    page.line(format_args!("Dumping {}", path.display()))?;
    match kind {
        Some(Kind::Segment) => {
            let view = questions.segment(path)?;
            page.line(format_args!("Log starting offset: {}", start(path)?))?;
            segment::show(path, &view, page, findings)
        }
        Some(Kind::Snapshot) => {
            let view = questions.segment(path)?;
            snapshot_head(path, page)?;
            segment::show(path, &view, page, findings)
        }
        Some(Kind::OffsetIndex) => offset_index::show(path, questions.index(path)?, page, findings),
        Some(Kind::TimeIndex) => time_index::show(path, questions.index(path)?, page, findings),
        Some(Kind::TransactionIndex) => transaction_index::show(path, page),
        Some(Kind::Producers) => producers::show(path, page),
        None => Ok(page.aside(format_args!("Ignoring unknown file {}", path.display()))?),
    }
}

/// Which snapshot it is, as its name says.
fn snapshot_head(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    const OFFSET_DIGITS: usize = 20;
    const EPOCH_DIGITS: usize = 10;
    let name = name(path);
    if name == "bootstrap.checkpoint" {
        return Ok(page.line("KRaft bootstrap snapshot")?);
    }
    let part = |start: usize, end: usize| {
        let problem = Problem::SnapshotName { start, end, length: name.len() };
        name.get(start..end).ok_or(Fault::at(path, None, problem))
    };
    let number = |digits: &str| Fault::at(path, None, Problem::NotANumber(digits.to_owned()));
    let offset = part(0, OFFSET_DIGITS)?;
    let offset: i64 = offset.parse().map_err(|_| number(offset))?;
    let epoch = part(OFFSET_DIGITS + 1, OFFSET_DIGITS + 1 + EPOCH_DIGITS)?;
    let epoch: i32 = epoch.parse().map_err(|_| number(epoch))?;
    Ok(page.line(format_args!("Snapshot end offset: {offset}, epoch: {epoch}"))?)
}

/// The file's own name, as far as it is text.
pub(super) fn name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

/// The offset that the file's name begins with.
pub(super) fn start(path: &Path) -> Result<Offset, Fault> {
    let digits = stem(path);
    let not_a_number = || Fault::at(path, None, Problem::NotANumber(digits.to_owned()));
    digits.parse().map(Offset).map_err(|_| not_a_number())
}

fn stem(path: &Path) -> &str {
    name(path).split('.').next().unwrap_or_default()
}

/// The file of the same segment, in the same stage, with another suffix.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let whole = absolute(path);
    whole.with_file_name(format!("{}.{suffix}{}", stem(path), stage(path)))
}

/// What the name ends with if the file is not in use.
fn stage(path: &Path) -> &'static str {
    let name = name(path);
    STAGES.into_iter().find(|stage| name.ends_with(stage)).unwrap_or_default()
}

/// The path from the root on; nothing else of it is changed.
pub(super) fn absolute(path: &Path) -> PathBuf {
    match std::env::current_dir() {
        Ok(dir) => dir.join(path),
        Err(_) => path.to_owned(),
    }
}

/// Opens a file to be read.
pub(super) fn open(path: &Path) -> Result<OsFile, Fault> {
    OsDisk.open(path, OpenMode::Read).map_err(|error| disk(path, error))
}

/// That the disk failed.
pub(super) fn disk(path: &Path, error: IoError) -> Fault {
    Fault::at(path, None, Problem::Disk(error))
}
