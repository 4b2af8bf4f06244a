//! Every schema as data, for those who compare them with others or list them.

/// A message as its schema describes it.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Kafka's name, such as `ProduceRequest`.
    pub name: &'static str,
    /// The module with the generated code, such as `api::produce_request`.
    pub module: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// The API key of a request, the type of a stored record.
    pub key: Option<i16>,
    /// The versions that exist.
    pub versions: Versions,
    /// Those with compact forms and tagged fields, as declared; they may begin before `versions`.
    pub flexible: Option<Versions>,
    /// For a request: whether brokers serve it.
    pub on_broker: bool,
    /// For a request: whether controllers serve it.
    pub on_controller: bool,
    /// For a request: whether the newest version is hidden by default.
    pub latest_unstable: bool,
    /// The fields, in wire order.
    pub fields: &'static [FieldSchema],
}

/// A field as its schema describes it.
#[derive(Clone, Copy, Debug)]
pub struct FieldSchema {
    /// Kafka's name.
    pub name: &'static str,
    /// Kafka's type, such as `[]int32`.
    pub type_name: &'static str,
    /// The type (of an element) in our schema language, such as `broker_id`.
    pub domain: &'static str,
    /// The versions that have it; open ranges end at `i16::MAX`.
    pub versions: Versions,
    /// The versions in which it can be null.
    pub nullable: Option<Versions>,
    /// Its number, if it is a tagged field.
    pub tag: Option<u32>,
    /// The default as the schema spells it; none for zero, empty and false.
    pub default: Option<&'static str>,
    /// Whether it is dropped silently by versions that lack it.
    pub ignorable: bool,
    /// Whether it keeps its plain form in flexible versions.
    pub plain: bool,
    /// The fields of its struct, or of the struct in its array.
    pub fields: &'static [FieldSchema],
}

/// An inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The first.
    pub first: i16,
    /// The last.
    pub last: i16,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sent to be answered.
    Request,
    /// The answer.
    Response,
    /// In front of both.
    Header,
    /// Control records, side files and values inside others.
    Data,
    /// A record of the metadata log or of the remote log metadata.
    Record,
    /// The key of a coordinator's record.
    Key,
    /// The value of a coordinator's record.
    Value,
}

/// Every schema.
pub fn registry() -> &'static [Schema] {
    SCHEMAS
}

include!(concat!(env!("OUT_DIR"), "/registry.rs"));
