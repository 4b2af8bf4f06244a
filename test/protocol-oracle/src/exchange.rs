//! Messages between the two halves, over a pipe.
//!
//! ```text
//! each message:  u16 length of the name, name, i16 version, u32 length of the body, body
//! the end:       u16 0
//! ```

use std::{
    collections::BTreeSet,
    io::{BufReader, BufWriter, Read, Write},
};

use anyhow::{Context, Result, bail, ensure};
use dohle_base::Rng;
use dohle_protocol::random::{codec, codecs};

/// How many differences are printed before giving up.
const DIFFERENCES_MAX: usize = 20;

/// Random messages of every schema and version.
pub(crate) fn write(seed: u64, count: usize) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut rng = Rng::from_seed(seed);
    let mut written = 0_u64;
    for codec in codecs() {
        let schema = codec.schema;
        for version in schema.versions.first..=schema.versions.last {
            for _ in 0..count {
                let body = codec.encode_random(&mut rng, version)?;
                out.write_all(&u16::try_from(schema.name.len())?.to_be_bytes())?;
                out.write_all(schema.name.as_bytes())?;
                out.write_all(&version.to_be_bytes())?;
                out.write_all(&u32::try_from(body.len())?.to_be_bytes())?;
                out.write_all(&body)?;
                written += 1;
            }
        }
    }
    out.write_all(&0_u16.to_be_bytes())?;
    out.flush()?;
    eprintln!("wrote {written} messages for Kafka to read");
    Ok(())
}

/// Decodes and encodes what the other half wrote.
pub(crate) fn verify() -> Result<()> {
    let mut input = BufReader::new(std::io::stdin().lock());
    let mut seen = BTreeSet::new();
    let (mut read, mut different) = (0_u64, 0_usize);
    while let Some((name, version, body)) = next(&mut input)? {
        read += 1;
        let codec = codec(&name).with_context(|| format!("Kafka has {name}, we do not"))?;
        let again = codec.reencode(body.clone().into(), version);
        if !matches!(&again, Ok(Ok(again)) if *again == body) {
            different += 1;
            eprintln!("{name} {version}: Kafka wrote {}, we made {again:02x?} of it", hex(&body));
            ensure!(different < DIFFERENCES_MAX, "too many differences");
        }
        seen.insert((name, version));
    }
    for codec in codecs() {
        let versions = codec.schema.versions;
        for version in versions.first..=versions.last {
            let key = (codec.schema.name.to_owned(), version);
            ensure!(seen.contains(&key), "Kafka wrote no {} of version {version}", key.0);
        }
    }
    if different > 0 {
        bail!("{different} messages of Kafka differ");
    }
    println!("Kafka to us: {read} messages, {} schema versions, 0 different", seen.len());
    Ok(())
}

fn next(input: &mut impl Read) -> Result<Option<(String, i16, Vec<u8>)>> {
    let mut name_length = [0; 2];
    input.read_exact(&mut name_length).context("the other half stopped early")?;
    let name_length = u16::from_be_bytes(name_length);
    if name_length == 0 {
        return Ok(None);
    }
    let mut name = vec![0; usize::from(name_length)];
    input.read_exact(&mut name)?;
    let (mut version, mut length) = ([0; 2], [0; 4]);
    input.read_exact(&mut version)?;
    input.read_exact(&mut length)?;
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length))?];
    input.read_exact(&mut body)?;
    Ok(Some((String::from_utf8(name)?, i16::from_be_bytes(version), body)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
