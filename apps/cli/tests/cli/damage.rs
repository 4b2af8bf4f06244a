//! A disk that is full, and data that is damaged: what clients are told, and what is left.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dohle_base::ErrorCode;
use dohle_records::entries;

use crate::{
    process::{Dev, Site, dohle, serve},
    wire::{create_topic, fetch, produce},
};

/// Acknowledged is what the operating system has, so that a file is written when a client is told.
const AT_ONCE: &str = "dohle.durability=os\n";

/// The first segment of partition 0, in whichever directory it lies.
fn segment(site: &Site, topic: &str) -> PathBuf {
    let of = |dir: &str| site.path(&format!("{dir}/{topic}-0/00000000000000000000.log"));
    ["a", "b"].map(of).into_iter().find(|path| path.exists()).expect("it lies somewhere")
}

fn read_all(node: &Dev, topic: &str) -> String {
    node.run(&["consume", topic, "--from-beginning", "--until-end"]).well()
}

#[test]
fn a_damaged_partition_is_offline_and_named_and_the_others_serve() {
    let site = Site::formatted(AT_ONCE);
    let node = serve(&site);
    node.run(&["topic", "create", "broken", "whole"]).well();
    for value in ["one", "two", "three", "four", "five"] {
        assert_eq!(produce(&node.address, "broken", value.as_bytes()), ErrorCode::NONE);
        assert_eq!(produce(&node.address, "whole", value.as_bytes()), ErrorCode::NONE);
    }
    node.stop("KILL");
    let path = segment(&site, "broken");
    let mut bytes = fs::read(&path).unwrap();
    let size = bytes.len() / 5;
    let third = 2 * size;
    bytes[third + size - 2] ^= 1;
    fs::write(&path, &bytes).unwrap();

    let node = serve(&site);
    assert_eq!(produce(&node.address, "broken", b"six"), ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(fetch(&node.address, "broken"), ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(produce(&node.address, "whole", b"six"), ErrorCode::NONE);
    assert_eq!(read_all(&node, "whole"), "one\ntwo\nthree\nfour\nfive\nsix\n");
    let log = node.stop_and_tell();
    let told = log.lines().find(|line| line.contains(&path.display().to_string()));
    let told = told.unwrap_or_else(|| panic!("{log}"));
    assert!(told.contains("ERROR") && told.contains("broken-0"), "{told}");
    assert!(told.contains(&third.to_string()) && told.contains("checksum"), "{told}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing of it was touched");
}

/// Files beside the batches are made anew where they are of no use, and the operator is told.
#[test]
fn what_was_mended_at_a_start_is_told_and_nothing_else() {
    let site = Site::formatted(AT_ONCE);
    let node = serve(&site);
    node.run(&["topic", "create", "t"]).well();
    for value in ["one", "two", "three"] {
        assert_eq!(produce(&node.address, "t", value.as_bytes()), ErrorCode::NONE);
    }
    node.stop("TERM");
    let path = segment(&site, "t").with_file_name("00000000000000000003.snapshot");
    let told = |log: &str| log.lines().filter(|line| line.contains(" WARN ")).count();
    let log = serve(&site).stop_and_tell();
    assert_eq!(told(&log), 0, "{log}");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let orphan = path.with_file_name("00000000000000000009.index");
    fs::write(&orphan, [0; 8]).unwrap();
    let node = serve(&site);
    assert_eq!(read_all(&node, "t"), "one\ntwo\nthree\n");
    let log = node.stop_and_tell();
    for (file, what) in [
        (&path, " at 6: 10 bytes, not the 56 for 1 entries"),
        (&orphan, " has no segment of that name"),
    ] {
        let expected = format!("{}{what}", file.display());
        let line = log.lines().find(|line| line.contains(&expected));
        let line = line.unwrap_or_else(|| panic!("{expected}: {log}"));
        assert!(line.contains("WARN") && line.contains("; removed"), "{line}");
    }
    assert_eq!(told(&log), 2, "{log}");
}

/// Another process wrote and was killed: what it acknowledged is in no frame of `dohle.wal`, and no start,
/// however the one before ended, may take damage in it for a torn end.
#[test]
fn what_another_process_left_is_not_cut_by_a_later_start() {
    let site = Site::formatted("");
    let node = serve(&site);
    node.run(&["topic", "create", "broken"]).well();
    for value in ["one", "two", "three"] {
        assert_eq!(produce(&node.address, "broken", value.as_bytes()), ErrorCode::NONE);
    }
    node.stop("TERM");
    let path = segment(&site, "broken");
    let (dir, logs) = (path.parent().unwrap(), path.parent().unwrap().parent().unwrap());
    for gone in [".kafka_cleanshutdown", "recovery-point-offset-checkpoint"] {
        fs::remove_file(logs.join(gone)).unwrap();
    }
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[whole.len() / 3 + 70] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for signal in ["KILL", "TERM", "TERM", "KILL"] {
        let node = serve(&site);
        assert_eq!(produce(&node.address, "broken", b"four"), ErrorCode::KAFKA_STORAGE_ERROR);
        node.stop(signal);
        assert!(fs::read(&path).unwrap() == bytes, "something of it was changed");
        let noted = fs::read_to_string(dir.join("dohle.offline")).unwrap();
        assert!(noted.contains("checksum"), "{noted}");
    }
    fs::write(&path, &whole).unwrap();
    let node = serve(&site);
    assert_eq!(read_all(&node, "broken"), "one\ntwo\nthree\n");
    assert!(!dir.join("dohle.offline").exists());
    // Nor does it stay where another process has mended the log, and stopped cleanly.
    node.stop("TERM");
    fs::write(dir.join("dohle.offline"), "damaged\n").unwrap();
    let node = serve(&site);
    assert_eq!(read_all(&node, "broken"), "one\ntwo\nthree\n");
    assert!(!dir.join("dohle.offline").exists());
}

/// The opposite: all that was acknowledged is in the frames, which are kept while the log cannot be opened. A
/// stop meanwhile is none that leaves the logs to others.
#[test]
fn what_frames_were_kept_for_is_mended_by_a_later_start() {
    let Some(other) = elsewhere() else {
        println!("skipped: /dev/shm is missing, or no volume of its own");
        return;
    };
    let site = Site::formatted("");
    let node = serve(&site);
    node.run(&["topic", "create", "torn"]).well();
    for value in ["one", "two", "three"] {
        assert_eq!(produce(&node.address, "torn", value.as_bytes()), ErrorCode::NONE);
    }
    node.stop("KILL");
    // As a power cut may leave it: the second batch is gone, the third is not.
    let path = segment(&site, "torn");
    let mut bytes = fs::read(&path).unwrap();
    let size = bytes.len() / 3;
    bytes[size..2 * size].fill(0);
    fs::write(&path, &bytes).unwrap();
    let dir = path.parent().unwrap();
    let aside = dir.parent().unwrap().parent().unwrap().join("aside");
    fs::rename(dir, &aside).unwrap();
    symlink(other.path(), dir).unwrap();
    for signal in ["TERM", "KILL", "TERM"] {
        let node = serve(&site);
        assert_eq!(produce(&node.address, "torn", b"four"), ErrorCode::KAFKA_STORAGE_ERROR);
        node.stop(signal);
    }
    fs::remove_file(dir).unwrap();
    fs::rename(&aside, dir).unwrap();
    let node = serve(&site);
    assert_eq!(read_all(&node, "torn"), "one\ntwo\nthree\n");
}

#[test]
fn a_partition_whose_file_names_another_topic_is_set_aside_and_not_served_as_empty() {
    let site = Site::formatted(AT_ONCE);
    let node = serve(&site);
    node.run(&["topic", "create", "lost"]).well();
    assert_eq!(produce(&node.address, "lost", b"one"), ErrorCode::NONE);
    node.stop("TERM");
    let segment = segment(&site, "lost");
    let dir = segment.parent().unwrap();
    let path = dir.join("partition.metadata");
    let text = fs::read_to_string(&path).unwrap();
    let id = text.trim_end().rsplit(' ').next().unwrap();
    let other = format!("{}{}", if id.starts_with('B') { "C" } else { "B" }, &id[1..]);
    fs::write(&path, text.replace(id, &other)).unwrap();

    let node = serve(&site);
    assert_eq!(produce(&node.address, "lost", b"two"), ErrorCode::KAFKA_STORAGE_ERROR);
    let log = node.stop_and_tell();
    assert!(log.contains("durable up to 1"), "{log}");
    let told = log.lines().find(|line| line.contains("partition.metadata"));
    let told = told.unwrap_or_else(|| panic!("{log}"));
    assert!(told.contains(&dir.display().to_string()) && told.contains("-stray"), "{told}");
    assert!(told.contains(id) && told.contains(&other), "{told}");
    let aside = fs::read_dir(dir.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.to_string_lossy().ends_with("-stray")).collect();
    let [aside] = &aside[..] else { panic!("{aside:?}") };
    assert!(fs::metadata(aside.join(segment.file_name().unwrap())).unwrap().len() > 0);
}

#[test]
fn a_partition_without_its_directory_is_not_served_as_empty() {
    let site = Site::formatted(AT_ONCE);
    let node = serve(&site);
    node.run(&["topic", "create", "lost"]).well();
    assert_eq!(produce(&node.address, "lost", b"one"), ErrorCode::NONE);
    node.stop("TERM");
    let dir = segment(&site, "lost").parent().unwrap().to_owned();
    fs::remove_dir_all(&dir).unwrap();
    for signal in ["KILL", "KILL"] {
        let node = serve(&site);
        assert_eq!(produce(&node.address, "lost", b"two"), ErrorCode::KAFKA_STORAGE_ERROR);
        node.stop(signal);
    }
    // Who gives it up makes it anew.
    let node = serve(&site);
    node.run(&["topic", "delete", "lost"]).well();
    node.run(&["topic", "create", "lost"]).well();
    assert_eq!(produce(&node.address, "lost", b"two"), ErrorCode::NONE);
    node.stop("KILL");
    let node = serve(&site);
    assert_eq!(read_all(&node, "lost"), "two\n");
}

/// A node that may write no file beyond a size that `limit` sets: to it the disk is full.
fn serve_with_limit(site: &Site) -> Dev {
    // The signal would end the process before the system can refuse.
    let script = "trap '' XFSZ; exec \"$0\" server \"$1\" --log info";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_dohle"), &site.file]);
    shell.env_remove("DOHLE_BOOTSTRAP").env_remove("RUST_LOG").stdin(Stdio::null());
    let shell = shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    Dev::greeted(shell.spawn().expect("there is a shell"), "dohle serves ")
}

fn limit(node: &Dev, size: &str) {
    let arguments = [format!("--pid={}", node.id()), format!("--fsize={size}:")];
    let status = Command::new("prlimit").args(arguments).status().expect("there is prlimit");
    assert!(status.success());
}

#[test]
fn a_full_disk_is_told_and_nothing_acknowledged_is_lost() {
    let site = Site::formatted(AT_ONCE);
    let node = serve_with_limit(&site);
    node.run(&["topic", "create", "full"]).well();
    limit(&node, "100000");
    let (mut acknowledged, mut refused) = (String::new(), 0);
    for number in 0..100 {
        let value = format!("{number:09000}");
        match produce(&node.address, "full", value.as_bytes()) {
            ErrorCode::NONE => acknowledged += &(value + "\n"),
            code => {
                assert_eq!(code, ErrorCode::KAFKA_STORAGE_ERROR);
                refused += 1;
            }
        }
    }
    assert!((1..100).contains(&refused), "{refused}");
    assert_eq!(read_all(&node, "full"), acknowledged, "the node is alive");
    limit(&node, "unlimited");
    assert_eq!(produce(&node.address, "full", b"room again"), ErrorCode::NONE);
    acknowledged += "room again\n";
    assert_eq!(read_all(&node, "full"), acknowledged);
    node.stop("KILL");
    let node = serve(&site);
    assert_eq!(read_all(&node, "full"), acknowledged, "after a crash, too");
    assert_eq!(node.stop("TERM"), Some(0));
}

/// The size of the metadata log, which nothing is written to any more.
fn settled_size(site: &Site, node: &Dev) -> u64 {
    // Where a partition lies is written after its topic is answered, and before anything else is: also
    // before something that leaves no trace.
    assert_eq!(create_topic(&node.address, "a b"), ErrorCode::INVALID_TOPIC_EXCEPTION);
    let path = site.path("a/__cluster_metadata-0/00000000000000000000.log");
    fs::metadata(path).expect("it is there").len()
}

#[test]
fn a_disk_that_is_full_before_a_directory_is_noted_does_not_stop_the_controller() {
    let site = Site::formatted(AT_ONCE);
    let node = serve_with_limit(&site);
    let size = settled_size(&site, &node);
    // Room for a topic or not, and for where its partition lies or not.
    for room in (20..400).step_by(20) {
        limit(&node, &(size + room).to_string());
        create_topic(&node.address, "t");
    }
    limit(&node, "unlimited");
    let begun = Instant::now();
    while create_topic(&node.address, "after") != ErrorCode::NONE {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", node.stop_and_tell());
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(produce(&node.address, "t", b"v"), ErrorCode::NONE);
    assert_eq!(node.stop("TERM"), Some(0));
}

#[test]
fn a_full_disk_under_the_metadata_log_is_survived() {
    let site = Site::formatted(AT_ONCE);
    let node = serve_with_limit(&site);
    node.run(&["topic", "create", "before"]).well();
    let size = settled_size(&site, &node);
    limit(&node, &(size + 20).to_string());
    assert_eq!(create_topic(&node.address, "during"), ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(create_topic(&node.address, "refused"), ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(produce(&node.address, "before", b"v"), ErrorCode::NONE, "what is there serves");
    limit(&node, "unlimited");
    let begun = Instant::now();
    while create_topic(&node.address, "after") != ErrorCode::NONE {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", node.stop_and_tell());
        thread::sleep(Duration::from_millis(50));
    }
    // Whoever was told that time was over learns now what became of it.
    assert_eq!(node.run(&["topic", "list"]).well(), "after\nbefore\nduring\n");
    let log = node.stop_and_tell();
    assert_eq!(log.matches("cannot be written, it is tried again").count(), 1, "{log}");
    assert_eq!(log.matches("can be written again").count(), 1, "{log}");
    let node = serve(&site);
    assert_eq!(node.run(&["topic", "list"]).well(), "after\nbefore\nduring\n");
    assert_eq!(node.stop("TERM"), Some(0));
}

/// A message of a format before batches, with the checksum that it should have.
fn old_message(magic: u8, offset: i64) -> Vec<u8> {
    let mut body = vec![magic, 0];
    if magic == 1 {
        body.extend(0_i64.to_be_bytes());
    }
    // Neither key nor value.
    body.extend([0xff; 8]);
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let mut bytes = offset.to_be_bytes().to_vec();
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(crc.sum().to_be_bytes());
    bytes.extend(body);
    bytes
}

#[test]
fn an_old_message_in_the_metadata_log_ends_the_start_and_is_named() {
    for (magic, has_run) in [(0, false), (1, false), (0, true), (1, true)] {
        let site = Site::formatted("");
        if has_run {
            assert_eq!(serve(&site).stop("TERM"), Some(0));
        }
        let path = site.path("a/__cluster_metadata-0/00000000000000000000.log");
        let mut bytes = fs::read(&path).unwrap_or_default();
        let position = bytes.len();
        let end = entries(&bytes).last().map_or(0, |last| last.unwrap().last_offset().next().0);
        bytes.extend(old_message(magic, end));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &bytes).unwrap();
        let ended = dohle(&["server", &site.file, "--log", "warn"]);
        let told = format!("no batch in {} at {position}: ", path.display());
        ended.failed_with(&[&told, &format!("has magic {magic}")]);
        assert_eq!(fs::read(&path).unwrap(), bytes, "nothing of it was touched");
    }
}

/// A directory on another volume than temporary ones, if this machine has one.
fn elsewhere() -> Option<tempfile::TempDir> {
    let other = tempfile::tempdir_in("/dev/shm").ok()?;
    let here = tempfile::tempdir().unwrap();
    let volume = |dir: &tempfile::TempDir| fs::metadata(dir.path()).unwrap().dev();
    (volume(&other) != volume(&here)).then_some(other)
}

#[test]
fn a_partition_on_another_volume_is_offline_until_that_is_a_log_directory() {
    let Some(other) = elsewhere() else {
        println!("skipped: /dev/shm is missing, or no volume of its own");
        return;
    };
    let site = Site::formatted("");
    let node = serve(&site);
    node.run(&["topic", "create", "linked", "whole"]).well();
    for topic in ["linked", "whole"] {
        assert_eq!(produce(&node.address, topic, b"one"), ErrorCode::NONE);
    }
    node.stop("KILL");
    let path = segment(&site, "linked").parent().unwrap().to_owned();
    let moved = other.path().join("linked-0");
    fs::create_dir(&moved).unwrap();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), moved.join(entry.file_name())).unwrap();
    }
    fs::remove_dir_all(&path).unwrap();
    symlink(&moved, &path).unwrap();

    let node = serve(&site);
    assert_eq!(produce(&node.address, "linked", b"two"), ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(fetch(&node.address, "linked"), ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(produce(&node.address, "whole", b"two"), ErrorCode::NONE);
    assert_eq!(read_all(&node, "whole"), "one\ntwo\n");
    let log = node.stop_and_tell();
    let (shown, dir) = (path.display().to_string(), path.parent().unwrap().display().to_string());
    let told = log.lines().find(|line| line.contains(&format!("{shown} lies on another volume")));
    let told = told.unwrap_or_else(|| panic!("{log}"));
    assert!(told.contains("ERROR") && told.contains(&format!("log directory {dir}:")), "{told}");
    assert!(told.contains("log.dirs"), "{told}");

    // As it says: the volume becomes a log directory, and the partition lies in that.
    fs::remove_file(&path).unwrap();
    let properties = fs::read_to_string(&site.file).unwrap();
    let dirs = format!("/b,{}\n", other.path().display());
    fs::write(&site.file, properties.replacen("/b\n", &dirs, 1)).unwrap();
    let cluster = ["--standalone", "--ignore-formatted"];
    site.format(crate::process::CLUSTER, &cluster).well();
    let node = serve(&site);
    assert_eq!(produce(&node.address, "linked", b"two"), ErrorCode::NONE);
    assert_eq!(read_all(&node, "linked"), "one\ntwo\n");
}
