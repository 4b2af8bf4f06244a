//! Words for the person in front of the terminal. Results go to standard output, everything else to
//! standard error; that nobody listens there is no reason to stop.

use std::{
    fmt::Display,
    io::{self, Write},
};

use crate::ending::Failure;

/// Says what went wrong.
pub(crate) fn error(line: impl Display) {
    let _ = writeln!(io::stderr(), "error: {line}");
}

/// Says what is odd.
pub(crate) fn warning(line: impl Display) {
    let _ = writeln!(io::stderr(), "warning: {line}");
}

/// Says what is going on.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes a result.
///
/// # Errors
/// Standard output cannot be written; a closed pipe is a quiet end.
pub(crate) fn result(text: impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| Failure::of_output(&error))
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    // Only to be read, so what an f64 rounds away does not matter.
    let mut amount = bytes as f64;
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    match UNITS[unit] {
        "B" => format!("{bytes} B"),
        unit if amount < 9.95 => format!("{amount:.1} {unit}"),
        unit => format!("{amount:.0} {unit}"),
    }
}

/// A count with its noun.
pub(crate) fn count(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let rows = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_500, "1.0 MB"),
            (123_456_789, "123 MB"),
            (u64::MAX, "18446744 TB"),
        ];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(
            (count(1, "record"), count(0, "record")),
            ("1 record".into(), "0 records".into())
        );
    }
}
