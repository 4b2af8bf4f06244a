//! Our half of the comparison with Kafka's own classes; `run` puts both halves together.
//!
//! * `compare DIR`: our registry against the JSON schemas unpacked there, field by field.
//! * `write SEED COUNT`: COUNT random messages of every schema and version to standard output.
//! * `verify`: what Kafka wrote, from standard input: decoded and encoded, it must be the same.
//!
//! Every command ends with one line of counts, and fails on the first kind of difference at least
//! once: a run that compared nothing is a failure too.

mod compare;
mod exchange;
mod json;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["compare", folder] => compare::compare(folder.as_ref()),
        ["write", seed, count] => exchange::write(seed.parse()?, count.parse()?),
        ["verify"] => exchange::verify(),
        _ => bail!("usage: compare DIR | write SEED COUNT | verify"),
    }
}
