//! One change of one partition, from what it aims at to the record that says what differs.
//!
//! Order: a reassignment completes, the ELR takes in who leaves the ISR, a leader is elected, and
//! then only the fields that differ are written; nothing differs, no record. Source: interop C.5.

use std::collections::BTreeSet;

use dohle_base::{BrokerId, PartitionId, TopicId, Uuid};
use dohle_metadata::{LeaderRecovery, Partition, Topic};
use dohle_protocol::records::metadata::partition_change_record::PartitionChangeRecord;

use crate::Controller;
use crate::elect::{Candidates, Election};

/// The leader field of a record that leaves the leader as it is.
const UNCHANGED: BrokerId = BrokerId(-2);

/// A change in the making.
pub(crate) struct Change<'a> {
    controller: &'a Controller,
    topic_id: TopicId,
    partition_id: PartitionId,
    partition: &'a Partition,
    election: Election,
    min_isr: usize,
    elr_enabled: bool,
    acceptable: &'a dyn Fn(BrokerId) -> bool,
    replicas: Vec<BrokerId>,
    isr: Vec<BrokerId>,
    elr: Vec<BrokerId>,
    removing: Vec<BrokerId>,
    adding: Vec<BrokerId>,
    recovery: LeaderRecovery,
    uncleanly_stopped: Option<BrokerId>,
    directory: Option<(BrokerId, Uuid)>,
}

impl<'a> Change<'a> {
    /// A change that aims at nothing yet but a leader that can lead. `acceptable` says who may;
    /// that a replica's directory must be online comes on top.
    pub(crate) fn new(
        controller: &'a Controller,
        topic: &'a Topic,
        partition_id: PartitionId,
        partition: &'a Partition,
        acceptable: &'a dyn Fn(BrokerId) -> bool,
    ) -> Self {
        let unclean = controller.allows_unclean_election(topic);
        Self {
            controller,
            topic_id: topic.id,
            partition_id,
            partition,
            election: if unclean { Election::Unclean } else { Election::Online },
            min_isr: controller.min_isr(topic),
            elr_enabled: controller.elr_enabled(),
            acceptable,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            elr: partition.elr.clone(),
            removing: partition.removing_replicas.clone(),
            adding: partition.adding_replicas.clone(),
            recovery: partition.leader_recovery,
            uncleanly_stopped: None,
            directory: None,
        }
    }

    /// The ISR to aim at.
    pub(crate) fn isr(mut self, isr: Vec<BrokerId>) -> Self {
        self.isr = isr;
        self
    }

    /// Takes a broker out of the ISR.
    pub(crate) fn without(mut self, id: BrokerId) -> Self {
        self.isr.retain(|member| *member != id);
        self
    }

    /// A broker that may have lost records when it stopped: it leaves the ISR and the ELR.
    pub(crate) fn without_uncleanly_stopped(mut self, id: BrokerId) -> Self {
        self.uncleanly_stopped = Some(id);
        self.without(id)
    }

    /// In which directory a broker has its replica.
    pub(crate) fn directory(mut self, id: BrokerId, directory: Uuid) -> Self {
        self.directory = Some((id, directory));
        self
    }

    /// The recovery state to aim at.
    pub(crate) fn recovery(mut self, recovery: LeaderRecovery) -> Self {
        self.recovery = recovery;
        self
    }

    /// The record; none if nothing differs.
    pub(crate) fn record(mut self) -> Option<PartitionChangeRecord> {
        let unchanged = PartitionChangeRecord {
            partition_id: self.partition_id,
            topic_id: self.topic_id,
            ..PartitionChangeRecord::default()
        };
        let mut record = unchanged.clone();
        self.complete_reassignment();
        self.populate_elr();
        self.elect(&mut record);
        self.bump_epoch_for_lost_replica(&mut record);
        self.write_elr(&mut record);
        self.write_isr(&mut record);
        self.bump_epoch_for_isr_shrink(&mut record);
        self.write_last_leader(&mut record);
        self.write_assignment(&mut record);
        if self.recovery != self.partition.leader_recovery && record.leader_recovery_state == -1 {
            record.leader_recovery_state = self.recovery.code();
        }
        (record != unchanged).then_some(record)
    }

    /// All that is added is in sync, and enough of the rest.
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let kept = |ids: &[BrokerId]| -> Vec<BrokerId> {
            ids.iter().copied().filter(|id| !self.removing.contains(id)).collect()
        };
        let (isr, replicas) = (kept(&self.isr), kept(&self.replicas));
        let added = self.adding.iter().all(|id| isr.contains(id));
        let rest =
            self.adding.len() >= self.removing.len() || replicas.iter().all(|id| isr.contains(id));
        if isr.is_empty() || !added || !rest {
            return;
        }
        self.isr = isr;
        self.replicas = replicas;
        self.removing.clear();
        self.adding.clear();
    }

    fn populate_elr(&mut self) {
        if !self.elr_enabled {
            return;
        }
        if self.isr.len() >= self.min_isr {
            self.elr.clear();
            return;
        }
        let members: BTreeSet<BrokerId> =
            self.elr.iter().chain(&self.partition.isr).copied().collect();
        let stays = |id: &BrokerId| !self.isr.contains(id) && Some(*id) != self.uncleanly_stopped;
        self.elr = members.into_iter().filter(stays).collect();
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        // Where a broker tells that it has its replica now: it may have been lost where it was before.
        let is_online = |id: BrokerId| {
            let directory = self.told_directory(id).or_else(|| self.partition.directory(id));
            directory.is_some_and(|directory| self.controller.is_directory_online(id, directory))
        };
        let acceptable = |id| (self.acceptable)(id) && is_online(id);
        let candidates = Candidates {
            partition: self.partition,
            replicas: &self.replicas,
            isr: &self.isr,
            elr: &self.elr,
            elr_enabled: self.elr_enabled,
            acceptable: &acceptable,
        };
        let elected = candidates.elect(self.election);
        if elected.leader == self.partition.leader {
            return;
        }
        record.leader = elected.leader;
        if self.elr.contains(&elected.leader) {
            self.isr = vec![elected.leader];
            self.elr.retain(|id| *id != elected.leader);
        }
        if elected.unclean {
            record.isr = Some(vec![elected.leader]);
            if self.partition.leader_recovery != LeaderRecovery::Recovering {
                record.leader_recovery_state = LeaderRecovery::Recovering.code();
            }
        }
    }

    fn told_directory(&self, id: BrokerId) -> Option<Uuid> {
        self.directory.filter(|(told, _)| *told == id).map(|(_, directory)| directory)
    }

    /// A replica that is no longer one must learn of it.
    fn bump_epoch_for_lost_replica(&self, record: &mut PartitionChangeRecord) {
        let lost = self.partition.replicas.iter().any(|id| !self.replicas.contains(id));
        if record.leader == UNCHANGED && lost {
            record.leader = self.partition.leader;
        }
    }

    fn write_elr(&mut self, record: &mut PartitionChangeRecord) {
        if record.isr.is_some() || !self.elr_enabled {
            self.elr.clear();
        }
        if self.elr != self.partition.elr {
            record.eligible_leader_replicas = Some(self.elr.clone());
        }
    }

    /// Without ELR an empty ISR is not written: the last members must stay known.
    fn write_isr(&self, record: &mut PartitionChangeRecord) {
        let may_be_written = !self.isr.is_empty() || self.elr_enabled;
        if record.isr.is_none() && may_be_written && self.isr != self.partition.isr {
            record.isr = Some(self.isr.clone());
        }
    }

    fn bump_epoch_for_isr_shrink(&self, record: &mut PartitionChangeRecord) {
        let needed = self.controller.version().bumps_epoch_on_isr_shrink();
        let Some(isr) = record.isr.as_ref().filter(|_| needed && record.leader == UNCHANGED) else {
            return;
        };
        if self.partition.isr.iter().any(|id| !isr.contains(id)) {
            record.leader = self.partition.leader;
        }
    }

    /// The last leader is remembered while there is none.
    fn write_last_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.elr_enabled {
            return;
        }
        let known = !self.partition.last_known_elr.is_empty();
        if record.leader == BrokerId::NONE && !known {
            record.last_known_elr = Some(vec![self.partition.leader]);
        } else if record.leader.0 >= 0 && known {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn write_assignment(&self, record: &mut PartitionChangeRecord) {
        let partition = self.partition;
        if self.controller.version().has_directories() {
            let directory = |id: &BrokerId| {
                let known = self.told_directory(*id).or_else(|| partition.directory(*id));
                known.unwrap_or_else(|| self.controller.default_directory(*id))
            };
            let directories: Vec<Uuid> = self.replicas.iter().map(directory).collect();
            if directories != partition.directories {
                record.directories = Some(directories);
            }
        }
        if self.replicas != partition.replicas {
            record.replicas = Some(self.replicas.clone());
        }
        if self.removing != partition.removing_replicas {
            record.removing_replicas = Some(self.removing.clone());
        }
        if self.adding != partition.adding_replicas {
            record.adding_replicas = Some(self.adding.clone());
        }
    }
}
