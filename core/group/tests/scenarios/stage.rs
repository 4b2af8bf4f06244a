//! A coordinator on a log that is always committed, with a clock that moves when told.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use dohle_base::{Instant, Now, Offset, PartitionId, ProducerId, Str, Timestamp, TopicId, Uuid};
use dohle_group::{
    Caller, Command, Effect, GroupMachine, GroupRecord, GroupSettings, KeyValue, ListFilter, Reply,
    ReplyToken,
};
use dohle_machine::{Journal, Rejected, Runtime};
use dohle_protocol::{
    api::{
        heartbeat_request::HeartbeatRequest,
        join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
        leave_group_request::{LeaveGroupRequest, MemberIdentity},
        offset_commit_request::{
            OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
        },
        offset_delete_request::{
            OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
        },
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment},
    },
    records::group::{offset_commit_key::OffsetCommitKey, offset_commit_value::OffsetCommitValue},
};

use crate::{script::Words, show, wire};

/// The wall clock starts here, so that times in stories are short.
const WALL_START_MS: i64 = 1_000_000;
/// The part of a member id that is always the same here, and how stories write it.
const ID_MIDDLE: &str = "-00000000-0000-0000-0000-0000000000";
const ID_MARK: &str = "~";

pub(crate) struct Stage {
    runtime: Runtime<GroupMachine>,
    log: Log,
    settings: GroupSettings,
    now_ms: u64,
    requests: u64,
    /// The versions of requests, by token.
    versions: BTreeMap<ReplyToken, i16>,
}

/// The log as bytes, and control batches as what they say.
#[derive(Default)]
struct Log {
    stored: Vec<Stored>,
    refuses: bool,
}

enum Stored {
    Bytes(KeyValue, ProducerId),
    Marker(GroupRecord),
}

#[derive(Debug)]
struct Refused;

impl Journal<GroupRecord> for Log {
    type Error = Refused;

    fn append(&mut self, records: &[GroupRecord]) -> Result<Offset, Refused> {
        if self.refuses {
            return Err(Refused);
        }
        let first = Offset(self.stored.len() as i64);
        for record in records {
            self.stored.push(store(record));
        }
        Ok(first)
    }
}

fn store(record: &GroupRecord) -> Stored {
    let producer_id = match record {
        GroupRecord::OffsetCommit { producer_id, .. } => *producer_id,
        _ => ProducerId::NONE,
    };
    match record.encode().expect("stories have short names") {
        None => Stored::Marker(record.clone()),
        Some(bytes) => {
            let stored = Stored::Bytes(bytes, producer_id);
            assert_eq!(&load(&stored), record, "bytes and record are the same");
            stored
        }
    }
}

fn load(stored: &Stored) -> GroupRecord {
    match stored {
        Stored::Marker(record) => record.clone(),
        Stored::Bytes(bytes, producer_id) => {
            GroupRecord::decode(bytes.key.clone(), bytes.value.clone(), *producer_id)
                .expect("what was written can be read")
        }
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let mut stage = Self {
            runtime: Runtime::default(),
            log: Log::default(),
            settings: GroupSettings::default(),
            now_ms: 0,
            requests: 0,
            versions: BTreeMap::new(),
        };
        stage.load();
        stage
    }

    fn now(&self) -> Now {
        Now {
            instant: Instant::default() + Duration::from_millis(self.now_ms),
            wall: Timestamp(WALL_START_MS + self.now_ms as i64),
        }
    }

    /// Becomes leader: replays the log.
    fn load(&mut self) -> Vec<String> {
        self.runtime = Runtime::default();
        for (at, stored) in self.log.stored.iter().enumerate() {
            self.runtime.replay(Offset(at as i64), &load(stored));
        }
        let mut outcome = self.hand(Command::Configure(self.settings.clone()));
        outcome.extend(self.hand(Command::Loaded));
        outcome
    }

    /// That what was done live is what a replay does.
    pub(crate) fn check(&self) {
        let mut replayed = Runtime::<GroupMachine>::default();
        for (at, stored) in self.log.stored.iter().enumerate() {
            replayed.replay(Offset(at as i64), &load(stored));
        }
        assert_eq!(replayed.machine(), self.runtime.machine());
    }

    /// Does what a command says and tells what came of it.
    pub(crate) fn act(&mut self, words: &Words) -> Result<Vec<String>, String> {
        let mut words = words.clone();
        let outcome = match words.verb.as_str() {
            "settings" => {
                self.configure(&mut words)?;
                self.hand(Command::Configure(self.settings.clone()))
            }
            "wait" => {
                let ms = words.object(0)?.parse().map_err(|_| "wait how long?")?;
                self.wait(ms)
            }
            "restart" => {
                let mut outcome = self.hand(Command::Unloaded);
                outcome.extend(self.load());
                outcome
            }
            "refuse" => {
                self.log.refuses = words.object(0)? == "on";
                Vec::new()
            }
            "log" => self.write(&mut words)?,
            "show" => show::machine(self.runtime.machine(), self.runtime.deadline(), self.now()),
            _ => {
                let command = self.command(&mut words)?;
                self.hand(command)
            }
        };
        words.finish()?;
        Ok(outcome.into_iter().map(|line| line.replace(ID_MIDDLE, ID_MARK)).collect())
    }

    fn configure(&mut self, words: &mut Words) -> Result<(), String> {
        let settings = &mut self.settings;
        settings.group_size_max = words.number("size", settings.group_size_max)?;
        settings.initial_rebalance_delay_ms =
            words.number("delay", settings.initial_rebalance_delay_ms)?;
        settings.offset_metadata_units_max =
            words.number("metadata", settings.offset_metadata_units_max)?;
        settings.offsets_retention_ms = words.number("retention", settings.offsets_retention_ms)?;
        Ok(())
    }

    fn wait(&mut self, ms: u64) -> Vec<String> {
        let end = self.now_ms + ms;
        let mut outcome = Vec::new();
        let mut ticks = 0;
        while let Some(deadline) = self.runtime.deadline() {
            let due_ms = deadline.since(Instant::default()).as_millis() as u64;
            if due_ms > end {
                break;
            }
            self.now_ms = self.now_ms.max(due_ms);
            ticks += 1;
            assert!(ticks < 10_000, "time does not pass");
            let before = self.log.stored.len();
            let result = self.runtime.tick(self.now(), &mut self.log);
            let lines = self.outcome(before, result);
            let time = format!("at {}", self.now_ms);
            outcome.extend(lines.into_iter().map(|line| format!("{time}: {line}")));
        }
        self.now_ms = end;
        outcome
    }

    fn hand(&mut self, command: Command) -> Vec<String> {
        let before = self.log.stored.len();
        let result = self.runtime.handle(self.now(), command, &mut self.log);
        self.outcome(before, result)
    }

    fn outcome(
        &mut self,
        log_before: usize,
        result: Result<(), Rejected<Effect, Refused>>,
    ) -> Vec<String> {
        if let Err(rejected) = result {
            let error = dohle_base::ErrorCode::COORDINATOR_NOT_AVAILABLE;
            let replies = rejected.effects.into_iter().filter_map(|effect| effect.fail(error));
            return replies.map(|(token, reply)| self.told(token, &reply)).collect();
        }
        let mut lines: Vec<String> = self.log.stored[log_before..]
            .iter()
            .map(|stored| show::record(&load(stored)))
            .collect();
        self.runtime.handle_high_watermark(self.runtime.applied_end());
        while let Some(effect) = self.runtime.poll_effect() {
            match effect {
                Effect::Reply { token, reply } => lines.push(self.told(token, &reply)),
                Effect::Told { group_id, member_id } => {
                    let told = Command::Told { group_id, member_id };
                    self.runtime
                        .handle(self.now(), told, &mut self.log)
                        .expect("it writes nothing");
                }
                _ => {}
            }
        }
        lines
    }

    /// An answer in one line, which the version of the request must be able to carry.
    fn told(&self, token: ReplyToken, reply: &Reply) -> String {
        wire::assert_fits(reply, self.versions[&token]);
        show::reply(token, reply)
    }

    /// Puts a record into the log that another coordinator wrote, before a restart reads it.
    fn write(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let producer_id = ProducerId(words.number("producer", -1)?);
        let record = match words.object(0)? {
            "commit" | "abort" => {
                let committed = words.object(0)? == "commit";
                GroupRecord::EndMarker { producer_id, committed }
            }
            "offset" => {
                let (topic, partition, offset) = place(words.object(2)?)?;
                GroupRecord::OffsetCommit {
                    key: OffsetCommitKey { group: words.object(1)?.into(), topic, partition },
                    value: Some(OffsetCommitValue { offset, ..OffsetCommitValue::default() }),
                    producer_id,
                }
            }
            "raw" => {
                let key = bytes_of_hex(words.object(1)?)?;
                let value = words.objects.get(2).map(|hex| bytes_of_hex(hex)).transpose()?;
                GroupRecord::decode(key, value, producer_id).map_err(|error| error.to_string())?
            }
            other => return Err(format!("log what: {other}?")),
        };
        self.log.stored.push(store(&record));
        self.runtime.replay(self.runtime.applied_end(), &record);
        Ok(Vec::new())
    }

    fn command(&mut self, words: &mut Words) -> Result<Command, String> {
        self.requests += 1;
        let caller = Caller {
            token: ReplyToken(self.requests),
            api_version: words.number("v", i16::MAX)?,
            client_id: words.take("client").unwrap_or("c".to_owned()).into(),
            client_host: Str::from("/h"),
        };
        self.versions.insert(caller.token, caller.api_version);
        let group_id: Str = words.objects.first().cloned().unwrap_or_default().into();
        Ok(match words.verb.as_str() {
            "join" => Command::Join {
                fresh_id: fresh_id(self.requests),
                request: join_request(words, group_id)?,
                caller,
            },
            "sync" => Command::Sync(caller, sync_request(words, group_id)?),
            "heartbeat" => {
                let generation_id = words.number("generation", -1)?;
                let (member_id, group_instance_id) = (member(words, "member"), instance(words));
                let request =
                    HeartbeatRequest { group_id, generation_id, member_id, group_instance_id };
                Command::Heartbeat(caller, request)
            }
            "leave" => Command::Leave(caller, leave_request(words, group_id)),
            "commit" => Command::OffsetCommit(caller, commit_request(words, group_id)?),
            "fetch" => Command::OffsetFetch {
                caller,
                require_stable: words.take("stable").is_some(),
                request: fetch_request(words, group_id)?,
            },
            "delete-offsets" => Command::OffsetDelete(caller, delete_request(words, group_id)?),
            "delete-topics" => {
                let topics = words.objects.iter().map(|name| (name.into(), topic_id(name)));
                Command::TopicsDeleted(topics.collect())
            }
            "describe" => {
                Command::DescribeGroups(caller, words.objects.iter().map(Str::from).collect())
            }
            "list" => {
                let mut names =
                    |of| -> Vec<Str> { list(words.take(of)).into_iter().map(Str::from).collect() };
                let filter = ListFilter::new(&names("states"), &names("types"));
                Command::ListGroups { caller, filter }
            }
            "delete-groups" => {
                Command::DeleteGroups(caller, words.objects.iter().map(Str::from).collect())
            }
            other => return Err(format!("no command {other}")),
        })
    }
}

/// An id that shows the number of the request, as it is written.
fn fresh_id(number: u64) -> Uuid {
    Uuid(u128::from_str_radix(&number.to_string(), 16).expect("digits are hex digits"))
}

fn list(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn pairs(text: Option<String>) -> Vec<(String, Bytes)> {
    let split = |pair: String| {
        let (name, content) = pair.split_once(':').unwrap_or((&pair, ""));
        (name.replace(ID_MARK, ID_MIDDLE), Bytes::copy_from_slice(content.as_bytes()))
    };
    list(text).into_iter().map(split).collect()
}

fn member(words: &mut Words, name: &str) -> Str {
    words.take(name).unwrap_or_default().replace(ID_MARK, ID_MIDDLE).into()
}

fn instance(words: &mut Words) -> Option<Str> {
    words.take("instance").map(Str::from)
}

/// The subscription of a Kafka consumer, version 0, for topics separated by `+`.
fn subscription(topics: &str) -> Bytes {
    let topics: Vec<&str> = topics.split('+').filter(|topic| !topic.is_empty()).collect();
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1_i32).to_be_bytes());
    bytes.into()
}

fn join_request(words: &mut Words, group_id: Str) -> Result<JoinGroupRequest, String> {
    let protocol_type = words.take("type").unwrap_or("consumer".to_owned());
    let protocols = pairs(Some(words.take("protocols").unwrap_or("range:t".to_owned())));
    let protocols = protocols.into_iter().map(|(name, content)| {
        let metadata = match protocol_type.as_str() {
            "consumer" => subscription(&String::from_utf8_lossy(&content)),
            _ => content,
        };
        JoinGroupRequestProtocol { name: name.into(), metadata }
    });
    Ok(JoinGroupRequest {
        group_id,
        session_timeout_ms: words.number("session", 10_000)?,
        rebalance_timeout_ms: words.number("rebalance", 60_000)?,
        member_id: member(words, "member"),
        group_instance_id: instance(words),
        protocols: protocols.collect(),
        protocol_type: protocol_type.into(),
        reason: None,
    })
}

fn sync_request(words: &mut Words, group_id: Str) -> Result<SyncGroupRequest, String> {
    let assignments = pairs(words.take("assign")).into_iter().map(|(member_id, assignment)| {
        SyncGroupRequestAssignment { member_id: member_id.into(), assignment }
    });
    Ok(SyncGroupRequest {
        group_id,
        generation_id: words.number("generation", -1)?,
        member_id: member(words, "member"),
        group_instance_id: instance(words),
        protocol_type: Some(words.take("type").unwrap_or("consumer".to_owned()).into()),
        protocol_name: Some(words.take("protocol").unwrap_or("range".to_owned()).into()),
        assignments: assignments.collect(),
    })
}

/// `member=` for old versions, else objects: a member id, `/INSTANCE`, or both.
fn leave_request(words: &mut Words, group_id: Str) -> LeaveGroupRequest {
    let members = words.objects.iter().skip(1).map(|leaver| {
        let (member_id, instance_id) = match leaver.split_once('/') {
            Some((member_id, instance_id)) => (member_id, Some(instance_id.into())),
            None => (leaver.as_str(), None),
        };
        let member_id = member_id.replace(ID_MARK, ID_MIDDLE).into();
        MemberIdentity { member_id, group_instance_id: instance_id, ..MemberIdentity::default() }
    });
    let members = members.collect();
    LeaveGroupRequest { group_id, member_id: member(words, "member"), members }
}

/// The id that a topic of that name always has in stories.
fn topic_id(name: &str) -> TopicId {
    TopicId(Uuid(u128::from(name.bytes().fold(100_u32, |id, byte| id * 3 + u32::from(byte)))))
}

/// `TOPIC-PARTITION:OFFSET`, without the offset where none is wanted.
fn place(text: &str) -> Result<(Str, PartitionId, Offset), String> {
    let (place, offset) = text.split_once(':').unwrap_or((text, "-1"));
    let (topic, partition) = place.rsplit_once('-').ok_or(format!("{text} has no partition"))?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("{text} is no number"));
    Ok((topic.into(), PartitionId(number(partition)? as i32), Offset(number(offset)?)))
}

fn commit_request(words: &mut Words, group_id: Str) -> Result<OffsetCommitRequest, String> {
    let metadata = words.take("metadata").map(Str::from);
    let epoch = words.number("epoch", -1)?;
    let unknown_id = words.take("no-id").is_some();
    let mut topics = Vec::new();
    for object in words.objects.iter().skip(1) {
        let (name, partition_index, committed_offset) = place(object)?;
        topics.push(OffsetCommitRequestTopic {
            topic_id: if unknown_id { TopicId::ZERO } else { topic_id(&name) },
            name,
            partitions: vec![OffsetCommitRequestPartition {
                partition_index,
                committed_offset,
                committed_leader_epoch: dohle_base::LeaderEpoch(epoch),
                committed_metadata: metadata.clone(),
            }],
        });
    }
    Ok(OffsetCommitRequest {
        group_id,
        generation_id_or_member_epoch: words.number("generation", -1)?,
        member_id: member(words, "member"),
        group_instance_id: instance(words),
        retention_time_ms: words.number("retention", -1)?,
        topics,
    })
}

fn fetch_request(words: &mut Words, group_id: Str) -> Result<OffsetFetchRequestGroup, String> {
    let id = words.take("id");
    let mut topics = Vec::new();
    for object in words.objects.iter().skip(1) {
        let (name, partition, _) = place(object)?;
        let topic_id = match id.as_deref() {
            Some("other") => TopicId(Uuid(u128::MAX)),
            Some(_) => topic_id(&name),
            None => TopicId::ZERO,
        };
        topics.push(OffsetFetchRequestTopics {
            name,
            topic_id,
            partition_indexes: vec![partition],
        });
    }
    let topics = (!topics.is_empty()).then_some(topics);
    Ok(OffsetFetchRequestGroup { group_id, topics, ..OffsetFetchRequestGroup::default() })
}

fn delete_request(words: &mut Words, group_id: Str) -> Result<OffsetDeleteRequest, String> {
    let mut topics = Vec::new();
    for object in words.objects.iter().skip(1) {
        let (name, partition_index, _) = place(object)?;
        let partitions = vec![OffsetDeleteRequestPartition { partition_index }];
        topics.push(OffsetDeleteRequestTopic { name, partitions });
    }
    Ok(OffsetDeleteRequest { group_id, topics })
}

fn bytes_of_hex(hex: &str) -> Result<Bytes, String> {
    let digits = hex.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
        u8::from_str_radix(pair, 16).map_err(|error| error.to_string())
    });
    digits.collect::<Result<Vec<u8>, String>>().map(Bytes::from)
}
