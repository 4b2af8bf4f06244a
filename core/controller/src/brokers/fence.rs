//! What becomes of partitions when a broker comes or goes, and brokers that were not heard of.

use dohle_base::{BrokerId, Instant, PartitionId, Uuid};
use dohle_machine::Decision;
use dohle_metadata::{Broker, MetadataRecord, Partition, Topic};
use dohle_protocol::api::{
    unregister_broker_request::UnregisterBrokerRequest,
    unregister_broker_response::UnregisterBrokerResponse,
};
use dohle_protocol::records::metadata::{
    broker_registration_change_record::BrokerRegistrationChangeRecord,
    unregister_broker_record::UnregisterBrokerRecord,
};

use crate::controller::{Outcome, answer, outcome};
use crate::partitions::Change;
use crate::{Context, Controller, Reply, Session, Soft};
use dohle_base::ErrorCode;

impl Controller {
    /// A broker leaves the ISRs it is in, and others lead in its place.
    pub(crate) fn leave_isrs(&self, id: BrokerId) -> Vec<MetadataRecord> {
        let acceptable = |candidate| candidate != id && self.is_active(candidate);
        self.change_partitions(
            |partition| partition.isr.contains(&id),
            |topic, number, partition| {
                Change::new(self, topic, number, partition, &acceptable).without(id).record()
            },
        )
    }

    /// A broker that may have lost records leaves the ISRs and the ELRs it is in.
    pub(crate) fn leave_isrs_and_elrs(&self, id: BrokerId) -> Vec<MetadataRecord> {
        let acceptable = |candidate| candidate != id && self.is_active(candidate);
        self.change_partitions(
            |partition| partition.isr.contains(&id) || partition.elr.contains(&id),
            |topic, number, partition| {
                Change::new(self, topic, number, partition, &acceptable)
                    .without_uncleanly_stopped(id)
                    .record()
            },
        )
    }

    /// A directory of a broker is lost: its replicas there leave the ISRs.
    pub(crate) fn leave_directory(&self, id: BrokerId, directory: Uuid) -> Vec<MetadataRecord> {
        let acceptable = |candidate| candidate != id && self.is_active(candidate);
        self.change_partitions(
            |partition| partition.directory(id) == Some(directory),
            |topic, number, partition| {
                Change::new(self, topic, number, partition, &acceptable).without(id).record()
            },
        )
    }

    /// A broker can lead from now on: it does where nobody else could.
    fn lead_leaderless(&self, id: BrokerId) -> Vec<MetadataRecord> {
        let acceptable = |candidate| candidate == id || self.is_active(candidate);
        self.change_partitions(
            |partition| partition.leader == BrokerId::NONE,
            |topic, number, partition| {
                Change::new(self, topic, number, partition, &acceptable).record()
            },
        )
    }

    fn change_partitions<R: Into<MetadataRecord>>(
        &self,
        affected: impl Fn(&Partition) -> bool,
        change: impl Fn(&Topic, PartitionId, &Partition) -> Option<R>,
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for topic in self.image().topics.iter() {
            for (number, partition) in &topic.partitions {
                if affected(partition) {
                    records.extend(change(topic, *number, partition).map(Into::into));
                }
            }
        }
        records
    }

    /// Whether a broker leads any partition.
    pub(crate) fn leads_any(&self, id: BrokerId) -> bool {
        let mut topics = self.image().topics.iter();
        topics.any(|topic| topic.partitions.values().any(|partition| partition.leader == id))
    }

    /// The broker gets no clients any more.
    pub(crate) fn fence(&self, broker: &Broker) -> Vec<MetadataRecord> {
        let mut records = self.leave_isrs(broker.id);
        records.push(fencing(broker, 1).into());
        records
    }

    /// The broker gets clients from now on.
    pub(crate) fn unfence(&self, broker: &Broker) -> Vec<MetadataRecord> {
        let mut records = vec![fencing(broker, -1).into()];
        records.extend(self.lead_leaderless(broker.id));
        records
    }

    /// When the next session ends, if nobody is heard of. The broker in this process needs none: it
    /// lives as long as the controller.
    pub(crate) fn next_session_end(&self, session: &Session) -> Option<Instant> {
        let others = session.contacts().filter(|(id, _)| *id != self.settings.node_id);
        let ends = others.map(|(_, contact)| contact.last + self.settings.session_timeout());
        ends.min()
    }

    /// Fences one broker that was not heard of for a session, so that what follows from it is seen
    /// before the next one is looked at.
    pub(crate) fn fence_stale_broker(&self, session: &Session, now: Instant) -> Outcome {
        let timeout = self.settings.session_timeout();
        let stale = session
            .contacts()
            .find(|(id, contact)| *id != self.settings.node_id && contact.last + timeout <= now);
        let Some((id, contact)) = stale else { return Decision::default() };
        let alive =
            |broker: &&std::sync::Arc<Broker>| !broker.fenced && broker.epoch == contact.epoch;
        let records = self.broker(id).filter(alive).map(|broker| self.fence(broker));
        Decision {
            records: records.unwrap_or_default(),
            soft: vec![Soft::Forget { id }],
            effects: Vec::new(),
        }
    }

    pub(crate) fn unregister_broker(
        &self,
        context: &Context,
        request: &UnregisterBrokerRequest,
    ) -> Outcome {
        let id = request.broker_id;
        let Some(broker) = self.broker(id) else {
            let response = UnregisterBrokerResponse {
                error_code: ErrorCode::BROKER_ID_NOT_REGISTERED,
                error_message: Some(format!("broker {id} is not registered").into()),
                ..UnregisterBrokerResponse::default()
            };
            return answer(context, Reply::UnregisterBroker(response));
        };
        let mut records = self.leave_isrs_and_elrs(id);
        let broker_epoch = broker.epoch;
        records.push(UnregisterBrokerRecord { broker_id: id, broker_epoch }.into());
        let reply = Reply::UnregisterBroker(UnregisterBrokerResponse::default());
        Outcome { soft: vec![Soft::Forget { id }], ..outcome(context, records, reply) }
    }
}

fn fencing(broker: &Broker, fenced: i8) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id,
        broker_epoch: broker.epoch,
        fenced,
        ..BrokerRegistrationChangeRecord::default()
    }
}
