//! Which broker coordinates a group, asked when it is needed and again when it proves wrong.

use dohle_base::{BrokerId, ErrorCode, Instant, Rng, Str};
use dohle_protocol::api::{
    find_coordinator_request::FindCoordinatorRequest,
    find_coordinator_response::FindCoordinatorResponse,
};

use crate::{Address, RequestError, ServerError, backoff::Backoff};

/// What is coordinated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoordinatorKind {
    /// A consumer group, by its id.
    Group,
    /// A transactional producer, by its transactional id.
    Transaction,
    /// A share-partition, by group, topic id and partition.
    Share,
}

/// A coordinator that is looked for or known.
#[derive(Debug)]
pub(crate) struct Coordinator {
    kind: CoordinatorKind,
    key: Str,
    state: State,
    failures: u32,
}

#[derive(Debug)]
enum State {
    Unknown { not_before: Instant },
    Asked,
    Known { id: BrokerId, address: Address },
}

/// From this version on several keys go into one request.
const BATCHED_FROM: i16 = 4;

impl CoordinatorKind {
    fn id(self) -> i8 {
        match self {
            Self::Group => 0,
            Self::Transaction => 1,
            Self::Share => 2,
        }
    }
}

impl Coordinator {
    /// Not known yet.
    pub(crate) fn new(kind: CoordinatorKind, key: Str) -> Self {
        let state = State::Unknown { not_before: Instant::default() };
        Self { kind, key, state, failures: 0 }
    }

    /// What is coordinated.
    pub(crate) fn kind(&self) -> CoordinatorKind {
        self.kind
    }

    /// Its key.
    pub(crate) fn key(&self) -> &Str {
        &self.key
    }

    /// The broker, if known.
    pub(crate) fn known(&self) -> Option<(BrokerId, &Address)> {
        match &self.state {
            State::Known { id, address } => Some((*id, address)),
            State::Unknown { .. } | State::Asked => None,
        }
    }

    /// When to ask for it; `None` while it is known or being asked for.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Unknown { not_before } => Some(not_before),
            State::Asked | State::Known { .. } => None,
        }
    }

    /// The question; an answer is waited for from now on.
    pub(crate) fn ask(&mut self, version: i16) -> FindCoordinatorRequest {
        self.state = State::Asked;
        let batched = version >= BATCHED_FROM;
        FindCoordinatorRequest {
            key: if batched { Str::default() } else { self.key.clone() },
            key_type: self.kind.id(),
            coordinator_keys: if batched { vec![self.key.clone()] } else { Vec::new() },
        }
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// A refusal that asking again will not change.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        backoff: Backoff,
        rng: &mut Rng,
        answer: Result<FindCoordinatorResponse, RequestError>,
    ) -> Result<(), RequestError> {
        let found = answer.and_then(|answer| located(&self.key, answer));
        match found {
            Ok((id, address)) => {
                self.failures = 0;
                self.state = State::Known { id, address };
                Ok(())
            }
            Err(error) => {
                self.failures += 1;
                let not_before = now + backoff.delay(self.failures, rng);
                self.state = State::Unknown { not_before };
                if error.is_retriable() { Ok(()) } else { Err(error) }
            }
        }
    }

    /// It was not the one, or cannot be reached.
    pub(crate) fn forget(&mut self, now: Instant, backoff: Backoff, rng: &mut Rng) {
        self.failures += 1;
        self.state = State::Unknown { not_before: now + backoff.delay(1, rng) };
    }
}

/// Whether an error says that the coordinator is elsewhere, or nowhere yet.
pub(crate) fn is_misplaced(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE)
}

fn located(
    key: &Str,
    answer: FindCoordinatorResponse,
) -> Result<(BrokerId, Address), RequestError> {
    let batched = answer.coordinators.into_iter().find(|coordinator| coordinator.key == *key);
    let (id, host, port) = match batched {
        Some(found) => {
            ServerError::check(found.error_code, found.error_message.as_ref())?;
            (found.node_id, found.host, found.port)
        }
        None => {
            ServerError::check(answer.error_code, answer.error_message.as_ref())?;
            (answer.node_id, answer.host, answer.port)
        }
    };
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    let port = port.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
    Ok((id, Address { host, port }))
}
