//! Goal: what is patched into frames is what a broker reads, and no error passes as an
//! acknowledgement. Method: patch, then decode with the real codecs.

use bytes::Bytes;
use dohle_base::{ErrorCode, Offset};
use dohle_protocol::{
    Message, Reader, Request, Writer,
    api::{
        fetch_request::FetchRequest, produce_request::ProduceRequest,
        produce_response::ProduceResponse,
    },
    decode_request_header, decode_response, encode_response,
};

use super::{
    Ack, FETCH_VERSION, FetchAnswer, FetchFields, FetchFrame, FetchLimits, Fetched,
    PRODUCE_VERSION, Partition, Partitions,
};

fn partition() -> Partition {
    Partition { topic: "orders".to_owned(), index: 3 }
}

#[test]
fn an_ack_carries_its_offset_and_its_correlation_id() {
    let ack = Ack::of(&partition()).unwrap();
    let mut out = vec![7; ack.size()];
    ack.put(&mut out, 42_i32.to_be_bytes(), Offset(1_000_000));
    let size = i32::from_be_bytes(out[..4].try_into().unwrap());
    assert_eq!(size as usize, out.len() - 4);

    let frame = Bytes::copy_from_slice(&out[4..]);
    assert_eq!(ack.base_offset(&frame).unwrap(), Offset(1_000_000));
    let (correlation_id, response) =
        decode_response::<ProduceRequest>(frame, PRODUCE_VERSION).unwrap();
    assert_eq!(correlation_id, 42);
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!((answer.base_offset, answer.index.0), (Offset(1_000_000), 3));
}

#[test]
fn an_error_is_no_ack() {
    let ack = Ack::of(&partition()).unwrap();
    let mut out = vec![0; ack.size()];
    ack.put(&mut out, [0; 4], Offset(5));
    let (_, mut response) =
        decode_response::<ProduceRequest>(Bytes::from(out).slice(4..), PRODUCE_VERSION).unwrap();
    response.responses[0].partition_responses[0].error_code = ErrorCode::CORRUPT_MESSAGE;
    let refused = ack.base_offset(&encoded(&response)).unwrap_err();
    assert!(refused.to_string().contains("CORRUPT_MESSAGE"), "{refused}");

    let none = ProduceResponse::default();
    assert!(ack.base_offset(&encoded(&none)).is_err());
}

/// The answer to a request for so many partitions, put together of their parts as the floor does it.
fn acked_together(count: u32) -> Vec<u8> {
    let ack = |index| Ack::of(&Partition { topic: "orders".to_owned(), index }).unwrap();
    let mut out = vec![7; ack(0).head_size_max()];
    let size = ack(0).put_head(&mut out, 42_i32.to_be_bytes(), count);
    out.truncate(size);
    for index in 0..count as i32 {
        let mut part = vec![7; ack(index).part_size()];
        ack(index).put_part(&mut part, Offset(1_000 + i64::from(index)));
        out.extend(part);
    }
    [&out[..], ack(0).tail()].concat()
}

#[test]
fn an_ack_of_several_partitions_is_one_if_it_is_of_all_without_an_error() {
    for count in [2, 16, 126, 127, 128, 300] {
        let out = acked_together(count);
        assert_eq!(out[..4], (out.len() as u32 - 4).to_be_bytes());
        let frame = Bytes::from(out).slice(4..);
        let (correlation_id, response) =
            decode_response::<ProduceRequest>(frame.clone(), PRODUCE_VERSION).unwrap();
        assert_eq!(correlation_id, 42);
        let parts = &response.responses[0].partition_responses;
        assert_eq!(parts.len(), count as usize);
        let each = parts.iter().map(|part| (i64::from(part.index.0), part.base_offset.0));
        assert!(each.eq((0..i64::from(count)).map(|index| (index, 1_000 + index))));

        let partitions = Partitions { topic: "orders".to_owned(), indexes: 0..count as i32 };
        let ack = Ack::together(&partitions).unwrap();
        assert_eq!(ack.size(), frame.len() + 4);
        assert_eq!(ack.base_offset(&frame).unwrap(), Offset(1_000));
        for message in [None, Some("no".into())] {
            let mut refused = response.clone();
            let last = refused.responses[0].partition_responses.last_mut().unwrap();
            (last.error_code, last.error_message) = (ErrorCode::CORRUPT_MESSAGE, message);
            assert!(ack.base_offset(&encoded(&refused)).is_err(), "the last of {count}");
        }
        let mut fewer = response;
        fewer.responses[0].partition_responses.pop();
        assert!(ack.base_offset(&encoded(&fewer)).is_err(), "one of {count} is missing");
    }
}

#[test]
fn an_ack_with_a_tag_is_an_ack() {
    let ack = Ack::of(&partition()).unwrap();
    let mut out = vec![0; ack.size()];
    ack.put(&mut out, [0; 4], Offset(5));
    let (_, mut response) =
        decode_response::<ProduceRequest>(Bytes::from(out).slice(4..), PRODUCE_VERSION).unwrap();
    response.responses[0].partition_responses[0].error_message = Some("hello".into());
    assert_eq!(ack.base_offset(&encoded(&response)).unwrap(), Offset(5));
}

#[test]
fn a_fetch_asks_from_the_offset_that_was_put_in() {
    let limits = FetchLimits { bytes_max: 65_536, wait_ms_max: 500 };
    let mut frame = FetchFrame::new(&partition(), limits).unwrap();
    for offset in [Offset(0), Offset(77)] {
        let mut r = Reader::new(Bytes::copy_from_slice(&frame.at(offset)[4..]));
        let (key, _) = decode_request_header(&mut r).unwrap();
        assert_eq!(key, FetchRequest::KEY);
        let request = FetchRequest::decode(&mut r, FETCH_VERSION).unwrap();
        assert_eq!(request.topics[0].partitions[0].fetch_offset, offset);
        assert_eq!(request.max_wait_ms, 500);
    }
}

/// The whole answer, with its size.
fn fetched(fields: FetchFields, records: &[u8]) -> Vec<u8> {
    let answer = FetchAnswer::of(&partition()).unwrap();
    let mut out = vec![7; answer.head_size_max()];
    let size = answer.put_head(&mut out, fields);
    out.truncate(size);
    [&out[..], records, answer.behind()].concat()
}

#[test]
fn a_fetch_answer_carries_records_of_every_size_and_its_offsets() {
    for size in [0, 1, 126, 127, 128, 16_382, 16_383, 65_536, 2_097_151, 3_000_000] {
        let records: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let fields = FetchFields {
            correlation_id: 42_i32.to_be_bytes(),
            error_code: ErrorCode::NONE,
            log_start_offset: Offset(5),
            high_watermark: Offset(1_000_000),
            records_size: size,
        };
        let out = fetched(fields, &records);
        assert_eq!(out[..4], (out.len() as u32 - 4).to_be_bytes());
        let frame = Bytes::from(out).slice(4..);
        let (correlation_id, response) =
            decode_response::<FetchRequest>(frame.clone(), FETCH_VERSION).unwrap();
        assert_eq!((correlation_id, response.error_code), (42, ErrorCode::NONE));
        assert_eq!(response.responses[0].topic.as_str(), "orders");
        let data = &response.responses[0].partitions[0];
        assert_eq!((data.partition_index.0, data.last_stable_offset), (3, Offset(1_000_000)));

        let fetched = Fetched::decode(frame).unwrap();
        assert_eq!(fetched.log_start_offset, Offset(5));
        assert_eq!(fetched.high_watermark, Offset(1_000_000));
        assert_eq!(fetched.records, records);
    }
}

#[test]
fn a_fetch_answer_can_be_an_error() {
    let fields = FetchFields {
        correlation_id: [0; 4],
        error_code: ErrorCode::OFFSET_OUT_OF_RANGE,
        log_start_offset: Offset(5),
        high_watermark: Offset(6),
        records_size: 0,
    };
    let refused = Fetched::decode(Bytes::from(fetched(fields, &[])).slice(4..)).unwrap_err();
    assert!(refused.to_string().contains("OFFSET_OUT_OF_RANGE"), "{refused}");
}

fn encoded(response: &ProduceResponse) -> Bytes {
    let mut w = Writer::new();
    encode_response(&mut w, ProduceRequest::KEY, PRODUCE_VERSION, 0, response).unwrap();
    w.into_bytes().slice(4..)
}
