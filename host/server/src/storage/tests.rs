//! Formatting on a disk in memory: what is written, what is refused, and what a
//! power cut leaves.

use std::path::Path;

use bytes::Bytes;
use dohle_base::{BrokerId, Rng, Timestamp};
use dohle_config::{BrokerConfig, NoProviders, NodeSettings, Properties};
use dohle_log::sim::{Faults, SimDisk};
use dohle_metadata::{METADATA_VERSION, MetaProperties, MetadataVersion};
use dohle_raft::{Checkpoint, SnapshotId};

use super::*;

const CLUSTER: &str = "ASNFZ4mrze8QMlR2mLrc_g";
const CHECKPOINT: &str = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
const NOW: Timestamp = Timestamp(1_795_360_688_553);

const BOTH_ROLES: &str = "process.roles=broker,controller\nnode.id=1\nlog.dirs=/data/a,/data/b\n\
    listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
    controller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=127.0.0.1:9093\n";
const BROKER_ONLY: &str = "process.roles=broker\nnode.id=2\nlog.dirs=/data/a\n\
    listeners=PLAINTEXT://127.0.0.1:9092\ncontroller.listener.names=CONTROLLER\n\
    controller.quorum.bootstrap.servers=127.0.0.1:9093\n";
const STATIC_VOTERS: &str = "controller.quorum.voters=1@127.0.0.1:9093\n";

fn config(text: &str, more: &str) -> BrokerConfig {
    let properties = Properties::parse(&format!("{text}{more}")).unwrap();
    let (settings, _) = NodeSettings::from_file(&properties, &NoProviders).unwrap();
    BrokerConfig::new(&settings).unwrap()
}

fn standalone() -> FormatRequest {
    FormatRequest {
        cluster_id: CLUSTER.into(),
        controllers: InitialControllers::Standalone,
        ..FormatRequest::default()
    }
}

fn with(controllers: InitialControllers) -> FormatRequest {
    FormatRequest { controllers, ..standalone() }
}

fn run(
    disk: &SimDisk,
    config: &BrokerConfig,
    request: &FormatRequest,
) -> Result<Formatted, String> {
    format(disk, config, request, NOW, &mut Rng::from_seed(7)).map_err(|error| error.to_string())
}

fn properties(disk: &SimDisk, dir: &str) -> MetaProperties {
    let file = disk.peek(&Path::new(dir).join("meta.properties")).unwrap();
    MetaProperties::parse(&file).unwrap()
}

fn checkpoint(disk: &SimDisk, dir: &str) -> Option<Checkpoint> {
    let file = disk.peek(&Path::new(dir).join(CHECKPOINT))?;
    Some(Checkpoint::parse(SnapshotId::BOOTSTRAP, &Bytes::from(file)).unwrap())
}

fn plant(disk: &SimDisk, dir: &str, text: &str) {
    disk.plant(&Path::new(dir).join("meta.properties"), text.as_bytes());
}

#[test]
fn a_standalone_node_gets_ids_voters_and_levels() {
    let (disk, config) = (SimDisk::new(), config(BOTH_ROLES, ""));
    let formatted = run(&disk, &config, &standalone()).unwrap();
    let kinds: Vec<_> =
        formatted.directories.iter().map(|dir| (dir.path.to_str().unwrap(), dir.kind)).collect();
    assert_eq!(kinds, [("/data/a", DirectoryKind::Voter), ("/data/b", DirectoryKind::Data)]);
    assert_eq!(formatted.levels.level(METADATA_VERSION), MetadataVersion::LATEST.0);

    let (a, b) = (properties(&disk, "/data/a"), properties(&disk, "/data/b"));
    assert_eq!((a.cluster_id.as_deref(), a.node_id), (Some(CLUSTER), Some(BrokerId(1))));
    assert_ne!(a.directory_id, b.directory_id);
    let checkpoint = checkpoint(&disk, "/data/a").unwrap();
    let voters = checkpoint.voters.unwrap();
    let voter = voters.voter(BrokerId(1)).unwrap();
    assert_eq!(Some(voter.directory_id), a.directory_id);
    assert_eq!((voter.endpoints.len(), voter.endpoints[0].port), (1, 9093));
    assert_eq!(disk.peek(&Path::new("/data/b").join(CHECKPOINT)), None);
}

#[test]
fn initial_controllers_fix_the_id_of_their_metadata_directory() {
    let (disk, config) = (SimDisk::new(), config(BOTH_ROLES, ""));
    let text = "1@127.0.0.1:9093:sample-node1-dir-AAAAA, 2@[::1]:9093:ASNFZ4mrze8QMlR2mLrc_g";
    let voters = parse_initial_controllers(text, "CONTROLLER").unwrap();
    run(&disk, &config, &with(InitialControllers::Voters(voters.clone()))).unwrap();
    let id = properties(&disk, "/data/a").directory_id.unwrap();
    assert_eq!(id.to_string(), "sample-node1-dir-AAAAA");
    assert_eq!(checkpoint(&disk, "/data/a").unwrap().voters, Some(voters.clone()));
    assert_eq!(voters.voter(BrokerId(2)).unwrap().endpoints[0].host, "::1");
}

#[test]
fn voters_must_be_well_formed_and_distinct() {
    for text in [
        "",
        "1@h:9093",
        "1@h:9093:short",
        "1@h:x:ASNFZ4mrze8QMlR2mLrc_g",
        "-1@h:9093:ASNFZ4mrze8QMlR2mLrc_g",
        "1@:9093:ASNFZ4mrze8QMlR2mLrc_g",
        "1@h:9093:AAAAAAAAAAAAAAAAAAAAAA",
        "1@[::1:9093:ASNFZ4mrze8QMlR2mLrc_g",
        "1@h:9093:ASNFZ4mrze8QMlR2mLrc_g,",
    ] {
        let error = parse_initial_controllers(text, "C").unwrap_err();
        assert!(matches!(error, InitialControllersError::Malformed { .. }), "{text}: {error}");
    }
    let twice = "1@h:9093:ASNFZ4mrze8QMlR2mLrc_g,1@i:9093:ASNFZ4mrze8QMlR2mLrc_g";
    let error = parse_initial_controllers(twice, "C").unwrap_err();
    assert_eq!(error, InitialControllersError::Duplicate { id: BrokerId(1) });
}

#[test]
fn who_votes_must_be_said_once_and_fit_the_roles() {
    let voters = parse_initial_controllers("1@h:1:ASNFZ4mrze8QMlR2mLrc_g", "C").unwrap();
    let voters = InitialControllers::Voters(voters);
    let rows = [
        (BOTH_ROLES, "", InitialControllers::Unsaid, Err("one of these is needed")),
        (BOTH_ROLES, "", InitialControllers::Later, Ok(true)),
        (BOTH_ROLES, STATIC_VOTERS, InitialControllers::Unsaid, Ok(true)),
        (BOTH_ROLES, STATIC_VOTERS, InitialControllers::Later, Ok(true)),
        (BOTH_ROLES, STATIC_VOTERS, InitialControllers::Standalone, Err("excludes --standalone")),
        (BOTH_ROLES, STATIC_VOTERS, voters.clone(), Err("excludes --standalone")),
        (BROKER_ONLY, "", InitialControllers::Standalone, Err("only on a controller")),
        (BROKER_ONLY, "", InitialControllers::Unsaid, Ok(false)),
        (BROKER_ONLY, "", InitialControllers::Later, Ok(false)),
        (BROKER_ONLY, "", voters, Ok(false)),
    ];
    for (text, more, controllers, expected) in rows {
        let (disk, config) = (SimDisk::new(), config(text, more));
        let result = run(&disk, &config, &with(controllers.clone()));
        match (result, expected) {
            (Ok(_), Ok(has_checkpoint)) => {
                let checkpoint = checkpoint(&disk, "/data/a");
                assert_eq!(checkpoint.is_some(), has_checkpoint, "{controllers:?}");
                let voters = checkpoint.and_then(|checkpoint| checkpoint.voters);
                assert_eq!(voters, None, "{controllers:?}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (result, expected) => panic!("{controllers:?}: {result:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn what_is_formatted_is_not_formatted_again() {
    let (disk, config) = (SimDisk::new(), config(BOTH_ROLES, ""));
    plant(&disk, "/data/a", &format!("version=1\ncluster.id={CLUSTER}\nnode.id=1\n"));
    let error = run(&disk, &config, &standalone()).unwrap_err();
    assert!(error.starts_with("log directory /data/a is already formatted"), "{error}");
    assert_eq!(disk.peek(Path::new("/data/b/meta.properties")), None);

    let ignoring = FormatRequest { ignore_formatted: true, ..standalone() };
    let before = disk.peek(Path::new("/data/a/meta.properties"));
    let formatted = run(&disk, &config, &ignoring).unwrap();
    assert_eq!(formatted.directories.len(), 1);
    assert_eq!(formatted.directories[0].path, Path::new("/data/b"));
    assert_eq!(disk.peek(Path::new("/data/a/meta.properties")), before);
    assert!(run(&disk, &config, &ignoring).unwrap().directories.is_empty());
}

#[test]
fn directories_of_others_are_refused() {
    let rows = [
        ("version=1\ncluster.id=other\nnode.id=1\n", "cluster.id is other, expected "),
        (
            "version=1\ncluster.id=ASNFZ4mrze8QMlR2mLrc_g\nnode.id=5\n",
            "node.id is 5, expected 1 as configured",
        ),
    ];
    for (text, expected) in rows {
        let (disk, config) = (SimDisk::new(), config(BOTH_ROLES, ""));
        plant(&disk, "/data/b", text);
        let ignoring = FormatRequest { ignore_formatted: true, ..standalone() };
        let error = run(&disk, &config, &ignoring).unwrap_err();
        assert!(error.starts_with("log directory /data/b: "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(disk.peek(Path::new("/data/a/meta.properties")), None);
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_left_alone() {
    let (disk, config) = (SimDisk::new(), config(BOTH_ROLES, ""));
    plant(&disk, "/data/b", "version=9\n");
    let formatted = run(&disk, &config, &standalone()).unwrap();
    let (path, content) = &formatted.unreadable[0];
    assert_eq!(path, Path::new("/data/b"));
    assert_eq!(content.to_string(), "meta.properties: version 9 is unknown, expected 0 or 1");

    plant(&disk, "/data/a", "version=9\n");
    let error = run(&disk, &config, &standalone()).unwrap_err();
    assert!(error.starts_with("there is no log directory that can be read: /data/a"), "{error}");
}

#[test]
fn a_file_in_the_place_of_a_directory_is_told() {
    let (disk, config) = (SimDisk::new(), config(BROKER_ONLY, ""));
    disk.plant(Path::new("/data/a"), b"");
    let error = run(&disk, &config, &with(InitialControllers::Unsaid)).unwrap_err();
    assert_eq!(error, "log directory /data/a is not a directory");
}

/// After the power goes off behind each change that formatting makes, a directory is either formatted
/// with all that belongs into it, or is formatted as if nothing had been.
#[test]
fn formatting_that_is_cut_off_is_done_again() {
    let config = config(BOTH_ROLES, "");
    let whole = SimDisk::new();
    run(&whole, &config, &standalone()).unwrap();
    let mut cut_off = 0;
    for power_after in 0..whole.changes() {
        for seed in 0..8 {
            let disk = SimDisk::new();
            disk.set_faults(Faults { power_after: Some(power_after), ..Faults::default() });
            run(&disk, &config, &standalone()).unwrap_err();
            disk.restart(seed);
            if disk.peek(Path::new("/data/a/meta.properties")).is_some() {
                let voters = checkpoint(&disk, "/data/a").and_then(|checkpoint| checkpoint.voters);
                let id = properties(&disk, "/data/a").directory_id.unwrap();
                assert_eq!(voters.unwrap().voter(BrokerId(1)).unwrap().directory_id, id);
            } else {
                cut_off += 1;
            }
            let again = FormatRequest { ignore_formatted: true, ..standalone() };
            format(&disk, &config, &again, NOW, &mut Rng::from_seed(9)).unwrap();
            let surveyed = survey(&disk, &config);
            assert!(surveyed.iter().all(|one| one.content.properties().is_some()), "{surveyed:?}");
            assert!(checkpoint(&disk, "/data/a").unwrap().voters.is_some());
        }
    }
    assert!(cut_off > 8, "the power went off in the middle");
}
