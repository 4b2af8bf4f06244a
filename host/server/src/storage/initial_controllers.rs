//! The voters of a new cluster as `--initial-controllers` names them:
//! `ID@HOST:PORT:DIRECTORY`, separated by commas. An IPv6 address stands in brackets.

use dohle_base::{BrokerId, Str, Uuid};
use dohle_raft::{Endpoint, Voter, VoterSet};

/// Why the text names no voters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitialControllersError {
    /// An entry has another form.
    #[error(
        "initial controller {entry:?} is not of the form ID@HOST:PORT:DIRECTORY, such as \
         1@localhost:9093:ASNFZ4mrze8QMlR2mLrc_g (random-uuid makes directory ids)"
    )]
    Malformed {
        /// The entry.
        entry: Str,
    },
    /// Two entries have one id.
    #[error("initial controller {id} is named twice")]
    Duplicate {
        /// The id.
        id: BrokerId,
    },
}

/// Reads the voters. Their endpoints belong to the listener of that name.
///
/// # Errors
/// `Malformed`, also if there is no entry at all; `Duplicate`.
pub fn parse_initial_controllers(
    text: &str,
    listener: &str,
) -> Result<VoterSet, InitialControllersError> {
    let mut voters: Vec<(BrokerId, Voter)> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let (id, voter) = parse_entry(entry, listener)
            .ok_or_else(|| InitialControllersError::Malformed { entry: entry.into() })?;
        if voters.iter().any(|(other, _)| *other == id) {
            return Err(InitialControllersError::Duplicate { id });
        }
        voters.push((id, voter));
    }
    Ok(voters.into_iter().collect())
}

fn parse_entry(entry: &str, listener: &str) -> Option<(BrokerId, Voter)> {
    let (id, rest) = entry.split_once('@')?;
    let id = id.parse().ok().filter(|id| *id >= 0).map(BrokerId)?;
    let (host, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => rest.split_once(':')?,
    };
    let (port, directory) = rest.split_once(':')?;
    let port = port.parse().ok()?;
    let directory_id = directory.parse::<Uuid>().ok().filter(|id| !id.is_reserved())?;
    let endpoint = Endpoint { listener: listener.into(), host: host.into(), port };
    let voter = Voter::of_this_software(directory_id, vec![endpoint]);
    (!host.is_empty()).then_some((id, voter))
}
