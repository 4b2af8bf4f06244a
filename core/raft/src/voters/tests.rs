//! The text form, the majority, and who is a voter.

use super::*;

const DIRECTORY: Uuid = Uuid(0x77);

#[test]
fn static_voters_are_read() {
    let voters = VoterSet::from_static("1@a.example:9093, 2@[::1]:9094", "CONTROLLER").unwrap();
    let second = voters.voter(BrokerId(2)).unwrap();
    assert_eq!(second.endpoints[0].host, "::1");
    assert_eq!(second.endpoints[0].port, 9094);
    assert_eq!(voters.len(), 2);
    assert!(VoterSet::from_static("", "CONTROLLER").unwrap().is_empty());
}

#[test]
fn other_text_is_refused() {
    for text in ["1", "1@host", "x@host:1", "-1@host:1", "1@host:99999", "1@:9093"] {
        let error = VoterSet::from_static(text, "C").unwrap_err();
        assert!(matches!(error, StaticVotersError::Malformed { .. }), "{text}");
    }
    let twice = VoterSet::from_static("1@a:1,1@b:2", "C").unwrap_err();
    assert_eq!(twice, StaticVotersError::Duplicate { id: BrokerId(1) });
}

#[test]
fn a_replaced_disk_is_not_a_voter() {
    let key = |directory| ReplicaKey::new(BrokerId(1), directory);
    let known: VoterSet =
        [(BrokerId(1), Voter::of_this_software(DIRECTORY, vec![]))].into_iter().collect();
    assert!(known.contains(&key(DIRECTORY)));
    assert!(!known.contains(&key(Uuid(0x78))));
    let unknown = VoterSet::from_static("1@a:1", "C").unwrap();
    assert!(unknown.contains(&key(Uuid(0x78))), "static voters have no directory");
    assert!(!unknown.contains(&ReplicaKey::new(BrokerId(2), DIRECTORY)));
}

#[test]
fn more_than_half_decide() {
    let majorities = ["1@a:1", "1@a:1,2@a:2", "1@a:1,2@a:2,3@a:3", "1@a:1,2@a:2,3@a:3,4@a:4"]
        .map(|text| VoterSet::from_static(text, "C").unwrap().majority());
    assert_eq!(majorities, [1, 2, 2, 3]);
}

#[test]
fn the_control_record_says_the_same() {
    let endpoints =
        vec![Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 33101 }];
    let voters: VoterSet =
        [(BrokerId(1), Voter::of_this_software(DIRECTORY, endpoints))].into_iter().collect();
    assert_eq!(VoterSet::from_record(&voters.to_record()), voters);
}
