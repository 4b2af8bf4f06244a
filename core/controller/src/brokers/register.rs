//! A broker started (BrokerRegistration).
//!
//! A new incarnation gets the offset of the first record of its registration as epoch, after the
//! records that take the one before out of ISRs and leadership. The same incarnation again changes
//! nothing but what it says of itself.
//!
//! The broker in the controller's own process is known to be the only one with its id: it never
//! waits for the session of an incarnation that is gone. Source: interop C.3.

use std::collections::BTreeSet;

use dohle_base::{BrokerId, ErrorCode, Instant, Str, Uuid};
use dohle_metadata::{KRAFT_VERSION, METADATA_VERSION, MetadataRecord, feature};
use dohle_protocol::api::{
    broker_registration_request::BrokerRegistrationRequest,
    broker_registration_response::BrokerRegistrationResponse,
};
use dohle_protocol::records::metadata::register_broker_record::{
    BrokerEndpoint, BrokerFeature, RegisterBrokerRecord,
};

use crate::controller::{Outcome, answer, outcome};
use crate::repeated::repeated;
use crate::{Context, Controller, Reply, Session, Soft};

impl Controller {
    pub(crate) fn register_broker(
        &self,
        session: &Session,
        now: Instant,
        context: &Context,
        request: &BrokerRegistrationRequest,
    ) -> Outcome {
        if let Err(error_code) = self.check_registration(session, now, context, request) {
            let response = BrokerRegistrationResponse { error_code, ..Default::default() };
            return answer(context, Reply::RegisterBroker(response));
        }
        let id = request.broker_id;
        let existing = self.broker(id);
        let again = existing.filter(|broker| broker.incarnation_id == request.incarnation_id);
        let mut record = self.registration(request);
        let mut records = Vec::new();
        match again {
            Some(broker) => {
                record.fenced = broker.fenced;
                record.in_controlled_shutdown = broker.in_controlled_shutdown;
                record.broker_epoch = broker.epoch;
            }
            None => {
                let clean =
                    existing.is_some_and(|broker| broker.epoch == request.previous_broker_epoch);
                records = self.bury(id, clean);
                record.broker_epoch = context.next_offset.0;
            }
        }
        let epoch = record.broker_epoch;
        records.push(MetadataRecord::from(record));
        let response = BrokerRegistrationResponse { broker_epoch: epoch, ..Default::default() };
        let soft = vec![Soft::Touch { id, epoch, metadata_offset: None }];
        Outcome { soft, ..outcome(context, records, Reply::RegisterBroker(response)) }
    }

    /// Takes an earlier life of a broker out of ISRs, and out of ELRs if it may have lost records.
    fn bury(&self, id: BrokerId, clean: bool) -> Vec<MetadataRecord> {
        if self.elr_enabled() && !clean {
            self.leave_isrs_and_elrs(id)
        } else {
            self.leave_isrs(id)
        }
    }

    fn registration(&self, request: &BrokerRegistrationRequest) -> RegisterBrokerRecord {
        let end_points = request.listeners.iter().map(|listener| BrokerEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
        let features = request.features.iter().map(|feature| BrokerFeature {
            name: feature.name.clone(),
            min_supported_version: feature.min_supported_version,
            max_supported_version: feature.max_supported_version,
        });
        let with_directories = self.version().has_directories();
        RegisterBrokerRecord {
            broker_id: request.broker_id,
            incarnation_id: request.incarnation_id,
            end_points: end_points.collect(),
            features: features.collect(),
            rack: request.rack.clone(),
            fenced: true,
            log_dirs: if with_directories { request.log_dirs.clone() } else { Vec::new() },
            ..RegisterBrokerRecord::default()
        }
    }

    fn check_registration(
        &self,
        session: &Session,
        now: Instant,
        context: &Context,
        request: &BrokerRegistrationRequest,
    ) -> Result<(), ErrorCode> {
        if request.cluster_id != self.settings.cluster_id {
            return Err(ErrorCode::INCONSISTENT_CLUSTER_ID);
        }
        if self.is_another_alive(session, now, request) {
            return Err(ErrorCode::DUPLICATE_BROKER_REGISTRATION);
        }
        if request.is_migrating_zk_broker {
            return Err(ErrorCode::BROKER_ID_NOT_REGISTERED);
        }
        if self.version().has_directories() && !self.are_directories_acceptable(request) {
            return Err(ErrorCode::INVALID_REGISTRATION);
        }
        if !request.features.iter().any(|feature| feature.name == METADATA_VERSION) {
            return Err(ErrorCode::INVALID_REGISTRATION);
        }
        if self.covers_finalised_levels(context, request) {
            Ok(())
        } else {
            Err(ErrorCode::UNSUPPORTED_VERSION)
        }
    }

    /// Whether another incarnation was heard of within a session.
    fn is_another_alive(
        &self,
        session: &Session,
        now: Instant,
        request: &BrokerRegistrationRequest,
    ) -> bool {
        let id = request.broker_id;
        let (Some(existing), Some(contact)) = (self.broker(id), session.contact(id)) else {
            return false;
        };
        let valid =
            contact.epoch == existing.epoch && now < contact.last + self.settings.session_timeout();
        let other = existing.incarnation_id != request.incarnation_id;
        id != self.settings.node_id && valid && other
    }

    /// Some, none of them reserved, none twice, none of another broker.
    fn are_directories_acceptable(&self, request: &BrokerRegistrationRequest) -> bool {
        let ids = &request.log_dirs;
        let others = self.image().brokers.values();
        let others = others.filter(|broker| broker.id != request.broker_id);
        let taken: BTreeSet<Uuid> =
            others.flat_map(|broker| broker.directories.iter().copied()).collect();
        !ids.is_empty()
            && repeated(ids.iter()).is_empty()
            && ids.iter().all(|id| !id.is_reserved() && !taken.contains(id))
    }

    /// Whether the broker supports every finalised level; what it does not mention, it supports at
    /// level 0. The broker in this process is let off what this software does not serve yet: a
    /// directory that Kafka formatted would not open otherwise.
    fn covers_finalised_levels(
        &self,
        context: &Context,
        request: &BrokerRegistrationRequest,
    ) -> bool {
        let finalised = self.image().features.iter().map(|(name, level)| (Str::from(name), level));
        let kraft = (Str::from(KRAFT_VERSION), context.kraft_version);
        let mentioned = request
            .features
            .iter()
            .map(|feature| (feature.name.clone(), self.image().features.level(&feature.name)));
        let mentioned = mentioned.filter(|(name, _)| name != KRAFT_VERSION);
        finalised.chain([kraft]).chain(mentioned).all(|(name, level)| {
            let offered = request.features.iter().find(|feature| feature.name == name);
            let range = offered.map_or(0..=0, |feature| {
                feature.min_supported_version..=feature.max_supported_version
            });
            let own = request.broker_id == self.settings.node_id;
            let not_served = feature(&name).is_none_or(|feature| level > feature.max);
            range.contains(&level) || (own && not_served)
        })
    }
}
