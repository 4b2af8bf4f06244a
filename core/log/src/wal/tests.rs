//! What was synced is found again, whatever the power did; what is torn is cut; what is damaged is said.

mod handover;
mod overlap;
mod salt;
mod search;

use std::path::Path;

use dohle_base::{PartitionId, Rng, TopicId, Uuid};

use super::*;
use crate::sim::{Faults, SimDisk, SimFile};

const DIR: &str = "/logs";
const CAPACITY: u64 = 16 * ALIGN;
const HOW: OpenWal = OpenWal { capacity: CAPACITY, left_clean: false, boot: 1, salt: [9; 12] };

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/meta.properties"), b"");
    disk
}

fn open(disk: &SimDisk) -> Result<(Wal<SimFile>, Unflushed<SimFile>), WalError> {
    Wal::open(disk, Path::new(DIR), HOW)
}

fn key(topic: u128, partition: i32) -> (TopicId, PartitionId) {
    (TopicId(Uuid(topic)), PartitionId(partition))
}

fn frame(of: (TopicId, PartitionId), bytes: &[u8]) -> Frame {
    let mut frame = Frame::default();
    assert!(frame.push(of, &[IoSlice::new(bytes)]));
    frame
}

fn found(
    unflushed: &Unflushed<SimFile>,
    (topic, partition): (TopicId, PartitionId),
) -> Vec<Vec<u8>> {
    unflushed.of(topic, partition).map(Result::unwrap).collect()
}

#[test]
fn what_was_written_comes_back_by_partition_and_in_order() {
    let disk = disk();
    let (mut wal, unflushed) = open(&disk).unwrap();
    assert!(unflushed.is_empty());
    let mut both = frame(key(1, 0), b"first");
    assert!(both.push(key(2, 7), &[IoSlice::new(b"of "), IoSlice::new(b"another")]));
    assert!(wal.append(&mut both).unwrap());
    assert!(wal.append(&mut frame(key(1, 0), b"second")).unwrap());
    wal.sync().unwrap();
    disk.restart(0);
    let (_, unflushed) = open(&disk).unwrap();
    assert_eq!(unflushed.partitions().collect::<Vec<_>>(), [key(1, 0), key(2, 7)]);
    assert_eq!(found(&unflushed, key(1, 0)), [b"first".to_vec(), b"second".to_vec()]);
    assert_eq!(found(&unflushed, key(2, 7)), [b"of another".to_vec()]);
    assert!(!unflushed.has(key(1, 0).0, PartitionId(1)));
}

#[test]
fn a_clean_stop_leaves_nothing_to_take_in() {
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    wal.append(&mut frame(key(1, 0), b"x")).unwrap();
    wal.sync().unwrap();
    let (mut wal, unflushed) =
        Wal::open(&disk, Path::new(DIR), OpenWal { left_clean: true, ..HOW }).unwrap();
    assert!(unflushed.is_empty());
    // What was there before is no part of what comes.
    wal.append(&mut frame(key(1, 0), b"y")).unwrap();
    wal.sync().unwrap();
    assert_eq!(found(&open(&disk).unwrap().1, key(1, 0)), [b"y".to_vec()]);
}

#[test]
fn another_run_of_the_machine_is_told_apart() {
    let disk = disk();
    let open = |boot| Wal::open(&disk, Path::new(DIR), OpenWal { boot, ..HOW }).unwrap();
    let lost = |boot| {
        let (wal, unflushed) = open(boot);
        assert!(!unflushed.disk_failed());
        wal.cache_trust().give().unwrap();
        wal.handover(&disk).unwrap().take().unwrap();
        unflushed.lost_cache()
    };
    assert_eq!([lost(1), lost(1), lost(2), lost(2)], [None, Some(false), Some(true), Some(false)]);
    // As long as not all is read that may have been lost, the next start must know.
    assert_eq!([open(3), open(3)].map(|(_, unflushed)| unflushed.lost_cache()), [Some(true); 2]);
}

#[test]
fn released_frames_make_room_and_are_gone() {
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    let large = vec![7; 2 * ALIGN as usize - 100];
    let mut count = 0;
    while wal.append(&mut frame(key(1, 0), &large)).unwrap() {
        wal.sync().unwrap();
        count += 1;
    }
    assert_eq!(count, 8);
    let more_than_all = vec![7; CAPACITY as usize];
    assert!(!wal.append(&mut frame(key(1, 0), &more_than_all)).unwrap());
    let end = wal.end();
    wal.release(end).unwrap();
    // Their place is not used before the release is durable.
    assert_eq!(wal.needed(), end);
    wal.sync().unwrap();
    assert_eq!(wal.needed(), 0);
    assert!(wal.append(&mut frame(key(1, 1), b"next")).unwrap());
    wal.sync().unwrap();
    disk.restart(0);
    let (_, unflushed) = open(&disk).unwrap();
    assert_eq!(unflushed.partitions().collect::<Vec<_>>(), [key(1, 1)]);
}

#[test]
fn an_idle_file_starts_from_its_beginning_again() {
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    for round in 0..50 {
        assert!(wal.append(&mut frame(key(1, 0), &[round; 3_000])).unwrap());
        wal.sync().unwrap();
        wal.release(wal.end()).unwrap();
        wal.sync().unwrap();
    }
    let size = disk.peek(&Path::new(DIR).join(FILE_NAME)).unwrap().len() as u64;
    assert_eq!(size, DATA_START + ALIGN);
}

#[test]
fn a_prepared_file_does_not_grow_by_its_frames() {
    let disk = disk();
    let path = Path::new(DIR).join(FILE_NAME);
    let size = || disk.peek(&path).unwrap().len() as u64;
    let (mut wal, _) = open(&disk).unwrap();
    assert_eq!(wal.room(), Some(0));
    let preparer = wal.preparer(&disk).unwrap();
    assert_eq!(preparer.prepare(4 * ALIGN, 5 * ALIGN), Ok(true));
    assert_eq!((wal.room(), size()), (Some(4 * ALIGN), DATA_START + 4 * ALIGN));
    for left in (0..4).rev() {
        wal.append(&mut frame(key(1, 0), b"x")).unwrap();
        wal.sync().unwrap();
        assert_eq!((wal.room(), size()), (Some(left * ALIGN), DATA_START + 4 * ALIGN));
    }
    // Behind what is prepared it grows as ever, and what is prepared then begins there.
    wal.append(&mut frame(key(1, 0), b"x")).unwrap();
    assert_eq!(size(), DATA_START + 5 * ALIGN);
    assert_eq!(preparer.prepare(CAPACITY, ALIGN), Ok(true));
    assert_eq!((wal.room(), size()), (None, DATA_START + CAPACITY));
    assert_eq!(preparer.prepare(ALIGN, CAPACITY), Ok(false));
    wal.sync().unwrap();
    assert_eq!(found(&open(&disk).unwrap().1, key(1, 0)).len(), 5);
}

#[test]
fn on_a_full_volume_frames_are_released() {
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    // A hole would take room when it is written.
    let size = disk.peek(&Path::new(DIR).join(FILE_NAME)).unwrap().len() as u64;
    assert_eq!(size, DATA_START);
    assert!(wal.append(&mut frame(key(1, 0), b"x")).unwrap());
    wal.sync().unwrap();
    disk.set_faults(Faults { bytes_free: Some(0), ..Faults::default() });
    assert!(wal.append(&mut frame(key(1, 0), b"y")).unwrap_err().is_full());
    wal.release(wal.end()).unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.needed(), 0);
    // What they took is there for the next.
    assert!(wal.append(&mut frame(key(1, 0), b"z")).unwrap());
    wal.sync().unwrap();
    disk.restart(0);
    assert_eq!(found(&open(&disk).unwrap().1, key(1, 0)), [b"z".to_vec()]);
}

#[test]
fn zeros_never_fall_on_a_frame() {
    for _ in 0..20 {
        let disk = disk();
        let how = OpenWal { capacity: 400 * ALIGN, ..HOW };
        let (mut wal, _) = Wal::open(&disk, Path::new(DIR), how).unwrap();
        let preparer = wal.preparer(&disk).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| while preparer.prepare(2 * ALIGN, u64::MAX).unwrap() {});
            for number in 0..300_u32 {
                assert!(wal.append(&mut frame(key(1, 0), &number.to_be_bytes())).unwrap());
            }
        });
        wal.sync().unwrap();
        let numbers = (0..300_u32).map(|number| number.to_be_bytes().to_vec());
        assert!(found(&open(&disk).unwrap().1, key(1, 0)).into_iter().eq(numbers));
    }
}

#[test]
fn enough_is_not_added_to() {
    let disk = disk();
    let (wal, _) = open(&disk).unwrap();
    let preparer = wal.preparer(&disk).unwrap();
    assert_eq!(preparer.prepare(2 * ALIGN, ALIGN), Ok(true));
    assert_eq!(preparer.prepare(2 * ALIGN, 2 * ALIGN), Ok(false));
    assert_eq!(wal.room(), Some(2 * ALIGN));
}

#[test]
fn a_full_volume_takes_frames_as_long_as_it_can() {
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    let preparer = wal.preparer(&disk).unwrap();
    disk.set_faults(Faults { bytes_free: Some(3 * ALIGN + 5), ..Faults::default() });
    assert!(preparer.prepare(8 * ALIGN, 1).unwrap_err().is_full());
    assert_eq!(wal.room(), Some(0));
    // Those bytes are the file's now, and good for frames.
    for _ in 0..3 {
        assert!(wal.append(&mut frame(key(1, 0), b"x")).unwrap());
        wal.sync().unwrap();
    }
    assert!(wal.append(&mut frame(key(1, 0), b"x")).unwrap_err().is_full());
    disk.restart(0);
    assert_eq!(found(&open(&disk).unwrap().1, key(1, 0)).len(), 3);
}

/// Many rounds of frames and releases, with zeros ahead of them now and then; whatever call is the last, what was synced and not released
/// is there afterwards, and nothing else of what was released before it.
#[test]
fn a_power_cut_after_any_call_loses_nothing_that_was_synced() {
    let run = |disk: &SimDisk, synced: &mut Vec<(u32, u64)>, released: &mut u64| {
        let (mut wal, _) = open(disk)?;
        let preparer = wal.preparer(disk)?;
        let mut rng = Rng::from_seed(3);
        for number in 0..30_u32 {
            let size = 4 + rng.below(6_000) as usize;
            let mut bytes = number.to_be_bytes().to_vec();
            bytes.resize(size, number as u8);
            if number % 3 == 2 {
                preparer.prepare(ALIGN, 2 * ALIGN)?;
            }
            if !wal.append(&mut frame(key(1, 0), &bytes))? {
                break;
            }
            if number % 8 == 1 {
                // Another thread may come in between.
                preparer.prepare(2 * ALIGN, 4 * ALIGN)?;
            }
            wal.sync()?;
            synced.push((number, wal.end()));
            if number % 4 == 3 {
                let position = synced.iter().rev().nth(2).map_or(0, |(_, end)| *end);
                // Meant from here on, and perhaps already done.
                *released = position;
                wal.release(position)?;
            }
        }
        Ok::<(), WalError>(())
    };
    let whole = disk();
    let mut all = Vec::new();
    run(&whole, &mut all, &mut 0).unwrap();
    assert_eq!(all.len(), 30);
    for power_after in 0..=whole.changes() {
        for seed in 0..4 {
            let disk = disk();
            disk.set_faults(Faults { power_after: Some(power_after), ..Faults::default() });
            let (mut synced, mut released) = (Vec::new(), 0);
            let _ = run(&disk, &mut synced, &mut released);
            disk.restart(seed);
            let context = format!("after call {power_after} with seed {seed}");
            let (_, unflushed) = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            let numbers = found(&unflushed, key(1, 0)).into_iter().map(|bytes| {
                let number = u32::from_be_bytes(*bytes.first_chunk().unwrap());
                assert!(bytes[4..].iter().all(|byte| *byte == number as u8), "{context}");
                number
            });
            let numbers = numbers.collect::<Vec<_>>();
            assert!(
                numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                "{context}: {numbers:?}"
            );
            for (number, end) in synced {
                assert!(end <= released || numbers.contains(&number), "{context}: {number} lost");
            }
        }
    }
}

#[test]
fn a_disk_that_has_failed_is_not_believed_before_all_is_read_from_it() {
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    wal.handover(&disk).unwrap().take().unwrap();
    wal.append(&mut frame(key(1, 0), b"durable")).unwrap();
    wal.sync().unwrap();
    wal.append(&mut frame(key(1, 0), b"cached")).unwrap();
    disk.set_faults(Faults { io_error_at: Some(disk.changes() + 1), ..Faults::default() });
    wal.sync().unwrap_err();
    wal.cache_trust().withdraw().unwrap();
    // What others write in the meantime does not take it back.
    wal.cache_trust().give().unwrap();
    wal.release(0).unwrap();
    for _ in 0..2 {
        disk.kill();
        let (_, unflushed) = open(&disk).unwrap();
        assert_eq!((unflushed.disk_failed(), unflushed.lost_cache()), (true, Some(true)));
        assert_eq!(found(&unflushed, key(1, 0)), [b"durable".to_vec()]);
    }
    open(&disk).unwrap().0.cache_trust().give().unwrap();
    disk.kill();
    let (_, unflushed) = open(&disk).unwrap();
    assert_eq!((unflushed.disk_failed(), unflushed.lost_cache()), (false, Some(false)));
    assert_eq!(found(&unflushed, key(1, 0)), [b"durable".to_vec()]);
}

#[test]
fn the_last_frame_is_on_the_disk_before_another_goes_behind_it() {
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    for value in [b"durable", b"cached "] {
        wal.append(&mut frame(key(1, 0), value)).unwrap();
        disk.set_faults(match value {
            b"durable" => Faults::default(),
            _ => Faults { io_error_at: Some(disk.changes() + 1), ..Faults::default() },
        });
        let _ = wal.sync();
    }
    // Killed, and nobody was told of the failure.
    disk.kill();
    let (mut wal, _) = open(&disk).unwrap();
    wal.append(&mut frame(key(1, 0), b"behind ")).unwrap();
    wal.sync().unwrap();
    disk.restart(0);
    let (_, unflushed) = open(&disk).unwrap();
    let all = [b"durable", b"cached ", b"behind "].map(|value| value.to_vec());
    assert_eq!(found(&unflushed, key(1, 0)), all);
}

/// A round releases and writes its frame with one sync.
#[test]
fn frames_that_are_released_are_not_written_over_before_that_is_durable() {
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    for _ in 0..2 {
        wal.append(&mut frame(key(1, 0), b"flushed")).unwrap();
        wal.sync().unwrap();
    }
    wal.release(wal.end()).unwrap();
    wal.append(&mut frame(key(1, 0), b"next")).unwrap();
    for seed in 0..40 {
        let disk = disk.fork();
        disk.restart(seed);
        open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn damage_that_is_no_torn_end_is_said_with_its_place() {
    let path = Path::new(DIR).join(FILE_NAME);
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    for number in 0..3 {
        wal.append(&mut frame(key(1, 0), &[number; 100])).unwrap();
        wal.sync().unwrap();
    }
    let bytes = disk.peek(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let disk = disk.fork();
        disk.plant(&path, &bytes);
        open(&disk).map(|(_, unflushed)| found(&unflushed, key(1, 0)).len())
    };
    let middle = (DATA_START + ALIGN) as usize;
    let valid_at = DATA_START + 2 * ALIGN;
    let expected = WalError::Damaged {
        path: path.clone(),
        position: middle as u64,
        reason: WalDamage::Frame { valid_at },
    };
    assert_eq!(flipped(middle + 60), Err(expected));
    // The last frame may be one that was being written.
    assert_eq!(flipped(middle + ALIGN as usize + 60), Ok(2));
    // One block is enough; none is not.
    let mut none = bytes.clone();
    none[20] ^= 1;
    let alone = disk.fork();
    alone.plant(&path, &none);
    assert!(matches!(open(&alone), Err(WalError::Damaged { reason: WalDamage::NoBlock, .. })));
}

#[test]
fn frames_without_a_block_are_damage_and_zeros_are_none() {
    let path = Path::new(DIR).join(FILE_NAME);
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    for number in 0..3 {
        wal.append(&mut frame(key(1, 0), &[number; 5_000])).unwrap();
    }
    let mut bytes = disk.peek(&path).unwrap();
    bytes[..DATA_START as usize].fill(0);
    let with = |bytes: &[u8], left_clean| {
        let disk = disk.fork();
        disk.plant(&path, bytes);
        Wal::open(&disk, Path::new(DIR), OpenWal { left_clean, ..HOW }).map(|(_, unflushed)| {
            assert!(unflushed.is_empty());
            unflushed.lost_cache()
        })
    };
    let damaged = WalError::Damaged { path: path.clone(), position: 0, reason: WalDamage::NoBlock };
    assert_eq!(with(&bytes, false), Err(damaged.clone()));
    // The last one alone says as much.
    bytes[DATA_START as usize..(DATA_START + 4 * ALIGN) as usize].fill(0);
    assert_eq!(with(&bytes, false), Err(damaged));
    assert_eq!(with(&bytes, true), Ok(None));
    // The power was cut while it was made, however far that was.
    bytes.fill(0);
    for size in [0, 100, DATA_START as usize, bytes.len(), 3 << 20] {
        bytes.resize(size, 0);
        assert_eq!(with(&bytes, false), Ok(None), "{size}");
    }
}

#[test]
fn strangers_bytes_never_panic() {
    let path = Path::new(DIR).join(FILE_NAME);
    let disk = disk();
    let (mut wal, _) = open(&disk).unwrap();
    for number in 0..4 {
        wal.append(&mut frame(key(1, i32::from(number)), &[number; 5_000])).unwrap();
        wal.sync().unwrap();
    }
    let bytes = disk.peek(&path).unwrap();
    let mut rng = Rng::from_seed(11);
    for _ in 0..2_000 {
        let mut bytes = bytes.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        bytes.truncate(rng.below(2 * bytes.len() as u64) as usize);
        let disk = disk.fork();
        disk.plant(&path, &bytes);
        if let Ok((_, unflushed)) = open(&disk) {
            for of in unflushed.partitions() {
                found(&unflushed, of);
            }
        }
    }
}
