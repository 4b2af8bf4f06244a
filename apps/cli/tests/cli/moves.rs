//! Many partitions move to another directory: so many at a time as is set, all in the end.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use dohle_base::ErrorCode;

use crate::{
    process::{Dev, Site, serve},
    wire::{configure, move_to, moving, produce_all},
};

const PARTITIONS: i32 = 12;
/// How often something is written to each, and how much; each time is a step of a copy.
const ROUNDS: usize = 4;
const VALUE_SIZE: usize = 600_000;
/// A step takes a third of a second.
const RATE: &str = "2000000";
/// A step takes three seconds: those that may be copied at a time begin one after the other.
const SLOW: &str = "300000";
/// After the first step none goes on.
const STILL: &str = "1";
const FAST: &str = "1000000000";
const RATE_KEY: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

#[test]
fn as_many_partitions_are_copied_at_a_time_as_are_set() {
    keeps_to("num.replica.alter.log.dirs.threads=1\n", 1);
    // One for each of the two directories.
    keeps_to("", 2);
}

/// Its start is told by the name of an empty segment and by nothing else.
#[test]
fn a_partition_of_which_all_has_expired_is_served_after_its_move() {
    let site = Site::formatted(
        "log.retention.ms=1\nlog.retention.check.interval.ms=20\nlog.initial.task.delay.ms=20\n",
    );
    let node = serve(&site);
    node.run(&["topic", "create", "m"]).well();
    assert_eq!(produce_all(&node.address, "m", 1, |_| "x".repeat(1_000)), [ErrorCode::NONE]);
    let begun = Instant::now();
    let file = |dir: &str| site.path(&format!("{dir}/m-0/00000000000000000001.log"));
    while !file("a").exists() && !file("b").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing expires");
        thread::sleep(Duration::from_millis(10));
    }
    let target = if file("a").exists() { "b" } else { "a" };
    assert_eq!(move_to(&node.address, &site.shown(target), "m", &[0]), [ErrorCode::NONE]);
    while !moving(&node.address).is_empty() || !file(target).exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not move");
        thread::sleep(Duration::from_millis(10));
    }
    // The recovery point is written down.
    node.stop("TERM");
    for signal in ["KILL", "TERM", "KILL"] {
        let node = serve(&site);
        assert_eq!(node.run(&["consume", "m", "--from-beginning", "--until-end"]).well(), "");
        node.stop(signal);
    }
    let node = serve(&site);
    assert_eq!(produce_all(&node.address, "m", 1, |_| "x".to_owned()), [ErrorCode::NONE]);
}

fn keeps_to(setting: &str, limit: usize) {
    let site = Site::formatted(setting);
    let node = serve(&site);
    node.run(&["topic", "create", "m", "-p", &PARTITIONS.to_string()]).well();
    for round in 0..ROUNDS {
        let written = produce_all(&node.address, "m", PARTITIONS, |index| value(round, index));
        assert!(written.into_iter().all(|code| code == ErrorCode::NONE));
    }
    assert_eq!(configure(&node.address, RATE_KEY, SLOW), ErrorCode::NONE);
    // From the last to the first: that is the order that they go in.
    let all = (0..PARTITIONS).rev();
    let mut order: Vec<i32> = all.filter(|index| segment(&site, "a", *index).exists()).collect();
    assert!(order.len() >= 5, "{order:?}");
    let before: Vec<_> = order.iter().map(|index| bytes(&site, "a", *index)).collect();

    let asked = move_to(&node.address, &site.shown("b"), "m", &order);
    assert!(asked.into_iter().all(|code| code == ErrorCode::NONE));
    assert_eq!(moving(&node.address).len(), order.len(), "those that wait are told of, too");
    watch(&node, &order, limit);
    // A few are left however long what follows takes.
    assert_eq!(configure(&node.address, RATE_KEY, STILL), ErrorCode::NONE);
    // One that waits is taken back, and leaves nothing.
    let last = order.pop().unwrap();
    let taken_back = move_to(&node.address, &site.shown("a"), "m", &[last]);
    assert_eq!(taken_back, [ErrorCode::NONE]);
    let start = Instant::now();
    while has_copy(&site, last) {
        assert!(start.elapsed() < Duration::from_secs(60), "its directory stays");
        thread::sleep(Duration::from_millis(10));
    }
    node.stop("KILL");
    // Those that wait go on after a start.
    assert!(copy_count(&site) > limit, "{}", copy_count(&site));
    let node = serve(&site);
    assert_eq!(configure(&node.address, RATE_KEY, FAST), ErrorCode::NONE);
    let begun = Instant::now();
    while !moving(&node.address).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", moving(&node.address));
        assert!(open_count(&node) <= limit, "{} copies", open_count(&node));
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(copy_count(&site), 0);
    for (index, before) in order.iter().zip(before) {
        assert!(bytes(&site, "b", *index) == before, "partition {index}");
    }
    assert!(segment(&site, "a", last).exists() && !segment(&site, "b", last).exists());
    let written = produce_all(&node.address, "m", PARTITIONS, |index| value(ROUNDS, index));
    assert!(written.into_iter().all(|code| code == ErrorCode::NONE));
}

#[test]
fn a_topic_that_is_deleted_takes_its_copies_with_it_begun_or_not() {
    let site = Site::formatted("num.replica.alter.log.dirs.threads=2\n");
    let node = serve(&site);
    node.run(&["topic", "create", "m", "-p", &PARTITIONS.to_string()]).well();
    let written = produce_all(&node.address, "m", PARTITIONS, |index| value(0, index));
    assert!(written.into_iter().all(|code| code == ErrorCode::NONE));
    assert_eq!(configure(&node.address, RATE_KEY, STILL), ErrorCode::NONE);
    let here: Vec<i32> =
        (0..PARTITIONS).filter(|index| segment(&site, "a", *index).exists()).collect();
    move_to(&node.address, &site.shown("b"), "m", &here);
    let start = Instant::now();
    // One has begun, and there are more than may have.
    while copy_count(&site) < 4 || open_count(&node) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "{} copies", copy_count(&site));
        thread::sleep(Duration::from_millis(1));
    }
    node.run(&["topic", "delete", "m"]).well();
    let start = Instant::now();
    while copy_count(&site) > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "{} copies", copy_count(&site));
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(moving(&node.address), []);
}

#[test]
fn of_many_copies_of_a_partition_that_a_start_finds_one_goes_on_and_none_stays() {
    let site = Site::formatted("");
    let node = serve(&site);
    node.run(&["topic", "create", "m", "-p", "4"]).well();
    let written = produce_all(&node.address, "m", 4, |index| value(0, index));
    assert!(written.into_iter().all(|code| code == ErrorCode::NONE));
    let index = (0..4).find(|index| segment(&site, "a", *index).exists()).expect("half of them");
    let before = bytes(&site, "a", index);
    node.stop("KILL");
    for (dir, number) in [("b", 1), ("b", 2), ("a", 3)] {
        let path = site.path(&format!("{dir}/m-{index}.{number:032x}-future"));
        fs::create_dir(path).expect("it is new");
    }
    let node = serve(&site);
    let start = Instant::now();
    while copy_count(&site) > 0 || !moving(&node.address).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "{} copies", copy_count(&site));
        thread::sleep(Duration::from_millis(10));
    }
    assert!(!site.path(&format!("a/m-{index}")).exists());
    assert!(bytes(&site, "b", index) == before);
    assert!(!site.path(&format!("a/m-{index}.{:032x}-future", 3)).exists());
}

/// Looks on until one has arrived, quicker once as many are copied as may be: meanwhile it is no more than
/// that, and the first ones.
fn watch(node: &Dev, order: &[i32], limit: usize) {
    let (start, mut looks) = (Instant::now(), 0);
    loop {
        // It is told in ascending order: one that makes place is not counted beside its successor.
        let moving = moving(&node.address);
        let arrived = order.len() - moving.len();
        if arrived > 0 {
            assert!(looks > 5, "{looks} looks");
            return;
        }
        if looks == 6 {
            assert_eq!(configure(&node.address, RATE_KEY, RATE), ErrorCode::NONE);
        }
        let is_begun = |index: &i32| moving.iter().any(|(known, size)| known == index && *size > 0);
        let begun: Vec<_> = (0..).zip(order).filter(|(_, index)| is_begun(index)).collect();
        assert!(begun.iter().all(|(at, _)| *at < arrived + limit), "{begun:?} of {order:?}");
        assert!(open_count(node) <= limit, "{} copies", open_count(node));
        looks += usize::from(begun.len() == limit);
        assert!(start.elapsed() < Duration::from_secs(60), "{moving:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn value(round: usize, index: i32) -> String {
    format!("{round} of {index} ").repeat(VALUE_SIZE / 10)
}

fn segment(site: &Site, dir: &str, index: i32) -> PathBuf {
    site.path(&format!("{dir}/m-{index}/00000000000000000000.log"))
}

fn bytes(site: &Site, dir: &str, index: i32) -> Vec<u8> {
    fs::read(segment(site, dir, index)).expect("it lies there")
}

/// The names of the copies in the directory that all go to.
fn names(site: &Site) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(site.path("b")).expect("it is there");
    let names = entries.map(|entry| entry.expect("it is there").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.ends_with("-future"))
}

fn copy_count(site: &Site) -> usize {
    names(site).count()
}

fn has_copy(site: &Site, index: i32) -> bool {
    names(site).any(|name| name.starts_with(&format!("m-{index}.")))
}

/// How many copies the node has files of open.
fn open_count(node: &Dev) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", node.id())).expect("it runs");
    let paths = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let dirs = paths.filter_map(|path| Some(path.parent()?.to_string_lossy().into_owned()));
    let copies = dirs.filter(|dir| dir.ends_with("-future"));
    copies.collect::<BTreeSet<_>>().len()
}
