//! Kafka's own directories: opened, read and closed here, they say what Kafka says they say.
//!
//! Goal: whoever moves a node from Kafka finds every record, producer and file as it was. Method:
//! the directories in `testdata` are put on a simulated disk, each partition is opened as its
//! checkpoints say, and compared with what Kafka's clients and Kafka's own recovery found.

mod archive;
mod excused;
mod opened;
mod records;

use std::{collections::BTreeMap, path::Path};

use dohle_base::{Offset, ProducerId, Timestamp};
use dohle_log::{Disk, OpenLog, checkpoint, checkpoint::OffsetKind, clean_stop, sim::SimDisk};

use archive::disk_of;
use excused::Excused;
use opened::{DIR, open, partitions};
use records::{Isolation, RecordHash};

/// Near the records' time, so that no producer has expired.
const NEAR: Timestamp = Timestamp(1_700_000_200_000);
/// When the directories were made.
const MADE: Timestamp = Timestamp(1_795_361_000_000);

/// What Kafka says: fields by kind and name of what they are about.
fn manifest(sample: &str) -> BTreeMap<(String, String), BTreeMap<String, String>> {
    let mut rows = BTreeMap::<_, BTreeMap<_, _>>::new();
    for line in include_str!("../../testdata/manifest.tsv").lines() {
        if let [of, kind, name, field, value] = line.split('\t').collect::<Vec<_>>()[..]
            && of == sample
        {
            let fields = rows.entry((kind.to_owned(), name.to_owned())).or_default();
            fields.insert(field.to_owned(), value.to_owned());
        }
    }
    assert!(!rows.is_empty(), "{sample}");
    rows
}

/// Opens every partition and compares it with the rows of `sample`.
fn compare_partitions(disk: &SimDisk, sample: &str, ordinary_topics_only: bool) {
    let manifest = manifest(sample);
    let mut count = 0;
    for partition in partitions(disk) {
        if ordinary_topics_only && partition.topic.starts_with("__") {
            continue;
        }
        let key = ("partition".to_owned(), partition.to_string());
        let expected = &manifest[&key];
        let mut log = open(disk, &partition, NEAR).unwrap_or_else(|e| panic!("{partition}: {e}"));
        let mut found = BTreeMap::new();
        let mut put = |field: &str, value: String| found.insert(field.to_owned(), value);
        let end = log.log_end_offset();
        put("log_start_offset", log.log_start_offset().to_string());
        put("log_end_offset", end.to_string());
        put("high_watermark", end.to_string());
        put("last_stable_offset", log.last_stable_offset(end).to_string());
        let newest = log.max_timestamp().unwrap();
        put(
            "max_timestamp",
            newest.map_or("-1@-1".into(), |n| format!("{}@{}", n.timestamp.0, n.offset)),
        );
        for (name, isolation) in
            [("read_uncommitted", Isolation::Uncommitted), ("read_committed", Isolation::Committed)]
        {
            let hash = RecordHash::of(&mut log, isolation);
            put(&format!("{name}_records"), hash.count.to_string());
            put(&format!("{name}_first_last"), hash.first_last());
            put(&format!("{name}_sha256"), hash.hex());
        }
        assert_eq!(&found, expected, "{partition}");
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn after_a_clean_stop_every_partition_is_as_kafka_left_it() {
    compare_partitions(&disk_of("clean"), "clean", false);
}

#[test]
fn after_a_clean_stop_of_kafka_nothing_is_recovered() {
    let (clean, killed) = (disk_of("clean"), disk_of("killed"));
    let scanned = |disk: &SimDisk| -> usize {
        let logs = partitions(disk).into_iter().map(|p| open(disk, &p, NEAR).unwrap());
        logs.map(|log| log.recovery().segments_scanned).sum()
    };
    assert_eq!(scanned(&clean), 0);
    assert!(scanned(&killed) > 0);
}

#[test]
fn after_a_kill_every_partition_is_as_kafka_recovers_it() {
    compare_partitions(&disk_of("killed"), "killed-recovered", false);
}

#[test]
fn after_damage_every_partition_is_as_kafka_recovers_it() {
    compare_partitions(&disk_of("torn"), "torn-recovered", false);
}

#[test]
fn after_a_kill_nothing_that_was_there_before_is_missing() {
    compare_partitions(&disk_of("killed"), "killed-before", true);
}

#[test]
fn producers_are_known_as_kafka_knows_them() {
    for (sample, directory, now) in [
        ("clean", "clean", NEAR),
        ("killed-before", "killed", NEAR),
        ("killed-recovered", "killed", MADE),
    ] {
        let disk = disk_of(directory);
        let mut expected = manifest(sample);
        expected.retain(|(kind, _), _| kind == "producer");
        for partition in partitions(&disk) {
            // The coordinators' own partitions went on until the kill.
            if sample == "killed-before" && partition.topic.starts_with("__") {
                continue;
            }
            let log = open(&disk, &partition, now).unwrap();
            let found = log.producers().map(|producer| {
                let start = producer.transaction_start.unwrap_or(Offset(-1));
                let text = format!(
                    "epoch {} last_sequence {} last_timestamp {} coordinator_epoch {} txn_start {start}",
                    producer.epoch,
                    producer.last_sequence(),
                    producer.last_timestamp.0,
                    producer.coordinator_epoch,
                );
                (format!("id {}", producer.id), text)
            });
            let mut found = found.collect::<BTreeMap<_, _>>();
            let key = ("producer".to_owned(), partition.to_string());
            let expected = expected.remove(&key).unwrap_or_default();
            if sample == "killed-before" {
                // That node had started late enough to forget some that are known near their time.
                found.retain(|id, _| expected.contains_key(id));
            }
            assert_eq!(found, expected, "{sample} {partition}");
        }
        expected.retain(|(_, name), _| sample != "killed-before" || !name.starts_with("__"));
        assert!(expected.is_empty(), "{sample}: {expected:?}");
    }
}

#[test]
fn a_close_leaves_the_files_that_kafkas_stop_leaves() {
    let mut wrong = Vec::new();
    for (sample, directory) in
        [("clean", "clean"), ("killed-recovered", "killed"), ("torn-recovered", "torn")]
    {
        let disk = disk_of(directory);
        for partition in partitions(&disk) {
            open(&disk, &partition, MADE).unwrap().close().unwrap();
        }
        let mut excused = Excused::of(sample);
        let mut wanted = files_of_kafka(sample);
        for path in files(&disk) {
            let is_same = wanted.remove(path.as_str()).map(|hash| {
                let bytes = disk.peek(&Path::new(DIR).join(&path)).unwrap();
                records::sha256(&bytes) == hash
            });
            if is_same != Some(true) && !excused.covers(&path) {
                let what = is_same.map_or("Kafka leaves no such file", |_| "other bytes");
                wrong.push(format!("{sample} {path}: {what}"));
            }
        }
        let missing = wanted.into_keys().filter(|path| !excused.covers(path));
        wrong.extend(missing.map(|path| format!("{sample} {path}: missing")));
        let useless = excused.useless().into_iter();
        wrong.extend(useless.map(|path| format!("{sample} {path}: excused, and nothing differs")));
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
}

/// The hashes of the files that Kafka leaves, by path.
fn files_of_kafka(sample: &str) -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("../../testdata/recovered-files.tsv").lines();
    let rows = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    let of_sample = rows.filter(|row| row[0] == sample).map(|row| (row[1], row[3]));
    let files = of_sample.collect::<BTreeMap<_, _>>();
    assert!(files.len() > 300, "{sample}: {}", files.len());
    files
}

/// The files of all partitions.
fn files(disk: &SimDisk) -> Vec<String> {
    let of = |partition: &opened::Partition| {
        let name = partition.to_string();
        let entries = disk.list(&Path::new(DIR).join(&name)).unwrap();
        entries.into_iter().map(move |entry| format!("{name}/{}", entry.name))
    };
    partitions(disk).iter().flat_map(of).collect()
}

#[test]
fn the_side_files_of_the_directory_are_read() {
    let (disk, dir) = (disk_of("clean"), Path::new(DIR));
    let stop = clean_stop::read(&disk, dir).unwrap().unwrap();
    assert_eq!(stop.broker_epoch, Some(14));
    let points = checkpoint::read_offsets(&disk, dir, OffsetKind::RecoveryPoint).unwrap();
    assert_eq!(points.len(), 40);
    for partition in partitions(&disk) {
        let path = dir.join(partition.to_string());
        assert!(dohle_log::partition_metadata::read(&disk, &path).unwrap().is_some());
        assert!(points.contains_key(&(partition.topic.clone(), partition.partition)));
    }
    let torn = disk_of("torn");
    checkpoint::read_offsets(&torn, dir, OffsetKind::RecoveryPoint).unwrap_err();
}

#[test]
fn what_is_closed_here_opens_clean_here() {
    let disk = disk_of("torn");
    for partition in partitions(&disk) {
        let log = open(&disk, &partition, NEAR).unwrap();
        let (start, producers) = (log.log_start_offset(), producer_ids(&log));
        let end = log.close().unwrap();
        disk.restart(0);
        let how =
            OpenLog { clean: true, recovery_point: end, log_start: start, ..OpenLog::default() };
        let path = Path::new(DIR).join(partition.to_string());
        let config = opened::config(&partition);
        let again = dohle_log::Log::open(disk.clone(), path, config, how, NEAR).unwrap();
        assert_eq!((again.log_end_offset(), producer_ids(&again)), (end, producers), "{partition}");
        assert_eq!(again.recovery().segments_scanned, 0, "{partition}");
    }
}

fn producer_ids(log: &dohle_log::Log<SimDisk>) -> Vec<ProducerId> {
    log.producers().map(|producer| producer.id).collect()
}
