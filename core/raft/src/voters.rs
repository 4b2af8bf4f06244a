//! The set of replicas that vote, from control records or from `controller.quorum.voters`.
//!
//! Invariant: ids are distinct, and sets are walked in the order of their ids.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, Str, Uuid};
use dohle_protocol::records::raft::voters_record::{
    Endpoint as EndpointRecord, KRaftVersionFeature, Voter as VoterRecord, VotersRecord,
};

use crate::{Endpoint, ReplicaKey};

/// The highest kraft.version that is understood: 1 keeps the voters in the log. Source: KIP-853.
pub const KRAFT_VERSION_MAX: i16 = 1;

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// The directory of its replica; zero if unknown, as for all static voters.
    pub directory_id: Uuid,
    /// Where it listens, in the order in which it named its listeners.
    pub endpoints: Vec<Endpoint>,
    /// The lowest kraft.version that it supports.
    pub kraft_version_min: i16,
    /// The highest kraft.version that it supports, inclusive.
    pub kraft_version_max: i16,
}

/// All voters, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterSet {
    voters: BTreeMap<BrokerId, Voter>,
}

/// Why the text of `controller.quorum.voters` is not a voter set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaticVotersError {
    /// An entry is not `id@host:port`.
    #[error("{entry:?} is not of the form id@host:port")]
    Malformed {
        /// The entry.
        entry: String,
    },
    /// Two entries have the same id.
    #[error("voter {id} appears twice")]
    Duplicate {
        /// The id.
        id: BrokerId,
    },
}

impl Voter {
    /// A voter that runs this software.
    pub fn of_this_software(directory_id: Uuid, endpoints: Vec<Endpoint>) -> Self {
        Self { directory_id, endpoints, kraft_version_min: 0, kraft_version_max: KRAFT_VERSION_MAX }
    }
}

impl FromIterator<(BrokerId, Voter)> for VoterSet {
    fn from_iter<I: IntoIterator<Item = (BrokerId, Voter)>>(voters: I) -> Self {
        Self { voters: voters.into_iter().collect() }
    }
}

impl VoterSet {
    /// Reads `controller.quorum.voters`: `id@host:port` entries separated by commas. The directory
    /// ids of static voters are unknown, and the endpoints belong to `listener`.
    ///
    /// # Errors
    /// `Malformed`, `Duplicate`.
    pub fn from_static(text: &str, listener: &str) -> Result<Self, StaticVotersError> {
        let mut voters = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, endpoint) = parse_entry(entry, listener)
                .ok_or_else(|| StaticVotersError::Malformed { entry: entry.into() })?;
            let voter = Voter {
                directory_id: Uuid::ZERO,
                endpoints: vec![endpoint],
                kraft_version_min: 0,
                kraft_version_max: 0,
            };
            if voters.insert(id, voter).is_some() {
                return Err(StaticVotersError::Duplicate { id });
            }
        }
        Ok(Self { voters })
    }

    /// The voters of a control record.
    pub fn from_record(record: &VotersRecord) -> Self {
        let voters = record.voters.iter().map(|voter| {
            let endpoints = voter.endpoints.iter().map(|endpoint| Endpoint {
                listener: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
            });
            let range = &voter.kraft_version_feature;
            let value = Voter {
                directory_id: voter.voter_directory_id,
                endpoints: endpoints.collect(),
                kraft_version_min: range.min_supported_version,
                kraft_version_max: range.max_supported_version,
            };
            (voter.voter_id, value)
        });
        voters.collect()
    }

    /// The control record that says the same.
    pub fn to_record(&self) -> VotersRecord {
        let voters = self.voters.iter().map(|(id, voter)| VoterRecord {
            voter_id: *id,
            voter_directory_id: voter.directory_id,
            endpoints: voter.endpoints.iter().map(endpoint_record).collect(),
            kraft_version_feature: KRaftVersionFeature {
                min_supported_version: voter.kraft_version_min,
                max_supported_version: voter.kraft_version_max,
            },
        });
        VotersRecord { version: 0, voters: voters.collect() }
    }

    /// How many voters there are.
    pub fn len(&self) -> usize {
        self.voters.len()
    }

    /// Whether nobody votes.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// The voters, by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = (BrokerId, &Voter)> {
        self.voters.iter().map(|(id, voter)| (*id, voter))
    }

    /// The voter with this id.
    pub fn voter(&self, id: BrokerId) -> Option<&Voter> {
        self.voters.get(&id)
    }

    /// Whether this very replica votes: an entry without a directory id speaks for any directory.
    pub fn contains(&self, replica: &ReplicaKey) -> bool {
        self.voters.get(&replica.id).is_some_and(|voter| {
            voter.directory_id == Uuid::ZERO || Some(voter.directory_id) == replica.directory_id
        })
    }

    /// How many voters decide: more than half.
    pub fn majority(&self) -> usize {
        self.len() / 2 + 1
    }

    /// The set with one voter put in the place of what was known of it.
    #[must_use]
    pub fn with(&self, id: BrokerId, voter: Voter) -> Self {
        let mut voters = self.voters.clone();
        voters.insert(id, voter);
        Self { voters }
    }
}

fn parse_entry(entry: &str, listener: &str) -> Option<(BrokerId, Endpoint)> {
    let (id, address) = entry.split_once('@')?;
    let (host, port) = address.rsplit_once(':')?;
    let id = id.parse::<i32>().ok().filter(|id| *id >= 0)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok()?;
    let endpoint = Endpoint { listener: Str::from(listener), host: Str::from(host), port };
    (!host.is_empty()).then_some((BrokerId(id), endpoint))
}

fn endpoint_record(endpoint: &Endpoint) -> EndpointRecord {
    EndpointRecord {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    }
}

#[cfg(test)]
mod tests;
