//! What formatting writes, against what Kafka 4.4.0 writes, and what is refused.

use std::collections::BTreeMap;

use dohle_raft::Checkpoint;

use super::*;
use crate::{ELR_VERSION, GROUP_VERSION, MetadataVersion};

const KAFKAS: &[u8] =
    include_bytes!("../../../raft/testdata/kafka-4.4.0/00000000000000000000-0000000000.checkpoint");

fn endpoint() -> Endpoint {
    Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 33101 }
}

fn request(quorum: Quorum) -> Request {
    let asked = LevelsRequest { dynamic_quorum: quorum.is_dynamic(), ..LevelsRequest::default() };
    Request {
        cluster_id: "ASNFZ4mrze8QMlR2mLrc_g".into(),
        node_id: BrokerId(1),
        quorum,
        levels: Levels::choose(&asked).unwrap(),
        scram: Vec::new(),
        now: Timestamp(1_795_360_688_553),
    }
}

fn choose(release: Option<i16>, features: &[(&str, i16)], dynamic: bool) -> Result<Levels, String> {
    let features: BTreeMap<Str, i16> =
        features.iter().map(|(name, level)| (Str::from(*name), *level)).collect();
    let release = release.map(MetadataVersion);
    let asked = LevelsRequest { release, features, dynamic_quorum: dynamic };
    Levels::choose(&asked).map_err(|error| error.to_string())
}

#[test]
fn standalone_is_kafkas_format_but_for_what_is_not_built() {
    let mut rng = Rng::from_seed(1);
    let files = directory(&request(Quorum::Standalone(vec![endpoint()])), true, &mut rng).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let checkpoint_name = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    assert_eq!(names, [checkpoint_name, "meta.properties"]);
    let ours = Checkpoint::parse(SnapshotId::BOOTSTRAP, &files[0].content).unwrap();
    let kafkas = Checkpoint::parse(SnapshotId::BOOTSTRAP, &Bytes::from_static(KAFKAS)).unwrap();
    assert_eq!(
        (ours.kraft_version, ours.last_timestamp),
        (kafkas.kraft_version, kafkas.last_timestamp)
    );
    // metadata.version and eligible.leader.replicas.version, which Kafka writes first, too.
    assert_eq!(ours.records[..], kafkas.records[..2]);
    let properties = MetaProperties::parse(&files[1].content).unwrap();
    let voters = ours.voters.unwrap();
    let voter = voters.voter(BrokerId(1)).unwrap();
    assert_eq!(Some(voter.directory_id), properties.directory_id);
    assert_eq!(voter.endpoints, [endpoint()]);
}

#[test]
fn static_voters_are_not_written() {
    let files = directory(&request(Quorum::Static), true, &mut Rng::from_seed(1)).unwrap();
    let checkpoint = Checkpoint::parse(SnapshotId::BOOTSTRAP, &files[0].content).unwrap();
    assert_eq!((checkpoint.kraft_version, checkpoint.voters), (0, None));
    assert_eq!(checkpoint.records.len(), 2);
}

#[test]
fn only_a_controllers_metadata_directory_gets_a_checkpoint() {
    let mut rng = Rng::from_seed(1);
    for (quorum, is_metadata) in [(Quorum::None, true), (Quorum::Static, false)] {
        let files = directory(&request(quorum), is_metadata, &mut rng).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].path, "meta.properties");
    }
}

#[test]
fn an_initial_controller_gets_the_directory_id_that_it_was_promised() {
    let voter = Voter::of_this_software(Uuid(0x1234_5678), vec![endpoint()]);
    let voters: VoterSet = [(BrokerId(1), voter)].into_iter().collect();
    let request = request(Quorum::Initial(voters));
    let id = |is_metadata| {
        let files = directory(&request, is_metadata, &mut Rng::from_seed(1)).unwrap();
        let properties = &files.last().unwrap().content;
        MetaProperties::parse(properties).unwrap().directory_id.unwrap()
    };
    assert_eq!(id(true), Uuid(0x1234_5678));
    assert_ne!(id(false), Uuid(0x1234_5678));
}

#[test]
fn levels_follow_the_release() {
    let latest = choose(None, &[], true).unwrap();
    let level = |levels: &Levels, name| levels.level(name);
    assert_eq!(latest.metadata_version(), MetadataVersion::LATEST);
    assert_eq!((level(&latest, ELR_VERSION), level(&latest, KRAFT_VERSION)), (1, 1));
    assert_eq!(level(&latest, GROUP_VERSION), 0, "not built, not promised");
    let old = choose(Some(20), &[], false).unwrap();
    assert_eq!((level(&old, ELR_VERSION), level(&old, KRAFT_VERSION)), (0, 0));
    let chosen = choose(Some(23), &[(ELR_VERSION, 1)], false).unwrap();
    assert_eq!(level(&chosen, ELR_VERSION), 1);
    assert_eq!(choose(None, &[(METADATA_VERSION, 25)], false).unwrap().metadata_version().0, 25);
}

#[test]
fn what_cannot_be_is_refused() {
    for (release, features, dynamic, error) in [
        (
            Some(33),
            &[(METADATA_VERSION, 33)][..],
            false,
            "give --release-version in the place of --feature metadata.version=…",
        ),
        (Some(6), &[], false, "metadata.version 6 is not supported; supported are 7 to 33"),
        (Some(34), &[], false, "metadata.version 34 is not supported; supported are 7 to 33"),
        (None, &[("no.such", 1)], false, "unknown feature no.such"),
        (
            None,
            &[(GROUP_VERSION, 1)],
            false,
            "group.version 1 is not supported; supported are 0 to 0",
        ),
        (
            Some(22),
            &[(ELR_VERSION, 1)],
            false,
            "eligible.leader.replicas.version 1 needs metadata.version 4.0-IV1 or later",
        ),
        (
            None,
            &[(KRAFT_VERSION, 0)],
            true,
            "kraft.version 0 cannot keep voters in the log: leave out --feature kraft.version",
        ),
        (
            None,
            &[(KRAFT_VERSION, 1)],
            false,
            "kraft.version 1 needs --standalone, --initial-controllers or --no-initial-controllers, and no controller.quorum.voters",
        ),
        (
            None,
            &[(KRAFT_VERSION, 2)],
            true,
            "kraft.version 2 is not supported; supported are 0 to 1",
        ),
    ] {
        assert_eq!(choose(release, features, dynamic).unwrap_err(), error);
    }
}

#[test]
fn credentials_need_their_release() {
    let scram =
        UserScramCredentialRecord { name: "eve".into(), mechanism: 1, ..Default::default() };
    let mut request = Request { scram: vec![scram.clone()], ..request(Quorum::Static) };
    let records = bootstrap_records(&request).unwrap();
    assert_eq!(records.last(), Some(&MetadataRecord::from(scram)));
    request.levels = choose(Some(10), &[], false).unwrap();
    let error = FormatError::ScramNotSupported { release: MetadataVersion(10) };
    assert_eq!(bootstrap_records(&request), Err(error));
}
