//! Log directories that cannot be used, and what is served of partitions that may lie there.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use dohle_base::ErrorCode;

use crate::{
    process::{CLUSTER, Dev, PATIENCE, Site, serve},
    wire::{fetch, move_to, moving, produce},
};

fn read_all(node: &Dev, topic: &str) -> String {
    node.run(&["consume", topic, "--from-beginning", "--until-end"]).well()
}

/// Makes a topic whose only partition lies in this directory.
fn make_in(site: &Site, node: &Dev, dir: &str, topic: &str) {
    // It is made where somebody wanted to have it.
    move_to(&node.address, &site.shown(dir), topic, &[0]);
    node.run(&["topic", "create", topic]).well();
    assert!(site.path(&format!("{dir}/{topic}-0")).is_dir());
}

fn move_and_wait(site: &Site, node: &Dev, dir: &str, topic: &str) {
    assert_eq!(move_to(&node.address, &site.shown(dir), topic, &[0]), [ErrorCode::NONE]);
    let (file, begun) = (site.path(&format!("{dir}/{topic}-0")), Instant::now());
    while !moving(&node.address).is_empty() || !file.exists() {
        assert!(begun.elapsed() < PATIENCE, "it does not move: {:?}", moving(&node.address));
        thread::sleep(Duration::from_millis(5));
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("there is a cp").success());
}

#[test]
fn what_is_found_in_a_directory_that_the_metadata_does_not_know_is_served_after_one_start() {
    let site = Site::formatted("");
    let node = serve(&site);
    make_in(&site, &node, "b", "t");
    assert_eq!(produce(&node.address, "t", b"one"), ErrorCode::NONE);
    node.stop("KILL");
    // Another disk with what the old one had.
    fs::remove_file(site.path("b/meta.properties")).unwrap();
    site.format(CLUSTER, &["--standalone", "--ignore-formatted"]).well();
    let node = serve(&site);
    assert_eq!(produce(&node.address, "t", b"two"), ErrorCode::NONE);
    node.stop("KILL");
    let node = serve(&site);
    assert_eq!(produce(&node.address, "t", b"three"), ErrorCode::NONE);
    node.stop("TERM");
    // Put into the other one by hand, and its own is needed no more.
    fs::rename(site.path("b/t-0"), site.path("a/t-0")).unwrap();
    let settings = fs::read_to_string(&site.file).unwrap();
    let without = settings.replace(&format!(",{}", site.shown("b")), "");
    assert_ne!(without, settings);
    fs::write(&site.file, without).unwrap();
    let node = serve(&site);
    assert_eq!(produce(&node.address, "t", b"four"), ErrorCode::NONE);
    assert_eq!(read_all(&node, "t"), "one\ntwo\nthree\nfour\n");
}

#[test]
fn a_directory_that_cannot_be_opened_is_left_out_and_the_others_serve() {
    let site = Site::formatted("");
    let node = serve(&site);
    make_in(&site, &node, "a", "kept");
    make_in(&site, &node, "b", "lost");
    for topic in ["kept", "lost"] {
        assert_eq!(produce(&node.address, topic, b"one"), ErrorCode::NONE);
    }
    node.stop("KILL");
    let obstacle = |name: &str, is_damage: bool| {
        let (file, aside) = (site.path(&format!("b/{name}")), site.path("aside"));
        fs::rename(&file, &aside).unwrap();
        match is_damage {
            true => fs::write(&file, [7; 20_000]).unwrap(),
            false => fs::create_dir(&file).unwrap(),
        }
        let node = serve(&site);
        assert!(produce(&node.address, "lost", b"not there").is_error(), "{name}");
        assert_eq!(produce(&node.address, "kept", name.as_bytes()), ErrorCode::NONE);
        let log = node.stop_and_tell();
        assert!(
            log.contains("offline, what lies there is not served") && log.contains(name),
            "{log}"
        );
        match is_damage {
            true => fs::remove_file(&file).unwrap(),
            false => fs::remove_dir(&file).unwrap(),
        }
        fs::rename(&aside, &file).unwrap();
    };
    // What the system says of these is not that there is nothing.
    fs::write(site.path("b/.lock"), "").unwrap();
    obstacle(".lock", false);
    obstacle("dohle.wal", false);
    obstacle("dohle.wal", true);
    let node = serve(&site);
    assert_eq!(read_all(&node, "lost"), "one\n");
    assert_eq!(read_all(&node, "kept"), "one\n.lock\ndohle.wal\ndohle.wal\n");
}

/// The rename to `-delete` did not reach the disk, and the new directory is missing then.
#[test]
fn what_a_move_left_behind_is_not_served_while_the_new_directory_is_missing() {
    let site = Site::formatted("");
    let node = serve(&site);
    make_in(&site, &node, "a", "t");
    assert_eq!(produce(&node.address, "t", b"one"), ErrorCode::NONE);
    copy(&site.path("a/t-0"), &site.path("stale"));
    move_and_wait(&site, &node, "b", "t");
    assert_eq!(produce(&node.address, "t", b"two"), ErrorCode::NONE);
    node.stop("KILL");
    copy(&site.path("stale"), &site.path("a/t-0"));
    fs::rename(site.path("b"), site.path("away")).unwrap();
    for end in ["KILL", "TERM", "KILL"] {
        let node = serve(&site);
        assert_eq!(produce(&node.address, "t", b"beside"), ErrorCode::KAFKA_STORAGE_ERROR);
        assert_eq!(fetch(&node.address, "t"), ErrorCode::KAFKA_STORAGE_ERROR);
        node.run(&["topic", "create", &format!("other-{end}"), "--if-not-exists"]);
        node.stop(end);
    }
    fs::rename(site.path("away"), site.path("b")).unwrap();
    let node = serve(&site);
    assert_eq!(read_all(&node, "t"), "one\ntwo\n");
    assert!(!site.path("a/t-0").exists(), "what is left behind is removed");
}

/// The controller was told of the new directory, and the copy is not renamed yet.
#[test]
fn what_has_not_moved_yet_waits_for_the_directory_that_is_named() {
    let site = Site::formatted("");
    let node = serve(&site);
    make_in(&site, &node, "a", "t");
    move_and_wait(&site, &node, "b", "t");
    for value in [b"one", b"two"] {
        assert_eq!(produce(&node.address, "t", value), ErrorCode::NONE);
    }
    node.stop("TERM");
    // The same as before the rename: all of it in a, a copy in b.
    let future = site.path("b/t-0.00000000000000000000000000000001-future");
    fs::rename(site.path("b/t-0"), site.path("a/t-0")).unwrap();
    copy(&site.path("a/t-0"), &future);
    fs::rename(site.path("b"), site.path("away")).unwrap();
    for end in ["KILL", "TERM"] {
        let node = serve(&site);
        assert_eq!(produce(&node.address, "t", b"beside"), ErrorCode::KAFKA_STORAGE_ERROR);
        node.stop(end);
    }
    fs::rename(site.path("away"), site.path("b")).unwrap();
    let node = serve(&site);
    assert_eq!(read_all(&node, "t"), "one\ntwo\n");
    assert_eq!(produce(&node.address, "t", b"three"), ErrorCode::NONE);
    assert_eq!(read_all(&node, "t"), "one\ntwo\nthree\n");
}

#[test]
fn frames_that_are_kept_for_a_partition_go_when_it_is_deleted() {
    let site = Site::formatted("");
    let node = serve(&site);
    make_in(&site, &node, "b", "broken");
    assert_eq!(produce(&node.address, "broken", b"one"), ErrorCode::NONE);
    assert_eq!(node.stop("TERM"), Some(0));
    let node = serve(&site);
    assert_eq!(produce(&node.address, "broken", b"two"), ErrorCode::NONE);
    node.stop("KILL");
    let is_clean = || site.path("b/.kafka_cleanshutdown").exists();
    // What was durable before the frame is gone: the frame does not make up for it.
    fs::remove_dir_all(site.path("b/broken-0")).unwrap();
    let node = serve(&site);
    assert_eq!(produce(&node.address, "broken", b"three"), ErrorCode::KAFKA_STORAGE_ERROR);
    let log = node.stop_and_tell();
    assert!(log.contains("kept in the write-ahead log") && !is_clean(), "{log}");

    let node = serve(&site);
    node.run(&["topic", "delete", "broken"]).well();
    assert_eq!(node.stop("TERM"), Some(0));
    assert!(is_clean(), "nobody needs its frames");
}

/// A partition that lies in two directories, for the rename to `-delete` did not reach the disk. The one that
/// has all of it lacks what is in a frame; the other one has damage in what was synced.
fn with_unread_rival() -> (Site, Vec<u8>) {
    let site = Site::formatted("");
    let node = serve(&site);
    make_in(&site, &node, "a", "t");
    assert_eq!(produce(&node.address, "t", b"one"), ErrorCode::NONE);
    copy(&site.path("a/t-0"), &site.path("stale"));
    move_and_wait(&site, &node, "b", "t");
    assert_eq!(produce(&node.address, "t", b"two"), ErrorCode::NONE);
    node.stop("KILL");
    copy(&site.path("stale"), &site.path("a/t-0"));
    let old = fs::read(site.path("a/t-0").join(SEGMENT)).unwrap();
    let mut damaged = old.clone();
    damaged[70] ^= 1;
    fs::write(site.path("a/t-0").join(SEGMENT), &damaged).unwrap();
    fs::write(site.path("b/t-0").join(SEGMENT), &old).unwrap();
    for dir in ["a", "b"] {
        // As the first flush leaves it.
        let owner = site.path(&format!("{dir}/t-0/partition.metadata"));
        fs::write(&owner, fs::read_to_string(&owner).unwrap().trim_end()).unwrap();
        fs::write(site.path(dir).join(RECOVERY_POINTS), "0\n1\nt 0 1\n").unwrap();
    }
    (site, old)
}

const SEGMENT: &str = "00000000000000000000.log";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";

#[test]
fn all_directories_of_a_partition_stay_as_they_are_while_one_of_them_cannot_be_read() {
    let (site, old) = with_unread_rival();
    for end in ["TERM", "KILL", "TERM"] {
        let node = serve(&site);
        assert_eq!(produce(&node.address, "t", b"beside"), ErrorCode::KAFKA_STORAGE_ERROR);
        assert_eq!(fetch(&node.address, "t"), ErrorCode::KAFKA_STORAGE_ERROR);
        node.stop(end);
        for dir in ["a", "b"] {
            assert!(!site.path(dir).join(".kafka_cleanshutdown").exists(), "{dir} after {end}");
            let points = fs::read_to_string(site.path(dir).join(RECOVERY_POINTS)).unwrap();
            assert!(points.contains("t 0 1\n"), "{dir} after {end}: {points}");
        }
        let noted = fs::read_to_string(site.path("a/t-0/dohle.offline")).unwrap();
        assert!(noted.contains("checksum"), "{noted}");
    }
    fs::write(site.path("a/t-0").join(SEGMENT), old).unwrap();
    let node = serve(&site);
    assert_eq!(
        read_all(&node, "t"),
        "one\ntwo\n",
        "the frame of the one that was not read was kept"
    );
    assert!(!site.path("a/t-0").exists(), "what is left behind is removed");
    assert_eq!(node.stop("TERM"), Some(0));
    assert!(["a", "b"].iter().all(|dir| site.path(dir).join(".kafka_cleanshutdown").exists()));
}

#[test]
fn a_partition_that_lies_in_several_directories_is_deleted_in_all_of_them() {
    let (site, _) = with_unread_rival();
    let node = serve(&site);
    assert_eq!(fetch(&node.address, "t"), ErrorCode::KAFKA_STORAGE_ERROR);
    node.run(&["topic", "delete", "t"]).well();
    node.run(&["topic", "create", "t"]).well();
    assert_eq!(produce(&node.address, "t", b"new"), ErrorCode::NONE);
    assert_eq!(read_all(&node, "t"), "new\n");
    assert_eq!(node.stop("TERM"), Some(0));
    assert!(["a", "b"].iter().all(|dir| site.path(dir).join(".kafka_cleanshutdown").exists()));
}

/// As on a full disk: the one from before stays, and tells of more than the new topic has.
#[test]
fn a_topic_that_is_made_again_is_served_though_no_checkpoint_could_be_written() {
    let site = Site::formatted("");
    let node = serve(&site);
    make_in(&site, &node, "a", "t");
    for value in [b"one", b"two"] {
        assert_eq!(produce(&node.address, "t", value), ErrorCode::NONE);
    }
    assert_eq!(node.stop("TERM"), Some(0));
    let points = fs::read_to_string(site.path("a").join(RECOVERY_POINTS)).unwrap();
    assert!(points.contains("t 0 2\n"), "{points}");
    let node = serve(&site);
    let obstacle = site.path("a").join(format!("{RECOVERY_POINTS}.tmp"));
    symlink("missing/x", &obstacle).unwrap();
    node.run(&["topic", "delete", "t"]).well();
    make_in(&site, &node, "a", "t");
    assert_eq!(produce(&node.address, "t", b"new"), ErrorCode::NONE);
    node.stop("KILL");
    // As after a flush that found room for the side files alone, and the delay of a deletion.
    let owner = site.path("a/t-0/partition.metadata");
    fs::write(&owner, fs::read_to_string(&owner).unwrap().trim_end()).unwrap();
    for entry in fs::read_dir(site.path("a")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with("-delete") {
            fs::remove_dir_all(path).unwrap();
        }
    }
    fs::remove_file(&obstacle).unwrap();
    let node = serve(&site);
    assert_eq!(read_all(&node, "t"), "new\n");
}
