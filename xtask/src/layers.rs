//! The layer check: a crate may use only crates of lower layers.
//!
//! The table is the one in docs/adr/0001-three-folders.md. What a crate does not depend on it cannot
//! call, so this is all it takes to keep the cores pure and the apps behind the client.

use std::process::Command;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

/// The crates of the house, layer by layer, lowest first. Those of one layer do not see each other.
const LAYERS: &[&[&str]] = &[
    &["base", "schema"],
    &["protocol", "records", "config"],
    &["log", "raft", "machine"],
    &["metadata", "group", "replication"],
    &["controller", "client-core"],
    &["os", "metrics"],
    &["net"],
    &["client", "broker"],
    &["server"],
    &["cli"],
];

/// Uses that go sideways on purpose, with the reason.
const SIDEWAYS: &[(&str, &str, &str)] = &[];

/// Crates of the core must not pull in a runtime, a socket or an operating system interface.
const NOT_IN_CORE: &[&str] = &["tokio", "rustix", "libc", "mio", "socket2", "tracing-subscriber"];

const CORE_LAYERS_END: usize = 5;

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// Fails with every use that goes up or sideways.
pub(crate) fn check() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("cargo metadata")?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata's JSON")?;
    let packages = metadata["packages"].as_array().context("packages")?;

    let mut complaints = Vec::new();
    for package in packages {
        let full_name = package["name"].as_str().context("a package's name")?;
        let Some(name) = full_name.strip_prefix("dohle-") else { continue };
        let path = package["manifest_path"].as_str().context("a package's path")?;
        if path.contains("/test/") {
            continue; // Tests may use everything.
        }
        let Some(layer) = layer_of(name) else {
            complaints.push(format!("{full_name} stands in no layer"));
            continue;
        };
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            if dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            let used = dependency["name"].as_str().context("a dependency's name")?;
            if layer < CORE_LAYERS_END && NOT_IN_CORE.contains(&used) {
                complaints.push(format!("{full_name} is core and uses {used}"));
            }
            let Some(used) = used.strip_prefix("dohle-") else { continue };
            let below = layer_of(used).is_some_and(|used_layer| used_layer < layer);
            if !below && !SIDEWAYS.iter().any(|(a, b, _)| (*a, *b) == (name, used)) {
                complaints.push(format!("{full_name} uses dohle-{used}, which is not below it"));
            }
        }
    }
    if !complaints.is_empty() {
        return Err(anyhow!(complaints.join("\n")).context("the layers are broken"));
    }
    println!("layers: {} crates, each uses only what is below it", packages.len());
    Ok(())
}
