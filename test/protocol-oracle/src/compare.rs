//! Our registry against Kafka's schemas: names, kinds, keys, versions, flexible versions, listeners,
//! and of each field name, type, versions, nullability, tag, default, and whether it is ignorable.
//!
//! Ranges are compared as far as they meet the versions of the message: a field that no version has
//! need not exist here.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail, ensure};
use dohle_protocol::{FieldSchema, Kind, Schema, Versions, registry};
use serde_json::Value;

use crate::json;

/// Compares everything and prints all differences.
pub(crate) fn compare(folder: &Path) -> Result<()> {
    let ours: BTreeMap<&str, &Schema> =
        registry().iter().map(|schema| (schema.name, schema)).collect();
    ensure!(ours.len() == registry().len(), "a name twice in our registry");
    let mut comparison = Comparison::default();
    let mut theirs = 0;
    for json in json::read_all(folder)? {
        let name = text(&json, "name")?;
        if text(&json, "validVersions")? == "none" {
            continue;
        }
        theirs += 1;
        match ours.get(name) {
            Some(schema) => comparison.schema(schema, &json).with_context(|| name.to_owned())?,
            None => comparison.differ(format!("{name}: not in our registry")),
        }
    }
    if theirs != ours.len() {
        comparison.differ(format!("we have {} schemas, Kafka {theirs}", ours.len()));
    }
    for difference in &comparison.differences {
        eprintln!("{difference}");
    }
    if !comparison.differences.is_empty() {
        bail!("{} differences", comparison.differences.len());
    }
    println!("schemas: {theirs} compared, {} fields, 0 different", comparison.fields);
    Ok(())
}

#[derive(Default)]
struct Comparison {
    fields: usize,
    differences: Vec<String>,
}

impl Comparison {
    fn differ(&mut self, difference: String) {
        self.differences.push(difference);
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, at: &str, what: &str, ours: T, theirs: T) {
        if ours != theirs {
            self.differ(format!("{at}: {what}: ours {ours:?}, Kafka's {theirs:?}"));
        }
    }

    fn schema(&mut self, ours: &Schema, json: &Value) -> Result<()> {
        let at = ours.name;
        let kind = match text(json, "type")? {
            "request" => Kind::Request,
            "response" => Kind::Response,
            "header" => Kind::Header,
            "data" => Kind::Data,
            "metadata" => Kind::Record,
            "coordinator-key" => Kind::Key,
            "coordinator-value" => Kind::Value,
            other => bail!("unknown type {other}"),
        };
        self.same(at, "kind", ours.kind, kind);
        let valid = versions(json, "validVersions")?.context("valid versions")?;
        self.same(at, "versions", ours.versions, valid);
        let flexible = versions(json, "flexibleVersions")?;
        self.same(at, "flexible versions", ours.flexible, flexible);
        if kind != Kind::Response {
            let key = json["apiKey"].as_i64().map(i16::try_from).transpose()?;
            self.same(at, "key", ours.key, key);
        }
        let listeners = json["listeners"].as_array();
        let on = |name: &str| listeners.is_some_and(|all| all.iter().any(|one| one == name));
        self.same(at, "on brokers", ours.on_broker, on("broker"));
        self.same(at, "on controllers", ours.on_controller, on("controller"));
        let unstable = json["latestVersionUnstable"].as_bool().unwrap_or(false);
        self.same(at, "latest unstable", ours.latest_unstable, unstable);
        self.fields(at, ours.fields, &json["fields"], json, valid)
    }

    fn fields(
        &mut self,
        at: &str,
        ours: &[FieldSchema],
        theirs: &Value,
        message: &Value,
        valid: Versions,
    ) -> Result<()> {
        let theirs = theirs.as_array().context("fields")?;
        let mut present = Vec::new();
        for field in theirs {
            let declared = versions(field, "versions")?;
            let declared = match declared {
                Some(declared) => Some(declared),
                None => versions(field, "taggedVersions")?,
            };
            if let Some(versions) = declared.and_then(|declared| meet(declared, valid)) {
                present.push((field, versions));
            }
        }
        self.same(at, "number of fields", ours.len(), present.len());
        for (ours, (theirs, versions)) in ours.iter().zip(present) {
            self.fields += 1;
            self.field(&format!("{at}.{}", ours.name), ours, theirs, versions, message, valid)?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        at: &str,
        ours: &FieldSchema,
        theirs: &Value,
        present: Versions,
        message: &Value,
        valid: Versions,
    ) -> Result<()> {
        self.same(at, "name", ours.name, text(theirs, "name")?);
        let ty = text(theirs, "type")?;
        self.same(at, "type", ours.type_name, ty);
        self.same(at, "versions", meet(ours.versions, valid), Some(present));
        let nullable = versions(theirs, "nullableVersions")?.and_then(|range| meet(range, present));
        let our_nullable = ours.nullable.and_then(|range| meet(range, present));
        self.same(at, "nullable versions", our_nullable, nullable);
        let tag = theirs["tag"].as_u64().map(u32::try_from).transpose()?;
        self.same(at, "tag", ours.tag, tag);
        let tagged = versions(theirs, "taggedVersions")?.and_then(|range| meet(range, valid));
        self.same(at, "tagged versions", ours.tag.map(|_| present), tagged);
        self.same(at, "default", normal(ours.default, ty), normal(default(theirs).as_deref(), ty));
        let ignorable = theirs["ignorable"].as_bool().unwrap_or(false);
        self.same(at, "ignorable", ours.ignorable, ignorable);
        self.same(at, "plain", ours.plain, theirs["flexibleVersions"] == "none");
        if let Some(entity) = theirs["entityType"].as_str() {
            self.same(at, "entity", Some(ours.domain), domain(entity));
        }
        let element = ty.trim_start_matches("[]");
        if element.starts_with(|first: char| first.is_ascii_uppercase()) {
            let inner = struct_fields(theirs, message, element).context("a struct's fields")?;
            self.fields(at, ours.fields, inner, message, valid)?;
        }
        Ok(())
    }
}

/// The fields of a struct: written at the field itself, or shared by the message.
fn struct_fields<'a>(field: &'a Value, message: &'a Value, name: &str) -> Option<&'a Value> {
    if field["fields"].as_array().is_some_and(|fields| !fields.is_empty()) {
        return Some(&field["fields"]);
    }
    let shared = message["commonStructs"].as_array()?;
    Some(&shared.iter().find(|shared| shared["name"] == name)?["fields"])
}

fn text<'a>(json: &'a Value, key: &str) -> Result<&'a str> {
    json[key].as_str().with_context(|| format!("no {key}"))
}

fn default(field: &Value) -> Option<String> {
    match &field["default"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Defaults in one spelling: what is the default of a default is none.
fn normal(default: Option<&str>, ty: &str) -> Option<String> {
    let default = default?;
    if default == "null" || ty == "string" {
        return Some(default.to_owned()).filter(|default| !default.is_empty());
    }
    let number = match default.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => default.parse().ok(),
    };
    match number {
        Some(0) => None,
        Some(number) => Some(number.to_string()),
        None => Some(default.to_owned()).filter(|default| default != "false"),
    }
}

fn domain(entity: &str) -> Option<&'static str> {
    Some(match entity {
        "brokerId" => "broker_id",
        "producerId" => "producer_id",
        "topicName" => "topic_name",
        "groupId" => "group_id",
        "transactionalId" => "transactional_id",
        _ => return None,
    })
}

fn versions(json: &Value, key: &str) -> Result<Option<Versions>> {
    let Some(text) = json[key].as_str().filter(|text| *text != "none") else { return Ok(None) };
    let range = if let Some(first) = text.strip_suffix('+') {
        Versions { first: first.parse()?, last: i16::MAX }
    } else if let Some((first, last)) = text.split_once('-') {
        Versions { first: first.parse()?, last: last.parse()? }
    } else {
        Versions { first: text.parse()?, last: text.parse()? }
    };
    Ok(Some(range))
}

fn meet(a: Versions, b: Versions) -> Option<Versions> {
    let both = Versions { first: a.first.max(b.first), last: a.last.min(b.last) };
    (both.first <= both.last).then_some(both)
}
