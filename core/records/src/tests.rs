//! Goal: batches are read and made exactly as Kafka does, and hostile bytes do no harm.
//! Method: golden bytes made by other implementations, round trips, and mutation.

mod builder;
mod codecs;
mod control;
mod golden;
mod hostile;
mod legacy;
mod patch;
mod produce;
mod round_trip;
mod survey;
mod varint;
mod walk;

use std::collections::BTreeMap;

use dohle_base::Timestamp;

use crate::{BatchBuilder, BatchError, BatchSpec, Codec, Header, NewRecord, entries};

const LIMIT: usize = 1 << 20;

/// A record with all that it says, to compare.
type Plain = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let digits = std::str::from_utf8(&digits).unwrap();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..][..2], 16).unwrap()).collect()
}

/// Reads a file of names, each followed by indented hex.
fn named(file: &str) -> BTreeMap<String, Vec<u8>> {
    let mut hex: Vec<(String, String)> = Vec::new();
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(digits) => hex.last_mut().unwrap().1.push_str(digits),
            None => hex.push((line.to_owned(), String::new())),
        }
    }
    hex.into_iter().map(|(name, hex)| (name, bytes_of(&hex))).collect()
}

fn kafka() -> BTreeMap<String, Vec<u8>> {
    named(include_str!("../testdata/kafka-4.4.txt"))
}

fn kafka_python() -> BTreeMap<String, Vec<u8>> {
    named(include_str!("../testdata/kafka-python.txt"))
}

/// The value of the large golden record, and the plain text of the golden frames.
fn large_text() -> Vec<u8> {
    let mut text: Vec<u8> =
        (0..20_000).flat_map(|i| format!("line {}\n", i % 100).into_bytes()).collect();
    text.truncate(150_000);
    text
}

/// All records of all entries; checksums are checked, too.
fn read(bytes: &[u8]) -> Result<Vec<Plain>, BatchError> {
    let mut all = Vec::new();
    for entry in entries(bytes) {
        let entry = entry?;
        entry.check_crc()?;
        let payload = entry.decompress(LIMIT)?;
        for record in payload.records() {
            let record = record?;
            let headers = record.headers.iter();
            all.push((
                record.offset.0,
                record.timestamp.0,
                record.key.map(<[u8]>::to_vec),
                record.value.map(<[u8]>::to_vec),
                headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
            ));
        }
    }
    Ok(all)
}

const GOLDEN_HEADERS: &[Header<'_>] = &[
    Header { key: b"h", value: Some(b"1") },
    Header { key: b"h", value: None },
    Header { key: b"", value: Some(b"") },
];

/// The records of the golden files.
fn golden_records(large: &[u8]) -> [NewRecord<'_>; 5] {
    let record = |ms, key: Option<&'static [u8]>, value| NewRecord {
        timestamp: Timestamp(ms),
        key,
        value,
        headers: &[],
    };
    [
        record(1_700_000_000_000, Some(b"key"), Some(b"value")),
        NewRecord { headers: GOLDEN_HEADERS, ..record(1_700_000_000_500, None, Some(b"")) },
        record(1_699_999_999_000, Some(b""), None),
        record(1_700_000_000_001, Some(b"k"), Some(&[b'a'; 88])),
        record(1_700_000_000_002, Some(b"large"), Some(large)),
    ]
}

/// The golden records as `read` gives them.
fn golden_plain(base_offset: i64, magic: i8, large: bool) -> Vec<Plain> {
    let text = large_text();
    let records = golden_records(&text);
    let mut plain = Vec::new();
    for (offset, record) in (base_offset..).zip(&records[..if large { 5 } else { 4 }]) {
        let headers = if magic < 2 { &[] } else { record.headers };
        plain.push((
            offset,
            if magic == 0 { -1 } else { record.timestamp.0 },
            record.key.map(<[u8]>::to_vec),
            record.value.map(<[u8]>::to_vec),
            headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
        ));
    }
    plain
}

/// The golden records in a batch of ours.
fn golden_batch(spec: BatchSpec, large: bool) -> Vec<u8> {
    let text = large_text();
    let mut builder = BatchBuilder::new(spec);
    for record in &golden_records(&text)[..if large { 5 } else { 4 }] {
        builder.append(record).unwrap();
    }
    builder.finish().to_vec()
}

/// Takes another payload into a batch and seals it anew.
fn with_payload(batch: &[u8], codec: Codec, payload: &[u8]) -> Vec<u8> {
    let mut bytes = batch[..61].to_vec();
    bytes.extend_from_slice(payload);
    let length = u32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] = bytes[22] & !7 | codec.id();
    sealed(bytes)
}

fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}
