//! `Part` of a struct: its least size, `read` and `write`, field by field in wire order.

use std::fmt::Write;

use super::{
    condition, ident, present, rust_type,
    structure::{default, differs},
};
use crate::model::{Field, Message, Struct, Type, Versions};

/// The implementation of `Part`.
pub(super) fn emit(out: &mut String, message: &Message, structure: &Struct) {
    let name = &structure.name;
    let _ = writeln!(out, "impl Part for {name} {{");
    let _ = writeln!(out, "    const MIN_SIZE: usize = {};", min_size(message, structure));
    out.push_str("    fn read(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {\n");
    let flexible = flexible(message, structure);
    flexible.declare(out);
    read(out, structure, &flexible);
    out.push_str(
        "    }\n    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {\n",
    );
    flexible.declare(out);
    write(out, structure, &flexible);
    out.push_str("        Ok(())\n    }\n}\n");
}

/// Whether compact forms are used, as far as it can be known when this is written.
enum Flexible {
    Never,
    Always,
    From(i16),
}

impl Flexible {
    fn declare(&self, out: &mut String) {
        if let Self::From(version) = self {
            let _ = writeln!(out, "        let flexible = version >= {version};");
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Never => "false",
            Self::Always => "true",
            Self::From(_) => "flexible",
        }
    }

    fn of(&self, field: &Field) -> &'static str {
        if field.plain { "false" } else { self.word() }
    }
}

fn flexible(message: &Message, structure: &Struct) -> Flexible {
    match message.flexible.and_then(|flexible| flexible.meet(structure.reach)) {
        None => Flexible::Never,
        Some(flexible) if flexible.first <= structure.reach.first => Flexible::Always,
        Some(flexible) => Flexible::From(flexible.first),
    }
}

fn read(out: &mut String, structure: &Struct, flexible: &Flexible) {
    for field in &structure.fields {
        let (name, ty) = (&field.name, rust_type(field));
        if field.tag.is_some() {
            let _ = writeln!(out, "        let mut f_{name}: {ty} = {};", default(field));
            continue;
        }
        let value = read_value(structure, field, flexible.of(field));
        let _ = match condition(present(structure, field), structure.reach) {
            None => writeln!(out, "        let f_{name}: {ty} = {value};"),
            Some(here) => writeln!(
                out,
                "        let f_{name}: {ty} = if {here} {{ {value} }} else {{ {} }};",
                default(field)
            ),
        };
    }
    read_tags(out, structure, flexible);
    out.push_str("        Ok(Self {\n");
    for field in &structure.fields {
        let _ = writeln!(out, "            {}: f_{},", ident(field), field.name);
    }
    out.push_str("        })\n");
}

fn read_tags(out: &mut String, structure: &Struct, flexible: &Flexible) {
    let tagged: Vec<&Field> = structure.fields.iter().filter(|field| field.tag.is_some()).collect();
    match flexible {
        Flexible::Never => return,
        Flexible::Always => {}
        Flexible::From(_) => out.push_str("        if flexible {\n"),
    }
    if tagged.is_empty() {
        out.push_str("        r.skip_tags()?;\n");
    } else {
        out.push_str("        for _ in 0..r.tag_count()? {\n            let tag = r.begin_tag()?;\n            match tag.number {\n");
        for field in tagged {
            let value = read_value(structure, field, "true");
            let guard = condition(present(structure, field), structure.reach)
                .map_or_else(String::new, |here| format!(" if {here}"));
            let number = field.tag.unwrap_or_default();
            let _ = writeln!(out, "                {number}{guard} => f_{} = {value},", field.name);
        }
        out.push_str("                _ => r.skip_tag(),\n            }\n            r.end_tag(tag)?;\n        }\n");
    }
    if matches!(flexible, Flexible::From(_)) {
        out.push_str("        }\n");
    }
}

fn read_value(structure: &Struct, field: &Field, flexible: &str) -> String {
    let here = present(structure, field);
    let plain = read_call(field, flexible, "");
    let Some(nullable) = field.nullable.and_then(|nullable| nullable.meet(here)) else {
        return plain;
    };
    let or_null = read_call(field, flexible, "_or_null");
    match condition(nullable, here) {
        None => or_null,
        Some(nullable) => format!("if {nullable} {{ {or_null} }} else {{ Some({plain}) }}"),
    }
}

fn read_call(field: &Field, flexible: &str, or_null: &str) -> String {
    match (&field.ty, field.array) {
        (Type::Scalar(_), false) => "r.get()?".to_owned(),
        (Type::Scalar(_), true) => format!("r.scalars{or_null}({flexible})?"),
        (Type::String(_), false) => format!("r.string{or_null}({flexible})?"),
        (Type::String(_), true) => format!("r.strings{or_null}({flexible})?"),
        (Type::Struct(_), false) if or_null.is_empty() => "Part::read(r, version)?".to_owned(),
        (Type::Struct(_), false) if field.tag.is_some() => {
            "r.tagged_part_or_null(version)?".to_owned()
        }
        (Type::Struct(_), false) => "r.part_or_null(version)?".to_owned(),
        (Type::Struct(_), true) if field.few => format!("r.few({flexible}, version)?"),
        (Type::Struct(_), true) => format!("r.parts{or_null}({flexible}, version)?"),
        (Type::Bytes, _) => format!("r.bytes{or_null}({flexible})?"),
        (Type::Records, _) => format!("r.records{or_null}({flexible})?"),
    }
}

fn write(out: &mut String, structure: &Struct, flexible: &Flexible) {
    for field in structure.fields.iter().filter(|field| field.tag.is_none()) {
        let value = write_value(structure, field, flexible.of(field));
        let Some(here) = condition(present(structure, field), structure.reach) else {
            let _ = writeln!(out, "        {value}");
            continue;
        };
        let _ = write!(out, "        if {here} {{ {value} }}");
        if !field.ignorable {
            let _ = write!(out, " else {}", refuse(field));
        }
        out.push('\n');
    }
    write_tags(out, structure, flexible);
}

/// The end of an `else`: a value that this version would lose silently is refused.
fn refuse(field: &Field) -> String {
    let (differs, name) = (differs(field), &field.name);
    format!(
        "if {differs} {{ return Err(EncodeError::NotInVersion {{ field: \"{name}\", version }}); }}"
    )
}

fn write_tags(out: &mut String, structure: &Struct, flexible: &Flexible) {
    let mut tagged: Vec<&Field> =
        structure.fields.iter().filter(|field| field.tag.is_some()).collect();
    tagged.sort_by_key(|field| field.tag);
    for field in &tagged {
        let (differs, number) = (differs(field), field.tag.unwrap_or_default());
        let _ = match condition(present(structure, field), structure.reach) {
            None => writeln!(out, "        let t{number} = {differs};"),
            Some(here) => {
                if !field.ignorable {
                    let _ = writeln!(
                        out,
                        "        if !({here}) {}",
                        refuse(field).replacen("if ", "&& ", 1)
                    );
                }
                writeln!(out, "        let t{number} = {here} && {differs};")
            }
        };
    }
    match flexible {
        Flexible::Never => return,
        Flexible::Always => {}
        Flexible::From(_) => out.push_str("        if flexible {\n"),
    }
    out.push_str("        w.unsigned_varint(0");
    for field in &tagged {
        let _ = write!(out, " + u32::from(t{})", field.tag.unwrap_or_default());
    }
    out.push_str(");\n");
    for field in tagged {
        let (number, value) =
            (field.tag.unwrap_or_default(), write_value(structure, field, "true"));
        let _ = writeln!(
            out,
            "        if t{number} {{ let at = w.begin_tag({number}); {value} w.end_tag(at); }}"
        );
    }
    if matches!(flexible, Flexible::From(_)) {
        out.push_str("        }\n");
    }
}

fn write_value(structure: &Struct, field: &Field, flexible: &str) -> String {
    let here = present(structure, field);
    let name = ident(field);
    let Some(nullable) = field.nullable else {
        return write_call(field, &format!("self.{name}"), flexible, "");
    };
    let view = match (&field.ty, field.array) {
        (_, true) | (Type::String(_) | Type::Bytes, _) => format!("self.{name}.as_deref()"),
        _ => format!("self.{name}.as_ref()"),
    };
    let required = format!("required({view}, \"{}\")?", field.name);
    let plain = write_call(field, &required, flexible, "");
    let Some(nullable) = nullable.meet(here) else { return plain };
    let or_null = write_call(field, &view, flexible, "_or_null");
    match condition(nullable, here) {
        None => or_null,
        Some(nullable) => format!("if {nullable} {{ {or_null} }} else {{ {plain} }}"),
    }
}

/// `value` is a place for a field that is never null, a reference or an `Option` of one otherwise.
fn write_call(field: &Field, value: &str, flexible: &str, or_null: &str) -> String {
    let reference = if field.nullable.is_some() { value.to_owned() } else { format!("&{value}") };
    match (&field.ty, field.array) {
        (Type::Scalar(_), false) => format!("w.put({value});"),
        (Type::Scalar(_), true) => format!("w.scalars{or_null}({reference}, {flexible})?;"),
        (Type::String(_), false) => format!("w.string{or_null}({reference}, {flexible})?;"),
        (Type::String(_), true) => format!("w.strings{or_null}({reference}, {flexible})?;"),
        (Type::Struct(_), false) if or_null.is_empty() => format!("{value}.write(w, version)?;"),
        (Type::Struct(_), false) if field.tag.is_some() => {
            format!("w.tagged_part_or_null({value}, version)?;")
        }
        (Type::Struct(_), false) => format!("w.part_or_null({value}, version)?;"),
        (Type::Struct(_), true) => format!("w.parts{or_null}({reference}, {flexible}, version)?;"),
        (Type::Bytes, _) => format!("w.bytes{or_null}({reference}, {flexible})?;"),
        (Type::Records, _) => format!("w.records{or_null}({reference}, {flexible})?;"),
    }
}

/// The fewest bytes that a struct takes in any of its versions: what bounds a count of them.
fn min_size(message: &Message, structure: &Struct) -> usize {
    let last = structure.reach.last.min(message.versions.last);
    (structure.reach.first..=last)
        .map(|version| size_in(message, structure, version))
        .min()
        .unwrap_or(0)
}

fn size_in(message: &Message, structure: &Struct, version: i16) -> usize {
    let flexible = message.flexible.is_some_and(|flexible| flexible.contains(version));
    let untagged = structure.fields.iter().filter(|field| field.tag.is_none());
    let fields: usize = untagged
        .filter(|field| field.versions.contains(version))
        .map(|field| field_size(message, field, version, flexible && !field.plain))
        .sum();
    fields + usize::from(flexible)
}

fn field_size(message: &Message, field: &Field, version: i16, flexible: bool) -> usize {
    let null = field.nullable.is_some_and(|versions: Versions| versions.contains(version));
    match (&field.ty, field.array) {
        (Type::String(_), false) => {
            if flexible {
                1
            } else {
                2
            }
        }
        (Type::Bytes | Type::Records, _) | (_, true) => {
            if flexible {
                1
            } else {
                4
            }
        }
        (Type::Scalar(scalar), false) => scalar.size,
        (Type::Struct(_), false) if null => 1,
        (Type::Struct(name), false) => {
            message.structure(name).map_or(0, |inner| size_in(message, inner, version))
        }
    }
}
