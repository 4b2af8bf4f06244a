//! A start knows whether another process may have written since ours did.

use super::*;

/// Whether the logs are ours, for a start that finds the clean-stop file or not. Nothing is synced but what
/// the start syncs itself.
fn are_ours(disk: &SimDisk, left_clean: bool) -> bool {
    disk.restart(1);
    let how = OpenWal { left_clean, ..HOW };
    Wal::open(disk, Path::new(DIR), how).unwrap().1.lost_cache().is_some()
}

#[test]
fn logs_are_ours_from_where_all_are_open_up_to_a_clean_stop() {
    let disk = disk();
    let wal = open(&disk).unwrap().0;
    // Whatever begins a lap or notes a tail does not change it.
    assert!(!are_ours(&disk, false), "the file is new");
    assert!(!are_ours(&disk, false), "the first start did not come to open all logs");
    drop(wal);
    let mut wal = open(&disk).unwrap().0;
    wal.handover(&disk).unwrap().take().unwrap();
    assert!(are_ours(&disk, false));
    wal = open(&disk).unwrap().0;
    assert!(wal.append(&mut frame(key(1, 0), b"one")).unwrap());
    wal.sync().unwrap();
    wal.release(wal.end()).unwrap();
    assert!(are_ours(&disk, false));
    let wal = open(&disk).unwrap().0;
    wal.handover(&disk).unwrap().leave(wal.end()).unwrap();
    assert!(are_ours(&disk, true), "nobody came");
    assert!(!are_ours(&disk, false), "somebody came, and was killed");
}

/// The system tells each who has opened the file of it, once: a round that is under way must not take what it
/// wrote for synced since somebody else was told.
#[test]
fn a_sync_that_failed_for_the_handover_fails_for_the_next_round_too() {
    let disk = disk();
    let mut wal = open(&disk).unwrap().0;
    let handover = wal.handover(&disk).unwrap();
    assert!(wal.append(&mut frame(key(1, 0), b"one")).unwrap());
    // A block is written, and then the sync fails.
    disk.set_faults(Faults { io_error_at: Some(disk.changes() + 2), ..Faults::default() });
    assert!(handover.take().unwrap_err().is_of_sync());
    assert!(wal.sync().unwrap_err().is_of_sync());
}

#[test]
fn a_file_of_the_version_before_is_ours() {
    let disk = disk();
    let wal = open(&disk).unwrap().0;
    wal.handover(&disk).unwrap().leave(wal.end()).unwrap();
    let path = Path::new(DIR).join(FILE_NAME);
    for place in [0, ALIGN as usize] {
        let mut file = disk.peek(&path).unwrap();
        let mut block = file[place..place + 56].to_vec();
        block[12..16].copy_from_slice(&1_u32.to_be_bytes());
        let crc = crc32c::crc32c(&block[12..]);
        block[8..12].copy_from_slice(&crc.to_be_bytes());
        block.resize(ALIGN as usize, 0);
        file[place..place + ALIGN as usize].copy_from_slice(&block);
        disk.plant(&path, &file);
    }
    assert!(are_ours(&disk, false));
}

/// What a process that came since has made of the logs is true, and the frames are of no use to anybody.
#[test]
fn frames_from_before_a_clean_stop_are_not_found_after_it() {
    for (takes_over, is_damaged) in [(true, false), (true, true), (false, false), (false, true)] {
        let disk = disk();
        let mut wal = open(&disk).unwrap().0;
        if takes_over {
            wal.handover(&disk).unwrap().take().unwrap();
        }
        for _ in 0..2 {
            assert!(wal.append(&mut frame(key(1, 0), b"x")).unwrap());
            wal.sync().unwrap();
        }
        wal.handover(&disk).unwrap().leave(wal.end()).unwrap();
        disk.restart(0);
        if is_damaged {
            disk.flip(&Path::new(DIR).join(FILE_NAME), 8 * (DATA_START + 30));
        }
        let (mut wal, unflushed) = open(&disk).expect("damage there is of no account");
        assert!(unflushed.is_empty());
        assert!(wal.append(&mut frame(key(1, 0), b"y")).unwrap());
        wal.sync().unwrap();
        disk.restart(0);
        assert_eq!(found(&open(&disk).unwrap().1, key(1, 0)), [b"y".to_vec()]);
    }
}
