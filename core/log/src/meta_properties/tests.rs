//! The file is read as Java reads it, and Java reads what is written.

use proptest::prelude::*;

use super::*;
use crate::sim::SimDisk;

fn read_text(text: &str) -> Result<Option<MetaProperties>, SideFileError> {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/meta.properties"), text.as_bytes());
    read(&disk, Path::new("/logs"))
}

#[test]
fn kafkas_file_is_read() {
    let text = "#\n#Sun Nov 22 15:18:09 UTC 2026\nnode.id=1\n\
                directory.id=ASNFZ4mrze8QMlR2mLrc_g\nversion=1\ncluster.id=vPeOCWypqUOSepEvx0cbog\n";
    let id = "ASNFZ4mrze8QMlR2mLrc_g".parse().unwrap();
    let expected = MetaProperties::new("vPeOCWypqUOSepEvx0cbog", BrokerId(1), id);
    assert_eq!(read_text(text), Ok(Some(expected)));
}

#[test]
fn what_is_written_is_read() {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/x"), b"");
    assert_eq!(read(&disk, Path::new("/logs")), Ok(None));
    let id = "ASNFZ4mrze8QMlR2mLrc_g".parse().unwrap();
    let mut meta = MetaProperties::new("some: cluster = 1", BrokerId(7), id);
    meta.others.insert("a key".into(), " ü\\\n€😀".into());
    write(&disk, Path::new("/logs"), &meta).unwrap();
    let text = String::from_utf8(disk.peek(Path::new("/logs/meta.properties")).unwrap()).unwrap();
    assert!(text.contains("cluster.id=some\\: cluster \\= 1\n"), "{text}");
    assert!(text.contains("a\\ key=\\ \\u00FC\\\\\\n\\u20AC"), "{text}");
    let read = read(&disk, Path::new("/logs")).unwrap().unwrap();
    assert_eq!(read, meta);
    let version_0 = MetaProperties { node_id: Some(BrokerId(3)), ..MetaProperties::default() };
    assert_eq!(version_0.text(), "#\nbroker.id=3\nversion=0\n");
}

#[test]
fn escapes_comments_and_long_lines_are_javas() {
    let text = "! comment\n  key : value \nb\\ c=d\\\n   e\ntab\\t=\\u0041\nonly\n\\#x #y\n\nq\\\\=1\nlast\\";
    let expected = [
        ("key", "value "),
        ("b c", "de"),
        ("tab\t", "A"),
        ("only", ""),
        ("#x", "#y"),
        ("q\\", "1"),
        ("last", ""),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(properties::parse(text), BTreeMap::from(expected));
}

#[test]
fn what_cannot_be_is_refused() {
    let rows = [
        ("version=2", "the version is neither 0 nor 1"),
        ("version=x", "version is not a number"),
        ("version=1\ncluster.id=c", "node.id is missing"),
        ("version=1\ncluster.id=c\nnode.id=-1", "node.id is missing"),
        ("version=1\nnode.id=1", "cluster.id is missing"),
        ("directory.id=short", "directory.id is not an id"),
        ("directory.id=AAAAAAAAAAAAAAAAAAAAAA", "directory.id is not an id"),
        ("broker.id=99999999999", "broker.id is not a number"),
    ];
    for (text, expected) in rows {
        match read_text(text) {
            Err(SideFileError::Malformed { reason, .. }) => assert_eq!(reason, expected, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert_eq!(read_text(""), Ok(Some(MetaProperties::default())));
}

proptest! {
    #[test]
    fn any_value_survives(key in "[ -~]{1,12}", value in ".{0,20}") {
        let mut text = String::new();
        properties::write(&mut text, &key, &value);
        prop_assert_eq!(properties::parse(&text), BTreeMap::from([(key, value)]));
    }

    #[test]
    fn hostile_text_never_panics(text in any::<String>()) {
        let _ = MetaProperties::parse(&text);
    }
}
