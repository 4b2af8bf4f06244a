//! The help of a tool, in two columns, set as Kafka's library for flags sets it.

use super::{Flag, Takes};

const WIDTH: usize = 80;
const GAP: usize = 2;
/// How far the lines of a text behind its first one are set in.
const INDENT: &str = "  ";

/// All flags, sorted.
pub(super) fn of(flags: &[Flag]) -> String {
    let mut rows: Vec<(String, String)> =
        flags.iter().map(|flag| (left(flag), right(flag))).collect();
    rows.sort();
    let head = [("Option", "Description"), ("------", "-----------")];
    let head = head.map(|(left, right)| (left.to_owned(), right.to_owned()));
    let rows: Vec<(String, String)> = head.into_iter().chain(rows).collect();
    let widest = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    let left_width = widest.min((WIDTH - GAP) / 2);
    let widest = rows.iter().map(|(_, right)| right.len()).max().unwrap_or(0);
    let right_width = widest.min(WIDTH - GAP - left_width);
    let mut lines = Vec::new();
    for (left, right) in rows {
        let (left, right) = (wrapped(&left, left_width), wrapped(&right, right_width));
        for at in 0..left.len().max(right.len()) {
            let piece = |pieces: &[String]| pieces.get(at).cloned().unwrap_or_default();
            let (left, right) = (piece(&left), piece(&right));
            lines.push(format!("{left:left_width$}{:GAP$}{right:right_width$}", ""));
        }
    }
    lines.join("\n")
}

fn left(Flag { name, takes, .. }: &Flag) -> String {
    match takes {
        Takes::Nothing => format!("--{name}"),
        Takes::Value { kind, called: "", .. } => format!("--{name} <{kind}>"),
        Takes::Value { kind, called, .. } => format!("--{name} <{kind}: {called}>"),
        Takes::Perhaps { kind, .. } => format!("--{name} [{kind}]"),
    }
}

fn right(flag: &Flag) -> String {
    match flag.takes.default() {
        Some(default) => format!("{} (default: {default})", flag.about),
        None => flag.about.to_owned(),
    }
}

/// Lines of at most `width`, broken where a break is allowed.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        if line.len() + word.len() > width {
            lines.push(line.trim_end().to_owned());
            line = INDENT.to_owned();
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A break is allowed behind blanks and dashes, and behind a point within a name.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let letters = rest.char_indices().zip(rest.chars().skip(1));
        let end = letters
            .filter(|((_, letter), next)| match letter {
                ' ' => *next != ' ',
                '-' => next.is_alphanumeric(),
                '.' => next.is_alphabetic(),
                _ => false,
            })
            .map(|((at, letter), _)| at + letter.len_utf8())
            .next()
            .unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        (!word.is_empty()).then_some(word)
    })
}
