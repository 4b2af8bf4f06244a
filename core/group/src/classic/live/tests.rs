//! Goal: the vote and the bookkeeping under it.

use bytes::Bytes;

use super::*;

fn member(instance_id: Option<&str>, protocols: &[&str]) -> Member {
    Member {
        instance_id: instance_id.map(Str::from),
        client_id: Str::default(),
        client_host: Str::default(),
        rebalance_timeout_ms: 1,
        session_timeout_ms: 1,
        protocols: protocols
            .iter()
            .map(|name| MemberProtocol { name: Str::from(*name), metadata: Bytes::new() })
            .collect(),
        assignment: Bytes::new(),
    }
}

fn group(votes: &[&[&str]]) -> LiveGroup {
    let mut live = LiveGroup { state: GroupState::Stable, ..LiveGroup::default() };
    for (at, protocols) in votes.iter().enumerate() {
        live.insert(Str::from(format!("m{at}")), member(None, protocols));
    }
    live
}

#[test]
fn the_protocol_that_all_support_and_most_want_wins() {
    for (votes, winner) in [
        (&[] as &[&[&str]], None),
        (&[&["a", "b"]], Some("a")),
        (&[&["a", "b"], &["b", "a"], &["b", "a"]], Some("b")),
        // The favourite of two is not known to the third.
        (&[&["x", "b"], &["x", "b"], &["b"]], Some("b")),
        // A tie goes to the name, so that every replay elects the same.
        (&[&["b", "a"], &["a", "b"]], Some("a")),
        (&[&["a"], &["b"]], None),
    ] {
        assert_eq!(group(votes).elect_protocol().as_deref(), winner, "{votes:?}");
    }
}

#[test]
fn whoever_leaves_takes_its_veto_along() {
    let mut live = group(&[&["a", "b"], &["b"]]);
    assert_eq!(live.elect_protocol().as_deref(), Some("b"));
    live.remove(&Str::from("m1"));
    assert_eq!(live.elect_protocol().as_deref(), Some("a"));
    live.update(&Str::from("m0"), |member| member.protocols.truncate(0));
    assert_eq!(live.elect_protocol(), None);
}

#[test]
fn the_first_leads_and_has_a_successor() {
    let mut live = group(&[&["a"], &["a"]]);
    assert!(live.is_leader(&Str::from("m0")));
    live.remove(&Str::from("m0"));
    assert!(live.is_leader(&Str::from("m1")));
    live.remove(&Str::from("m1"));
    assert_eq!(live.group.leader, None);
}

#[test]
fn a_static_member_is_who_its_instance_says() {
    let mut live = LiveGroup::default();
    let (one, two, instance) = (Str::from("one"), Str::from("two"), Str::from("i"));
    live.insert(one.clone(), member(Some("i"), &["a"]));
    assert_eq!(live.check_member(&one, Some(&instance)), Ok(()));
    assert_eq!(live.check_member(&one, None), Ok(()));
    assert_eq!(live.check_member(&two, Some(&instance)), Err(ErrorCode::FENCED_INSTANCE_ID));
    assert_eq!(live.check_member(&two, None), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    live.remove(&one);
    assert_eq!(live.check_member(&one, Some(&instance)), Err(ErrorCode::UNKNOWN_MEMBER_ID));
}
