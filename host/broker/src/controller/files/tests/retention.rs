//! What is removed, and when.

use super::stage::*;
use super::*;

#[test]
fn the_log_goes_back_as_far_as_retention_says() {
    let settings = Settings { segment_bytes: 1_000, ..settings() };
    let disk = formatted();
    let mut node = Running::start(&disk, &settings, 1).unwrap();
    let mut removed = 0;
    for index in 0..60 {
        node.create(&name(index)).unwrap();
        let before = (bases(&disk), ends(&disk));
        node.clean().unwrap();
        let after = (bases(&disk), ends(&disk));
        removed += before.0.len() - after.0.len();
        assert_eq!(after.1.last(), before.1.last(), "the newest snapshot stays");
        let start = node.files.log.log_start_offset();
        assert_eq!((start, node.node.raft().log_start()), (Offset(after.1[0]), start));
        assert!(after.0[0] <= start.0, "{after:?}");
        assert!(after.0.get(1).is_none_or(|second| *second > start.0), "{after:?}");
        let stored = node.files.snapshots.stored();
        let size = node.files.log.size() + stored.iter().map(|s| s.size).sum::<u64>();
        assert!(size <= 4_000 || stored.len() == 1, "{size} bytes with {} snapshots", stored.len());
        check_for_kafka(&disk).unwrap();
    }
    assert!(removed > 5, "{removed} segments");
    node.second += 10;
    node.clean().unwrap();
    assert_eq!(names(&disk).iter().filter(|name| name.ends_with(".deleted")).count(), 0);
    // A start goes on from there: with the same start, and without what is no more.
    let start = node.files.log.log_start_offset();
    disk.restart(1);
    // All leaders are elected anew in one batch.
    let roomy = Settings { segment_bytes: 1 << 20, ..settings };
    let again = Running::start(&disk, &roomy, 90_000).unwrap();
    assert_eq!(again.files.log.log_start_offset(), start);
    assert_eq!(again.topics(), (0..60).map(name).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_goes_when_it_is_old_and_there_is_a_newer_one() {
    let settings = Settings { retention_bytes: None, retention_ms: Some(DAY), ..settings() };
    let disk = formatted();
    let mut node = Running::start(&disk, &settings, 1).unwrap();
    (0..9).for_each(|index| node.create(&name(index)).unwrap());
    node.clean().unwrap();
    let all = ends(&disk);
    assert!(all.len() > 2, "{all:?}");
    // The oldest is the one that formatting left, at 0. Until it is too old the node sleeps.
    let day = DAY as u64 / 1_000;
    let expected = Duration::from_millis(DAY as u64 + 1) - Duration::from_secs(node.second);
    assert_eq!(node.files.idle_time(at(node.second)), Some(expected));
    node.second = day;
    node.files.clean(at(day)).unwrap();
    assert_eq!(ends(&disk), all);
    node.files.clean(at(day + 1)).unwrap();
    assert_eq!(ends(&disk), all[1..]);
    // Only the files that were done with are waited for once there is one left.
    node.files.clean(at(9 * day)).unwrap();
    assert_eq!(ends(&disk), all[all.len() - 1..]);
    assert_eq!(node.files.idle_time(at(9 * day)), Some(Duration::from_secs(10)));
    node.files.clean(at(9 * day + 10)).unwrap();
    assert_eq!(node.files.idle_time(at(9 * day + 10)), None);
    node.create(&name(9)).unwrap();
    let soon = node.files.idle_time(at(node.second));
    assert_eq!(soon, Some(LOOK_AFTER), "something was written");
}

#[test]
fn without_limits_everything_stays() {
    let settings = Settings { retention_bytes: None, ..settings() };
    let disk = formatted();
    let mut node = Running::start(&disk, &settings, 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    let before = names(&disk);
    node.second += 10_000_000;
    node.clean().unwrap();
    assert_eq!(names(&disk), before);
    assert_eq!(node.files.idle_time(at(node.second)), None, "the node sleeps");
}

#[test]
fn segments_roll_by_size_and_by_age() {
    let filled = |bytes, ms| {
        let (segment_bytes, segment_ms, snapshot_bytes) = (bytes, ms, 1 << 20);
        let disk = formatted();
        let settings = Settings { segment_bytes, segment_ms, snapshot_bytes, ..settings() };
        let mut node = Running::start(&disk, &settings, 0).unwrap();
        for index in 0..20 {
            node.second = index as u64;
            node.create(&name(index)).unwrap();
        }
        let size = |base: &i64| disk.size_of(&Path::new(DIR).join(format!("{base:020}.log")));
        bases(&disk).iter().map(|base| size(base).unwrap()).collect::<Vec<_>>()
    };
    let whole = filled(1 << 20, DAY);
    assert_eq!(whole.len(), 1);
    assert_eq!(filled(1 << 20, 4_000).len(), 4, "one each five seconds");
    let by_size = filled(1_500, DAY);
    assert_eq!(by_size.iter().sum::<u64>(), whole[0]);
    assert!(by_size.len() as u64 >= whole[0].div_ceil(1_500), "{by_size:?}");
    assert!(by_size.iter().all(|size| *size <= 1_500), "{by_size:?}");
}
