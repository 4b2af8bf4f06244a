//! How far each replica of the log has come, and what that commits.

use dohle_base::{Offset, Timestamp};

/// How far one replica has come, as its leader knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The offset behind the last record that it keeps durably; unknown until it fetched.
    pub end_offset: Option<Offset>,
    /// When it fetched last.
    pub last_fetch: Option<Timestamp>,
    /// When it last had all that the leader had.
    pub last_caught_up: Option<Timestamp>,
}

/// The offset that a majority of voters has reached, given how far each voter is; none while fewer
/// than a majority are known.
///
/// Sorted from the furthest to the least far, it is the one at index ⌊n/2⌋. Source: interop B.7.
pub fn majority_end(ends: impl IntoIterator<Item = Option<Offset>>) -> Option<Offset> {
    let mut ends: Vec<Option<Offset>> = ends.into_iter().collect();
    // An unknown offset sorts below every known one.
    ends.sort_unstable_by(|a, b| b.cmp(a));
    *ends.get(ends.len() / 2)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_commits() {
        for (ends, expected) in [
            (&[][..], None),
            (&[Some(7)], Some(7)),
            (&[Some(7), None], None),
            (&[Some(7), Some(3)], Some(3)),
            (&[Some(3), None, Some(7)], Some(3)),
            (&[Some(9), Some(3), Some(7)], Some(7)),
            (&[Some(9), Some(9), None, None], None),
            (&[Some(9), Some(8), Some(1), None], Some(1)),
            (&[Some(9), Some(8), Some(5), None, None], Some(5)),
        ] {
            let ends = ends.iter().map(|end| end.map(Offset));
            assert_eq!(majority_end(ends.clone()), expected.map(Offset), "{ends:?}");
        }
    }
}
