//! Records and answers in one line each.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, ErrorCode, Str, TopicId};
use dohle_controller::Reply;
use dohle_metadata::{MetadataImage, MetadataRecord as R};

/// Topic names by id.
pub(super) struct Names(BTreeMap<TopicId, Str>);

impl Names {
    pub(super) fn new(image: &MetadataImage) -> Self {
        Self(image.topics.iter().map(|topic| (topic.id, topic.name.clone())).collect())
    }

    fn of(&self, id: TopicId) -> &str {
        self.0.get(&id).map_or("a topic that is gone", Str::as_str)
    }
}

fn ids(ids: &[BrokerId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("[{}]", ids.join(" "))
}

pub(super) fn record(record: &R, names: &Names) -> String {
    match record {
        R::RegisterBroker(r) => {
            let state = if r.fenced { "fenced" } else { "unfenced" };
            format!("RegisterBroker {} epoch {} {state}", r.broker_id, r.broker_epoch)
        }
        R::UnregisterBroker(r) => {
            format!("UnregisterBroker {} epoch {}", r.broker_id, r.broker_epoch)
        }
        R::BrokerRegistrationChange(r) => {
            let mut line = format!("BrokerRegistrationChange {}", r.broker_id);
            match r.fenced {
                1 => line += " fence",
                -1 => line += " unfence",
                _ => {}
            }
            if r.in_controlled_shutdown == 1 {
                line += " shutting down";
            }
            if !r.log_dirs.is_empty() {
                let dirs: Vec<String> = r.log_dirs.iter().map(|dir| dir.0.to_string()).collect();
                line += &format!(" directories {}", dirs.join(" "));
            }
            if let Some(dirs) = &r.cordoned_log_dirs {
                let dirs: Vec<String> = dirs.iter().map(|dir| dir.0.to_string()).collect();
                line += &format!(" cordoned [{}]", dirs.join(" "));
            }
            line
        }
        R::Topic(r) => format!("Topic {}", r.name),
        R::RemoveTopic(_) => "RemoveTopic".into(),
        R::Partition(r) => {
            let dirs: Vec<String> = r.directories.iter().map(|dir| dir.0.to_string()).collect();
            format!(
                "Partition {}-{} replicas {} isr {} leader {} directories {}",
                names.of(r.topic_id),
                r.partition_id,
                ids(&r.replicas),
                ids(&r.isr),
                r.leader,
                dirs.join(" ")
            )
        }
        R::PartitionChange(r) => {
            let mut line = format!("PartitionChange {}-{}", names.of(r.topic_id), r.partition_id);
            if r.leader != BrokerId(-2) {
                line += &format!(" leader {}", r.leader);
            }
            for (name, value) in [
                ("replicas", &r.replicas),
                ("isr", &r.isr),
                ("elr", &r.eligible_leader_replicas),
                ("last", &r.last_known_elr),
                ("adding", &r.adding_replicas),
                ("removing", &r.removing_replicas),
            ] {
                if let Some(value) = value {
                    line += &format!(" {name} {}", ids(value));
                }
            }
            if let Some(dirs) = &r.directories {
                let dirs: Vec<String> = dirs.iter().map(|dir| dir.0.to_string()).collect();
                line += &format!(" directories {}", dirs.join(" "));
            }
            match r.leader_recovery_state {
                0 => line += " recovered",
                1 => line += " recovering",
                _ => {}
            }
            line
        }
        R::Config(r) => {
            let value = r.value.as_deref().unwrap_or("(removed)");
            format!("Config {} {:?} {} = {value}", r.resource_type, r.resource_name, r.name)
        }
        R::ClearElr(r) => format!("ClearElr {:?}", r.topic_name),
        R::FeatureLevel(r) => format!("FeatureLevel {} = {}", r.name, r.feature_level),
        R::ProducerIds(r) => format!("ProducerIds up to {}", r.next_producer_id),
        other => other.name().trim_end_matches("Record").into(),
    }
}

fn outcome(what: &str, code: ErrorCode, message: Option<&Str>) -> String {
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    if code == ErrorCode::NONE { format!("{what} ok") } else { format!("{what} {code}{message}") }
}

pub(super) fn reply(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Activated => vec!["-> activated".into()],
        Reply::RegisterController(r) => {
            vec![outcome("->", r.error_code, r.error_message.as_ref())]
        }
        Reply::RegisterBroker(r) if r.error_code == ErrorCode::NONE => {
            vec![format!("-> epoch {}", r.broker_epoch)]
        }
        Reply::RegisterBroker(r) => vec![outcome("->", r.error_code, None)],
        Reply::BrokerHeartbeat(r) if r.error_code == ErrorCode::NONE => {
            let words = [
                (r.is_caught_up, "caught up"),
                (r.is_fenced, "fenced"),
                (r.should_shut_down, "should shut down"),
            ];
            let words: Vec<&str> =
                words.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
            vec![format!("-> {}", words.join(", "))]
        }
        Reply::BrokerHeartbeat(r) => vec![outcome("->", r.error_code, None)],
        Reply::UnregisterBroker(r) => vec![outcome("->", r.error_code, r.error_message.as_ref())],
        Reply::CreateTopics(r) => r
            .topics
            .iter()
            .map(|topic| match topic.error_code {
                ErrorCode::NONE => {
                    let set =
                        topic.configs.iter().flatten().filter(|config| config.config_source == 1);
                    let set: Vec<&str> = set.map(|config| config.name.as_str()).collect();
                    let count = topic.configs.as_ref().map_or(0, Vec::len);
                    format!(
                        "-> {} ok: {} partitions, {} replicas, {} of {count} settings its own",
                        topic.name,
                        topic.num_partitions,
                        topic.replication_factor,
                        set.len()
                    )
                }
                code => {
                    outcome(&format!("-> {:?}", topic.name), code, topic.error_message.as_ref())
                }
            })
            .collect(),
        Reply::DeleteTopics(r) => r
            .responses
            .iter()
            .map(|topic| {
                let name = topic.name.as_deref().unwrap_or("?");
                outcome(&format!("-> {name}"), topic.error_code, topic.error_message.as_ref())
            })
            .collect(),
        Reply::CreatePartitions(r) => r
            .results
            .iter()
            .map(|topic| {
                outcome(
                    &format!("-> {}", topic.name),
                    topic.error_code,
                    topic.error_message.as_ref(),
                )
            })
            .collect(),
        Reply::IncrementalAlterConfigs(r) => r
            .responses
            .iter()
            .map(|one| outcome("->", one.error_code, one.error_message.as_ref()))
            .collect(),
        Reply::AlterConfigs(r) => r
            .responses
            .iter()
            .map(|one| outcome("->", one.error_code, one.error_message.as_ref()))
            .collect(),
        Reply::AllocateProducerIds(r) if r.error_code == ErrorCode::NONE => {
            vec![format!("-> {} from {}", r.producer_id_len, r.producer_id_start)]
        }
        Reply::AllocateProducerIds(r) => vec![outcome("->", r.error_code, None)],
        Reply::AlterPartition(r) if r.error_code == ErrorCode::NONE => r
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|p| match p.error_code {
                ErrorCode::NONE => format!(
                    "-> leader {} epoch {} isr {} partition epoch {} recovery {}",
                    p.leader_id,
                    p.leader_epoch,
                    ids(&p.isr),
                    p.partition_epoch,
                    p.leader_recovery_state
                ),
                code => outcome("->", code, None),
            })
            .collect(),
        Reply::AlterPartition(r) => vec![outcome("->", r.error_code, None)],
        Reply::AssignReplicasToDirs(r) if r.error_code == ErrorCode::NONE => {
            let topics = r.directories.iter().flat_map(|directory| &directory.topics);
            let partitions = topics.flat_map(|topic| &topic.partitions);
            partitions.map(|partition| outcome("->", partition.error_code, None)).collect()
        }
        Reply::AssignReplicasToDirs(r) => vec![outcome("->", r.error_code, None)],
        Reply::Refused(error) => vec![outcome("-> refused", error.code, error.message.as_ref())],
    }
}
