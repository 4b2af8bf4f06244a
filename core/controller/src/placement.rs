//! Where the replicas of new partitions go.
//!
//! Partition by partition the leader moves on to the next rack, and within a rack to the next
//! broker; the other replicas follow rack by rack. So leaders and replicas spread evenly, and the
//! replicas of one partition over as many racks as there are. Where the rotation begins is random.
//! A leader must be unfenced; fenced brokers hold other replicas only where no unfenced one of the
//! rack is left. Source: interop C.4.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, Rng, Str};

/// A broker that can hold replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableBroker {
    /// The broker.
    pub id: BrokerId,
    /// Its rack.
    pub rack: Option<Str>,
    /// Whether it can hold a replica but not lead.
    pub fenced: bool,
}

/// Why replicas cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// More replicas than brokers.
    #[error("the replication factor is {wanted}, but only {usable} broker(s) are registered")]
    TooFewBrokers {
        /// The replication factor.
        wanted: usize,
        /// The brokers.
        usable: usize,
    },
    /// Nobody can lead.
    #[error("all brokers are fenced")]
    AllFenced,
}

/// The brokers of one rack, each list rotated to a random start.
#[derive(Debug, Default)]
struct Rack {
    unfenced: Vec<BrokerId>,
    fenced: Vec<BrokerId>,
}

/// Places `count` partitions with `replication_factor` replicas each.
///
/// # Errors
/// `TooFewBrokers`, `AllFenced`.
pub fn place(
    brokers: &[UsableBroker],
    count: usize,
    replication_factor: usize,
    rng: &mut Rng,
) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    if replication_factor > brokers.len() {
        let (wanted, usable) = (replication_factor, brokers.len());
        return Err(PlacementError::TooFewBrokers { wanted, usable });
    }
    if brokers.iter().all(|broker| broker.fenced) {
        return Err(PlacementError::AllFenced);
    }
    let racks = racks(brokers, rng);
    Ok((0..count).map(|partition| place_one(&racks, partition, replication_factor)).collect())
}

fn racks(brokers: &[UsableBroker], rng: &mut Rng) -> Vec<Rack> {
    let mut by_name: BTreeMap<&Option<Str>, Rack> = BTreeMap::new();
    for broker in brokers {
        let rack = by_name.entry(&broker.rack).or_default();
        if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced }.push(broker.id);
    }
    let mut racks: Vec<Rack> = by_name.into_values().collect();
    for rack in &mut racks {
        rotate(&mut rack.unfenced, rng);
        rotate(&mut rack.fenced, rng);
    }
    rotate(&mut racks, rng);
    racks
}

fn rotate<T>(list: &mut [T], rng: &mut Rng) {
    let start = rng.below(list.len() as u64);
    // Below the length, which is a usize.
    list.rotate_left(start as usize);
}

fn place_one(racks: &[Rack], partition: usize, replication_factor: usize) -> Vec<BrokerId> {
    let round = partition / racks.len();
    let in_order = |at: usize| &racks[(partition + at) % racks.len()];
    let leading = (0..racks.len()).find(|at| !in_order(*at).unfenced.is_empty());
    let leading = leading.expect("some broker is unfenced");
    // Each rack's brokers in the order of this partition, and the racks from the leader's on.
    let mut queues: Vec<_> =
        (0..racks.len()).map(|at| in_order(leading + at).from(round)).collect();
    let mut replicas = Vec::with_capacity(replication_factor);
    while replicas.len() < replication_factor {
        for queue in &mut queues {
            if replicas.len() < replication_factor {
                replicas.extend(queue.next());
            }
        }
    }
    replicas
}

impl Rack {
    /// All its brokers, unfenced ones first, each kind beginning at a place that moves by rounds.
    fn from(&self, round: usize) -> impl Iterator<Item = BrokerId> {
        let cycle = move |list: &'_ [BrokerId]| -> Vec<BrokerId> {
            let mut list = list.to_vec();
            if !list.is_empty() {
                let start = round % list.len();
                list.rotate_left(start);
            }
            list
        };
        cycle(&self.unfenced).into_iter().chain(cycle(&self.fenced))
    }
}

#[cfg(test)]
mod tests;
