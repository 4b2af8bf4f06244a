//! One replica of the metadata log: takes inputs, gives outputs, appends while it leads.
//!
//! Order on becoming leader: the election is persisted, then the LeaderChange batch is appended;
//! "became leader" is told only when the election is durable, and the high watermark moves only to
//! what is durable. Appends may be made meanwhile: tokens ascend, so what rests on them waits.

use std::collections::VecDeque;

use bytes::Bytes;
use dohle_base::{BrokerId, Instant, LeaderEpoch, Now, Offset, Timestamp};
use dohle_protocol::records::raft::{
    kraft_version_record::KRaftVersionRecord,
    leader_change_message::{LeaderChangeMessage, Voter as LeaderChangeVoter},
};

use crate::batch::{Place, control_batch, data_batch};
use crate::quorum::Role;
use crate::{
    Config, ControlHistory, ControlRecord, ControlState, ElectionState, EpochHistory, Input,
    Loader, Output, QuorumDescription, ReplicaKey, ReplicaState, SnapshotId, Token, Voter,
    VoterSet, VotersSource,
};

/// Why records were not appended. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Another replica leads, or none.
    #[error("not the leader of the metadata log")]
    NotLeader {
        /// The leader, as far as is known.
        leader: Option<BrokerId>,
        /// The epoch.
        epoch: LeaderEpoch,
    },
    /// The records exceed what one batch may hold.
    #[error("records exceed a batch of {max} bytes")]
    TooLarge {
        /// [`crate::BATCH_SIZE_MAX`].
        max: usize,
    },
}

/// A replica of the metadata log.
#[derive(Debug)]
pub struct Raft {
    config: Config,
    role: Role,
    log: Log,
    history: ControlHistory,
    high_watermark: Option<Offset>,
    next_token: u64,
    outputs: VecDeque<Output>,
    /// Appends that are not durable yet: the token and the end of the log with it.
    unflushed: VecDeque<(Token, Offset)>,
    /// What may be told only when the write with the token is durable.
    held: VecDeque<(Token, Output)>,
}

/// What is known of the log without reading it.
#[derive(Debug)]
struct Log {
    start: Offset,
    /// The offset behind the last record that was appended, durable or not.
    end: Offset,
    epochs: EpochHistory,
    snapshot: Option<SnapshotId>,
    last_timestamp: Timestamp,
}

impl Raft {
    pub(crate) fn new(loader: Loader, now: Now) -> Self {
        let Loader {
            config, election, history, epochs, snapshot, log: range, last_timestamp, ..
        } = loader;
        let snapshot_end = snapshot.map_or(Offset::ZERO, |id| id.end_offset);
        let mut outputs = VecDeque::new();
        let behind = range.end < snapshot_end;
        if behind {
            outputs.push_back(Output::ResetLog { start: snapshot_end });
        }
        let snapshot_epoch = snapshot.map_or(LeaderEpoch(0), |id| id.epoch);
        let last_epoch = epochs.last().unwrap_or(LeaderEpoch(0)).max(snapshot_epoch);
        let log = Log {
            start: if behind { snapshot_end } else { range.start },
            end: range.end.max(snapshot_end),
            epochs: if behind { EpochHistory::default() } else { epochs },
            snapshot,
            last_timestamp,
        };
        let role = Role::at_start(&election, last_epoch, &config.own);
        let mut raft = Self {
            config,
            role,
            log,
            history,
            high_watermark: None,
            next_token: 0,
            outputs,
            unflushed: VecDeque::new(),
            held: VecDeque::new(),
        };
        raft.elect(now);
        raft
    }

    /// Takes what happened.
    pub fn handle(&mut self, _now: Now, input: Input) {
        match input {
            Input::Persisted { token } => self.persisted(token),
            Input::Shutdown => self.resign(),
        }
    }

    /// What to do next; none for now.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When time alone makes a difference: never, for a quorum of one waits for nobody.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Appends framed records as one atomic batch and returns the offset of the first.
    ///
    /// # Errors
    /// `NotLeader`, `TooLarge`; nothing changed.
    ///
    /// # Panics
    /// Without records.
    pub fn append(&mut self, now: Now, values: &[Bytes]) -> Result<Offset, AppendError> {
        assert!(!values.is_empty(), "there is something to append");
        let Role::Leader(leader) = &self.role else {
            let (leader, epoch) = (self.role.leader(self.config.own.id), self.role.epoch());
            return Err(AppendError::NotLeader { leader, epoch });
        };
        let place = self.log.place(leader.epoch(), now);
        let batch = data_batch(place, values)
            .ok_or(AppendError::TooLarge { max: crate::BATCH_SIZE_MAX })?;
        self.put(place, batch, values.len());
        Ok(place.base_offset)
    }

    /// Passes through the roles that lead to leadership, as far as votes allow without asking.
    fn elect(&mut self, now: Now) {
        let own = self.config.own;
        let voters = &self.history.latest().voters;
        let prospective = match self.role.clone() {
            Role::Unattached(role) => role.into_prospective(own.id),
            Role::Resigned(role) => role.into_prospective(own.id),
            Role::Prospective(role) => role,
            Role::Candidate(role) => {
                let won = role.has_won(voters);
                self.role = Role::Candidate(role);
                if won {
                    self.lead(now);
                }
                return;
            }
            Role::Leader(_) => return,
        };
        let would_win = prospective.would_win(voters);
        if !would_win {
            self.role = Role::Prospective(prospective);
            return;
        }
        let candidate = prospective.into_candidate(own.id);
        let won = candidate.has_won(voters);
        self.role = Role::Candidate(candidate);
        if won {
            self.lead(now);
        } else {
            self.persist_election();
        }
    }

    /// The candidate won. Its vote need not be persisted by itself: the leader that is persisted
    /// now says more, and nobody was asked.
    fn lead(&mut self, now: Now) {
        let Role::Candidate(candidate) = self.role.clone() else {
            unreachable!("only a candidate wins");
        };
        let leader = candidate.into_leader(self.log.end);
        let epoch = leader.epoch();
        let voters = &self.history.latest().voters;
        let mut records = vec![self.leader_change(&leader.granting(voters))];
        records.extend(self.quorum_records());
        self.role = Role::Leader(leader);
        let token = self.persist_election();
        self.held.push_back((token, Output::BecameLeader { epoch }));
        let place = self.log.place(epoch, now);
        for (offset, record) in (place.base_offset.0..).zip(&records) {
            self.note_control(Offset(offset), record);
        }
        let batch = control_batch(place, &records);
        self.put(place, batch, records.len());
    }

    fn leader_change(&self, granting: &[BrokerId]) -> ControlRecord {
        let voter =
            |id: BrokerId| LeaderChangeVoter { voter_id: id, ..LeaderChangeVoter::default() };
        ControlRecord::LeaderChange(LeaderChangeMessage {
            version: 0,
            leader_id: self.config.own.id,
            voters: self.history.latest().voters.iter().map(|(id, _)| voter(id)).collect(),
            granting_voters: granting.iter().map(|id| voter(*id)).collect(),
        })
    }

    /// The records that bring the voters into the log, or the leader's own entry up to date.
    fn quorum_records(&self) -> Vec<ControlRecord> {
        let ControlState { kraft_version, voters, source } = self.history.latest();
        if *kraft_version < 1 {
            return Vec::new();
        }
        let own = self.config.own;
        let entry = Voter::of_this_software(own.directory_or_zero(), self.config.endpoints.clone());
        let bootstrap_only = *source == VotersSource::Bootstrap;
        if !bootstrap_only && voters.voter(own.id) == Some(&entry) {
            return Vec::new();
        }
        let voters = voters.with(own.id, entry).to_record();
        let version = KRaftVersionRecord { version: 0, kraft_version: *kraft_version };
        vec![ControlRecord::KRaftVersion(version), ControlRecord::Voters(voters)]
    }

    /// Control records count from the moment they are appended.
    fn note_control(&mut self, offset: Offset, record: &ControlRecord) {
        match record {
            ControlRecord::KRaftVersion(record) => {
                self.history.note_kraft_version(offset, record.kraft_version);
            }
            ControlRecord::Voters(record) => {
                self.history.note_voters(offset, VoterSet::from_record(record));
            }
            _ => {}
        }
    }

    fn put(&mut self, place: Place, batch: Bytes, count: usize) {
        let count = i64::try_from(count).expect("a batch has fewer than 2^31 records");
        let end_offset = place.base_offset.plus(count);
        assert_eq!(place.base_offset, self.log.end, "appended at the end");
        let token = self.token();
        self.log.epochs.note(place.epoch, place.base_offset);
        self.log.end = end_offset;
        self.log.last_timestamp = self.log.last_timestamp.max(place.timestamp);
        self.unflushed.push_back((token, end_offset));
        let base_offset = place.base_offset;
        self.outputs.push_back(Output::Append { token, base_offset, end_offset, batch });
    }

    fn persist_election(&mut self) -> Token {
        let epoch = self.role.epoch();
        let election = match &self.role {
            Role::Candidate(_) => {
                ElectionState { epoch, leader: None, voted: Some(self.config.own) }
            }
            role => ElectionState { epoch, leader: role.leader(self.config.own.id), voted: None },
        };
        let ControlState { kraft_version, voters, .. } = self.history.latest();
        let file = election.to_file(*kraft_version, voters);
        let token = self.token();
        self.outputs.push_back(Output::PersistElection { token, file });
        token
    }

    fn token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        token
    }

    fn persisted(&mut self, token: Token) {
        assert!(token.0 < self.next_token, "only what was written can be durable");
        while let Some((_, output)) = self.held.pop_front_if(|(held, _)| *held <= token) {
            self.outputs.push_back(output);
        }
        let mut flushed = None;
        while let Some((_, end)) = self.unflushed.pop_front_if(|(write, _)| *write <= token) {
            flushed = Some(end);
        }
        if let (Some(end), Role::Leader(leader)) = (flushed, &mut self.role) {
            let voters = &self.history.latest().voters;
            if let Some(moved) = leader.replicated(self.config.own.id, end, voters) {
                assert!(self.high_watermark.is_none_or(|current| current < moved));
                self.high_watermark = Some(moved);
                self.outputs.push_back(Output::HighWatermark(moved));
            }
        }
    }

    fn resign(&mut self) {
        if let Role::Leader(leader) = &self.role {
            let epoch = leader.epoch();
            self.role = Role::Resigned(crate::resigned::Resigned { epoch });
            self.outputs.push_back(Output::Resigned { epoch });
        }
    }

    /// A snapshot was written and is complete on the disk.
    pub fn note_snapshot(&mut self, id: SnapshotId) {
        self.log.snapshot = self.log.snapshot.max(Some(id));
    }

    /// The log now begins at `log_start`: what was below is in a snapshot.
    pub fn note_log_start(&mut self, log_start: Offset) {
        self.log.start = self.log.start.max(log_start);
    }

    /// Who this replica is.
    pub fn own(&self) -> ReplicaKey {
        self.config.own
    }

    /// The current epoch.
    pub fn epoch(&self) -> LeaderEpoch {
        self.role.epoch()
    }

    /// The leader of the current epoch, as far as is known.
    pub fn leader(&self) -> Option<BrokerId> {
        self.role.leader(self.config.own.id)
    }

    /// Whether records may be appended here.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The first offset of the log.
    pub fn log_start(&self) -> Offset {
        self.log.start
    }

    /// The offset that the next record will have.
    pub fn log_end(&self) -> Offset {
        self.log.end
    }

    /// Up to where records are committed, once known.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Option<SnapshotId> {
        self.log.snapshot
    }

    /// The time of the newest record.
    pub fn last_timestamp(&self) -> Timestamp {
        self.log.last_timestamp
    }

    /// The largest epoch not above `epoch`, and where it ends.
    pub fn end_offset(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.log.epochs.end_offset(epoch, self.log.end)
    }

    /// The epoch of the record before `end`; the snapshot's if the log does not go back that far.
    pub fn epoch_at(&self, end: Offset) -> Option<LeaderEpoch> {
        let starts = self.log.epochs.starts();
        let at = starts.partition_point(|(_, start)| *start < end);
        let known = at.checked_sub(1).and_then(|at| starts.get(at)).map(|(epoch, _)| *epoch);
        known.or(self.log.snapshot.filter(|id| id.end_offset == end).map(|id| id.epoch))
    }

    /// kraft.version and voters, as the newest records have them.
    pub fn control(&self) -> &ControlState {
        self.history.latest()
    }

    /// kraft.version and voters, as a snapshot up to `end` has them.
    pub fn control_at(&self, end: Offset) -> &ControlState {
        self.history.at(end)
    }

    /// The quorum, if this replica leads it.
    pub fn describe(&self, now: Now) -> Option<QuorumDescription> {
        let Role::Leader(leader) = &self.role else { return None };
        let ControlState { voters, .. } = self.history.latest();
        let states = voters.iter().map(|(id, voter)| {
            let mut progress = leader.progress(id);
            if id == self.config.own.id {
                // The leader is always up to date with itself.
                progress.end_offset = Some(self.log.end);
                progress.last_fetch = Some(now.wall);
                progress.last_caught_up = Some(now.wall);
            }
            ReplicaState { key: ReplicaKey::new(id, voter.directory_id), progress }
        });
        Some(QuorumDescription {
            leader: self.config.own.id,
            epoch: leader.epoch(),
            high_watermark: leader.high_watermark().unwrap_or(Offset(-1)),
            voters: states.collect(),
            observers: Vec::new(),
            voter_set: voters.clone(),
        })
    }
}

impl Log {
    fn place(&self, epoch: LeaderEpoch, now: Now) -> Place {
        Place { base_offset: self.end, epoch, timestamp: now.wall }
    }
}

#[cfg(test)]
mod tests;
