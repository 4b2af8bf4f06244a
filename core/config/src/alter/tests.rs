//! Goal: requests become the changes that Kafka's controller would log, and are refused with its
//! codes. What values are allowed is compared with Kafka in `tests/kafka_verdicts.rs`.

use super::*;
use crate::settings::tests::{node_with, settings};

fn alteration(op: AlterOp, name: &str, value: Option<&str>) -> Alteration {
    Alteration { name: name.into(), op, value: value.map(Into::into) }
}

fn change(name: &str, value: Option<&str>) -> Change {
    Change { name: name.into(), value: value.map(Into::into) }
}

#[test]
fn incremental_changes() {
    use AlterOp::{Append, Delete, Set, Subtract};
    let current = settings(&["cleanup.policy=compact", "retention.ms=5"]);
    let table: Vec<(AlterOp, &str, Option<&str>, Vec<Change>)> = vec![
        (Set, "segment.ms", Some("9"), vec![change("segment.ms", Some("9"))]),
        (Set, "retention.ms", Some("5"), vec![]),
        (Delete, "retention.ms", None, vec![change("retention.ms", None)]),
        (Delete, "segment.ms", None, vec![]),
        (
            Append,
            "cleanup.policy",
            Some("delete"),
            vec![change("cleanup.policy", Some("compact,delete"))],
        ),
        (Append, "cleanup.policy", Some("compact"), vec![]),
        (Subtract, "cleanup.policy", Some("compact"), vec![change("cleanup.policy", Some(""))]),
        (Subtract, "cleanup.policy", Some("delete"), vec![]),
        (
            Append,
            "leader.replication.throttled.replicas",
            Some("0:1,0:2"),
            vec![change("leader.replication.throttled.replicas", Some("0:1,0:2"))],
        ),
    ];
    for (op, name, value, wanted) in table {
        let changes = alter(Resource::Topic, &current, &[alteration(op, name, value)]);
        assert_eq!(changes, Ok(wanted), "{op:?} {name} {value:?}");
    }
}

#[test]
fn a_list_that_is_not_set_starts_from_its_default() {
    let append = [alteration(AlterOp::Append, "cleanup.policy", Some("compact"))];
    assert_eq!(
        alter(Resource::Topic, &Settings::new(), &append),
        Ok(vec![change("cleanup.policy", Some("delete,compact"))])
    );
    let subtract = [alteration(AlterOp::Subtract, "cleanup.policy", Some("delete"))];
    assert_eq!(
        alter(Resource::Topic, &Settings::new(), &subtract),
        Ok(vec![change("cleanup.policy", Some(""))])
    );
}

#[test]
fn changes_of_brokers_are_logged_even_if_nothing_changes() {
    let current = settings(&["num.io.threads=9"]);
    let set = [alteration(AlterOp::Set, "num.io.threads", Some("9"))];
    let wanted = vec![change("num.io.threads", Some("9"))];
    assert_eq!(alter(Resource::Broker, &current, &set), Ok(wanted));
}

#[test]
fn malformed_requests_are_refused() {
    use AlterOp::{Append, Set};
    let long = "x".repeat(32_768);
    let table: Vec<(Vec<Alteration>, ErrorCode, &str)> = vec![
        (
            vec![alteration(Set, "segment.ms", None)],
            ErrorCode::INVALID_REQUEST,
            "segment.ms: null is not a value",
        ),
        (
            vec![alteration(Append, "segment.ms", Some("5"))],
            ErrorCode::INVALID_CONFIG,
            "segment.ms = append or subtract: works on lists only",
        ),
        (
            vec![alteration(Append, "nonsense", Some("5"))],
            ErrorCode::INVALID_CONFIG,
            "nonsense = append or subtract: works on lists only",
        ),
        (
            vec![alteration(Set, "a", Some("1")), alteration(Set, "a", Some("2"))],
            ErrorCode::INVALID_REQUEST,
            "a = twice: occurs more than once in the request",
        ),
        (
            vec![alteration(Set, "a", Some(&long))],
            ErrorCode::INVALID_CONFIG,
            "a = 32768 bytes: must not be longer than 32767 bytes",
        ),
    ];
    for (alterations, code, message) in table {
        let refusal = alter(Resource::Topic, &Settings::new(), &alterations).expect_err(message);
        assert_eq!((refusal.code, refusal.to_string().as_str()), (code, message));
    }
}

#[test]
fn a_replacement_removes_what_it_does_not_name() {
    let current = settings(&["retention.ms=5", "segment.ms=9"]);
    let new = [("segment.ms".into(), Some("10".into())), ("flush.ms".into(), Some("1".into()))];
    let changes = replace(Resource::Topic, &current, &new).expect("well-formed");
    assert_eq!(
        changes,
        [
            change("segment.ms", Some("10")),
            change("flush.ms", Some("1")),
            change("retention.ms", None)
        ]
    );
    assert_eq!(apply(&current, &changes), settings(&["segment.ms=10", "flush.ms=1"]));
    let refusal = replace(Resource::Topic, &current, &[("segment.ms".into(), None)]);
    assert_eq!(refusal.map_err(|r| r.code), Err(ErrorCode::INVALID_REQUEST));
}

#[test]
fn an_unknown_key_of_a_topic_gets_a_suggestion() {
    let new = settings(&["retention.sm=5"]);
    let refusal = validate(&node_with(""), Resource::Topic, "t", &Settings::new(), &new);
    assert_eq!(
        refusal.expect_err("unknown").to_string(),
        "retention.sm: is not a configuration of a topic, did you mean retention.ms?"
    );
}

#[test]
fn threads_change_by_no_more_than_a_factor_of_two() {
    let node = node_with("num.io.threads=8\n");
    let judge = |threads: &str| {
        let new = settings(&[&format!("num.io.threads={threads}")]);
        validate_on_broker(&node, "1", &Settings::new(), &new).map_err(|refusal| refusal.code)
    };
    for (threads, is_allowed) in [("3", false), ("4", true), ("16", true), ("17", false)] {
        let wanted = if is_allowed { Ok(()) } else { Err(ErrorCode::INVALID_REQUEST) };
        assert_eq!(judge(threads), wanted, "{threads}");
    }
}

#[test]
fn a_broker_does_not_judge_what_does_not_change() {
    // Stored by another version; it must not stand in the way of other changes.
    let old = settings(&["log.segment.bytes=1"]);
    let new = settings(&["log.segment.bytes=1", "num.io.threads=9"]);
    let node = node_with("");
    assert_eq!(validate(&node, Resource::Broker, "", &old, &new), Ok(()));
    assert_eq!(validate_on_broker(&node, "", &old, &new), Ok(()));
    let refusal = validate(&node, Resource::Broker, "", &Settings::new(), &new);
    assert_eq!(refusal.map_err(|r| r.code), Err(ErrorCode::INVALID_REQUEST));
}

#[test]
fn a_broker_is_named_by_its_id_or_not_at_all() {
    let judge =
        |name| validate(&node_with(""), Resource::Broker, name, &Settings::new(), &Settings::new());
    assert!(judge("").is_ok() && judge("7").is_ok());
    for name in ["-1", "one", "99999999999"] {
        assert_eq!(judge(name).map_err(|r| r.code), Err(ErrorCode::INVALID_REQUEST), "{name}");
    }
}

#[test]
fn local_retention_must_not_exceed_retention_on_a_broker_either() {
    let node = node_with("log.retention.ms=100\n");
    let new = settings(&["log.local.retention.ms=101"]);
    let refusal = validate_on_broker(&node, "", &Settings::new(), &new).expect_err("too long");
    assert_eq!(
        refusal.to_string(),
        "log.local.retention.ms = 101: must not exceed log.retention.ms = 100"
    );
}
