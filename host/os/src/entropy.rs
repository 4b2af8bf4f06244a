//! Randomness from the operating system.

use std::{fs::File, io::Read, path::Path};

use dohle_base::Rng;
use dohle_log::{IoError, disk::Operation};

/// Where the system gives it.
const SOURCE: &str = "/dev/urandom";

/// Bytes that nobody can foretell: fit for secrets.
///
/// # Errors
/// The system has no source of randomness.
pub fn random<const N: usize>() -> Result<[u8; N], IoError> {
    let mut bytes = [0; N];
    let read = File::open(SOURCE).and_then(|mut source| source.read_exact(&mut bytes));
    read.map_err(|error| IoError::new(Operation::Read, Path::new(SOURCE), &error))?;
    Ok(bytes)
}

/// A number that nobody can foretell.
///
/// # Errors
/// The system has no source of randomness.
pub fn seed() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    File::open(SOURCE)?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// A source of randomness that nobody can foretell at first; for ids and jitter, not for secrets.
///
/// # Errors
/// As `seed`.
pub fn seeded_rng() -> std::io::Result<Rng> {
    seed().map(Rng::from_seed)
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_differ() {
        assert_ne!(super::seed().unwrap(), super::seed().unwrap());
    }
}
