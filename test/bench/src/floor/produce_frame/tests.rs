//! Goal: the short cut sees what the real codec wrote, and nothing else. Method: frames from the
//! real codec, whole and cut.

use dohle_records::Codec;

use super::{Part, ProduceFrame};
use crate::{
    frames::{self, FetchFrame, FetchLimits, Partition, Partitions},
    records,
};

/// All of a request; `None` if it is broken anywhere.
fn parts(frame: &[u8]) -> Option<Vec<(String, Part)>> {
    let ProduceFrame { topic, mut parts, .. } = ProduceFrame::parse(frame)?;
    (0..parts.count).map(|_| Some((topic.to_owned(), parts.next(frame)?))).collect()
}

#[test]
fn the_parts_are_where_the_codec_put_them() {
    let topic = "orders".to_owned();
    for (size, indexes) in [(100, 12..13), (300, 0..16), (70_000, 3..6), (100, 0..200)] {
        let batch = records::batch(size, Codec::None);
        let to = Partitions { topic: topic.clone(), indexes: indexes.clone() };
        let frame = frames::produce_together(&to, -1, batch.clone()).unwrap().slice(4..);
        let parsed = parts(&frame).expect("a frame of the generator");
        assert!(parsed.iter().all(|(name, _)| *name == topic));
        assert!(parsed.iter().all(|(_, part)| frame[part.records.clone()] == batch[..]));
        assert!(parsed.iter().map(|(_, part)| part.index).eq(indexes));
        for end in (0..frame.len().min(500)).chain([frame.len() - 1]) {
            assert_eq!(parts(&frame[..end]), None);
        }
        let longer = [&frame[..], &[0]].concat();
        assert_eq!(parts(&longer), None, "something behind it");
    }
}

#[test]
fn other_requests_are_left_to_the_real_codec() {
    let partition = Partition { topic: "orders".to_owned(), index: 0 };
    let limits = FetchLimits { bytes_max: 1, wait_ms_max: 1 };
    let mut fetch = FetchFrame::new(&partition, limits).unwrap();
    assert_eq!(ProduceFrame::parse(&fetch.at(dohle_base::Offset(0))[4..]), None);
}
