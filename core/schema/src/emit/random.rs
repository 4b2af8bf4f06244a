//! Generators of random messages, and one entry a message for tests that know no types.

use std::fmt::Write;

use super::{condition, ident, path, present};
use crate::model::{Field, Message, Struct, Type};

/// Everything that the feature `random` adds.
pub(super) fn emit(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        for structure in &message.structs {
            generator(&mut out, message, structure);
        }
    }
    out.push_str("pub(super) static CODECS: &[Codec] = &[\n");
    for (at, message) in messages.iter().enumerate() {
        let _ = writeln!(
            out,
            "    Codec::of::<{}::{}>(&crate::registry::SCHEMAS[{at}]),",
            path(message),
            message.name
        );
    }
    out.push_str("];\n");
    out
}

fn generator(out: &mut String, message: &Message, structure: &Struct) {
    let _ = writeln!(
        out,
        "impl Random for {}::{} {{\n    fn random(g: &mut Rng, version: i16) -> Self {{\n        let mut it = Self::default();",
        path(message),
        structure.name
    );
    for field in &structure.fields {
        let assign = format!("it.{} = {};", ident(field), value(structure, field));
        let mut conditions: Vec<String> =
            condition(present(structure, field), structure.reach).into_iter().collect();
        if field.tag.is_some() {
            conditions.push("coin(g)".to_owned());
        }
        let _ = match conditions.as_slice() {
            [] => writeln!(out, "        {assign}"),
            all => writeln!(out, "        if {} {{ {assign} }}", all.join(" && ")),
        };
    }
    out.push_str("        it\n    }\n}\n");
}

fn value(structure: &Struct, field: &Field) -> String {
    let call = match (&field.ty, field.array) {
        (Type::Scalar(_), false) => "Scalar::random(g)",
        (Type::Scalar(_), true) => "scalars(g)",
        (Type::String(_), false) => "string(g)",
        (Type::String(_), true) => "strings(g)",
        (Type::Struct(_), false) => "Random::random(g, version)",
        (Type::Struct(_), true) if field.few => "parts(g, version).into()",
        (Type::Struct(_), true) => "parts(g, version)",
        (Type::Bytes, _) => "bytes(g)",
        (Type::Records, _) => "records(g)",
    };
    let here = present(structure, field);
    match field.nullable.and_then(|nullable| nullable.meet(here)) {
        None if field.nullable.is_some() => format!("Some({call})"),
        None => call.to_owned(),
        Some(nullable) => {
            let may =
                condition(nullable, here).map_or_else(String::new, |may| format!("{may} && "));
            format!("if {may}coin(g) {{ None }} else {{ Some({call}) }}")
        }
    }
}
