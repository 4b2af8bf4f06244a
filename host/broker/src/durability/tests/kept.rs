//! While frames are kept a flush makes no room for others.

use super::*;

/// A partition that is not served.
const OFFLINE: (TopicId, PartitionId) = (TopicId(Uuid(2)), PartitionId(0));

#[test]
fn no_flush_is_asked_for_that_would_make_no_room() {
    let node = node(1);
    let [partition] = &node.partitions[..] else { unreachable!() };
    let way = node.dir.write_ahead();
    shrink_write_ahead_log(&node);
    way.keep_frames(OFFLINE, &"u-0");
    assert!(is_committed_soon(partition, append(partition)));
    // The directory has something to be flushed, within seconds.
    assert!(node.inbox.is_due());
    for _ in 0..6 {
        assert!(is_committed_soon(partition, append_value(partition, &[7; 20_000])));
    }
    let position = way.pending().synced;
    assert!(is_committed_soon(partition, append_value(partition, &[7; 20_000])));
    assert_eq!(way.pending().synced, position, "there is no room");
    assert!(!node.inbox.is_due());
    assert_eq!(way.kept.untold(), None, "it was told");

    way.let_frames_go(OFFLINE);
    assert!(node.inbox.is_due());
    node.flush();
    assert!(is_committed_soon(partition, append_value(partition, &[7; 20_000])));
    assert!(way.pending().synced > position, "it is for frames again");
}

#[test]
fn for_whom_frames_are_kept_is_told_once_until_they_went() {
    let node = node(0);
    let kept = &node.dir.write_ahead().kept;
    assert_eq!(kept.untold(), None);
    let key = |index| (OFFLINE.0, PartitionId(index));
    for index in 0..18 {
        kept.add(key(index), &format_args!("u-{index}"));
    }
    let told = kept.untold().unwrap();
    assert!(told.starts_with("u-0, u-1, ") && told.ends_with(", u-15 and 2 more"), "{told}");
    (1..18).for_each(|index| assert!(!kept.remove(key(index)).unwrap()));
    assert_eq!(kept.untold(), None);
    assert!(kept.remove(key(0)).unwrap());
    kept.add(key(3), &"u-3");
    assert_eq!(kept.untold().as_deref(), Some("u-3"));
}
