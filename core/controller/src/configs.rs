//! Dynamic settings of topics, brokers, groups and client metrics.
//!
//! What a change leads to and whether it may be is core/config's business; here are the rules that
//! need the image: the resource must exist, and while eligible leader replicas are maintained,
//! `min.insync.replicas` has one value for all brokers. Source: interop C.5, C.6.

use std::collections::BTreeSet;

use dohle_base::{BrokerId, ErrorCode, Str};
use dohle_config::alter::{self, AlterOp, Alteration, Refusal};
use dohle_config::{Resource, Settings};
use dohle_metadata::{ConfigResource, MetadataImage, MetadataRecord};
use dohle_protocol::api::{
    alter_configs_request::AlterConfigsRequest,
    alter_configs_response::{AlterConfigsResourceResponse as ReplaceResult, AlterConfigsResponse},
    incremental_alter_configs_request::{AlterableConfig, IncrementalAlterConfigsRequest},
    incremental_alter_configs_response::{
        AlterConfigsResourceResponse as AlterResult, IncrementalAlterConfigsResponse,
    },
};
use dohle_protocol::records::metadata::{
    clear_elr_record::ClearElrRecord, config_record::ConfigRecord,
};

use crate::controller::{Outcome, outcome};
use crate::lookup::MIN_INSYNC_REPLICAS;
use crate::repeated::repeated;
use crate::topics::USER_RECORDS_MAX;
use crate::{ApiError, Context, Controller, Reply};

/// Directories that take no new replicas; a broker's setting.
const CORDONED_LOG_DIRS: &str = "cordoned.log.dirs";

/// The dynamic settings of a resource.
pub(crate) fn settings_of(image: &MetadataImage, resource: &ConfigResource) -> Settings {
    let settings = image.configs_of(resource).into_iter().flatten();
    settings.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A resource that occurs in a request, and what comes of it.
type Results = Vec<(i8, Str, Result<Vec<ConfigRecord>, ApiError>)>;

impl Controller {
    pub(crate) fn incremental_alter_configs(
        &self,
        context: &Context,
        request: &IncrementalAlterConfigsRequest,
    ) -> Outcome {
        let repeated =
            repeated(request.resources.iter().map(|r| (r.resource_type, r.resource_name.as_str())));
        let results: Results = request
            .resources
            .iter()
            .map(|wanted| {
                let altered = once(&repeated, wanted.resource_type, &wanted.resource_name)
                    .and_then(|resource| {
                        let alterations = alterations(&wanted.configs)?;
                        let (kind, current) = self.kind_and_settings(&resource)?;
                        let changes =
                            alter::alter(kind, &current, &alterations).map_err(refused)?;
                        self.changed(kind, &resource, &current, changes)
                    });
                (wanted.resource_type, wanted.resource_name.clone(), altered)
            })
            .collect();
        let (records, answers) = self.collect(results, request.validate_only);
        let responses = answers.into_iter().map(|(resource_type, resource_name, error)| {
            let ApiError { code: error_code, message: error_message } = error;
            AlterResult { error_code, error_message, resource_type, resource_name }
        });
        let response = IncrementalAlterConfigsResponse {
            responses: responses.collect(),
            ..IncrementalAlterConfigsResponse::default()
        };
        outcome(context, records, Reply::IncrementalAlterConfigs(response))
    }

    pub(crate) fn alter_configs(
        &self,
        context: &Context,
        request: &AlterConfigsRequest,
    ) -> Outcome {
        let repeated =
            repeated(request.resources.iter().map(|r| (r.resource_type, r.resource_name.as_str())));
        let results: Results = request
            .resources
            .iter()
            .map(|wanted| {
                let altered = once(&repeated, wanted.resource_type, &wanted.resource_name)
                    .and_then(|resource| {
                        let settings: Vec<(Str, Option<Str>)> = wanted
                            .configs
                            .iter()
                            .map(|config| (config.name.clone(), config.value.clone()))
                            .collect();
                        let (kind, current) = self.kind_and_settings(&resource)?;
                        let changes = alter::replace(kind, &current, &settings).map_err(refused)?;
                        self.changed(kind, &resource, &current, changes)
                    });
                (wanted.resource_type, wanted.resource_name.clone(), altered)
            })
            .collect();
        let (records, answers) = self.collect(results, request.validate_only);
        let responses = answers.into_iter().map(|(resource_type, resource_name, error)| {
            let ApiError { code: error_code, message: error_message } = error;
            ReplaceResult { error_code, error_message, resource_type, resource_name }
        });
        let response = AlterConfigsResponse {
            responses: responses.collect(),
            ..AlterConfigsResponse::default()
        };
        outcome(context, records, Reply::AlterConfigs(response))
    }

    fn kind_and_settings(
        &self,
        resource: &ConfigResource,
    ) -> Result<(Resource, Settings), ApiError> {
        let kind = resource.resource().ok_or_else(|| {
            let message = format!("resource type {} is unknown", resource.resource_type);
            ApiError::new(ErrorCode::UNSUPPORTED_VERSION, message)
        })?;
        if kind == Resource::BrokerLogger {
            let message = "log levels are not stored; a broker is asked directly";
            return Err(ApiError::new(ErrorCode::INVALID_REQUEST, message));
        }
        Ok((kind, settings_of(self.image(), resource)))
    }

    /// The records of changes that are allowed.
    fn changed(
        &self,
        kind: Resource,
        resource: &ConfigResource,
        current: &Settings,
        changes: Vec<alter::Change>,
    ) -> Result<Vec<ConfigRecord>, ApiError> {
        for change in &changes {
            self.check_broker_wide_rules(kind, resource, change)?;
        }
        let after = alter::apply(current, &changes);
        alter::validate(&self.node, kind, &resource.name, current, &after).map_err(refused)?;
        self.check_exists(kind, resource)?;
        let records = changes.into_iter().map(|change| ConfigRecord {
            resource_type: resource.resource_type,
            resource_name: resource.name.clone(),
            name: change.name,
            value: change.value,
        });
        Ok(records.collect())
    }

    fn check_broker_wide_rules(
        &self,
        kind: Resource,
        resource: &ConfigResource,
        change: &alter::Change,
    ) -> Result<(), ApiError> {
        if kind != Resource::Broker {
            return Ok(());
        }
        let invalid = |message: &str| Err(ApiError::new(ErrorCode::INVALID_CONFIG, message));
        let all_brokers = resource.name.is_empty();
        match change.name.as_str() {
            MIN_INSYNC_REPLICAS if self.elr_enabled() && !all_brokers => invalid(
                "min.insync.replicas cannot differ between brokers while eligible leader replicas are maintained",
            ),
            MIN_INSYNC_REPLICAS if self.elr_enabled() && change.value.is_none() => invalid(
                "min.insync.replicas of all brokers cannot be removed while eligible leader replicas are maintained",
            ),
            CORDONED_LOG_DIRS if !self.version().has_cordoned_directories() => {
                invalid("cordoned.log.dirs needs metadata.version 4.3-IV0 or later")
            }
            _ => Ok(()),
        }
    }

    fn check_exists(&self, kind: Resource, resource: &ConfigResource) -> Result<(), ApiError> {
        let name = resource.name.as_str();
        match kind {
            Resource::Topic if self.image().topics.named(name).is_none() => {
                let message = format!("there is no topic '{name}'");
                Err(ApiError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message))
            }
            Resource::Broker if !name.is_empty() && !self.is_node(name) => {
                let message = format!("there is no broker {name}");
                Err(ApiError::new(ErrorCode::BROKER_ID_NOT_REGISTERED, message))
            }
            _ => Ok(()),
        }
    }

    fn is_node(&self, name: &str) -> bool {
        let Ok(id) = name.parse().map(BrokerId) else { return false };
        let image = self.image();
        image.brokers.contains_key(&id) || image.controllers.contains_key(&id)
    }

    /// All records of a request, and each resource's answer.
    fn collect(
        &self,
        results: Results,
        validate_only: bool,
    ) -> (Vec<MetadataRecord>, Vec<(i8, Str, ApiError)>) {
        let mut records: Vec<ConfigRecord> = Vec::new();
        let mut answers = Vec::with_capacity(results.len());
        for (resource_type, name, result) in results {
            let error = match result {
                Ok(more) if records.len() + more.len() > USER_RECORDS_MAX => {
                    let message =
                        format!("the request leads to more than {USER_RECORDS_MAX} records");
                    ApiError::new(ErrorCode::POLICY_VIOLATION, message)
                }
                Ok(more) => {
                    records.extend(more);
                    ErrorCode::NONE.into()
                }
                Err(error) => error,
            };
            answers.push((resource_type, name, error));
        }
        if validate_only {
            records.clear();
        }
        let cleared = clear_elr_records(self.elr_enabled(), &records);
        let records = records.into_iter().map(MetadataRecord::from).chain(cleared);
        (records.collect(), answers)
    }
}

/// The ELR says who has all that was acknowledged, and what counts as acknowledged follows
/// `min.insync.replicas`: when that changes, the ELR begins anew.
pub(crate) fn clear_elr_records(
    elr_enabled: bool,
    changes: &[ConfigRecord],
) -> Vec<MetadataRecord> {
    let relevant =
        changes.iter().filter(|change| elr_enabled && change.name == MIN_INSYNC_REPLICAS);
    let cleared = relevant.map(|change| {
        let is_topic = change.resource_type == Resource::Topic.code();
        let topic_name = if is_topic { change.resource_name.clone() } else { Str::default() };
        ClearElrRecord { topic_name }.into()
    });
    cleared.collect()
}

/// The resource, if the request names it once.
fn once(
    repeated: &BTreeSet<(i8, &str)>,
    resource_type: i8,
    name: &Str,
) -> Result<ConfigResource, ApiError> {
    if repeated.contains(&(resource_type, name.as_str())) {
        let message = "the resource occurs more than once in the request";
        return Err(ApiError::new(ErrorCode::INVALID_REQUEST, message));
    }
    Ok(ConfigResource { resource_type, name: name.clone() })
}

fn alterations(configs: &[AlterableConfig]) -> Result<Vec<Alteration>, ApiError> {
    let alterations = configs.iter().map(|config| {
        let op = AlterOp::from_code(config.config_operation).ok_or_else(|| {
            let message = format!("operation {} is unknown", config.config_operation);
            ApiError::new(ErrorCode::INVALID_REQUEST, message)
        })?;
        Ok(Alteration { name: config.name.clone(), op, value: config.value.clone() })
    });
    alterations.collect()
}

fn refused(refusal: Refusal) -> ApiError {
    ApiError::new(refusal.code, refusal.to_string())
}
