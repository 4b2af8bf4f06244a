//! Goal: a reader goes on behind the last whole batch and starts again at the end. Method: answers
//! made of real batches.

use bytes::Bytes;
use dohle_base::Offset;
use dohle_records::{BatchMut, Codec};

use super::{next_offset, offset_behind};
use crate::{frames::Fetched, records};

fn batch_at(offset: i64) -> Vec<u8> {
    let mut bytes = records::batch(2_500, Codec::None).to_vec();
    BatchMut::parse(&mut bytes).unwrap().set_base_offset(Offset(offset));
    bytes
}

#[test]
fn a_cut_batch_is_read_again() {
    let mut bytes = [batch_at(10), batch_at(20)].concat();
    let behind_both = offset_behind(&bytes).unwrap();
    assert!(behind_both > Offset(20));
    bytes.truncate(bytes.len() - 1);
    let behind_first = offset_behind(&bytes).unwrap();
    assert!(behind_first > Offset(10) && behind_first <= Offset(20));
    assert!(offset_behind(&bytes[..40]).is_err());
    assert!(offset_behind(&[]).is_err());
}

#[test]
fn at_the_end_the_reader_starts_again() {
    let records = Bytes::from(batch_at(10));
    let behind = offset_behind(&records).unwrap();
    let fetched = |high_watermark| Fetched {
        high_watermark,
        log_start_offset: Offset(4),
        records: records.clone(),
    };
    let more = Offset(behind.0 + 1);
    assert_eq!(next_offset(&fetched(more), Offset(10)).unwrap(), behind);
    assert_eq!(next_offset(&fetched(behind), Offset(10)).unwrap(), Offset(4));
}
