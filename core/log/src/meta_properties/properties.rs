//! Java's properties format, as far as `meta.properties` needs it: lines of `key=value`, comments,
//! backslash escapes, and lines that go on in the next.

use std::collections::BTreeMap;

/// Reads all keys; the last of several equal ones counts.
pub(super) fn parse(text: &str) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches(BLANKS);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut line = line.to_owned();
        while ends_escaped(&line) {
            line.pop();
            match lines.next() {
                Some(next) => line.push_str(next.trim_start_matches(BLANKS)),
                None => break,
            }
        }
        let (key, value) = split(&line);
        properties.insert(unescape(key), unescape(value));
    }
    properties
}

/// Writes a key and its value as one line.
pub(super) fn write(text: &mut String, key: &str, value: &str) {
    escape(text, key, true);
    text.push('=');
    escape(text, value, false);
    text.push('\n');
}

const BLANKS: [char; 3] = [' ', '\t', '\x0c'];

fn ends_escaped(line: &str) -> bool {
    let backslashes = line.chars().rev().take_while(|&character| character == '\\').count();
    backslashes % 2 == 1
}

/// A key ends at the first `=`, `:` or blank that is not escaped; one of `=` and `:` may follow blanks.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let ends = |character: char| {
        let ends = !escaped && (BLANKS.contains(&character) || matches!(character, '=' | ':'));
        escaped = !escaped && character == '\\';
        ends
    };
    let (key, rest) = line.split_at(line.find(ends).unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> String {
    // Java's characters are UTF-16: an escape can be half of one.
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let plain = match character {
            '\\' => match rest.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let digits = rest.by_ref().take(4).collect::<String>();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

fn escape(text: &mut String, plain: &str, is_key: bool) {
    for (index, character) in plain.chars().enumerate() {
        match character {
            ' ' if is_key || index == 0 => text.push_str("\\ "),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\x0c' => text.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => {
                text.push('\\');
                text.push(character);
            }
            ' '..='~' => text.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
}
