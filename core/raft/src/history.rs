//! Which kraft.version and which voters were in force from which offset on.
//!
//! The newest entry counts as soon as it is in the log, committed or not; a snapshot carries the
//! entry that was in force at its end. Source: KIP-853.

use dohle_base::Offset;

use crate::VoterSet;

/// Where a voter set comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VotersSource {
    /// `controller.quorum.voters`.
    Config,
    /// The snapshot that formatting left: not in the log yet.
    Bootstrap,
    /// A snapshot of the log.
    Snapshot,
    /// A control record in the log.
    Log,
}

/// What control records say of the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlState {
    /// The finalised kraft.version; 0 until a record says otherwise.
    pub kraft_version: i16,
    /// The voters.
    pub voters: VoterSet,
    /// Where the voters come from.
    pub source: VotersSource,
}

/// The states that were in force, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlHistory {
    /// In force before the first entry.
    base: ControlState,
    /// Each with the offset of the record that brought it into force.
    entries: Vec<(Offset, ControlState)>,
}

impl ControlHistory {
    /// A history that begins with the static voters.
    pub fn new(static_voters: VoterSet) -> Self {
        let base =
            ControlState { kraft_version: 0, voters: static_voters, source: VotersSource::Config };
        Self { base, entries: Vec::new() }
    }

    /// What is in force now.
    pub fn latest(&self) -> &ControlState {
        self.entries.last().map_or(&self.base, |(_, state)| state)
    }

    /// What the records below `end` brought into force.
    pub fn at(&self, end: Offset) -> &ControlState {
        let below = self.entries.iter().rev().find(|(offset, _)| *offset < end);
        below.map_or(&self.base, |(_, state)| state)
    }

    /// A snapshot says what was in force at its end: the history begins anew.
    pub fn restart(&mut self, source: VotersSource, kraft_version: i16, voters: Option<VoterSet>) {
        self.base.kraft_version = kraft_version;
        if let Some(voters) = voters {
            self.base.voters = voters;
            self.base.source = source;
        }
        self.entries.clear();
    }

    /// A KRaftVersion record at `offset`.
    pub fn note_kraft_version(&mut self, offset: Offset, kraft_version: i16) {
        let state = ControlState { kraft_version, ..self.latest().clone() };
        self.entries.push((offset, state));
    }

    /// A Voters record at `offset`.
    pub fn note_voters(&mut self, offset: Offset, voters: VoterSet) {
        let kraft_version = self.latest().kraft_version;
        let state = ControlState { kraft_version, voters, source: VotersSource::Log };
        self.entries.push((offset, state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_sees_what_was_in_force_at_its_end() {
        let [one, two] = ["1@a:1", "1@a:1,2@b:2"].map(|t| VoterSet::from_static(t, "C").unwrap());
        let mut history = ControlHistory::new(one.clone());
        history.note_kraft_version(Offset(1), 1);
        history.note_voters(Offset(2), one.clone());
        history.note_voters(Offset(40), two.clone());
        assert_eq!(history.latest().voters, two);
        assert_eq!(
            (history.at(Offset(40)).voters.len(), history.at(Offset(41)).voters.len()),
            (1, 2)
        );
        assert_eq!(
            (history.at(Offset(1)).kraft_version, history.at(Offset(2)).kraft_version),
            (0, 1)
        );
        history.restart(VotersSource::Snapshot, 1, Some(two.clone()));
        assert_eq!(history.at(Offset(0)).voters, two);
        assert_eq!(history.latest().source, VotersSource::Snapshot);
    }

    #[test]
    fn a_snapshot_without_voters_leaves_the_static_ones() {
        let voters = VoterSet::from_static("1@a:1", "C").unwrap();
        let mut history = ControlHistory::new(voters.clone());
        history.restart(VotersSource::Bootstrap, 0, None);
        assert_eq!(history.latest().voters, voters);
        assert_eq!(history.latest().source, VotersSource::Config);
    }
}
