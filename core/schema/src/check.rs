//! Whether what was parsed makes sense: types exist and end, tags are unique and flexible, defaults
//! fit, keys do not collide. Also finds in which versions each struct can occur at all.
//!
//! What passes here the emitter turns into Rust that compiles; it has no errors of its own.

use std::collections::BTreeSet;

use crate::{
    Fault, SchemaError,
    model::{Field, Kind, Message, Room, Struct, Type, Versions},
};

#[cfg(test)]
mod tests;

/// Checks all messages and fills in `reach` of every struct.
pub(crate) fn check(messages: &mut [Message]) -> Result<(), SchemaError> {
    let mut seen = Seen::default();
    for message in messages.iter_mut() {
        seen.check(message).map_err(|fault| message.place.error(fault))?;
        reach(message)?;
        for structure in &message.structs {
            check_struct(message, structure)?;
        }
    }
    check_answers(messages)
}

/// Every request is answered by the response of that name, in the same versions.
fn check_answers(messages: &[Message]) -> Result<(), SchemaError> {
    for message in messages {
        let Some(api) = &message.api else { continue };
        let name = format!("{}Response", api.name);
        let answered = message.name == format!("{}Request", api.name)
            && messages.iter().any(|answer| {
                answer.kind == Kind::Response
                    && answer.name == name
                    && answer.versions == message.versions
            });
        if !answered {
            let fault = Fault::Incomplete("a request needs a response of its name and versions");
            return Err(message.place.error(fault));
        }
    }
    Ok(())
}

/// What must be unique over all files.
#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    keys: BTreeSet<i16>,
    ids: BTreeSet<(Room, bool, i16)>,
}

impl Seen {
    fn check(&mut self, message: &Message) -> Result<(), Fault> {
        if !self.names.insert(message.name.clone()) {
            return Err(Fault::Twice(message.name.clone()));
        }
        match (message.kind, &message.api, message.id) {
            (Kind::Request, Some(api), None) => {
                if !self.keys.insert(api.key) {
                    return Err(Fault::Twice(format!("api {}", api.key)));
                }
            }
            (Kind::Response | Kind::Header | Kind::Data, None, None) => {}
            (Kind::Record | Kind::Key | Kind::Value, None, Some(id)) => {
                if !self.ids.insert((message.room, message.kind == Kind::Key, id)) {
                    return Err(Fault::Twice(format!("id {id}")));
                }
            }
            _ => {
                return Err(Fault::Incomplete(
                    "a request has an api, a record has an id, others neither",
                ));
            }
        }
        Ok(())
    }
}

/// Walks from the message into its structs and notes the versions in which each can occur.
fn reach(message: &mut Message) -> Result<(), SchemaError> {
    let mut found: Vec<Option<Versions>> = vec![None; message.structs.len()];
    visit(message, 0, message.versions, &mut Vec::new(), &mut found)?;
    for (structure, found) in message.structs.iter_mut().zip(found) {
        structure.reach = found.ok_or_else(|| structure.place.error(Fault::NeverPresent))?;
    }
    Ok(())
}

fn visit(
    message: &Message,
    at: usize,
    versions: Versions,
    path: &mut Vec<usize>,
    found: &mut [Option<Versions>],
) -> Result<(), SchemaError> {
    let structure = &message.structs[at];
    if path.contains(&at) {
        return Err(structure.place.error(Fault::Recursive(structure.name.clone())));
    }
    let wider = found[at].map_or(versions, |before| Versions {
        first: before.first.min(versions.first),
        last: before.last.max(versions.last),
    });
    found[at] = Some(wider);
    path.push(at);
    for field in &structure.fields {
        let Type::Struct(name) = &field.ty else { continue };
        let inner = message.structs.iter().position(|candidate| candidate.name == *name);
        let inner = inner.ok_or_else(|| field.place.error(Fault::UnknownType(name.clone())))?;
        let versions = field.versions.meet(versions);
        let versions = versions.and_then(|versions| versions.meet(message.structs[inner].versions));
        if let Some(versions) = versions {
            visit(message, inner, versions, path, found)?;
        }
    }
    path.pop();
    Ok(())
}

fn check_struct(message: &Message, structure: &Struct) -> Result<(), SchemaError> {
    let (mut names, mut tags) = (BTreeSet::new(), BTreeSet::new());
    for field in &structure.fields {
        let fault = if !names.insert(&field.name) {
            Err(Fault::Twice(field.name.clone()))
        } else if field.tag.is_some_and(|tag| !tags.insert(tag)) {
            Err(Fault::Twice("tag".to_owned()))
        } else {
            check_field(message, structure, field)
        };
        fault.map_err(|fault| field.place.error(fault))?;
    }
    Ok(())
}

fn check_field(message: &Message, structure: &Struct, field: &Field) -> Result<(), Fault> {
    let present = field.versions.meet(structure.reach).ok_or(Fault::NeverPresent)?;
    let flexible = message.flexible.is_some_and(|flexible| flexible.contains(present.first));
    if field.tag.is_some() && !flexible {
        return Err(Fault::TagNeedsFlexible);
    }
    if field.array && matches!(field.ty, Type::Bytes | Type::Records) {
        return Err(Fault::Unsupported("the element of an array"));
    }
    if field.few
        && (!field.array || field.nullable.is_some() || !matches!(field.ty, Type::Struct(_)))
    {
        return Err(Fault::Unsupported("few of"));
    }
    if field.nullable.is_some() && !field.array && matches!(field.ty, Type::Scalar(_)) {
        return Err(Fault::Unsupported("null"));
    }
    if field.nullable.is_some_and(|nullable| nullable.meet(present).is_none()) {
        return Err(Fault::NeverPresent);
    }
    match &field.default {
        Some(default) => check_default(field, default),
        None => Ok(()),
    }
}

fn check_default(field: &Field, default: &str) -> Result<(), Fault> {
    let fits = match (&field.ty, field.array) {
        _ if default == "null" => field.nullable.is_some(),
        (Type::Scalar(scalar), false) => match scalar.word {
            "bool" => matches!(default, "true" | "false"),
            "uuid" | "topic_id" | "f64" => false,
            _ => integer(default).is_some_and(|value| holds(scalar.kafka, value)),
        },
        _ => false,
    };
    if fits { Ok(()) } else { Err(Fault::BadDefault(default.to_owned())) }
}

/// A decimal number, or a hexadecimal one behind `0x`.
pub(crate) fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn holds(kafka: &str, value: i64) -> bool {
    match kafka {
        "int8" => i8::try_from(value).is_ok(),
        "int16" => i16::try_from(value).is_ok(),
        "int32" => i32::try_from(value).is_ok(),
        "uint16" => u16::try_from(value).is_ok(),
        "uint32" => u32::try_from(value).is_ok(),
        "int64" => true,
        _ => false,
    }
}
