//! How a record is written: text with `%` for parts of the record and `\` for bytes.

use bytes::Bytes;
use dohle_client::ConsumerRecord;

/// What stands for a null key or value, as in Kafka's console consumer.
const NULL: &[u8] = b"null";

/// A format that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Time,
    Key,
    Value,
    KeySize,
    ValueSize,
    Headers,
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// It has a `%` or `\` without a meaning.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let part = match character {
                '%' => percent(characters.next())?,
                '\\' => Part::Text(vec![backslash(&mut characters)?]),
                other => Part::Text(other.to_string().into_bytes()),
            };
            match part {
                Part::Text(bytes) => literal.extend(bytes),
                part => {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                    parts.push(part);
                }
            }
        }
        parts.push(Part::Text(literal));
        parts.retain(|part| *part != Part::Text(Vec::new()));
        Ok(Self { parts })
    }

    /// Writes a record.
    pub(super) fn write(&self, out: &mut Vec<u8>, record: &ConsumerRecord) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Topic => out.extend_from_slice(record.topic.as_bytes()),
                Part::Partition => write_number(out, record.partition.0.into()),
                Part::Offset => write_number(out, record.offset.0),
                Part::Time => write_number(out, record.timestamp.0),
                Part::Key => write_or_null(out, record.key.as_ref()),
                Part::Value => write_or_null(out, record.value.as_ref()),
                Part::KeySize => write_size(out, record.key.as_ref()),
                Part::ValueSize => write_size(out, record.value.as_ref()),
                Part::Headers => write_headers(out, record),
            }
        }
    }
}

fn percent(letter: Option<char>) -> Result<Part, String> {
    Ok(match letter {
        Some('%') => Part::Text(vec![b'%']),
        Some('t') => Part::Topic,
        Some('p') => Part::Partition,
        Some('o') => Part::Offset,
        Some('d') => Part::Time,
        Some('k') => Part::Key,
        Some('v') => Part::Value,
        Some('K') => Part::KeySize,
        Some('V') => Part::ValueSize,
        Some('h') => Part::Headers,
        Some(other) => return Err(format!("%{other} has no meaning; %% is a percent sign")),
        None => return Err("it ends with %; %% is a percent sign".into()),
    })
}

fn backslash(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    Ok(match rest.next() {
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('r') => b'\r',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let mut digit = || rest.next().and_then(|digit| digit.to_digit(16));
            match (digit(), digit()) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(u8::MAX),
                _ => return Err("\\x needs two hexadecimal digits".into()),
            }
        }
        Some(other) => return Err(format!("\\{other} has no meaning; \\\\ is a backslash")),
        None => return Err("it ends with \\; \\\\ is a backslash".into()),
    })
}

fn write_number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

fn write_or_null(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    out.extend_from_slice(bytes.map_or(NULL, |bytes| bytes));
}

/// Null has −1 bytes, as on the wire.
fn write_size(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    let size = bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    write_number(out, size);
}

fn write_headers(out: &mut Vec<u8>, record: &ConsumerRecord) {
    for (index, header) in record.headers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&header.key);
        out.push(b'=');
        write_or_null(out, header.value.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use dohle_client::{LeaderEpoch, Offset, OwnedHeader, PartitionId, Timestamp, TimestampType};

    use super::*;

    fn record() -> ConsumerRecord {
        let header = |key: &'static str, value: Option<&'static str>| OwnedHeader {
            key: Bytes::from_static(key.as_bytes()),
            value: value.map(|text| Bytes::from_static(text.as_bytes())),
        };
        ConsumerRecord {
            topic: "t".into(),
            partition: PartitionId(3),
            offset: Offset(42),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(1_700_000_000_000),
            timestamp_type: TimestampType::Create,
            key: None,
            value: Some(Bytes::from_static(b"v\xff")),
            headers: vec![header("a", Some("1")), header("b", None)],
        }
    }

    fn written(format: &str) -> Vec<u8> {
        let mut out = Vec::new();
        Format::parse(format).unwrap().write(&mut out, &record());
        out
    }

    #[test]
    fn a_record_is_written_as_the_format_says() {
        let rows: [(&str, &[u8]); 6] = [
            ("%v\\n", b"v\xff\n"),
            ("%t[%p]@%o %d", b"t[3]@42 1700000000000"),
            ("%k %K %V %h", b"null -1 2 a=1,b=null"),
            ("100%%\\t\\\\\\x00\\xfF\\0\\r", b"100%\t\\\x00\xff\0\r"),
            ("\u{20ac}%v", b"\xe2\x82\xacv\xff"),
            ("", b""),
        ];
        for (format, expected) in rows {
            assert_eq!(written(format), expected, "{format}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for format in ["%", "%q", "a\\", "\\q", "\\x1", "\\xzz"] {
            assert!(Format::parse(format).is_err(), "{format}");
        }
    }
}
