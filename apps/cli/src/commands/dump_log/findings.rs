//! What was odd in the files, told when all have been shown.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{file::absolute, page::Page};

/// Pairs of one file, in the order in which they were found.
type Pairs = Vec<(i64, i64)>;

/// What was found, file by file. Sixteen bytes a finding.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Of an index of offsets: the entry's offset, and the one that the segment has there.
    offset_mismatches: Vec<(PathBuf, Pairs)>,
    /// Of an index of times: the entry's time, and the one that the segment has there.
    time_mismatches: Vec<(PathBuf, Pairs)>,
    /// Of an index of times: the entry's time, and the one before, which is not less.
    out_of_order: Vec<(PathBuf, Pairs)>,
    /// Of an index of times: the entry's offset, and the last one of the batch that has it.
    not_found: Vec<(PathBuf, Pairs)>,
    /// Of a segment: an offset, and the next one that is there.
    gaps: Vec<(PathBuf, Pairs)>,
}

impl Findings {
    pub(super) fn offset_mismatch(&mut self, path: &Path, indexed: i64, stored: i64) {
        add(&mut self.offset_mismatches, path, (indexed, stored));
    }

    pub(super) fn time_mismatch(&mut self, path: &Path, indexed: i64, stored: i64) {
        add(&mut self.time_mismatches, path, (indexed, stored));
    }

    pub(super) fn out_of_order(&mut self, path: &Path, time: i64, before: i64) {
        add(&mut self.out_of_order, path, (time, before));
    }

    pub(super) fn not_found(&mut self, path: &Path, indexed: i64, stored: i64) {
        add(&mut self.not_found, path, (indexed, stored));
    }

    pub(super) fn gap(&mut self, path: &Path, last: i64, next: i64) {
        add(&mut self.gaps, path, (last, next));
    }

    /// Whether an index does not fit its segment. Gaps are no harm: the cleaner leaves them.
    pub(super) fn are_bad(&self) -> bool {
        let lists =
            [&self.offset_mismatches, &self.time_mismatches, &self.out_of_order, &self.not_found];
        lists.iter().any(|files| !files.is_empty())
    }

    /// Tells all, on standard error.
    pub(super) fn report(&self, page: &mut Page<'_>) -> io::Result<()> {
        for (path, pairs) in &self.offset_mismatches {
            page.aside(format_args!("Mismatches in :{}", path.display()))?;
            for (indexed, stored) in by_first(pairs).iter().rev() {
                page.aside(format_args!("  Index offset: {indexed}, log offset: {stored}"))?;
            }
        }
        for (path, pairs) in &self.time_mismatches {
            page.aside(format_args!("Found timestamp mismatch in :{}", path.display()))?;
            for (indexed, stored) in pairs {
                page.aside(format_args!("  Index timestamp: {indexed}, log timestamp: {stored}"))?;
            }
        }
        for (path, pairs) in &self.out_of_order {
            page.aside(format_args!("Found out of order timestamp in :{}", path.display()))?;
            for (time, before) in pairs {
                page.aside(format_args!(
                    "  Index timestamp: {time}, Previously indexed timestamp: {before}"
                ))?;
            }
        }
        for (path, pairs) in &self.not_found {
            let path = path.display();
            page.aside(format_args!("The following indexed offsets are not found in :{path}"))?;
            for (indexed, stored) in pairs {
                page.aside(format_args!("Indexed offset: {indexed}, found log offset: {stored}"))?;
            }
        }
        for (path, pairs) in &self.gaps {
            page.aside(format_args!("Non-consecutive offsets in {}", path.display()))?;
            for (last, next) in by_first(pairs) {
                page.aside(format_args!("  {last} is followed by {next}"))?;
            }
        }
        Ok(())
    }
}

fn add(files: &mut Vec<(PathBuf, Pairs)>, path: &Path, pair: (i64, i64)) {
    match files.last_mut() {
        // Files are shown one by one, and a name that comes twice means the same file.
        Some((last, pairs)) if last == path => pairs.push(pair),
        _ => match files.iter_mut().find(|(known, _)| known == path) {
            Some((_, pairs)) => pairs.push(pair),
            None => files.push((path.to_owned(), vec![pair])),
        },
    }
}

/// Ascending, and only the last one of those with the same first number.
fn by_first(pairs: &Pairs) -> Pairs {
    let mut sorted = pairs.clone();
    sorted.sort_by_key(|(first, _)| *first);
    sorted.reverse();
    sorted.dedup_by_key(|(first, _)| *first);
    sorted.reverse();
    sorted
}

/// The name that findings about a file bear.
pub(super) fn key(path: &Path) -> PathBuf {
    absolute(path)
}
