//! Goal: entries of all formats are stepped over one by one, and the walk says where it stopped.
//! Method: golden entries one behind another, whole, cut and damaged.

use bytes::Bytes;
use dohle_base::Offset;

use super::{LIMIT, golden_batch, kafka, read};
use crate::{
    BatchError, BatchSpec, Entry, EntryPrefix, PEEK_SIZE, entries, owned_records, split_batches,
};

fn mixed() -> Vec<u8> {
    let golden = kafka();
    ["magic0-none", "magic1-lz4", "magic2-zstd", "empty", "magic1-none"]
        .map(|name| golden[name].clone())
        .concat()
}

#[test]
fn all_formats_are_walked_together() {
    let bytes = mixed();
    let kinds: Vec<i8> = entries(&bytes)
        .map(|entry| match entry.unwrap() {
            Entry::Batch(_) => 2,
            Entry::Legacy(message) => message.magic(),
        })
        .collect();
    assert_eq!(kinds, [0, 0, 0, 0, 1, 2, 2, 1, 1, 1, 1]);
    assert_eq!(read(&bytes).unwrap().len(), 4 + 4 + 4 + 4);
    let last: Vec<i64> = entries(&bytes).map(|entry| entry.unwrap().last_offset().0).collect();
    assert_eq!(last, [100, 101, 102, 103, 103, 103, 109, 100, 101, 102, 103]);
}

#[test]
fn a_prefix_tells_offset_size_and_magic() {
    let golden = kafka();
    for (name, magic, offset) in [("magic1-lz4", 1, 103), ("magic2-zstd", 2, 100)] {
        let bytes = &golden[name];
        let prefix = EntryPrefix { offset: Offset(offset), size: bytes.len(), magic };
        assert_eq!(EntryPrefix::parse(&bytes[..PEEK_SIZE]), Ok(prefix));
    }
}

#[test]
fn a_walk_over_cut_bytes_ends_where_the_last_entry_does() {
    let bytes = mixed();
    let mut ends = vec![0];
    let mut walk = entries(&bytes);
    while let Some(entry) = walk.next() {
        entry.unwrap();
        ends.push(walk.position());
    }
    for cut in 0..bytes.len() {
        let whole = *ends.iter().rfind(|end| **end <= cut).unwrap();
        let mut walk = entries(&bytes[..cut]);
        let error = walk.by_ref().find_map(Result::err);
        assert_eq!(walk.position(), whole);
        match error {
            None => assert_eq!(whole, cut),
            Some(BatchError::Truncated { position, needed, available }) => {
                assert_eq!((position, available), (whole, cut - whole));
                assert!(needed > available);
            }
            Some(other) => panic!("{other}"),
        }
        assert!(walk.next().is_none(), "nothing follows an error");
    }
}

#[test]
fn what_is_not_an_entry_is_named_with_its_place() {
    let batch = golden_batch(BatchSpec::default(), false);
    let start = batch.len();
    let cases: [(usize, &[u8], BatchError); 6] = [
        (16, &[3], BatchError::BadMagic { position: start, magic: 3 }),
        (16, &[0xff], BatchError::BadMagic { position: start, magic: -1 }),
        (8, &[0xff; 4], BatchError::BadLength { position: start, length: -1 }),
        (8, &[0x80, 0, 0, 0], BatchError::BadLength { position: start, length: i32::MIN }),
        (8, &[0, 0, 0, 48], BatchError::BadLength { position: start, length: 48 }),
        (
            8,
            &[0x7f, 0xff, 0xff, 0xff],
            BatchError::Truncated { position: start, needed: 0x7fff_ffff + 12, available: start },
        ),
    ];
    for (at, change, error) in cases {
        let mut bytes = batch.repeat(2);
        bytes[start + at..start + at + change.len()].copy_from_slice(change);
        let results: Vec<_> = entries(&bytes).map(|entry| entry.map(|_| ())).collect();
        assert_eq!(results, [Ok(()), Err(error)]);
    }
    // The least messages of magic 0 and 1 are shorter than a batch.
    for (magic, length) in [(0, 13), (1, 21)] {
        let mut bytes = batch.clone();
        bytes[8..12].copy_from_slice(&[0, 0, 0, length]);
        bytes[16] = magic;
        let error = BatchError::BadLength { position: 0, length: length.into() };
        assert_eq!(entries(&bytes).next().unwrap().map(|_| ()), Err(error));
        bytes[11] += 1;
        assert!(entries(&bytes).next().unwrap().is_ok());
    }
}

#[test]
fn zeroes_at_the_end_of_a_preallocated_file_are_not_an_entry() {
    let error = BatchError::BadLength { position: 0, length: 0 };
    assert_eq!(entries(&[0; 4096]).next().unwrap().map(|_| ()), Err(error));
}

#[test]
fn batches_are_split_off_without_what_was_cut() {
    let batch = golden_batch(BatchSpec::default(), false);
    let mut bytes = batch.repeat(3);
    bytes.truncate(batch.len() * 2 + 40);
    let bytes = Bytes::from(bytes);
    let batches = split_batches(&bytes).unwrap();
    assert_eq!(batches.len(), 2);
    for part in &batches {
        assert_eq!(part.bytes(), &batch);
        assert_eq!(part.view().record_count(), 4);
    }
    // Shared, not copied.
    assert_eq!(batches[1].bytes().as_ptr(), bytes[batch.len()..].as_ptr());
    let old = Bytes::from(mixed());
    assert_eq!(split_batches(&old), Err(BatchError::BadMagic { position: 0, magic: 0 }));
}

#[test]
fn owned_records_are_the_borrowed_ones() {
    for (name, bytes) in kafka() {
        let bytes = Bytes::from(bytes);
        let mut owned = Vec::new();
        for entry in entries(&bytes) {
            for record in owned_records(&bytes, &entry.unwrap(), LIMIT).unwrap() {
                let headers = record.headers.into_iter();
                owned.push((
                    record.offset.0,
                    record.timestamp.0,
                    record.key.map(Vec::from),
                    record.value.map(Vec::from),
                    headers.map(|h| (h.key.into(), h.value.map(Vec::from))).collect(),
                ));
            }
        }
        assert_eq!(Ok(owned), read(&bytes), "{name}");
    }
}
