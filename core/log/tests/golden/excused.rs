//! The files that stay other than Kafka leaves them, each for a reason in `recovered-differs.tsv`.
//!
//! Invariant: a row that excuses nothing is told, so that the table cannot outlive its reasons.

/// Who reads the table; the other is `test/compat/disk`, which starts a whole node.
const JUDGE: &str = "log";

/// The rows of a sample, with how many files each was needed for.
pub(crate) struct Excused(Vec<(&'static str, usize)>);

impl Excused {
    /// What may differ in a sample.
    pub(crate) fn of(sample: &str) -> Self {
        Self::among(include_str!("../../testdata/recovered-differs.tsv"), sample)
    }

    fn among(table: &'static str, sample: &str) -> Self {
        let rows = table.lines().skip(1).map(|line| {
            let row = line.split('\t').collect::<Vec<_>>();
            <[&str; 4]>::try_from(row).expect("judge, sample, path and reason")
        });
        let mine = rows.filter(|[judge, of, ..]| [JUDGE, "both"].contains(judge) && *of == sample);
        Self(mine.map(|[_, _, path, _]| (path, 0)).collect())
    }

    /// Whether a file that differs may do so.
    pub(crate) fn covers(&mut self, path: &str) -> bool {
        let row = self.0.iter_mut().find(|(pattern, _)| matches(pattern, path));
        row.map(|(_, count)| *count += 1).is_some()
    }

    /// Rows that no file needed.
    pub(crate) fn useless(&self) -> Vec<&'static str> {
        self.0.iter().filter(|(_, count)| *count == 0).map(|(path, _)| *path).collect()
    }
}

/// Whether a path is as the pattern says, in which each `*` stands for any characters.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == path };
    path.strip_prefix(head).is_some_and(|tail| {
        tail.char_indices().any(|(at, _)| matches(rest, &tail[at..])) || matches(rest, "")
    })
}

#[test]
fn only_rows_of_this_judge_and_sample_excuse_and_idle_ones_are_told() {
    let table = "judge\tsample\tpath\treason\n\
                 log\tclean\ta-0/*.snapshot\tr\n\
                 both\tclean\t__*\tr\n\
                 node\tclean\tb-0/x\tr\n\
                 log\ttorn\tb-0/y\tr\n\
                 log\tclean\ta-0/7.snapshot\tr\n";
    let mut excused = Excused::among(table, "clean");
    assert!(excused.covers("a-0/7.snapshot") && excused.covers("__offsets-1/0.log"));
    for path in ["b-0/x", "b-0/y", "a-0/7.snapshots", "ba-0/7.snapshot", "_", "a-0/snapshot"] {
        assert!(!excused.covers(path), "{path}");
    }
    // What another row excuses already is no use of a second one.
    assert_eq!(excused.useless(), ["a-0/7.snapshot"]);
}
