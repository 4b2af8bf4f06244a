//! Turns `schema/**/*.kmsg` into Rust in `OUT_DIR`. All thinking is in `core/schema`.

use std::{error::Error, fs, path::Path};

use dohle_schema::Source;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=schema");
    let mut sources = Vec::new();
    collect(Path::new("schema"), "", &mut sources)?;
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    let output = dohle_schema::generate(&sources)?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    for (name, text) in [
        ("api.rs", output.api),
        ("records.rs", output.records),
        ("api_keys.rs", output.api_keys),
        ("registry.rs", output.registry),
        ("random.rs", output.random),
    ] {
        fs::write(Path::new(&out).join(name), text)?;
    }
    Ok(())
}

fn collect(folder: &Path, prefix: &str, sources: &mut Vec<Source>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| "a file name that is not UTF-8")?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), sources)?;
        } else if name.ends_with(".kmsg") {
            let text = fs::read_to_string(entry.path())?;
            sources.push(Source { path: format!("{prefix}{name}"), text });
        }
    }
    Ok(())
}
