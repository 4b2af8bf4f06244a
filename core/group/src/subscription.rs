//! A look into what a Kafka consumer sends as its metadata: only the topics, because offsets of
//! topics that are being read neither expire nor may be deleted.

use bytes::Bytes;
use dohle_base::Str;
use dohle_protocol::{
    Message, Reader, records::consumer_protocol::consumer_protocol_subscription as schema,
};

/// The protocol type of consumers.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";

/// The topics in a subscription; none if it is not one.
///
/// Every version starts with the fields of version 0, so that newer clients can be read too.
pub(crate) fn topics(metadata: &Bytes) -> Option<Vec<Str>> {
    if metadata.len() < 2 {
        return None;
    }
    let mut reader = Reader::new(metadata.slice(2..));
    Some(schema::ConsumerProtocolSubscription::decode(&mut reader, 0).ok()?.topics)
}
