//! `.properties` files, read and written as `java.util.Properties` does.
//!
//! ```text
//! # a comment, also with `!`          key and value end at the first free `=`, `:` or blank
//! key = value                         later lines win over earlier ones of the same key
//! long.value = first,\                an odd number of backslashes joins the next line,
//!     second                          without its leading blanks
//! a\ b\:c = \u00e4\t\\                 escapes: \t \n \r \f \uXXXX, and \x for any other x
//! ```
//!
//! Blanks behind a value belong to it. A file that a node starts from is read as ISO 8859-1, as
//! Kafka does; a file behind a `${file:…}` as UTF-8.

use std::collections::BTreeMap;

use dohle_base::Str;

/// A value and where it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The text, with its escapes resolved.
    pub value: Str,
    /// The line on which its key begins, from 1.
    pub line: u32,
}

/// A key that was set more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The key.
    pub key: Str,
    /// The line that does not count.
    pub line: u32,
    /// The line that does.
    pub winner: u32,
}

/// What a file sets.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Properties {
    entries: BTreeMap<Str, Property>,
    repeated: Vec<Repeated>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// `\u` without four hexadecimal digits.
    #[error("line {line}: expected four hexadecimal digits behind \\u")]
    BadEscape {
        /// The line on which the key begins, from 1.
        line: u32,
    },
    /// `\u` escapes that form half of a character.
    #[error("line {line}: a \\u escape is half of a surrogate pair, expected both")]
    HalfCharacter {
        /// The line on which the key begins, from 1.
        line: u32,
    },
}

impl Properties {
    /// Reads a file in ISO 8859-1, where each byte is one character.
    ///
    /// # Errors
    /// [`PropertiesError`].
    pub fn parse_latin1(bytes: &[u8]) -> Result<Self, PropertiesError> {
        let text: String = bytes.iter().map(|&b| char::from(b)).collect();
        Self::parse(&text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`PropertiesError`].
    pub fn parse(text: &str) -> Result<Self, PropertiesError> {
        let mut properties = Self::default();
        for LogicalLine { line, text } in logical_lines(text) {
            let (key, value) = split(&text);
            let key = unescape(key, line)?;
            let value = unescape(value, line)?;
            properties.set(key, value, line);
        }
        Ok(properties)
    }

    fn set(&mut self, key: Str, value: Str, line: u32) {
        if let Some(old) = self.entries.insert(key.clone(), Property { value, line }) {
            self.repeated.push(Repeated { key, line: old.line, winner: line });
        }
    }

    /// What a key is set to.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|property| property.value.as_str())
    }

    /// Sets a key, as if on line 0.
    pub fn insert(&mut self, key: impl Into<Str>, value: impl Into<Str>) {
        self.entries.insert(key.into(), Property { value: value.into(), line: 0 });
    }

    /// All keys, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Property)> {
        self.entries.iter()
    }

    /// Keys that were set more than once, which is seldom meant.
    pub fn repeated(&self) -> &[Repeated] {
        &self.repeated
    }

    /// The text of a file that sets these keys, under comment lines, in pure ASCII.
    pub fn to_text(&self, comments: &[&str]) -> String {
        let mut text = String::new();
        for comment in comments {
            text.push('#');
            text.extend(comment.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }));
            text.push('\n');
        }
        for (key, Property { value, .. }) in &self.entries {
            escape(key, Part::Key, &mut text);
            text.push('=');
            escape(value, Part::Value, &mut text);
            text.push('\n');
        }
        text
    }
}

impl<K: Into<Str>, V: Into<Str>> FromIterator<(K, V)> for Properties {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        let mut properties = Self::default();
        for (key, value) in pairs {
            properties.insert(key, value);
        }
        properties
    }
}

/// A key and its value, continuation lines joined, escapes unresolved.
struct LogicalLine {
    line: u32,
    text: String,
}

/// The blanks of this format; a vertical tab is none.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// The lines as an editor counts them: ended by `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let behind = &text[end..];
        let next = behind.strip_prefix("\r\n").unwrap_or(&behind[1..]);
        rest = Some(next);
        Some(&text[..end])
    })
}

fn logical_lines(text: &str) -> impl Iterator<Item = LogicalLine> {
    let mut lines = natural_lines(text).zip(1..);
    std::iter::from_fn(move || {
        let mut joined: Option<LogicalLine> = None;
        for (natural, number) in lines.by_ref() {
            let natural = natural.trim_start_matches(is_blank);
            let continued = natural.len() - natural.trim_end_matches('\\').len();
            let is_continued = continued % 2 == 1;
            let part = if is_continued { &natural[..natural.len() - 1] } else { natural };
            match &mut joined {
                Some(logical) => logical.text.push_str(part),
                // A comment has no continuation, and a lone backslash continues nothing.
                None if natural.starts_with(['#', '!']) || part.is_empty() => continue,
                None => joined = Some(LogicalLine { line: number, text: part.into() }),
            }
            if !is_continued {
                return joined;
            }
        }
        joined
    })
}

/// Cuts a line at the first separator that is not escaped. Around it blanks do not count.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && (is_blank(c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some(end) = end else { return (line, "") };
    let value = line[end..].trim_start_matches(is_blank);
    let value = value.strip_prefix(['=', ':']).unwrap_or(value);
    (&line[..end], value.trim_start_matches(is_blank))
}

fn unescape(text: &str, line: u32) -> Result<Str, PropertiesError> {
    if !text.contains('\\') {
        return Ok(text.into());
    }
    // Two escapes may form one character, so characters are collected as UTF-16.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = if c != '\\' {
            c
        } else {
            match chars.next() {
                None => break,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    units.push(hexadecimal(&mut chars).ok_or(PropertiesError::BadEscape { line })?);
                    continue;
                }
                Some(other) => other,
            }
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map(Into::into).map_err(|_| PropertiesError::HalfCharacter { line })
}

fn hexadecimal(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = chars.next()?.to_digit(16)?;
        unit = unit << 4 | u16::try_from(digit).ok()?;
    }
    Some(unit)
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Key,
    Value,
}

fn escape(text: &str, part: Part, out: &mut String) {
    for (i, c) in text.chars().enumerate() {
        match c {
            ' ' if i == 0 || part == Part::Key => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
