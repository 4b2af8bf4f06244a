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
        ("", NotJson { line: 1, column: 0 }),
        ("7", NotJson { line: 1, column: 1 }),
        (&V1[..40], NotJson { line: 1, column: 40 }),
        ("{}", BadField { field: "data_version", expected: FROM_0 }),
        (r#"{"data_version":2}"#, UnknownVersion { version: 2 }),
        (
            &V1.replace("\"leaderEpoch\":1", "\"leaderEpoch\":-1"),
            BadField { field: "leaderEpoch", expected: FROM_0 },
        ),
        (
            &V1.replace("\"votedId\":-1", "\"votedId\":-2"),
            BadField { field: "votedId", expected: FROM_NONE },
        ),
        (
            &V1.replace("AAAAAAAAAAAAAAAAAAAAAA", "?"),
            BadField { field: "votedDirectoryId", expected: "a uuid" },
        ),
        (
            &V0.replace("\"leaderId\":-1", "\"leaderId\":null"),
            BadField { field: "leaderId", expected: FROM_NONE },
        ),
        (
            &V1.replace("\"leaderEpoch\":1", "\"leaderEpoch\":99999999999"),
            BadField { field: "leaderEpoch", expected: FROM_0 },
        ),
    ] {
        assert_eq!(ElectionState::parse(file.as_bytes()), Err(error), "{file}");
    }
}

#[test]
fn a_file_that_was_cut_off_or_damaged_is_never_another_vote() {
    for file in [V0, V1] {
        for size in 0..file.trim_end().len() {
            assert!(ElectionState::parse(&file.as_bytes()[..size]).is_err(), "{size}");
        }
        let whole = ElectionState::parse(file.as_bytes()).unwrap();
        let mut rng = dohle_base::Rng::from_seed(3);
        for _ in 0..2_000 {
            let mut bytes = file.as_bytes().to_vec();
            let at = rng.below(bytes.len() as u64) as usize;
            let was = std::mem::replace(&mut bytes[at], rng.next_u64() as u8);
            // Between two digits no file without a checksum can tell.
            if !(was.is_ascii_digit() && bytes[at].is_ascii_digit() || was == b'-')
                && let Ok(read) = ElectionState::parse(&bytes)
            {
                let voted = read.voted.map(|voted| voted.id);
                assert_eq!((read.epoch, read.leader), (whole.epoch, whole.leader), "{bytes:?}");
                assert_eq!(voted, whole.voted.map(|voted| voted.id), "{bytes:?}");
            }
        }
    }
}
