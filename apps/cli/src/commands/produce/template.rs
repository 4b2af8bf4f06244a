//! From a line to a record.

use std::fmt;

use bytes::Bytes;
use dohle_client::{PartitionId, ProducerRecord, Str};

use super::ProduceArgs;
use crate::ending::Failure;

/// What all records have in common, and how a line is read.
#[derive(Debug)]
pub(super) struct Template {
    topic: Str,
    partition: Option<PartitionId>,
    headers: Vec<(Str, Option<Bytes>)>,
    key_separator: Option<Vec<u8>>,
    null_marker: Option<Vec<u8>>,
}

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has no key separator.
    NoSeparator {
        /// The separator.
        separator: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSeparator { separator } => {
                write!(f, "there is no key separator {separator:?}")
            }
        }
    }
}

impl Template {
    /// As the arguments say.
    ///
    /// # Errors
    /// A header is not of the form NAME=VALUE.
    pub(super) fn new(args: &ProduceArgs) -> Result<Self, Failure> {
        let headers = args.headers.iter().map(|text| match text.split_once('=') {
            Some((name, value)) => {
                Ok((name.into(), Some(Bytes::copy_from_slice(value.as_bytes()))))
            }
            None => Err(Failure::new(format!("--header {text}: is not of the form NAME=VALUE"))),
        });
        Ok(Self {
            topic: args.topic.clone(),
            partition: args.partition.map(PartitionId),
            headers: headers.collect::<Result<_, _>>()?,
            key_separator: args.key_separator.as_ref().map(|text| text.as_bytes().to_vec()),
            null_marker: args.null_marker.as_ref().map(|text| text.as_bytes().to_vec()),
        })
    }

    /// The record of a line.
    ///
    /// # Errors
    /// It has no key, and should have one.
    pub(super) fn record(&self, line: Bytes) -> Result<ProducerRecord, Fault> {
        let (key, value) = match &self.key_separator {
            None => (None, line),
            Some(separator) => {
                let at = line.windows(separator.len()).position(|window| window == &separator[..]);
                let at = at.ok_or_else(|| Fault::NoSeparator {
                    separator: String::from_utf8_lossy(separator).into_owned(),
                })?;
                (self.or_null(line.slice(..at)), line.slice(at + separator.len()..))
            }
        };
        Ok(ProducerRecord {
            topic: self.topic.clone(),
            partition: self.partition,
            timestamp: None,
            key,
            value: self.or_null(value),
            headers: self.headers.clone(),
        })
    }

    fn or_null(&self, text: Bytes) -> Option<Bytes> {
        (self.null_marker.as_deref() != Some(&text[..])).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(key_separator: Option<&str>, null_marker: Option<&str>) -> Template {
        Template {
            topic: "t".into(),
            partition: None,
            headers: Vec::new(),
            key_separator: key_separator.map(|text| text.as_bytes().to_vec()),
            null_marker: null_marker.map(|text| text.as_bytes().to_vec()),
        }
    }

    fn parts(template: &Template, line: &'static str) -> (Option<Bytes>, Option<Bytes>) {
        let record = template.record(Bytes::from_static(line.as_bytes())).unwrap();
        (record.key, record.value)
    }

    #[test]
    fn keys_end_at_the_first_separator() {
        let bytes = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        let plain = template(None, None);
        assert_eq!(parts(&plain, "a:b"), (None, bytes("a:b")));
        let keyed = template(Some("::"), Some("NULL"));
        assert_eq!(parts(&keyed, "a::b::c"), (bytes("a"), bytes("b::c")));
        assert_eq!(parts(&keyed, "::"), (bytes(""), bytes("")));
        assert_eq!(parts(&keyed, "k::NULL"), (bytes("k"), None));
        assert_eq!(parts(&keyed, "NULL::v"), (None, bytes("v")));
        let fault = keyed.record(Bytes::from_static(b"a:b")).unwrap_err();
        assert_eq!(fault.to_string(), "there is no key separator \"::\"");
    }
}
