//! What generated modules refer to.

pub(crate) use bytes::Bytes;
pub(crate) use dohle_base::{
    BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Str, TopicId,
    Uuid,
};

pub(crate) use crate::{
    ApiKey, DecodeError, EncodeError, Few, FieldSchema, Kind, Message, Reader, RecordSet, Request,
    Schema, Versions, Writer, message::Part, writer::required,
};
