//! Which run of the machine this is.

use std::{fs, path::Path};

use dohle_log::{IoError, disk::Operation};

/// Where Linux tells it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A number that is another after each start of the machine, and the same until then.
///
/// # Errors
/// The system does not tell.
pub fn boot_id() -> Result<u128, IoError> {
    let path = Path::new(BOOT_ID);
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| IoError::new(Operation::Read, path, &error))?;
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    let malformed = || IoError::of_kind(Operation::Read, path, std::io::ErrorKind::InvalidData);
    u128::from_str_radix(&digits, 16).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same() {
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }
}
