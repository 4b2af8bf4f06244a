//! The first records that Kafka leaves beside the log.

use std::ops::Range;

use dohle_base::{BrokerId, Rng};
use dohle_log::sim::SimDisk;
use dohle_metadata::{
    MetadataVersion,
    format::{self, Levels, LevelsRequest, Quorum},
};
use dohle_raft::VoterSet;

use super::stage::*;
use super::*;

/// A directory as Kafka 4.0 to 4.3 leave it without voters in the log: the first records lie beside the log.
fn formatted_by_kafka(release: MetadataVersion) -> (SimDisk, Vec<u8>) {
    let asked = LevelsRequest { release: Some(release), ..LevelsRequest::default() };
    let request = format::Request {
        cluster_id: CLUSTER.into(),
        node_id: BrokerId(1),
        quorum: Quorum::Static,
        levels: Levels::choose(&asked).unwrap(),
        scram: Vec::new(),
        now: at(0).wall,
    };
    let (disk, mut first) = (SimDisk::new(), Vec::new());
    for file in format::directory(&request, true, &mut Rng::from_seed(3)).unwrap() {
        match file.path.ends_with(".checkpoint") {
            true => first = file.content.to_vec(),
            false => disk.plant(&Path::new("/m").join(file.path), &file.content),
        }
    }
    (disk, first)
}

/// With which levels a node begins that finds such first records.
fn begins_with(disk: &SimDisk, first: &[u8]) -> Result<Vec<(String, i16)>, FilesError> {
    let disk = disk.fork();
    disk.plant(&Path::new("/m").join(OLD_BOOTSTRAP), first);
    let voters = VoterSet::from_static("1@127.0.0.1:33101", "CONTROLLER").unwrap();
    let (node, files) = load_among(voters, &disk, &settings(), 1)?;
    let mut running = Running { node, files, second: 1 };
    running.carry_out()?;
    let features = &running.node.published().image.features;
    Ok(features.iter().map(|(name, level)| (name.to_owned(), level)).collect())
}

#[test]
fn damage_in_kafkas_first_records_is_told_with_its_place_and_never_taken_for_others() {
    let release = MetadataVersion(25);
    let (disk, first) = formatted_by_kafka(release);
    let levels = begins_with(&disk, &first).unwrap();
    assert_eq!(levels, [("metadata.version".to_owned(), release.0)]);
    assert_ne!(release, MetadataVersion::LATEST, "what a node begins with that finds nothing");
    let mut batches = Vec::new();
    while let Some(rest) = first.get(batches.last().map_or(0, |batch: &Range<usize>| batch.end)..)
        && !rest.is_empty()
    {
        let start = first.len() - rest.len();
        batches.push(start..start + BatchView::parse(rest).unwrap().size());
    }
    assert_eq!(batches.len(), 3, "header, records, footer");
    let is_told = |left: &[u8], position: usize, what: &str| {
        let error = begins_with(&disk, left).expect_err(what).to_string();
        let place = format!("/m/{OLD_BOOTSTRAP}: checkpoint {OLD_BOOTSTRAP}: at {position}: ");
        assert!(error.starts_with(&place), "{what}: {error}");
        let why = &error[place.len()..];
        assert!(why.contains("expected "), "{what}: {error}");
    };
    for batch in &batches {
        for at in batch.clone() {
            is_told(&first[..at], batch.start, &format!("cut at {at}"));
            // No checksum covers them, and they say nothing of the records.
            let (offset, epoch) =
                (batch.start..batch.start + 8, batch.start + 12..batch.start + 16);
            let is_free = offset.contains(&at) || epoch.contains(&at);
            for mask in [1, 2, 4, 0x80, 0xff] {
                let mut damaged = first.clone();
                damaged[at] ^= mask;
                match begins_with(&disk, &damaged) {
                    Ok(found) => {
                        assert!(is_free && found == levels, "{mask:#x} at {at}: {found:?}")
                    }
                    // An offset that none can be.
                    Err(error) if is_free => {
                        let place = format!("{OLD_BOOTSTRAP}: at {}: base offset -", batch.start);
                        assert!(error.to_string().contains(&place), "{mask:#x} at {at}: {error}");
                    }
                    Err(_) => is_told(&damaged, batch.start, &format!("{mask:#x} at {at}")),
                }
            }
        }
    }
}
