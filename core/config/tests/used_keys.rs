//! Goal: a key that the reference page shows as acted on is acted on.
//!
//! Method: the sources of all other crates, tests apart, are searched for who reads. Each field of [`BrokerConfig`]
//! is read somewhere as a field of a value that is one; each key that it is made from is marked as used; and each
//! key that is marked is one of those, or is read by its name, or is the broker's value of a topic's key that is
//! marked. What is of the first only is read at the start, and a key that can be set later says so.
//!
//! [`BrokerConfig`]: dohle_config::BrokerConfig

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use dohle_config::{
    ConfigKey, Effect, Scope,
    keys::{BROKER, TOPIC},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const TYPED: &str = include_str!("../src/broker.rs");
const LISTENERS: &str = include_str!("../src/broker/listeners.rs");

/// Read by the crate itself.
const BY_CONFIG: &[&str] = &["config.providers"];

/// Made into a value only to be checked.
const CHECKED: &[&str] = &["max.connections.per.ip.overrides"];

/// The sources of the other crates, without tests.
fn readers() -> Vec<String> {
    fn collect(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).expect("a directory of the repository") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            match name {
                "tests" | "tests.rs" | "kit" | "kit.rs" | "config" => {}
                _ if path.is_dir() => collect(&path, found),
                _ if name.ends_with(".rs") => found.push(fs::read_to_string(&path).expect("text")),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    ["core", "host"].iter().for_each(|part| collect(&Path::new(ROOT).join(part), &mut found));
    found
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The text before each place where `word` stands by itself.
fn before<'a>(source: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    source.match_indices(word).filter_map(move |(at, _)| {
        let (before, behind) = (&source[..at], &source[at + word.len()..]);
        let stands = !before.ends_with(is_of_word) && !behind.starts_with(is_of_word);
        stands.then_some((before, behind))
    })
}

fn last_word(text: &str) -> &str {
    let rest = text.trim_end().trim_end_matches(is_of_word);
    &text.trim_end()[rest.len()..]
}

/// What values of a type are called in a source, beside `field`: `name: Type` or `name: &Type`, also where the
/// type is imported under another name.
fn names<'a>(source: &'a str, kind: &'a str, field: &'a str) -> BTreeSet<&'a str> {
    let alias = before(source, kind).find_map(|(_, behind)| {
        let alias = behind.strip_prefix(" as ")?;
        alias.split(|c| !is_of_word(c)).next()
    });
    let kinds = [kind].into_iter().chain(alias);
    let bound = kinds.flat_map(|kind| before(source, kind)).filter_map(|(before, _)| {
        let before = before.trim_end_matches('&').trim_end().strip_suffix(':')?;
        Some(last_word(before)).filter(|name| !name.is_empty())
    });
    bound.chain([field]).collect()
}

/// Whether a source reads `.field` of one of these.
fn reads(source: &str, values: &BTreeSet<&str>, field: &str) -> bool {
    before(source, field).any(|(before, behind)| {
        let value = before.trim_end().strip_suffix('.');
        !behind.starts_with('(') && value.is_some_and(|value| values.contains(last_word(value)))
    })
}

/// The public fields of each structure, with their types.
fn structures() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
    let parts = [TYPED, LISTENERS].into_iter().flat_map(|text| text.split("pub struct ").skip(1));
    let structures = parts.map(|part| {
        let (name, rest) = part.split_once(" {\n").expect("a structure with fields");
        let (body, _) = rest.split_once("\n}").expect("its end");
        let fields = body.lines().filter_map(|line| line.strip_prefix("    pub "));
        let field = |line: &'static str| line.trim_end_matches(',').split_once(": ");
        (name, fields.filter_map(field).collect())
    });
    structures.collect()
}

/// Whether a node's settings are asked for this key by its name.
fn asks(readers: &[String], name: &str) -> bool {
    let kinds = ["int", "long", "boolean", "text", "list"];
    let calls = kinds.map(|kind| format!(".{kind}(\"{name}\")"));
    readers.iter().any(|source| calls.iter().any(|call| source.contains(call)))
}

/// The broker's values of topics' keys that are marked.
fn used_by_topics() -> BTreeSet<&'static str> {
    let used = TOPIC.iter().filter(|key| key.effect == Effect::Used);
    used.flat_map(|key| key.synonyms.iter().map(|synonym| synonym.name)).collect()
}

#[test]
fn somebody_reads_each_field_of_the_configuration() {
    let (readers, structures) = (readers(), structures());
    let mut unread = BTreeSet::new();
    for (group, kind) in &structures["BrokerConfig"] {
        let (called, kind, fields) = match structures.get(kind) {
            Some(fields) => (*group, *kind, fields.clone()),
            None => ("config", "BrokerConfig", vec![(*group, *kind)]),
        };
        for (field, _) in fields {
            let is_read = |source: &String| {
                source.contains(field) && reads(source, &names(source, kind, called), field)
            };
            if !readers.iter().any(is_read) {
                unread.insert(format!("{called}.{field}"));
            }
        }
    }
    assert!(unread.is_empty(), "nobody reads {unread:#?}");
}

#[test]
fn a_key_is_marked_as_used_where_it_is_read_and_only_there() {
    let readers = readers();
    let is_used = |name: &str| BROKER.get(name).is_some_and(|key| key.effect == Effect::Used);
    let typed: BTreeSet<&str> = BROKER
        .iter()
        .map(|key| key.name)
        .filter(|name| TYPED.contains(&format!("\"{name}\"")) && !CHECKED.contains(name))
        .collect();
    let unmarked: Vec<_> = typed.iter().filter(|name| !is_used(name)).collect();
    assert!(unmarked.is_empty(), "not marked, but made into fields: {unmarked:#?}");

    let named = |name: &str| {
        let literal = format!("\"{name}\"");
        readers.iter().filter(|source| source.contains(&literal)).count() > 0
    };
    let of_topics = used_by_topics();
    for key in BROKER.iter() {
        let name = key.name;
        let is_read = typed.contains(name)
            || LISTENERS.contains(&format!("\"{name}\""))
            || BY_CONFIG.contains(&name)
            || of_topics.contains(name)
            || named(name);
        assert!(is_read || !is_used(name), "{name} is marked as used, and nobody reads it");
        assert!(is_used(name) || !asks(&readers, name), "{name} is read, and not marked as used");
    }
}

/// What the page says of keys that nobody looks at again.
const AT_START: &str = "what is set while it runs has no effect";

/// A node's settings become a [`BrokerConfig`] once, whatever is set later.
///
/// [`BrokerConfig`]: dohle_config::BrokerConfig
#[test]
fn what_is_set_of_a_key_and_not_looked_at_again_has_no_effect_and_the_page_says_so() {
    let readers = readers();
    let of_topics = used_by_topics();
    let says_wrong = |key: &&ConfigKey| {
        let literal = format!("\"{}\"", key.name);
        let is_made_into_field = TYPED.contains(&literal)
            || LISTENERS.contains(&literal)
            || BY_CONFIG.contains(&key.name);
        let is_for_start =
            is_made_into_field && !asks(&readers, key.name) && !of_topics.contains(key.name);
        is_for_start != key.doc().contains(AT_START)
    };
    let can_be_set =
        BROKER.iter().filter(|key| key.effect == Effect::Used && key.scope != Scope::ReadOnly);
    let wrong: Vec<_> = can_be_set.filter(says_wrong).map(|key| key.name).collect();
    assert!(wrong.is_empty(), "it is the other way round with {wrong:#?}");
}
