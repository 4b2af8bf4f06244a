//! Goal: sizes are foretold, gaps and delete horizons are kept, misuse stops.
//! Method: small batches, looked at from outside.

use dohle_base::{Offset, Timestamp};

use super::{LIMIT, golden_batch, golden_plain, golden_records, read};
use crate::{
    BatchBuilder, BatchFull, BatchSpec, BatchView, Codec, NewRecord, Record, RecordsSummary,
};

#[test]
fn sizes_are_foretold_to_the_byte() {
    let large = vec![b'x'; 100_000];
    let mut builder = BatchBuilder::new(BatchSpec::default());
    assert_eq!((builder.size(), builder.is_empty()), (61, true));
    for record in &golden_records(&large) {
        let expected = builder.size() + builder.size_of(record);
        assert!(builder.fits(record, expected));
        assert!(!builder.fits(record, expected - 1));
        builder.append(record).unwrap();
        assert_eq!(builder.size(), expected);
    }
    assert_eq!((builder.count(), builder.max_timestamp()), (5, Timestamp(1_700_000_000_500)));
    let size = builder.size();
    assert_eq!(builder.finish().len(), size);
}

#[test]
fn offsets_are_given_in_order() {
    let spec = BatchSpec { base_offset: Offset(40), ..BatchSpec::default() };
    let mut builder = BatchBuilder::new(spec);
    let given: Vec<i64> =
        (0..3).map(|_| builder.append(&NewRecord::default()).unwrap().0).collect();
    assert_eq!(given, [40, 41, 42]);
}

#[test]
fn what_the_cleaner_leaves_keeps_its_offsets_and_times() {
    let whole = golden_batch(BatchSpec { base_offset: Offset(100), ..BatchSpec::default() }, false);
    let view = BatchView::parse(&whole).unwrap();
    let horizon = Some(Timestamp(1_700_000_060_000));
    for codec in Codec::ALL {
        let spec = BatchSpec {
            delete_horizon: horizon,
            compression: codec.into(),
            ..BatchSpec::of(&view)
        };
        let mut builder = BatchBuilder::new(spec);
        let payload = view.decompress(LIMIT).unwrap();
        for record in payload.records().map(Result::unwrap).filter(|r| r.offset.0 % 2 == 0) {
            builder.copy(&record).unwrap();
        }
        let left = builder.finish_at(view.last_offset());
        let view = BatchView::parse(&left).unwrap();
        assert_eq!(view.check(), Ok(()));
        assert_eq!(view.delete_horizon(), horizon);
        assert_eq!((view.last_offset(), view.record_count()), (Offset(103), 2));
        assert_eq!(view.max_timestamp(), Timestamp(1_700_000_000_000));
        let mut expected = golden_plain(100, 2, false);
        expected.retain(|record| record.0 % 2 == 0);
        assert_eq!(read(&left), Ok(expected));
        assert!(!view.decompress(LIMIT).unwrap().summarize().unwrap().contiguous);
    }
}

#[test]
fn a_summary_tells_what_a_topic_may_forbid() {
    let bytes = golden_batch(BatchSpec::default(), false);
    let payload = BatchView::parse(&bytes).unwrap().decompress(LIMIT).unwrap();
    let expected = RecordsSummary {
        count: 4,
        contiguous: true,
        min_timestamp: Timestamp(1_699_999_999_000),
        max_timestamp: Timestamp(1_700_000_000_500),
        first_without_key: Some(1),
        size: bytes.len() - 61,
    };
    assert_eq!(payload.summarize(), Ok(expected));
}

#[test]
fn times_at_both_ends_are_kept() {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    let times = [i64::MAX, i64::MIN, -1, 0];
    for ms in times {
        builder.append(&NewRecord { timestamp: Timestamp(ms), ..NewRecord::default() }).unwrap();
    }
    let bytes = builder.finish();
    let read: Vec<i64> = read(&bytes).unwrap().into_iter().map(|record| record.1).collect();
    assert_eq!(read, times);
}

fn record_at(offset: i64) -> Record<'static> {
    Record {
        offset: Offset(offset),
        timestamp: Timestamp(0),
        key: None,
        value: None,
        headers: crate::Headers::default(),
    }
}

#[test]
fn offsets_beyond_31_bits_are_refused_and_change_nothing() {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    builder.copy(&record_at(0)).unwrap();
    let size = builder.size();
    assert_eq!(builder.copy(&record_at(i64::from(i32::MAX) + 1)), Err(BatchFull));
    assert_eq!(builder.copy(&record_at(i64::from(i32::MAX))), Err(BatchFull));
    assert_eq!((builder.size(), builder.count()), (size, 1));
    builder.copy(&record_at(i64::from(i32::MAX) - 1)).unwrap();
    assert_eq!(read(&builder.finish()).unwrap()[1].0, i64::from(i32::MAX) - 1);
}

#[test]
#[should_panic = "offsets ascend within a batch"]
fn offsets_that_do_not_ascend_stop() {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    builder.copy(&record_at(5)).unwrap();
    _ = builder.copy(&record_at(5));
}

#[test]
#[should_panic = "no last offset"]
fn a_batch_without_records_is_not_finished_by_accident() {
    _ = BatchBuilder::new(BatchSpec::default()).finish();
}
