//! Names in both spellings.

use super::{camel, snake};

#[test]
fn names_are_spelled_as_rust_wants_them() {
    for (kafka, rust) in [
        ("TopicId", "topic_id"),
        ("ISR", "isr"),
        ("NewISR", "new_isr"),
        ("KRaftVersionRecord", "kraft_version_record"),
        ("V3AndBelowTopics", "v3_and_below_topics"),
        ("partition", "partition"),
    ] {
        assert_eq!(snake(kafka), rust);
    }
    assert_eq!(camel("v3_and_below_topics"), "V3AndBelowTopics");
    assert_eq!(camel("topic_id"), "TopicId");
}
