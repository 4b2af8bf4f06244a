//! Who leads a partition.
//!
//! Whoever is in sync and acceptable (registered, active, with its directory online) may lead; of an
//! empty ISR a member of the ELR may, because it has all that was acknowledged. Only then may the
//! election be unclean: the last leader where the ELR is maintained and empty, any acceptable replica
//! where the topic allows it. Source: interop C.5, KIP-966.

use dohle_base::BrokerId;
use dohle_metadata::Partition;

/// How far an election may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Election {
    /// The leader stays if it can; else the first replica that can.
    Online,
    /// As `Online`, and if nobody can, the first acceptable replica, in sync or not.
    Unclean,
}

/// The outcome of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elected {
    /// Who leads; [`BrokerId::NONE`] if nobody can.
    pub(crate) leader: BrokerId,
    /// Whether acknowledged records may be lost with it.
    pub(crate) unclean: bool,
}

/// What an election looks at.
pub(crate) struct Candidates<'a> {
    /// The partition before the change.
    pub(crate) partition: &'a Partition,
    /// The replicas after it, in order of preference.
    pub(crate) replicas: &'a [BrokerId],
    /// The ISR after it.
    pub(crate) isr: &'a [BrokerId],
    /// The ELR after it.
    pub(crate) elr: &'a [BrokerId],
    /// Whether the ELR is maintained.
    pub(crate) elr_enabled: bool,
    /// Who may lead at all.
    pub(crate) acceptable: &'a dyn Fn(BrokerId) -> bool,
}

impl Candidates<'_> {
    pub(crate) fn elect(&self, election: Election) -> Elected {
        let clean = |leader| Elected { leader, unclean: false };
        let current = self.partition.leader;
        if self.is_valid(current) {
            return clean(current);
        }
        if let Some(leader) = self.replicas.iter().copied().find(|id| self.is_valid(*id)) {
            return clean(leader);
        }
        if let Some(leader) = self.last_known_leader() {
            return Elected { leader, unclean: true };
        }
        let any = self.replicas.iter().copied().find(|id| (self.acceptable)(*id));
        match any {
            Some(leader) if election == Election::Unclean => Elected { leader, unclean: true },
            _ => clean(BrokerId::NONE),
        }
    }

    fn is_valid(&self, id: BrokerId) -> bool {
        let in_sync = self.isr.contains(&id) || (self.isr.is_empty() && self.elr.contains(&id));
        in_sync && (self.acceptable)(id)
    }

    /// The one that led last, where nobody else has anything to lose.
    fn last_known_leader(&self) -> Option<BrokerId> {
        let [last] = self.partition.last_known_elr[..] else { return None };
        let deserted = self.elr_enabled && self.isr.is_empty() && self.elr.is_empty();
        (deserted && (self.acceptable)(last)).then_some(last)
    }
}
