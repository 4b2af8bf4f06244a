//! Randomness from the operating system.

use std::{fs::File, io::Read};

use dohle_base::Rng;

/// A number that nobody can foretell.
///
/// # Errors
/// The system has no source of randomness.
pub fn seed() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
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
