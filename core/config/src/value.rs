//! A configuration value: parsed from text and written back as text by Java's rules, because
//! clients compare what DescribeConfigs shows with what Kafka shows.

use dohle_base::Str;

use crate::error::ConfigError;
use crate::key::{ConfigKey, Kind};

/// A value that is not null.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a [`Kind::Boolean`] key.
    Boolean(bool),
    /// Of a [`Kind::Int`], [`Kind::Short`] or [`Kind::Long`] key, within the range of its type.
    Integer(i64),
    /// Of a [`Kind::Double`] key.
    Double(f64),
    /// Of a [`Kind::String`], [`Kind::Class`] or [`Kind::Password`] key.
    Text(Str),
    /// Of a [`Kind::List`] key.
    List(Vec<Str>),
}

impl Value {
    /// Reads a value of the key's type. Ranges are not checked here, see [`crate::check`].
    ///
    /// A list that must hold distinct values loses its duplicates, the first stays.
    ///
    /// # Errors
    /// [`ConfigError::NotOfType`].
    pub(crate) fn parse(key: &ConfigKey, text: &str) -> Result<Self, ConfigError> {
        let trimmed = trim(text);
        let parsed = match key.kind {
            Kind::Boolean => boolean(trimmed).map(Self::Boolean),
            Kind::String | Kind::Class | Kind::Password => Some(Self::Text(trimmed.into())),
            Kind::Int => trimmed.parse::<i32>().ok().map(|i| Self::Integer(i.into())),
            Kind::Short => trimmed.parse::<i16>().ok().map(|i| Self::Integer(i.into())),
            Kind::Long => trimmed.parse::<i64>().ok().map(Self::Integer),
            Kind::Double => double(trimmed).map(Self::Double),
            Kind::List => Some(Self::list(trimmed)),
        };
        let Some(mut value) = parsed else {
            return Err(ConfigError::not_of_type(key, text));
        };
        if let (Self::List(items), true) = (&mut value, key.valid.drops_duplicates()) {
            drop_duplicates(items);
        }
        Ok(value)
    }

    /// Splits at commas, without the blanks around them. Blank text is the empty list; an empty
    /// item between two commas stays, so that it can be refused.
    pub(crate) fn list(text: &str) -> Self {
        let text = trim(text);
        if text.is_empty() {
            return Self::List(Vec::new());
        }
        Self::List(text.split(',').map(|item| item.trim_matches(is_space).into()).collect())
    }

    /// The text that DescribeConfigs shows.
    pub fn to_text(&self) -> Str {
        match self {
            Self::Boolean(true) => "true".into(),
            Self::Boolean(false) => "false".into(),
            Self::Integer(i) => i.to_string().into(),
            Self::Double(d) => double_text(*d).into(),
            Self::Text(s) => s.clone(),
            Self::List(items) => items.join(",").into(),
        }
    }
}

/// Java's `String.trim`: everything up to the blank goes, at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// `\s` of Java's regular expressions.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Java's `Double.parseDouble`, without its hexadecimal form, which nobody writes into a
/// configuration: a decimal number with an optional `d` or `f` behind it, `NaN` or `Infinity`.
fn double(text: &str) -> Option<f64> {
    match text.strip_prefix(['+', '-']).unwrap_or(text) {
        "NaN" => return Some(f64::NAN),
        "Infinity" if text.starts_with('-') => return Some(f64::NEG_INFINITY),
        "Infinity" => return Some(f64::INFINITY),
        _ => {}
    }
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    if digits.chars().any(|c| !matches!(c, '0'..='9' | '.' | '+' | '-' | 'e' | 'E')) {
        return None;
    }
    digits.parse().ok()
}

/// Java's `Double.toString`: decimal from 0.001 to 10,000,000, otherwise with an exponent, and
/// always with a digit on both sides of the point.
fn double_text(d: f64) -> String {
    if d.is_nan() {
        return "NaN".into();
    }
    if d.is_infinite() {
        return if d > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if d == 0.0 || (1e-3..1e7).contains(&d.abs()) {
        return format!("{d:?}");
    }
    let text = format!("{d:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text.replace('e', "E"),
    }
}

fn drop_duplicates(items: &mut Vec<Str>) {
    let mut distinct: Vec<Str> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    *items = distinct;
}

#[cfg(test)]
mod tests;
