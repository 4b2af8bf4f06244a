//! Goal: what errors and losses mean. Method: tables.

use super::*;

#[test]
fn each_error_has_its_effect() {
    use ErrorCode as E;
    for (code, expected) in [
        (E::COORDINATOR_LOAD_IN_PROGRESS, Effect::Again),
        (E::COORDINATOR_NOT_AVAILABLE, Effect::AgainElsewhere),
        (E::NOT_COORDINATOR, Effect::AgainElsewhere),
        (E::REBALANCE_IN_PROGRESS, Effect::Rejoin),
        (E::UNKNOWN_MEMBER_ID, Effect::Dropped),
        (E::ILLEGAL_GENERATION, Effect::Dropped),
        (E::MEMBER_ID_REQUIRED, Effect::JoinWithId),
        (E::FENCED_INSTANCE_ID, Effect::Fatal),
        (E::INCONSISTENT_GROUP_PROTOCOL, Effect::Fatal),
        (E::INVALID_SESSION_TIMEOUT, Effect::Fatal),
        (E::GROUP_AUTHORIZATION_FAILED, Effect::Fatal),
        (E::GROUP_MAX_SIZE_REACHED, Effect::Fatal),
        (E(9_999), Effect::Fatal),
    ] {
        assert_eq!(effect(code), expected, "{code}");
    }
}

#[test]
fn what_is_given_up_depends_on_the_protocol_and_on_our_place() {
    let (kept, left) = (TopicPartition::new("kept", 0), TopicPartition::new("left", 0));
    let topics = BTreeSet::from([Str::from("kept")]);
    for (cooperative, dropped, expected) in [
        (false, false, vec![&kept, &left]),
        (true, false, vec![&left]),
        (true, true, vec![&kept, &left]),
    ] {
        let owned = BTreeSet::from([kept.clone(), left.clone()]);
        let membership = Membership { owned, dropped, ..Membership::new() };
        let given_up = membership.to_give_up(&topics, cooperative);
        assert_eq!(given_up, expected.into_iter().cloned().collect(), "{cooperative} {dropped}");
    }
}

#[test]
fn an_unknown_member_begins_anew_and_an_old_one_keeps_its_id() {
    for (code, id) in [(ErrorCode::UNKNOWN_MEMBER_ID, ""), (ErrorCode::ILLEGAL_GENERATION, "me")] {
        let mut membership = Membership {
            phase: Phase::Stable,
            member_id: "me".into(),
            generation: 3,
            rejoin: false,
            ..Membership::new()
        };
        membership.drop_out(code);
        assert_eq!((membership.member_id.as_str(), membership.generation), (id, -1), "{code}");
        assert!(membership.rejoin && membership.dropped && !membership.beats());
    }
}
