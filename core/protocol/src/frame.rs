//! Messages with their headers, and the 4-byte size in front.
//!
//! ```text
//! frame     i32 size, then that many bytes: header, body
//! request   i16 API key, i16 version, i32 correlation id, client id (plain form, nullable), [tags]
//! response  i32 correlation id, [tags]
//! ```
//!
//! Who reads from a socket takes the size off; decoders here get what is behind it.

use bytes::Bytes;
use dohle_base::Str;

use crate::{
    ApiKey, DecodeError, EncodeError, Fault, Message, Reader, Request, Writer,
    api::{request_header::RequestHeader, response_header::ResponseHeader},
};

#[cfg(test)]
mod tests;

/// The start of every request, readable whatever its API and version are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrefix {
    /// The API, perhaps one that does not exist.
    pub api_key: i16,
    /// The version, perhaps one that does not exist.
    pub api_version: i16,
    /// What the response must repeat.
    pub correlation_id: i32,
}

impl RequestPrefix {
    /// Looks at a frame (without its size) and leaves it as it is.
    ///
    /// # Errors
    /// [`Fault::Truncated`] for less than 8 bytes.
    pub fn peek(frame: &[u8]) -> Result<Self, DecodeError> {
        let Some(&[k0, k1, v0, v1, c0, c1, c2, c3]) = frame.first_chunk() else {
            let at = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            return Err(DecodeError { fault: Fault::Truncated, at });
        };
        Ok(Self {
            api_key: i16::from_be_bytes([k0, k1]),
            api_version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

/// Reads the header of a request, whose form follows from the API and version in it. The version
/// itself is not judged: an ApiVersions request of an unknown one still wants an answer.
///
/// # Errors
/// [`Fault::UnknownApiKey`], or bytes that are not a header.
pub fn decode_request_header(r: &mut Reader) -> Result<(ApiKey, RequestHeader), DecodeError> {
    let prefix = RequestPrefix::peek(r.rest())?;
    let unknown = r.error(Fault::UnknownApiKey(prefix.api_key));
    let key = ApiKey::from_key(prefix.api_key).ok_or(unknown)?;
    let header = RequestHeader::decode(r, key.request_header_version(prefix.api_version))?;
    Ok((key, header))
}

/// Appends a request with size and header.
///
/// # Errors
/// A value that `version` cannot carry. The writer is then back at where it was.
pub fn encode_request<M: Request>(
    w: &mut Writer,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &M,
) -> Result<(), EncodeError> {
    let header = RequestHeader {
        request_api_key: M::KEY.key(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(Str::from),
    };
    w.frame(|w| {
        header.encode(w, M::KEY.request_header_version(version))?;
        request.encode(w, version)
    })
}

/// Appends a response with size and header.
///
/// # Errors
/// A value that `version` cannot carry. The writer is then back at where it was.
pub fn encode_response<M: Message>(
    w: &mut Writer,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) -> Result<(), EncodeError> {
    w.frame(|w| {
        ResponseHeader { correlation_id }.encode(w, key.response_header_version(version))?;
        response.encode(w, version)
    })
}

/// Reads the response to a request `M` of `version`: the correlation id and the body.
///
/// # Errors
/// Bytes that are not such a response, or bytes behind it.
pub fn decode_response<M: Request>(
    frame: Bytes,
    version: i16,
) -> Result<(i32, M::Response), DecodeError> {
    let mut r = Reader::new(frame);
    let header = ResponseHeader::decode(&mut r, M::KEY.response_header_version(version))?;
    let response = M::Response::decode(&mut r, version)?;
    r.finish()?;
    Ok((header.correlation_id, response))
}
