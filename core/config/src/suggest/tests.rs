//! Goal: a misspelt key gets the suggestion that a person would make, and a foreign one none.

use crate::keys::{BROKER, TOPIC};

#[test]
fn misspelt_keys_get_a_suggestion() {
    let table = [
        ("num.partition", Some("num.partitions")),
        ("listner", Some("listeners")),
        ("advertised.listener", Some("advertised.listeners")),
        ("advertized.listeners", Some("advertised.listeners")),
        ("log.retension.hours", Some("log.retention.hours")),
        ("log.segement.bytes", Some("log.segment.bytes")),
        ("log.retention.huors", Some("log.retention.hours")),
        ("process.role", Some("process.roles")),
        ("nodeid", Some("node.id")),
        ("zookeeper.connect", None),
        ("my.plugin.setting", None),
        ("x", None),
        ("", None),
    ];
    for (name, wanted) in table {
        assert_eq!(BROKER.nearest(name), wanted, "{name}");
    }
    assert_eq!(TOPIC.nearest("retention.mss"), Some("retention.ms"));
}

#[test]
fn a_swap_of_neighbours_is_one_edit() {
    assert_eq!(super::distance(b"abcd", b"abdc", 3), 1);
    assert_eq!(super::distance(b"abcd", b"", 9), 4);
    assert_eq!(super::distance(b"abcd", b"abXcd", 3), 1);
    assert_eq!(super::distance(b"kitten", b"sitting", 9), 3);
}
