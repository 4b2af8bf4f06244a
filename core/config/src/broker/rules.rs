//! The rules that keys must keep together for a node to start. Source: Kafka 4.4 refuses to start
//! in the same cases.

use std::fmt::Display;

use super::{Listeners, Roles, log_dirs, voters};
use crate::error::ConfigError;
use crate::listener::Listener;
use crate::settings::NodeSettings;

/// The faults found so far.
struct Rules<'a> {
    settings: &'a NodeSettings,
    broken: Vec<ConfigError>,
}

impl Rules<'_> {
    /// Notes that the key breaks a rule unless it is kept.
    fn require(&mut self, kept: bool, key: &str, rule: impl Display) {
        if !kept {
            self.broken.push(ConfigError::conflict(key, self.settings.shown(key), rule));
        }
    }

    /// Three integers that must ascend; they may be equal.
    fn ascending(&mut self, keys: [&str; 3]) {
        for pair in [[keys[0], keys[1]], [keys[1], keys[2]]] {
            let [low, high] = pair.map(|key| self.settings.long(key));
            self.require(
                low <= high,
                pair[0],
                format_args!("must not exceed {} = {high}", pair[1]),
            );
        }
    }

    /// Two integers of which the first must not exceed the second.
    fn at_most(&mut self, key: &str, limit: &str) {
        let max = self.settings.long(limit);
        let kept = self.settings.long(key) <= max;
        self.require(kept, key, format_args!("must not exceed {limit} = {max}"));
    }
}

/// Rules on values other than listeners.
pub(super) fn of_values(s: &NodeSettings) -> Vec<ConfigError> {
    let mut rules = Rules { settings: s, broken: Vec::new() };
    identity(&mut rules);
    logs(&mut rules);
    replication(&mut rules);
    connections(&mut rules);
    classic_and_consumer_groups(&mut rules);
    share_groups(&mut rules);
    streams_groups(&mut rules);
    rules.broken
}

fn identity(rules: &mut Rules<'_>) {
    let s = rules.settings;
    let node_id = s.int("node.id");
    rules.require(
        s.int("broker.id") == node_id,
        "broker.id",
        format_args!("must equal node.id = {node_id}"),
    );
}

fn logs(rules: &mut Rules<'_>) {
    let s = rules.settings;
    // Absent, these three are null, and their stand-ins have ranges of their own, except for
    // retention, which may be anything.
    let is_at_least = |name, min| s.long_or_null(name).is_none_or(|value| value >= min);
    rules.require(is_at_least("log.roll.ms", 1), "log.roll.ms", "must be at least 1");
    rules.require(is_at_least("log.roll.jitter.ms", 0), "log.roll.jitter.ms", "must be at least 0");
    let units = ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    if let Some(key) = units.into_iter().find(|key| s.long_or_null(key).is_some()) {
        // Every negative number means for ever.
        rules.require(s.long(key) != 0, key, "must be positive, or -1 for no limit");
    }
    let threads = s.long("log.cleaner.threads");
    rules.require(threads > 0, "log.cleaner.threads", "must be at least 1");
    let per_thread = s.long("log.cleaner.dedupe.buffer.size").checked_div(threads);
    rules.require(
        per_thread.is_none_or(|bytes| bytes > 1024 * 1024),
        "log.cleaner.dedupe.buffer.size",
        "must be more than 1 MiB for each of log.cleaner.threads",
    );
    let dirs = log_dirs(s);
    let cordoned = s.list_or_null("cordoned.log.dirs").unwrap_or(&[]);
    let kept = match cordoned {
        [all] if all == "*" => true,
        some => some.iter().all(|dir| dirs.contains(dir)),
    };
    rules.require(kept, "cordoned.log.dirs", "must be * alone, or name some of log.dirs");
}

fn replication(rules: &mut Rules<'_>) {
    rules.at_most("replica.fetch.wait.max.ms", "replica.socket.timeout.ms");
    rules.at_most("replica.fetch.wait.max.ms", "replica.lag.time.max.ms");
}

fn connections(rules: &mut Rules<'_>) {
    let s = rules.settings;
    let (queued, request) =
        (s.long("queued.max.request.bytes"), s.long("socket.request.max.bytes"));
    rules.require(
        queued <= 0 || queued >= request,
        "queued.max.request.bytes",
        format_args!("must not be less than socket.request.max.bytes = {request}"),
    );
    rules.require(
        s.int("max.connections.per.ip") > 0
            || !s.text("max.connections.per.ip.overrides").is_empty(),
        "max.connections.per.ip",
        "can be 0 only if max.connections.per.ip.overrides lets somebody in",
    );
    let idle = s.long("connections.max.idle.ms");
    rules.require(
        idle < 0 || s.long("connection.failed.authentication.delay.ms") < idle,
        "connection.failed.authentication.delay.ms",
        format_args!("must be less than connections.max.idle.ms = {idle}"),
    );
}

fn classic_and_consumer_groups(rules: &mut Rules<'_>) {
    let s = rules.settings;
    let protocols = s.list("group.coordinator.rebalance.protocols");
    rules.require(
        protocols.iter().any(|protocol| protocol == "classic"),
        "group.coordinator.rebalance.protocols",
        "must contain classic",
    );
    let codec = s.int("offsets.topic.compression.codec");
    rules.require(
        (0..=4).contains(&codec),
        "offsets.topic.compression.codec",
        "must be 0 for none, 1 gzip, 2 snappy, 3 lz4 or 4 zstd",
    );
    modern_groups(rules, "consumer");
}

/// What groups of the consumer, share and streams protocols have in common.
fn modern_groups(rules: &mut Rules<'_>, kind: &str) {
    let s = rules.settings;
    let key = |rest: &str| format!("group.{kind}.{rest}");
    for timer in ["heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms"] {
        let (min, value, max) =
            (key(&format!("min.{timer}")), key(timer), key(&format!("max.{timer}")));
        rules.ascending([&min, &value, &max]);
    }
    let session = s.long(&key("session.timeout.ms"));
    rules.require(
        s.long(&key("heartbeat.interval.ms")) < session,
        &key("heartbeat.interval.ms"),
        format_args!("must be less than {} = {session}", key("session.timeout.ms")),
    );
}

fn share_groups(rules: &mut Rules<'_>) {
    modern_groups(rules, "share");
    let assignors = rules.settings.list("group.share.assignors");
    rules.require(assignors.len() == 1, "group.share.assignors", "must be exactly one");
    for limit in ["delivery.count.limit", "partition.max.record.locks", "record.lock.duration.ms"] {
        rules.ascending([
            &format!("group.share.min.{limit}"),
            &format!("group.share.{limit}"),
            &format!("group.share.max.{limit}"),
        ]);
    }
    rules.at_most("group.share.max.size", "group.share.max.share.sessions");
}

fn streams_groups(rules: &mut Rules<'_>) {
    modern_groups(rules, "streams");
    rules.at_most("group.streams.num.standby.replicas", "group.streams.max.standby.replicas");
    rules.at_most("group.streams.num.warmup.replicas", "group.streams.max.warmup.replicas");
    rules.at_most(
        "group.streams.min.task.offset.interval.ms",
        "group.streams.task.offset.interval.ms",
    );
    let tags = rules.settings.text_of("group.streams.rack.aware.assignment.tags").unwrap_or("");
    rules.require(
        !has_duplicates(tags),
        "group.streams.rack.aware.assignment.tags",
        "must not name a tag twice",
    );
}

/// Whether a list, before its duplicates are dropped, has some.
pub(crate) fn has_duplicates(list: &str) -> bool {
    let items: Vec<&str> = list.split(',').map(str::trim).collect();
    items.iter().enumerate().any(|(i, item)| items[..i].contains(item))
}

/// Rules on listeners, the quorum and roles.
pub(super) fn of_listeners(s: &NodeSettings, roles: Roles, l: &Listeners) -> Vec<ConfigError> {
    let mut rules = Rules { settings: s, broken: Vec::new() };
    quorum(&mut rules, roles);
    if roles.controller {
        controller_listeners(&mut rules, roles, l);
    } else {
        broker_only(&mut rules, l);
    }
    if roles.broker {
        broker_listeners(&mut rules, l);
    }
    let is_everywhere = |l: &Listener| l.host.as_deref() == Some("0.0.0.0");
    rules.require(
        !l.advertised.iter().chain(&l.advertised_controller).any(is_everywhere),
        "advertised.listeners",
        "must not tell anybody to connect to 0.0.0.0; give a name or address that clients reach, \
         here or in listeners",
    );
    early_start(&mut rules, l);
    inter_broker_mechanism(&mut rules, l);
    rules.broken
}

fn quorum(rules: &mut Rules<'_>, roles: Roles) {
    let s = rules.settings;
    let voters = voters(s);
    let node_id = s.int("node.id");
    rules.require(
        !voters.is_empty() || !s.list("controller.quorum.bootstrap.servers").is_empty(),
        "controller.quorum.bootstrap.servers",
        "must name controllers, unless controller.quorum.voters does",
    );
    let is_voter = voters.iter().any(|voter| voter.id.0 == node_id);
    if roles.controller {
        rules.require(
            voters.is_empty() || is_voter,
            "controller.quorum.voters",
            format_args!("must contain this controller, node.id = {node_id}"),
        );
    } else {
        rules.require(
            !is_voter,
            "controller.quorum.voters",
            format_args!("must not contain this node, node.id = {node_id}, which is no controller"),
        );
        rules.require(
            !s.boolean("controller.quorum.auto.join.enable"),
            "controller.quorum.auto.join.enable",
            "has a meaning only for a controller",
        );
    }
}

fn controller_listeners(rules: &mut Rules<'_>, roles: Roles, l: &Listeners) {
    const NAMES: &str = "controller.listener.names";
    let s = rules.settings;
    let is_bound = |name: &dohle_base::Str| l.bound.iter().any(|listener| listener.name == *name);
    rules.require(
        l.controller_names.iter().all(is_bound),
        NAMES,
        "must name listeners that are in listeners, in upper case",
    );
    if !roles.broker {
        rules.require(
            l.bound.iter().all(|listener| l.is_controller(listener)),
            "listeners",
            format_args!("must be those of {NAMES} only, on a node that is no broker"),
        );
        rules.require(
            s.text_or_null("inter.broker.listener.name").is_none()
                || !l.controller_names.contains(&l.inter_broker_name),
            NAMES,
            "must not contain inter.broker.listener.name",
        );
    }
}

fn broker_only(rules: &mut Rules<'_>, l: &Listeners) {
    rules.require(
        !l.bound.iter().any(|listener| l.is_controller(listener)),
        "controller.listener.names",
        "must not name one of listeners, on a node that is no controller",
    );
}

fn broker_listeners(rules: &mut Rules<'_>, l: &Listeners) {
    const ADVERTISED: &str = "advertised.listeners";
    // Advertised listeners that nobody gave are those of `listeners`.
    let key =
        if rules.settings.list_or_null(ADVERTISED).is_some() { ADVERTISED } else { "listeners" };
    rules.require(
        !l.advertised.is_empty(),
        key,
        "must contain a listener that is not one of controller.listener.names",
    );
    let is_bound = |told: &Listener| l.bound.iter().any(|bound| bound.name == told.name);
    rules.require(l.advertised.iter().all(is_bound), key, "must name only listeners of listeners");
    let names: Vec<&str> = l.advertised.iter().map(|listener| listener.name.as_str()).collect();
    rules.require(
        l.advertised.is_empty() || names.contains(&l.inter_broker_name.as_str()),
        "inter.broker.listener.name",
        format_args!(
            "brokers would use {}, which is none of the advertised listeners {}",
            l.inter_broker_name,
            names.join(",")
        ),
    );
}

fn early_start(rules: &mut Rules<'_>, l: &Listeners) {
    let early = rules.settings.list_or_null("early.start.listeners").unwrap_or(&[]);
    let is_bound = |name: &dohle_base::Str| {
        l.bound.iter().any(|listener| listener.name == *name) || l.controller_names.contains(name)
    };
    rules.require(
        early.iter().all(is_bound),
        "early.start.listeners",
        "must name only listeners of this node",
    );
}

fn inter_broker_mechanism(rules: &mut Rules<'_>, l: &Listeners) {
    if !l.inter_broker_protocol.uses_sasl() {
        return;
    }
    let s = rules.settings;
    let of_listener =
        format!("listener.name.{}.sasl.enabled.mechanisms", l.inter_broker_name.to_lowercase());
    let mechanism = s.text("sasl.mechanism.inter.broker.protocol");
    let is_enabled = match s.text_of(&of_listener) {
        Some(list) => list.split(',').any(|item| item.trim() == mechanism),
        None => s.list("sasl.enabled.mechanisms").iter().any(|item| item == mechanism),
    };
    rules.require(
        is_enabled,
        "sasl.mechanism.inter.broker.protocol",
        "must be among sasl.enabled.mechanisms of the listener between brokers",
    );
}
