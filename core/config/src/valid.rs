//! Which values of its type a key allows.
//!
//! The text of a rule, as the reference page and error messages show it, is that of the fact table
//! under `testdata/`, so that the two can be compared.

use std::fmt;

use dohle_base::Str;

use crate::address;
use crate::duration::parse_duration;
use crate::value::Value;

/// A rule for the values of one key. All bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Valid {
    /// Everything, null included.
    Any,
    /// A number that is not smaller.
    AtLeast(i64),
    /// A number within bounds.
    Between(i64, i64),
    /// A number within bounds, or one that stands for something else.
    BetweenOr(i64, i64, i64),
    /// A double within bounds.
    Share(f64, f64),
    /// Not null.
    NonNull,
    /// Not the empty text; null is allowed.
    NonEmpty,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of distinct texts, none of them empty.
    List {
        /// The texts that are allowed; empty means all.
        of: &'static [&'static str],
        /// Whether the list may be empty.
        empty: bool,
        /// Whether the key may be absent.
        null: bool,
    },
    /// A list of `HOST:PORT`.
    Addresses,
    /// A list of `ID@HOST:PORT`.
    Voters,
    /// `*`, or a list of `PARTITION:BROKER`.
    ThrottledReplicas,
    /// `earliest`, `latest`, or `by_duration:` and a duration that is not negative.
    ShareGroupStart,
}

impl Valid {
    /// Whether the rule allows the value; none is null.
    pub fn allows(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::NonNull, value) => value.is_some(),
            (Self::AtLeast(min), Some(Value::Integer(i))) => i >= min,
            (Self::Between(min, max), Some(Value::Integer(i))) => (min..=max).contains(&i),
            (Self::BetweenOr(min, max, or), Some(Value::Integer(i))) => {
                i == or || (min..=max).contains(&i)
            }
            // Written so that NaN passes, as it does in Kafka: both comparisons are false for it.
            (Self::Share(min, max), Some(Value::Double(d))) => !(d < min || d > max),
            (Self::NonEmpty, None) => true,
            (Self::NonEmpty, Some(Value::Text(s))) => !s.is_empty(),
            (Self::OneOf(names), Some(Value::Text(s))) => names.contains(&s.as_str()),
            (Self::OneOfAnyCase(names), Some(Value::Text(s))) => {
                names.iter().any(|name| name.eq_ignore_ascii_case(s))
            }
            (Self::List { null, .. }, None) => *null,
            (Self::List { of, empty, .. }, Some(Value::List(items))) => {
                (*empty || !items.is_empty()) && items.iter().all(|item| allows_item(of, item))
            }
            (Self::Addresses, Some(Value::List(items))) => {
                items.iter().all(|item| address::parse_address(item).is_some())
            }
            (Self::Voters, Some(Value::List(items))) => {
                items.iter().all(|item| address::parse_voter(item).is_some())
            }
            (Self::ThrottledReplicas, Some(Value::List(items))) => are_throttled_replicas(items),
            (Self::ShareGroupStart, Some(Value::Text(s))) => is_share_group_start(s),
            // Null, where it is not allowed above.
            (_, None) => false,
            (rule, Some(value)) => unreachable!("{rule} is not a rule for {value:?}"),
        }
    }

    /// Whether a list under this rule loses its duplicates before it is checked.
    pub(crate) fn drops_duplicates(&self) -> bool {
        matches!(self, Self::List { .. })
    }
}

fn allows_item(of: &[&str], item: &str) -> bool {
    !item.is_empty() && (of.is_empty() || of.contains(&item))
}

fn are_throttled_replicas(items: &[Str]) -> bool {
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let is_pair = |item: &Str| match item.split_once(':') {
        Some((partition, broker)) => is_number(partition) && is_number(broker),
        None => item.is_empty(),
    };
    items.iter().all(is_pair) || items.concat() == "*"
}

fn is_share_group_start(text: &str) -> bool {
    match text.strip_prefix("by_duration:") {
        Some(duration) => parse_duration(duration).is_some_and(|d| !d.is_negative()),
        None => text == "latest" || text == "earliest",
    }
}

impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("-"),
            Self::AtLeast(min) => write!(f, "[{min},...]"),
            Self::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Self::BetweenOr(min, max, or) => write!(f, "[{min},...,{max}] or {or}"),
            Self::Share(min, max) => write!(f, "[{min},...,{max}]"),
            Self::NonNull => f.write_str("non-null string"),
            Self::NonEmpty => f.write_str("non-empty string"),
            Self::OneOf(names) => write!(f, "[{}]", names.join(", ")),
            Self::OneOfAnyCase(names) => write!(f, "(case insensitive) [{}]", names.join(", ")),
            Self::List { of, empty, null } => {
                f.write_str("list of distinct values")?;
                if !of.is_empty() {
                    write!(f, " from [{}]", of.join(", "))?;
                }
                let allowed = |yes: &bool| if *yes { "allowed" } else { "refused" };
                write!(f, ", empty {}, null {}", allowed(empty), allowed(null))
            }
            Self::Addresses | Self::Voters => f.write_str("non-empty list"),
            Self::ThrottledReplicas => {
                f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],...")
            }
            Self::ShareGroupStart => f.write_str("[latest, earliest, by_duration:PnDTnHnMn.nS]"),
        }
    }
}

#[cfg(test)]
mod tests;
