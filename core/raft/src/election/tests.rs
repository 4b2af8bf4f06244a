//! The file as Kafka 4.4.0 writes it, and files that must not be guessed at.

use super::*;

const V1: &str = r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
const V0: &str = r#"{"clusterId":"","leaderId":-1,"leaderEpoch":7,"votedId":2,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2}],"data_version":0}"#;

#[test]
fn version_1_is_what_a_leader_of_kafka_leaves() {
    let state = ElectionState::parse(V1.as_bytes()).unwrap();
    let expected = ElectionState { epoch: LeaderEpoch(1), leader: Some(BrokerId(1)), voted: None };
    assert_eq!(state, expected);
    assert_eq!(state.to_file(1, &VoterSet::default()), V1);
}

#[test]
fn version_0_lists_the_static_voters() {
    let voters = VoterSet::from_static("1@a:1,2@b:2", "C").unwrap();
    let state = ElectionState::parse(V0.as_bytes()).unwrap();
    let voted = Some(ReplicaKey { id: BrokerId(2), directory_id: None });
    assert_eq!(state, ElectionState { epoch: LeaderEpoch(7), leader: None, voted });
    assert_eq!(state.to_file(0, &voters), V0);
}

#[test]
fn a_vote_keeps_its_directory() {
    let voted = Some(ReplicaKey::new(BrokerId(3), Uuid(0x1234_5678_9abc_def0)));
    let state = ElectionState { epoch: LeaderEpoch(9), leader: None, voted };
    let file = state.to_file(1, &VoterSet::default());
    assert_eq!(ElectionState::parse(&file), Ok(state));
}

#[test]
fn nothing_is_guessed() {
    use ElectionStateError::{BadField, NotJson, UnknownVersion};
    for (file, error) in [
        ("", NotJson),
        ("7", NotJson),
        (&V1[..40], NotJson),
        ("{}", BadField { field: "data_version" }),
        (r#"{"data_version":2}"#, UnknownVersion { version: 2 }),
        (&V1.replace("\"leaderEpoch\":1", "\"leaderEpoch\":-1"), BadField { field: "leaderEpoch" }),
        (&V1.replace("\"votedId\":-1", "\"votedId\":-2"), BadField { field: "votedId" }),
        (&V1.replace("AAAAAAAAAAAAAAAAAAAAAA", "?"), BadField { field: "votedDirectoryId" }),
        (&V0.replace("\"leaderId\":-1", "\"leaderId\":null"), BadField { field: "leaderId" }),
        (
            &V1.replace("\"leaderEpoch\":1", "\"leaderEpoch\":99999999999"),
            BadField { field: "leaderEpoch" },
        ),
    ] {
        assert_eq!(ElectionState::parse(file.as_bytes()), Err(error), "{file}");
    }
}
