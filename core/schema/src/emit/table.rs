//! What is said about a message rather than done with it: trait constants with the schema as data,
//! the table of API keys, the enums of stored records, and the registry.

use std::fmt::Write;

use super::path;
use crate::model::{Field, Kind, Message, Room, Struct, Type, Versions, snake};

/// `Message`, and `Request` for a request.
pub(super) fn message_impl(out: &mut String, message: &Message) {
    let (name, versions) = (&message.name, message.versions);
    let flexible = option(message.flexible.map(|flexible| flexible.first));
    let _ = writeln!(
        out,
        "impl Message for {name} {{\n    const NAME: &'static str = \"{name}\";\n    const MIN_VERSION: i16 = {};\n    const MAX_VERSION: i16 = {};\n    const FLEXIBLE_FROM: Option<i16> = {flexible};",
        versions.first, versions.last
    );
    schema(out, message);
    out.push_str("}\n");
    if let Some(api) = &message.api {
        let response = format!("{}Response", api.name);
        let module = snake(&response);
        let _ = writeln!(
            out,
            "impl Request for {name} {{\n    const KEY: ApiKey = ApiKey::{};\n    type Response = super::{module}::{response};\n}}",
            api.name
        );
    }
}

/// The call of `api_keys!`, in ascending order of keys.
pub(super) fn api_keys(messages: &[Message]) -> String {
    let mut apis: Vec<_> =
        messages.iter().filter_map(|message| Some((message.api.as_ref()?, message))).collect();
    apis.sort_by_key(|(api, _)| api.key);
    let mut out = String::from("api_keys! {\n");
    for (api, message) in apis {
        let advertised =
            api.advertised.map_or(message.versions.first, |advertised| advertised.first);
        let flexible = option(message.flexible.map(|flexible| flexible.first));
        let _ = writeln!(
            out,
            "    {} = {}, {}, {}, {advertised}, {flexible}, {}, {}, {}, {}, {};",
            api.name,
            api.key,
            message.versions.first,
            message.versions.last,
            api.on_broker,
            api.on_controller,
            api.latest_unstable,
            api.forwardable,
            api.cluster_action
        );
    }
    out.push_str("}\n");
    out
}

/// The calls of `record_enum!` of one room: by id, for those rooms whose records have ids.
pub(super) fn record_enums(messages: &[Message], room: Room) -> String {
    let mut out = String::new();
    let enums: &[(Kind, &str, &str)] = match room {
        Room::Metadata => &[(Kind::Record, "MetadataRecord", "Record")],
        Room::Group => {
            &[(Kind::Key, "GroupRecordKey", "Key"), (Kind::Value, "GroupRecordValue", "Value")]
        }
        Room::Transaction => &[
            (Kind::Key, "TransactionRecordKey", "Key"),
            (Kind::Value, "TransactionRecordValue", "Value"),
        ],
        Room::Share => {
            &[(Kind::Key, "ShareRecordKey", "Key"), (Kind::Value, "ShareRecordValue", "Value")]
        }
        Room::Log => &[(Kind::Record, "RemoteLogRecord", "Record")],
        _ => &[],
    };
    for (kind, name, suffix) in enums {
        let mut members: Vec<_> = messages
            .iter()
            .filter(|message| message.room == room && message.kind == *kind)
            .collect();
        members.sort_by_key(|message| message.id);
        let _ = writeln!(out, "record_enum! {{ {name}");
        for message in members {
            let variant = message.name.strip_suffix(suffix).unwrap_or(&message.name);
            let id = message.id.unwrap_or_default();
            let _ = writeln!(out, "    {id} {variant} {} {};", snake(&message.name), message.name);
        }
        out.push_str("}\n");
    }
    out
}

/// All schemas as one static slice, in the order of the sources.
pub(super) fn registry(messages: &[Message]) -> String {
    let mut out = String::from("pub(crate) static SCHEMAS: &[Schema] = &[\n");
    for message in messages {
        let _ =
            writeln!(out, "    <{}::{} as crate::Message>::SCHEMA,", path(message), message.name);
    }
    out.push_str("];\n");
    out
}

/// The schema of one message. A constant each, so that a program holds only those it asks for.
fn schema(out: &mut String, message: &Message) {
    let kind = format!("{:?}", message.kind);
    let key = option(message.api.as_ref().map(|api| api.key).or(message.id));
    let api = message.api.as_ref();
    let unstable = api.is_some_and(|api| api.latest_unstable);
    let (broker, controller) = api.map_or((false, false), |api| (api.on_broker, api.on_controller));
    let _ = writeln!(
        out,
        "const SCHEMA: Schema = Schema {{ name: \"{}\", module: \"{}\", kind: Kind::{kind}, key: {key}, versions: {}, flexible: {}, on_broker: {broker}, on_controller: {controller}, latest_unstable: {unstable}, fields: &[",
        message.name,
        path(message).trim_start_matches("crate::"),
        range(message.versions),
        option_range(message.flexible),
    );
    if let Some(outer) = message.structs.first() {
        fields(out, message, outer);
    }
    out.push_str("] };\n");
}

fn fields(out: &mut String, message: &Message, structure: &Struct) {
    for field in &structure.fields {
        let _ = write!(
            out,
            "FieldSchema {{ name: \"{}\", type_name: \"{}{}\", domain: \"{}\", versions: {}, nullable: {}, tag: {}, default: {}, ignorable: {}, plain: {}, fields: &[",
            field.exact,
            if field.array { "[]" } else { "" },
            field.ty.kafka(),
            field.ty.word(),
            range(field.versions),
            option_range(field.nullable),
            option(field.tag),
            default(field),
            field.ignorable,
            field.plain,
        );
        if let Type::Struct(name) = &field.ty
            && let Some(inner) = message.structure(name)
        {
            fields(out, message, inner);
        }
        out.push_str("] },\n");
    }
}

fn default(field: &Field) -> String {
    field
        .default
        .as_ref()
        .map_or_else(|| "None".to_owned(), |default| format!("Some(\"{default}\")"))
}

fn range(versions: Versions) -> String {
    format!("Versions {{ first: {}, last: {} }}", versions.first, versions.last)
}

fn option_range(versions: Option<Versions>) -> String {
    versions.map_or_else(|| "None".to_owned(), |versions| format!("Some({})", range(versions)))
}

fn option<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "None".to_owned(), |value| format!("Some({value})"))
}
