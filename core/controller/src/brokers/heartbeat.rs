//! A broker is alive (BrokerHeartbeat): fenced, unfenced, on its way out.
//!
//! ```text
//! state now            request                                   next
//! Fenced               wants to shut down                        ShutDownNow
//! Fenced               wants clients, has its registration       Unfenced
//! Unfenced             wants a fence and to shut down            ShutDownNow
//! Unfenced             wants a fence                             Fenced
//! Unfenced             wants to shut down, leads partitions      ControlledShutdown
//! Unfenced             wants to shut down, leads none            ShutDownNow
//! ControlledShutdown   leads none, the others know it            ShutDownNow
//! any                  otherwise                                 as before
//! ```
//! Source: interop C.3.

use dohle_base::{BrokerId, Offset, Uuid};
use dohle_metadata::{Broker, MetadataRecord};
use dohle_protocol::api::{
    broker_heartbeat_request::BrokerHeartbeatRequest,
    broker_heartbeat_response::BrokerHeartbeatResponse,
};
use dohle_protocol::records::metadata::broker_registration_change_record::BrokerRegistrationChangeRecord;

use crate::controller::{Outcome, answer, outcome};
use crate::{Context, Controller, Reply, Session, Soft};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Liveness {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutDownNow,
}

impl Controller {
    pub(crate) fn heartbeat(
        &self,
        session: &Session,
        context: &Context,
        request: &BrokerHeartbeatRequest,
    ) -> Outcome {
        let id = request.broker_id;
        let broker = match self.check_broker_epoch(id, request.broker_epoch) {
            Ok(broker) => broker,
            Err(error_code) => {
                let response = BrokerHeartbeatResponse { error_code, ..Default::default() };
                return answer(context, Reply::BrokerHeartbeat(response));
            }
        };
        let before = liveness(broker);
        let caught_up = self.has_caught_up(request);
        let after = self.next_liveness(session, broker, request, caught_up);
        let mut records = self.transition(broker, before, after);
        records.extend(self.directory_changes(broker, request));
        let mut soft = vec![Soft::Touch {
            id,
            epoch: broker.epoch,
            metadata_offset: Some(request.current_metadata_offset),
        }];
        if after == Liveness::ControlledShutdown && before != after {
            let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
            soft.push(Soft::ShuttingDown { id, offset: context.next_offset.plus(count - 1) });
        }
        let response = BrokerHeartbeatResponse {
            is_caught_up: caught_up,
            is_fenced: matches!(after, Liveness::Fenced | Liveness::ShutDownNow),
            should_shut_down: after == Liveness::ShutDownNow,
            ..BrokerHeartbeatResponse::default()
        };
        Outcome { soft, ..outcome(context, records, Reply::BrokerHeartbeat(response)) }
    }

    /// Whether the broker has published its own registration.
    fn has_caught_up(&self, request: &BrokerHeartbeatRequest) -> bool {
        let registered = self.registered_at.get(&request.broker_id);
        registered.is_some_and(|offset| request.current_metadata_offset >= *offset)
    }

    fn next_liveness(
        &self,
        session: &Session,
        broker: &Broker,
        request: &BrokerHeartbeatRequest,
        caught_up: bool,
    ) -> Liveness {
        let (fence, shut_down) = (request.want_fence, request.want_shut_down);
        match liveness(broker) {
            Liveness::Fenced if shut_down => Liveness::ShutDownNow,
            Liveness::Fenced if !fence && caught_up => Liveness::Unfenced,
            Liveness::Unfenced if fence && shut_down => Liveness::ShutDownNow,
            Liveness::Unfenced if fence => Liveness::Fenced,
            Liveness::Unfenced if shut_down && self.leads_any(broker.id) => {
                Liveness::ControlledShutdown
            }
            Liveness::Unfenced if shut_down => Liveness::ShutDownNow,
            Liveness::ControlledShutdown
                if !self.leads_any(broker.id) && self.is_shutdown_known(session, broker.id) =>
            {
                Liveness::ShutDownNow
            }
            unchanged => unchanged,
        }
    }

    /// Whether every active broker has published that this one gave up its leaderships.
    fn is_shutdown_known(&self, session: &Session, id: BrokerId) -> bool {
        let since = session.contact(id).and_then(|contact| contact.shutdown_offset);
        let active = self.image().brokers.values().filter(|broker| broker.is_active());
        let mut reached = active.map(|broker| {
            let contact = session.contact(broker.id);
            contact.and_then(|contact| contact.metadata_offset).unwrap_or(Offset(-1))
        });
        // A controller that took over meanwhile does not know since when; it knows who is active.
        since.is_none_or(|since| reached.all(|offset| since <= offset))
    }

    fn transition(
        &self,
        broker: &Broker,
        before: Liveness,
        after: Liveness,
    ) -> Vec<MetadataRecord> {
        if before == after {
            return Vec::new();
        }
        match after {
            Liveness::Fenced | Liveness::ShutDownNow if broker.fenced => Vec::new(),
            Liveness::Fenced | Liveness::ShutDownNow => self.fence(broker),
            Liveness::Unfenced => self.unfence(broker),
            Liveness::ControlledShutdown => {
                let shutting_down = BrokerRegistrationChangeRecord {
                    broker_id: broker.id,
                    broker_epoch: broker.epoch,
                    in_controlled_shutdown: 1,
                    ..BrokerRegistrationChangeRecord::default()
                };
                let mut records = vec![shutting_down.into()];
                records.extend(self.leave_isrs(broker.id));
                records
            }
        }
    }

    /// Directories that were lost, and those that take no new replicas from now on.
    fn directory_changes(
        &self,
        broker: &Broker,
        request: &BrokerHeartbeatRequest,
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let change = || BrokerRegistrationChangeRecord {
            broker_id: broker.id,
            broker_epoch: broker.epoch,
            ..BrokerRegistrationChangeRecord::default()
        };
        let (lost, online): (Vec<Uuid>, Vec<Uuid>) = broker
            .directories
            .iter()
            .partition(|directory| request.offline_log_dirs.contains(directory));
        if self.version().has_directories() && !lost.is_empty() {
            for directory in lost {
                records.extend(self.leave_directory(broker.id, directory));
            }
            records.push(BrokerRegistrationChangeRecord { log_dirs: online, ..change() }.into());
        }
        if self.version().has_cordoned_directories()
            && let Some(cordoned) = &request.cordoned_log_dirs
            && !is_cordoned(broker, cordoned)
        {
            let cordoned_log_dirs = Some(cordoned.clone());
            records.push(BrokerRegistrationChangeRecord { cordoned_log_dirs, ..change() }.into());
        }
        records
    }
}

fn liveness(broker: &Broker) -> Liveness {
    match broker {
        Broker { fenced: true, .. } => Liveness::Fenced,
        Broker { in_controlled_shutdown: true, .. } => Liveness::ControlledShutdown,
        _ => Liveness::Unfenced,
    }
}

/// Whether exactly these directories are known to be cordoned.
fn is_cordoned(broker: &Broker, directories: &[Uuid]) -> bool {
    broker.cordoned_directories.as_ref().is_some_and(|known| {
        known.iter().all(|id| directories.contains(id))
            && directories.iter().all(|id| known.contains(id))
    })
}
