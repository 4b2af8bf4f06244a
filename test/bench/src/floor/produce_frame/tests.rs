//! Goal: the short cut sees what the real codec wrote, and nothing else. Method: frames from the
//! real codec, whole and cut.

use dohle_records::Codec;

use super::ProduceFrame;
use crate::{
    frames::{self, FetchFrame, FetchLimits, Partition},
    records,
};

#[test]
fn the_parts_are_where_the_codec_put_them() {
    let partition = Partition { topic: "orders".to_owned(), index: 12 };
    for size in [100, 300, 70_000] {
        let batch = records::batch(size, Codec::None);
        let frame = frames::produce(&partition, -1, batch.clone()).unwrap().slice(4..);
        let parsed = ProduceFrame::parse(&frame).expect("a frame of the generator");
        assert_eq!((parsed.topic, parsed.index), ("orders", 12));
        assert_eq!(frame[parsed.records.clone()], batch[..]);
        for end in (0..frame.len().min(500)).chain([frame.len() - 1]) {
            assert_eq!(ProduceFrame::parse(&frame[..end]), None);
        }
        let longer = [&frame[..], &[0]].concat();
        assert_eq!(ProduceFrame::parse(&longer), None, "something behind it");
    }
}

#[test]
fn other_requests_are_left_to_the_real_codec() {
    let partition = Partition { topic: "orders".to_owned(), index: 0 };
    let limits = FetchLimits { bytes_max: 1, wait_ms_max: 1 };
    let mut fetch = FetchFrame::new(&partition, limits).unwrap();
    assert_eq!(ProduceFrame::parse(&fetch.at(dohle_base::Offset(0))[4..]), None);
}
