//! From checked messages to Rust source, as text that `core/protocol` includes.
//!
//! What is written is plain code that a reader of `OUT_DIR` can follow: one module a message, one
//! `read` and one `write` a struct, in wire order, without closures or intermediate values.

mod codec;
mod random;
mod structure;
mod table;

use std::fmt::Write;

use crate::model::{Field, Message, Room, Struct, Type, Versions, snake};

/// The files to store; `core/protocol` includes each at its place.
#[derive(Clone, Debug)]
pub struct Output {
    /// The modules of requests, responses and headers.
    pub api: String,
    /// The modules of stored records, by room.
    pub records: String,
    /// The call of `api_keys!` with one line an API.
    pub api_keys: String,
    /// The schemas as static data.
    pub registry: String,
    /// The generators of random messages and the type-erased codecs.
    pub random: String,
}

/// Rooms below `records`, with their modules and what these hold.
const ROOMS: &[(Room, &str, &str)] = &[
    (Room::Metadata, "metadata", "Records of `__cluster_metadata` and its snapshots."),
    (Room::Group, "group", "Records of `__consumer_offsets`."),
    (Room::Transaction, "transaction", "Records of `__transaction_state`."),
    (Room::Share, "share", "Records of `__share_group_state`."),
    (Room::Raft, "raft", "Control records of the metadata log, and the quorum's own file."),
    (Room::Log, "log", "Control records and side files of a partition, and remote log metadata."),
    (
        Room::ConsumerProtocol,
        "consumer_protocol",
        "What classic consumers put into JoinGroup and SyncGroup.",
    ),
];

/// Writes everything.
pub(crate) fn emit(messages: &[Message]) -> Output {
    let mut records = String::new();
    for (room, name, purpose) in ROOMS {
        let _ = writeln!(records, "/// {purpose}\npub mod {name} {{");
        records.push_str(&table::record_enums(messages, *room));
        records.push_str(&modules(messages, *room));
        records.push_str("}\n");
    }
    Output {
        api: modules(messages, Room::Api),
        records,
        api_keys: table::api_keys(messages),
        registry: table::registry(messages),
        random: random::emit(messages),
    }
}

fn modules(messages: &[Message], room: Room) -> String {
    let mut out = String::new();
    for message in messages.iter().filter(|message| message.room == room) {
        let _ = writeln!(out, "#[allow(unused_imports, unused_variables, clippy::all)]");
        docs(&mut out, "", &message.docs, || format!("The message `{}`.", message.name));
        let _ = writeln!(out, "pub mod {} {{", snake(&message.name));
        out.push_str("use crate::prelude::*;\n");
        for structure in &message.structs {
            structure::emit(&mut out, message, structure);
            codec::emit(&mut out, message, structure);
        }
        table::message_impl(&mut out, message);
        out.push_str("}\n");
    }
    out
}

/// Doc comments; `or` stands in where the schema says nothing.
fn docs(out: &mut String, indent: &str, docs: &[String], or: impl FnOnce() -> String) {
    if docs.is_empty() {
        let _ = writeln!(out, "{indent}/// {}", or());
    }
    for line in docs {
        let _ = writeln!(out, "{indent}/// {line}");
    }
}

/// The path of a message's type within the crate.
fn path(message: &Message) -> String {
    let module = snake(&message.name);
    match ROOMS.iter().find(|(room, ..)| *room == message.room) {
        Some((_, room, _)) => format!("crate::records::{room}::{module}"),
        None => format!("crate::api::{module}"),
    }
}

/// The condition on `version` that selects `wanted` among the versions that occur at all.
/// `None`: always true.
fn condition(wanted: Versions, among: Versions) -> Option<String> {
    match (wanted.first > among.first, wanted.last < among.last) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {}", wanted.first)),
        (false, true) => Some(format!("version <= {}", wanted.last)),
        (true, true) => Some(format!("({}..={}).contains(&version)", wanted.first, wanted.last)),
    }
}

/// The Rust identifier of a field.
fn ident(field: &Field) -> String {
    match field.name.as_str() {
        "type" | "match" | "ref" | "use" | "move" | "in" | "mod" => format!("r#{}", field.name),
        name => name.to_owned(),
    }
}

/// The Rust type of a field.
fn rust_type(field: &Field) -> String {
    let element = match &field.ty {
        Type::Scalar(scalar) => scalar.rust,
        Type::String(_) => "Str",
        Type::Bytes => "Bytes",
        Type::Records => "RecordSet",
        Type::Struct(name) => name,
    };
    let whole = match field.array {
        true if field.few => format!("Few<{element}>"),
        true => format!("Vec<{element}>"),
        false => element.to_owned(),
    };
    if field.nullable.is_some() { format!("Option<{whole}>") } else { whole }
}

/// The versions in which the field is on the wire; the checks have seen that there is one.
fn present(structure: &Struct, field: &Field) -> Versions {
    field.versions.meet(structure.reach).unwrap_or(structure.reach)
}
