//! The struct itself and its defaults.

use std::fmt::Write;

use super::{docs, ident, rust_type};
use crate::{
    check::integer,
    model::{Field, Message, Struct, Type},
};

/// The definition, and `Default` with what the schema says.
pub(super) fn emit(out: &mut String, message: &Message, structure: &Struct) {
    let outer = structure.name == message.name;
    let lines = if outer { &message.docs } else { &structure.docs };
    docs(out, "", lines, || format!("Part of [`{}`].", message.name));
    let _ = writeln!(out, "#[derive(Clone, Debug, PartialEq)]\npub struct {} {{", structure.name);
    for field in &structure.fields {
        docs(out, "    ", &field.docs, || format!("`{}` ({}).", field.exact, field.ty.word()));
        let _ = writeln!(out, "    pub {}: {},", ident(field), rust_type(field));
    }
    let _ = writeln!(
        out,
        "}}\nimpl Default for {} {{\n    fn default() -> Self {{\n        Self {{",
        structure.name
    );
    for field in &structure.fields {
        let _ = writeln!(out, "            {}: {},", ident(field), default(field));
    }
    out.push_str("        }\n    }\n}\n");
}

/// The default as an expression. A nullable field is null only if its schema says `= null`.
pub(super) fn default(field: &Field) -> String {
    if field.default.as_deref() == Some("null") {
        return "None".to_owned();
    }
    let value = match &field.ty {
        _ if field.few => "Few::new()".to_owned(),
        _ if field.array => "Vec::new()".to_owned(),
        Type::Scalar(scalar) => literal(scalar.rust, field.default.as_deref()),
        Type::String(_) => "Str::default()".to_owned(),
        Type::Bytes => "Bytes::new()".to_owned(),
        Type::Records => "RecordSet::default()".to_owned(),
        Type::Struct(name) => format!("{name}::default()"),
    };
    if field.nullable.is_some() { format!("Some({value})") } else { value }
}

/// The expression that is true if the field is not at its default.
pub(super) fn differs(field: &Field) -> String {
    let name = ident(field);
    let null = field.default.as_deref() == Some("null");
    match &field.ty {
        _ if null => format!("self.{name}.is_some()"),
        Type::Struct(_) if !field.array => format!("self.{name} != {}", default(field)),
        Type::Scalar(_) if !field.array => format!("self.{name} != {}", default(field)),
        _ if field.nullable.is_some() => {
            format!("!self.{name}.as_ref().is_some_and(|value| value.is_empty())")
        }
        _ => format!("!self.{name}.is_empty()"),
    }
}

fn literal(rust: &str, default: Option<&str>) -> String {
    let number = default.and_then(integer).unwrap_or(0);
    match rust {
        "bool" => default.unwrap_or("false").to_owned(),
        "f64" => "0.0".to_owned(),
        "Uuid" | "TopicId" => format!("{rust}::ZERO"),
        "i8" | "i16" | "i32" | "i64" | "u16" | "u32" => number.to_string(),
        newtype => format!("{newtype}({number})"),
    }
}
