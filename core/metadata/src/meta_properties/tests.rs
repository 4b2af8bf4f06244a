//! The file as Kafka 4.4.0 writes it, and directories that do not belong together.

use super::*;

const KAFKAS: &[u8] = b"#\n#Sun Nov 22 15:18:09 UTC 2026\nnode.id=1\ndirectory.id=sample-node1-dir-AAAAA\nversion=1\ncluster.id=ASNFZ4mrze8QMlR2mLrc_g\n";

fn directory(cluster: &str, node: i32, id: u128) -> MetaProperties {
    MetaProperties {
        cluster_id: Some(cluster.into()),
        node_id: Some(BrokerId(node)),
        directory_id: Some(Uuid(id)),
    }
}

#[test]
fn kafkas_file_is_read_and_ours_read_again() {
    let parsed = MetaProperties::parse(KAFKAS).unwrap();
    assert_eq!(parsed.cluster_id.as_deref(), Some("ASNFZ4mrze8QMlR2mLrc_g"));
    assert_eq!(parsed.node_id, Some(BrokerId(1)));
    assert_eq!(parsed.directory_id.unwrap().to_string(), "sample-node1-dir-AAAAA");
    assert_eq!(MetaProperties::parse(&parsed.to_file()), Ok(parsed));
}

#[test]
fn version_0_may_lack_everything() {
    let parsed = MetaProperties::parse(b"broker.id=3\n").unwrap();
    assert_eq!((parsed.node_id, &parsed.cluster_id), (Some(BrokerId(3)), &None));
    assert_eq!(MetaProperties::parse(&parsed.to_file()), Ok(parsed));
    assert!(MetaProperties::parse(b"").unwrap().node_id.is_none());
}

#[test]
fn what_is_written_is_pure_ascii_that_java_reads() {
    let file = directory("some: cluster = ü", 7, 200).to_file();
    let expected = "#\ncluster.id=some\\: cluster \\= \\u00FC\ndirectory.id=AAAAAAAAAAAAAAAAAAAAyA\n\
                    node.id=7\nversion=1\n";
    assert_eq!(std::str::from_utf8(&file), Ok(expected));
}

#[test]
fn other_files_are_refused() {
    for (file, error) in [
        (&b"version=2"[..], "version 2 is unknown, expected 0 or 1"),
        (b"version=1\nnode.id=1", "cluster.id is missing, expected a line with it"),
        (b"version=1\ncluster.id=x", "node.id is missing, expected a line with it"),
        (b"version=1\ncluster.id=x\nnode.id=one", "node.id = one: expected a number, not negative"),
        (b"version=1\ncluster.id=x\nnode.id=-1", "node.id = -1: expected a number, not negative"),
        (
            b"version=1\ncluster.id=x\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ",
            "directory.id = AAAAAAAAAAAAAAAAAAAAAQ: expected a uuid that is not reserved",
        ),
    ] {
        assert_eq!(MetaProperties::parse(file).unwrap_err().to_string(), error);
    }
}

#[test]
fn directories_must_belong_together() {
    let node = BrokerId(1);
    let good = [directory("c", 1, 200), directory("c", 1, 201)];
    let (c, d) = (Str::from("c"), Str::from("d"));
    assert_eq!(check_directories(node, None, &good), Ok(Some(&c)));
    assert_eq!(check_directories(node, Some(&c), &good), Ok(Some(&c)));
    let other = check_directories(node, Some(&d), &good).unwrap_err();
    assert_eq!((other.index, other.fault.to_string().as_str()), (0, "cluster.id is c, expected d"));
    let cases = [
        (directory("d", 1, 201), "cluster.id is d, expected c"),
        (directory("c", 2, 201), "node.id is 2, expected 1 as configured"),
        (
            directory("c", 1, 200),
            "directory.id AAAAAAAAAAAAAAAAAAAAyA is in more than one directory, expected it in one",
        ),
    ];
    for (second, error) in cases {
        let misfit = check_directories(node, None, &[directory("c", 1, 200), second]).unwrap_err();
        assert_eq!((misfit.index, misfit.fault.to_string().as_str()), (1, error));
    }
}
