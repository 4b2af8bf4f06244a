//! The reference page of all configuration keys, made from the table.

use std::fmt::Write;

use crate::key::{ConfigKey, DefaultValue, Effect, Scope, Synonym, Visibility};
use crate::keys::{BROKER, CLIENT_METRICS, GROUP, QUOTA, TOPIC, Table};
use crate::valid::Valid;

/// The page `docs/reference/configuration.md`.
pub fn reference_page() -> String {
    let mut page = String::from(INTRODUCTION);
    for (title, text, table) in [
        ("Brokers and controllers", BROKERS, &*BROKER),
        ("Topics", TOPICS, &*TOPIC),
        ("Groups", GROUPS, &*GROUP),
        ("Client metrics", METRICS, &*CLIENT_METRICS),
        ("Users, client ids and addresses", QUOTAS, &*QUOTA),
    ] {
        section(&mut page, title, text, table);
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the tables in core/config/src/keys; `UPDATE=1 cargo test -p dohle-config` writes it. -->

Dohle reads the `server.properties` of Apache Kafka 4.4: the same keys, defaults and ranges. A key
that is marked with ○ is read, checked and described to clients like any other, but nothing acts
on it yet. Keys that Kafka does not list either, because they are for tests, are marked *internal*.
Keys that begin with `dohle.` are Dohle's own, under a heading of their own; clients see them where
they are set or asked for by name.
A key that is not here is reported at start, with the nearest that is, and otherwise left alone.

A value counts in this order: set for the broker while running, set for all brokers while running,
the file, the default. Topics and groups come before all of these with settings of their own.

A value may stand elsewhere: `${env:NAME}`, `${file:/path:key}` and `${dir:/path:file}` are
replaced if `config.providers` lists the provider and `config.providers.NAME.class` gives its
class, one of `EnvVarConfigProvider`, `FileConfigProvider` and `DirectoryConfigProvider` of
`org.apache.kafka.common.config.provider`. Dohle does not start when a value is not found.

Keys of connections can be set for one listener, with the prefix `listener.name.LISTENER.` and the
listener in lower case; keys of SASL also for one mechanism, `listener.name.LISTENER.MECHANISM.`.
";

const BROKERS: &str = "\
*Changes* says whether a key can be set while the broker runs: for one *broker* at a time, for the
whole *cluster*, or not at all.
";

const TOPICS: &str = "\
Each can be set when a topic is made and changed at any time. A topic that does not set a key takes
the first of its broker keys that has a value.
";

const GROUPS: &str = "\
Each can be changed at any time, also before the group exists. A group that does not set a key
takes the broker's.
";

const METRICS: &str = "Each is set for a subscription, whose name is the name of the resource.\n";

const QUOTAS: &str = "\
The first four are set for a user, a client id or both; the fifth for an address; credentials for
a user.
";

fn section(page: &mut String, title: &str, text: &str, table: &Table) {
    let changes = table.iter().any(|key| key.scope != Scope::Resource);
    let inherits = !changes && table.iter().any(|key| !key.synonyms.is_empty());
    line(page, format_args!("\n## {title}\n\n{text}"));
    for family in table.families() {
        if table.families().len() > 1 {
            line(page, format_args!("### {}\n", family.title));
        }
        let last = if changes {
            "Changes |"
        } else if inherits {
            "Broker keys |"
        } else {
            ""
        };
        let space = if last.is_empty() { "" } else { " " };
        line(page, format_args!("| Key | What it is | Type | Default | Values |{space}{last}"));
        let columns = if last.is_empty() { 5 } else { 6 };
        line(page, format_args!("|{}", "---|".repeat(columns)));
        for key in family.keys {
            let last = if changes {
                format!(" {} |", changed(key))
            } else if inherits {
                format!(" {} |", synonyms(key.synonyms))
            } else {
                String::new()
            };
            row(page, key, &last);
        }
        page.push('\n');
    }
    // One line between sections is enough.
    page.pop();
}

fn row(page: &mut String, key: &ConfigKey, last: &str) {
    let idle = if key.effect == Effect::Accepted { " ○" } else { "" };
    let internal = if key.visibility == Visibility::Internal { " *internal*" } else { "" };
    line(
        page,
        format_args!(
            "| `{}`{idle}{internal} | {} | {} | {} | {} |{last}",
            key.name,
            key.doc(),
            key.kind.name().to_lowercase(),
            default(key),
            values(&key.valid),
        ),
    );
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("writing to a string does not fail");
}

fn changed(key: &ConfigKey) -> &'static str {
    match (key.scope, key.visibility) {
        (_, Visibility::DynamicOnly) => "cluster, only so",
        (Scope::PerBroker, _) => "broker",
        (Scope::ClusterWide, _) => "cluster",
        (Scope::ReadOnly | Scope::Resource, _) => "",
    }
}

fn synonyms(synonyms: &[Synonym]) -> String {
    let names: Vec<String> = synonyms.iter().map(|s| format!("`{}`", s.name)).collect();
    names.join(", ")
}

fn default(key: &ConfigKey) -> String {
    let Some(value) = key.default.value() else {
        return match key.default {
            DefaultValue::Required => "*required*".into(),
            _ => String::new(),
        };
    };
    match key.default {
        DefaultValue::Int(i32::MAX) | DefaultValue::Long(i64::MAX) => "no limit".into(),
        // Kafka takes the largest INT for the rates that are doubles.
        DefaultValue::Double(2_147_483_647.0 | f64::MAX) => "no limit".into(),
        DefaultValue::Int(i) => format!("`{i}`{}", in_units(key.name, i.into())),
        DefaultValue::Long(i) => format!("`{i}`{}", in_units(key.name, i)),
        _ => match value.to_text() {
            text if text.is_empty() => "empty".into(),
            text => format!("`{text}`"),
        },
    }
}

/// A number in the largest unit that it is a whole multiple of, such as ` (7 d)`.
fn in_units(name: &str, number: i64) -> String {
    let is_size = name.split('.').any(|part| part == "bytes") || name.ends_with("buffer.size");
    let units: &[(i64, &str)] = if is_size {
        &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
    } else if name.ends_with(".ms") {
        &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")]
    } else {
        &[]
    };
    match units.iter().find(|(size, _)| number >= *size && number % size == 0) {
        Some((size, unit)) => format!(" ({} {unit})", number / size),
        None => String::new(),
    }
}

fn values(valid: &Valid) -> String {
    match valid {
        Valid::Any | Valid::NonNull => String::new(),
        Valid::AtLeast(min) => format!("≥ {min}"),
        Valid::Between(min, max) => format!("{min} to {max}"),
        Valid::BetweenOr(min, max, or) => format!("{min} to {max}, or {or}"),
        Valid::Share(min, max) => format!("{min} to {max}"),
        Valid::NonEmpty => "not empty".into(),
        Valid::OneOf(names) | Valid::OneOfAnyCase(names) => quoted(names),
        Valid::List { of: [], empty: true, .. } => String::new(),
        Valid::List { of: [], empty: false, .. } => "not empty".into(),
        Valid::List { of, empty: true, .. } => format!("any of {}", quoted(of)),
        Valid::List { of, empty: false, .. } => format!("some of {}", quoted(of)),
        Valid::Addresses => "`HOST:PORT`".into(),
        Valid::Voters => "`ID@HOST:PORT`".into(),
        Valid::ThrottledReplicas => "`*`, or `PARTITION:BROKER`".into(),
        Valid::ShareGroupStart => "`latest`, `earliest`, `by_duration:PnDTnHnMn.nS`".into(),
    }
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
