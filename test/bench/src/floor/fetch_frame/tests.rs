//! Goal: the short cut sees what the real codec wrote, and nothing else. Method: frames from the
//! real codec, whole and cut.

use dohle_base::Offset;
use dohle_protocol::{
    Writer,
    api::fetch_request::{FetchPartition, FetchRequest, FetchTopic},
    encode_request,
};

use super::FetchAsked;
use crate::frames::{self, FETCH_VERSION, FetchFrame, FetchLimits, Partition};

fn partition() -> Partition {
    Partition { topic: "orders".to_owned(), index: 12 }
}

#[test]
fn what_is_asked_for_is_where_the_codec_put_it() {
    let limits = FetchLimits { bytes_max: 70_000, wait_ms_max: 500 };
    let mut frame = FetchFrame::new(&partition(), limits).unwrap();
    let frame = &frame.at(Offset(1_234_567))[4..];
    let asked = FetchAsked {
        correlation_id: [0; 4],
        wait_ms_max: 500,
        topic: "orders",
        index: 12,
        offset: Offset(1_234_567),
        size_max: 70_000,
    };
    assert_eq!(FetchAsked::parse(frame), Some(asked));
    for end in 0..frame.len() {
        assert_eq!(FetchAsked::parse(&frame[..end]), None, "{end} of {}", frame.len());
    }
    let longer = [frame, &[0]].concat();
    assert_eq!(FetchAsked::parse(&longer), None, "something behind it");
}

#[test]
fn the_smaller_of_both_limits_counts_and_a_negative_one_is_none() {
    for (answer, of_partition, size_max) in
        [(100, 200, 100), (200, 100, 100), (-1, 7, 0), (7, -1, 0)]
    {
        let partitions =
            [FetchPartition { partition_max_bytes: of_partition, ..Default::default() }].into();
        let topics = [FetchTopic { topic: "t".into(), partitions, ..Default::default() }].into();
        let request =
            FetchRequest { max_wait_ms: -1, max_bytes: answer, topics, ..FetchRequest::default() };
        let mut w = Writer::new();
        encode_request(&mut w, FETCH_VERSION, 77, None, &request).unwrap();
        let frame = w.into_bytes().slice(4..);
        let asked = FetchAsked::parse(&frame).expect("one partition");
        assert_eq!((asked.size_max, asked.wait_ms_max), (size_max, 0));
        assert_eq!(asked.correlation_id, 77_i32.to_be_bytes());
    }
}

#[test]
fn other_requests_are_none() {
    let batch = crate::records::batch(100, dohle_records::Codec::None);
    let produce = frames::produce(&partition(), -1, batch).unwrap();
    assert_eq!(FetchAsked::parse(&produce[4..]), None);

    let topic = || FetchTopic {
        topic: "t".into(),
        partitions: [FetchPartition::default()].into(),
        ..Default::default()
    };
    for topics in [vec![], vec![topic(), topic()]] {
        let request = FetchRequest { topics: topics.into(), ..FetchRequest::default() };
        let frame = frames::request(FETCH_VERSION, &request).unwrap();
        assert_eq!(FetchAsked::parse(&frame[4..]), None);
    }
}
