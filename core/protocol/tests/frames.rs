//! Frames between the nodes and clients of two clusters of Kafka 4.4.0, in testdata/frames.tsv:
//! decoded and encoded, each must be the same bytes again.

use bytes::Bytes;
use dohle_protocol::{
    ApiKey, Message, Reader, RequestPrefix, Writer,
    api::{request_header::RequestHeader, response_header::ResponseHeader},
    random::codec,
};

const FRAMES: &str = include_str!("../testdata/frames.tsv");

fn unhex(text: &str) -> Bytes {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16).expect("hex")).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect::<Vec<u8>>().into()
}

/// The frame again: header decoded and encoded, body decoded and encoded.
fn again(request: bool, key: ApiKey, version: i16, frame: &Bytes) -> Bytes {
    let mut r = Reader::new(frame.clone());
    let mut w = Writer::new();
    if request {
        let version = key.request_header_version(version);
        let header = RequestHeader::decode(&mut r, version).expect("a request header");
        header.encode(&mut w, version).expect("encodes");
    } else {
        let version = key.response_header_version(version);
        let header = ResponseHeader::decode(&mut r, version).expect("a response header");
        header.encode(&mut w, version).expect("encodes");
    }
    let name = format!("{}{}", key.name(), if request { "Request" } else { "Response" });
    let codec = codec(&name).expect("a schema");
    let body = codec.reencode(r.take_rest(), version).expect("decodes").expect("encodes");
    w.put_slice(&body);
    w.into_bytes()
}

#[test]
fn recorded_frames_are_the_same_after_decoding_and_encoding() {
    let mut frames = 0;
    for (at, line) in FRAMES.lines().enumerate().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [direction, key, api, version, hex] = columns[..] else { panic!("line {at}") };
        let key = ApiKey::from_key(key.parse().expect("a key")).expect("an API");
        let version = version.parse().expect("a version");
        assert_eq!(key.name(), api);
        let frame = unhex(hex);
        if direction == "request" {
            let prefix = RequestPrefix::peek(&frame).expect("a request");
            assert_eq!((prefix.api_key, prefix.api_version), (key.key(), version));
        }
        assert_eq!(again(direction == "request", key, version, &frame), frame, "line {at}: {api}");
        frames += 1;
    }
    assert_eq!(frames, 397);
}
