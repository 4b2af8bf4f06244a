//! One partition: who holds it, who leads it, and what a change makes of it.
//!
//! Invariant: there are as many directories as replicas.

use dohle_base::{BrokerId, LeaderEpoch, PartitionId, TopicId, Uuid};
use dohle_protocol::records::metadata::{
    partition_change_record::PartitionChangeRecord, partition_record::PartitionRecord,
};

use crate::MetadataVersion;

/// The leader of a change record that leaves the leader as it is.
pub(crate) const LEADER_UNCHANGED: BrokerId = BrokerId(-2);

/// Whether the leader has all that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LeaderRecovery {
    /// It was elected from those in sync, or has recovered since.
    #[default]
    Recovered,
    /// It was elected uncleanly and has not recovered yet.
    Recovering,
}

/// A value that no leader recovery state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRecovery;

impl LeaderRecovery {
    /// The number in records and requests.
    pub fn code(self) -> i8 {
        match self {
            Self::Recovered => 0,
            Self::Recovering => 1,
        }
    }

    /// The state of that number.
    ///
    /// # Errors
    /// There is none.
    pub fn from_code(code: i8) -> Result<Self, UnknownRecovery> {
        match code {
            0 => Ok(Self::Recovered),
            1 => Ok(Self::Recovering),
            _ => Err(UnknownRecovery),
        }
    }
}

/// A partition of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// Who holds it, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// In which directory each replica lies, in the order of the replicas.
    pub directories: Vec<Uuid>,
    /// Who is in sync.
    pub isr: Vec<BrokerId>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<BrokerId>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<BrokerId>,
    /// Who left the ISR with all that was acknowledged (KIP-966).
    pub elr: Vec<BrokerId>,
    /// Who was the last to lead.
    pub last_known_elr: Vec<BrokerId>,
    /// Who leads; [`BrokerId::NONE`] if nobody can.
    pub leader: BrokerId,
    /// Whether the leader has all that was acknowledged.
    pub leader_recovery: LeaderRecovery,
    /// How often leadership was given out.
    pub leader_epoch: LeaderEpoch,
    /// How often anything of the partition changed.
    pub partition_epoch: i32,
}

/// A record contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction {
    /// The field.
    pub(crate) field: &'static str,
}

impl Partition {
    /// Whether the first replica leads.
    pub fn has_preferred_leader(&self) -> bool {
        self.replicas.first() == Some(&self.leader)
    }

    /// Whether replicas are being added or taken away.
    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// In which directory a broker keeps its replica.
    pub fn directory(&self, broker: BrokerId) -> Option<Uuid> {
        let at = self.replicas.iter().position(|replica| *replica == broker)?;
        self.directories.get(at).copied()
    }

    pub(crate) fn from_record(record: &PartitionRecord) -> Result<Self, Contradiction> {
        let leader_recovery = LeaderRecovery::from_code(record.leader_recovery_state)
            .map_err(|UnknownRecovery| Contradiction { field: "LeaderRecoveryState" })?;
        let replicas = record.replicas.clone();
        Ok(Self {
            directories: directories(&replicas, &record.directories)?,
            replicas,
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            elr: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            leader: record.leader,
            leader_recovery,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
        })
    }

    /// The record that makes this partition; what `version` cannot say is left out.
    pub fn to_record(
        &self,
        topic_id: TopicId,
        partition_id: PartitionId,
        version: MetadataVersion,
    ) -> PartitionRecord {
        let elr = |members: &[BrokerId]| {
            (version.has_elr() && !members.is_empty()).then(|| members.to_vec())
        };
        let directories = if version.has_directories() { &self.directories[..] } else { &[] };
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing_replicas.clone(),
            adding_replicas: self.adding_replicas.clone(),
            leader: self.leader,
            leader_recovery_state: self.leader_recovery.code(),
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            directories: directories.to_vec(),
            eligible_leader_replicas: elr(&self.elr),
            last_known_elr: elr(&self.last_known_elr),
        }
    }

    /// What `change` makes of it. A leader that is named, even the same one, begins a new leader
    /// epoch; any change begins a new partition epoch.
    pub(crate) fn merge(&self, change: &PartitionChangeRecord) -> Result<Self, Contradiction> {
        let or = |new: &Option<Vec<BrokerId>>, old: &[BrokerId]| {
            new.clone().unwrap_or_else(|| old.to_vec())
        };
        let replicas = or(&change.replicas, &self.replicas);
        let directories = match &change.directories {
            Some(given) => directories(&replicas, given)?,
            None if replicas.len() == self.directories.len() => self.directories.clone(),
            None => {
                let kept = |id: &BrokerId| self.directory(*id).unwrap_or(Uuid::UNASSIGNED_DIR);
                replicas.iter().map(kept).collect()
            }
        };
        let leader_recovery = match change.leader_recovery_state {
            -1 => self.leader_recovery,
            code => LeaderRecovery::from_code(code)
                .map_err(|UnknownRecovery| Contradiction { field: "LeaderRecoveryState" })?,
        };
        let overflow = |field| Contradiction { field };
        let next = |epoch: i32, field| epoch.checked_add(1).ok_or(overflow(field));
        let (leader, leader_epoch) = match change.leader {
            LEADER_UNCHANGED => (self.leader, self.leader_epoch),
            leader => (leader, LeaderEpoch(next(self.leader_epoch.0, "LeaderEpoch")?)),
        };
        Ok(Self {
            replicas,
            directories,
            isr: or(&change.isr, &self.isr),
            removing_replicas: or(&change.removing_replicas, &self.removing_replicas),
            adding_replicas: or(&change.adding_replicas, &self.adding_replicas),
            elr: or(&change.eligible_leader_replicas, &self.elr),
            last_known_elr: or(&change.last_known_elr, &self.last_known_elr),
            leader,
            leader_recovery,
            leader_epoch,
            partition_epoch: next(self.partition_epoch, "PartitionEpoch")?,
        })
    }
}

/// The given directories, or unknown ones where none are given.
fn directories(replicas: &[BrokerId], given: &[Uuid]) -> Result<Vec<Uuid>, Contradiction> {
    if given.is_empty() {
        Ok(vec![Uuid::MIGRATING_DIR; replicas.len()])
    } else if given.len() == replicas.len() {
        Ok(given.to_vec())
    } else {
        Err(Contradiction { field: "Directories" })
    }
}

#[cfg(test)]
mod tests;
