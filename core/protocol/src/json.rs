//! Messages as JSON, for people and scripts that look at what is stored.
//!
//! The form is that of Kafka's tools: the fields that the version has, in the order of the schema,
//! tagged ones only where they differ from their default; ids in their text form, bytes as base64.
//!
//! Nothing is generated for it: [`read`] walks the bytes by the schema, which is data. It forgives
//! what Kafka's reader forgives (wrong sizes of tags, text that is not UTF-8, versions from the
//! future), because who looks at a log wants to see what is in it; what the node itself reads goes
//! through the strict codecs.

use std::fmt::{self, Display, Write};

use base64::{display::Base64Display, engine::general_purpose::STANDARD};

mod cursor;
mod read;
#[cfg(test)]
mod tests;

pub use read::{JsonError, VALUES_MAX, read};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// Any other number.
    Real(f64),
    /// Text, or an id in its text form.
    Text(String),
    /// Bytes; shown as base64.
    Bytes(Vec<u8>),
    /// Several values.
    Array(Vec<Json>),
    /// Named values, in order. Names are shown with a small first letter.
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    /// The value of that name (as it is shown), if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(field, _)| is_shown_as(field, name)).map(|(_, value)| value)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter_mut().find(|(field, _)| is_shown_as(field, name)).map(|(_, value)| value)
    }
}

fn is_shown_as(field: &str, name: &str) -> bool {
    let (first, rest) = split_first(field);
    let (shown, behind) = split_first(name);
    first.map(|letter| letter.to_ascii_lowercase()) == shown && rest == behind
}

fn split_first(name: &str) -> (Option<char>, &str) {
    let mut letters = name.chars();
    (letters.next(), letters.as_str())
}

impl Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Real(value) => real(f, *value),
            Self::Text(text) => quoted(f, text),
            Self::Bytes(bytes) => write!(f, "\"{}\"", Base64Display::new(bytes, &STANDARD)),
            Self::Array(values) => list(f, ('[', ']'), values, |f, value| write!(f, "{value}")),
            Self::Object(fields) => list(f, ('{', '}'), fields, |f, (name, value)| {
                let (first, rest) = split_first(name);
                let first = first.map_or(' ', |letter| letter.to_ascii_lowercase());
                write!(f, "\"{first}{rest}\":{value}")
            }),
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    (open, close): (char, char),
    items: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_char(open)?;
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_char(',')?;
        }
        show(f, item)?;
    }
    f.write_char(close)
}

/// Only what JSON demands is escaped, and control characters in capital hexadecimals, as Jackson
/// does it.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\u{8}' => f.write_str("\\b")?,
            '\t' => f.write_str("\\t")?,
            '\n' => f.write_str("\\n")?,
            '\u{c}' => f.write_str("\\f")?,
            '\r' => f.write_str("\\r")?,
            '\0'..='\u{1f}' => write!(f, "\\u{:04X}", u32::from(letter))?,
            letter => f.write_char(letter)?,
        }
    }
    f.write_char('"')
}

/// As Java writes a double: always with a point, with an exponent outside of 10⁻³ to 10⁷, quoted
/// where JSON has no number.
fn real(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_nan() {
        return f.write_str("\"NaN\"");
    }
    if value.is_infinite() {
        return f.write_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return write!(f, "{value:?}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    write!(f, "{digits}{point}E{exponent}")
}
