//! Frames with headers: what a server reads first, and what both sides write.

use bytes::Bytes;
use dohle_base::ErrorCode;

use super::{
    RequestPrefix, decode_request_header, decode_response, encode_request, encode_response,
};
use crate::{
    ApiKey, EncodeError, Fault, Message, Reader, Writer,
    api::{
        api_versions_request::ApiVersionsRequest, api_versions_response::ApiVersionsResponse,
        heartbeat_request::HeartbeatRequest, heartbeat_response::HeartbeatResponse,
        produce_response::ProduceResponse,
    },
};

/// The frame without its size, which is checked.
fn framed(w: Writer) -> Bytes {
    let mut bytes = w.into_bytes();
    let size = bytes.split_to(4);
    assert_eq!(u32::from_be_bytes(size[..].try_into().expect("4 bytes")) as usize, bytes.len());
    bytes
}

#[test]
fn a_request_comes_back_with_its_header() {
    let request = HeartbeatRequest { group_id: "g".into(), ..Default::default() };
    for version in HeartbeatRequest::MIN_VERSION..=HeartbeatRequest::MAX_VERSION {
        let mut w = Writer::new();
        encode_request(&mut w, version, 42, Some("me"), &request).expect("encodes");
        let mut r = Reader::new(framed(w));
        let (key, header) = decode_request_header(&mut r).expect("a header");
        assert_eq!((key, header.request_api_version), (ApiKey::Heartbeat, version));
        assert_eq!((header.correlation_id, header.client_id.as_deref()), (42, Some("me")));
        assert_eq!(HeartbeatRequest::decode(&mut r, version).as_ref(), Ok(&request));
        assert_eq!(r.finish(), Ok(()));
    }
}

#[test]
fn a_response_comes_back_with_its_correlation_id() {
    let response = HeartbeatResponse { error_code: ErrorCode(27), ..Default::default() };
    for version in 0..=4 {
        let mut w = Writer::new();
        encode_response(&mut w, ApiKey::Heartbeat, version, 7, &response).expect("encodes");
        let decoded = decode_response::<HeartbeatRequest>(framed(w), version);
        assert_eq!(decoded, Ok((7, response.clone())));
    }
}

#[test]
fn who_asks_for_unknown_versions_can_still_be_answered() {
    // ApiVersions 99, correlation id 5, client id "x", and a body of the future.
    let mut r = Reader::new(&b"\x00\x12\x00\x63\x00\x00\x00\x05\x00\x01x\x00????"[..]);
    let (key, header) = decode_request_header(&mut r).expect("a header");
    assert_eq!(
        (key, header.request_api_version, header.correlation_id),
        (ApiKey::ApiVersions, 99, 5)
    );
    assert!(!key.supports(99));

    let answer =
        ApiVersionsResponse { error_code: ErrorCode::UNSUPPORTED_VERSION, ..Default::default() };
    let mut w = Writer::new();
    encode_response(&mut w, key, 0, 5, &answer).expect("encodes");
    assert_eq!(&framed(w)[..], b"\x00\x00\x00\x05\x00\x23\x00\x00\x00\x00");
}

#[test]
fn responses_to_api_versions_never_have_a_tagged_header() {
    let mut w = Writer::new();
    encode_response(&mut w, ApiKey::ApiVersions, 4, 5, &ApiVersionsResponse::default())
        .expect("encodes");
    let frame = framed(w);
    // Behind the correlation id follows the error code at once.
    assert_eq!(frame[..7], *b"\x00\x00\x00\x05\x00\x00\x01");
    assert!(decode_response::<ApiVersionsRequest>(frame, 4).is_ok());
}

#[test]
fn prefixes_are_read_whatever_they_say() {
    let prefix = RequestPrefix::peek(b"\x7f\xff\x80\x00\x00\x00\x00\x09").expect("8 bytes");
    assert_eq!(
        prefix,
        RequestPrefix { api_key: i16::MAX, api_version: i16::MIN, correlation_id: 9 }
    );
    assert_eq!(RequestPrefix::peek(b"\x00\x12\x00").map_err(|e| e.fault), Err(Fault::Truncated));
    let header = decode_request_header(&mut Reader::new(&b"\x00\x04\x00\x00\x00\x00\x00\x09"[..]));
    assert_eq!(header.map_err(|e| e.fault), Err(Fault::UnknownApiKey(4)));
}

#[test]
fn a_response_that_does_not_fit_leaves_the_frames_before_it() {
    let mut w = Writer::new();
    encode_response(&mut w, ApiKey::Heartbeat, 0, 1, &HeartbeatResponse::default())
        .expect("encodes");
    let before = w.buffer().to_vec();
    let failed = encode_response(&mut w, ApiKey::Produce, 2, 2, &ProduceResponse::default());
    assert!(matches!(failed, Err(EncodeError::UnsupportedVersion { version: 2, .. })));
    assert_eq!(w.buffer(), before);
}
