//! Kafka's schema files: JSON with `//` comments.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// All schemas below `folder`.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Value>> {
    let mut schemas = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            schemas.extend(read_all(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path)?;
            let schema = serde_json::from_str(&without_comments(&text));
            schemas.push(schema.with_context(|| path.display().to_string())?);
        }
    }
    Ok(schemas)
}

/// Comments stand on lines of their own; inside strings `//` may be part of an address.
fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}
