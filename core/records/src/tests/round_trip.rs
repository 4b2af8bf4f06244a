//! Goal: whatever is put into a batch comes out of it; whatever bytes come in, nothing panics.
//! Method: random records in every codec, and random bytes.

use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::{Plain, read};
use crate::{
    BatchBuilder, BatchSpec, BatchView, Codec, Header, NewRecord, Producer, check_produce_batch,
    entries,
};

type Fields = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn bytes(size: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..size)
}

fn fields() -> impl Strategy<Value = Fields> {
    (any::<i64>(), of(bytes(40)), of(bytes(300)), vec((bytes(5), of(bytes(9))), 0..4))
}

fn spec() -> impl Strategy<Value = BatchSpec> {
    let producer = (any::<i64>(), any::<i16>(), any::<i32>());
    let flags = (any::<bool>(), any::<bool>(), of(any::<i64>()), of(any::<i64>()));
    (0..i64::MAX / 2, any::<i32>(), producer, flags, 0..5_u8).prop_map(
        |(base_offset, epoch, producer, (transactional, control, stamp, horizon), codec)| {
            BatchSpec {
                base_offset: Offset(base_offset),
                partition_leader_epoch: LeaderEpoch(epoch),
                producer: Producer {
                    id: ProducerId(producer.0),
                    epoch: ProducerEpoch(producer.1),
                    base_sequence: producer.2,
                },
                transactional,
                control,
                log_append_time: stamp.map(Timestamp),
                delete_horizon: horizon.map(Timestamp),
                compression: Codec::from_id(codec).unwrap().into(),
            }
        },
    )
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(spec in spec(), records in vec(fields(), 1..20)) {
        let mut builder = BatchBuilder::new(spec);
        let mut expected: Vec<Plain> = Vec::new();
        for (ms, key, value, headers) in &records {
            let listed: Vec<Header<'_>> = headers
                .iter()
                .map(|(key, value)| Header { key, value: value.as_deref() })
                .collect();
            let record = NewRecord {
                timestamp: Timestamp(*ms),
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &listed,
            };
            let offset = builder.append(&record).unwrap();
            let time = spec.log_append_time.map_or(*ms, |time| time.0);
            expected.push((offset.0, time, key.clone(), value.clone(), headers.clone()));
        }
        let batch = builder.finish();
        let view = BatchView::parse(&batch).unwrap();
        prop_assert_eq!(view.check(), Ok(()));
        prop_assert_eq!(BatchSpec::of(&view), spec);
        prop_assert_eq!(read(&batch), Ok(expected));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in bytes(400)) {
        _ = read(&bytes);
        _ = check_produce_batch(&bytes);
        for entry in entries(&bytes).flatten() {
            _ = entry.decompress(1000).map(|payload| payload.summarize());
        }
    }

    #[test]
    fn random_payloads_under_a_good_head_do_no_harm(
        payload in bytes(400),
        codec in 0..8_u8,
        count in any::<u8>(),
    ) {
        let mut batch = super::golden_batch(BatchSpec::default(), false);
        batch[60] = count;
        batch[26] = 255;
        let mut batch = super::with_payload(&batch, Codec::None, &payload);
        batch[22] = codec;
        let batch = super::sealed(batch);
        if let Ok(records) = read(&batch) {
            prop_assert_eq!(records.len(), usize::from(count));
        }
    }
}
