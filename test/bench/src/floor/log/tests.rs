//! Goal: the floor stores what it acknowledges, for as long as it says. Method: a small ring, read
//! back through the file.

use std::{cell::RefCell, fs::File, os::unix::fs::FileExt, rc::Rc};

use dohle_base::Offset;
use dohle_records::{BatchView, Codec};

use super::{Log, Ring, Slice};
use crate::{floor::new_files::NewFiles, records};

fn ring(size: u64) -> Log {
    let ring = Ring::over(Rc::new(tempfile::tempfile().unwrap()), size);
    Log::over(Rc::new(RefCell::new(ring)))
}

/// Takes in and writes the only thing that came in a read.
fn append(log: &mut Log, bytes: &mut [u8]) -> anyhow::Result<Offset> {
    let offset = log.append(bytes, 0..bytes.len())?;
    log.ring().borrow_mut().write(bytes)?;
    Ok(offset)
}

fn read(slice: &Slice) -> Vec<u8> {
    let file: &File = &slice.file;
    let mut bytes = vec![0; slice.size];
    file.read_exact_at(&mut bytes, slice.position).unwrap();
    bytes
}

#[test]
fn a_batch_is_read_back_with_its_offset() {
    let mut log = ring(1 << 20);
    for expected in 0..10 {
        let mut batch = records::batch(1_024, Codec::None).to_vec();
        assert_eq!(append(&mut log, &mut batch).unwrap(), Offset(expected));
    }
    let slice = log.read(Offset(3), 1).expect("at least one batch");
    let bytes = read(&slice);
    let batch = BatchView::parse(&bytes).unwrap();
    assert_eq!((batch.base_offset(), batch.size()), (Offset(3), bytes.len()));
    batch.check_crc().unwrap();

    let several = log.read(Offset(3), 4 * bytes.len() + 5).unwrap();
    assert_eq!(several.size, 4 * bytes.len());
    assert!(log.read(Offset(10), 1_000).is_none(), "the end");
}

#[test]
fn the_ring_forgets_exactly_what_it_writes_over() {
    // Room for three batches and a bit.
    let batch = records::batch(1_024, Codec::None);
    let mut log = ring(3 * batch.len() as u64 + 100);
    for _ in 0..3 {
        append(&mut log, &mut batch.to_vec()).unwrap();
    }
    assert_eq!(log.start_offset(), Offset(0));
    for round in 3..20 {
        append(&mut log, &mut batch.to_vec()).unwrap();
        assert_eq!((log.start_offset(), log.end_offset()), (Offset(round - 2), Offset(round + 1)));
        assert!(log.read(Offset(round - 3), 1).is_none());
        for offset in round - 2..=round {
            let bytes = read(&log.read(Offset(offset), 1).unwrap());
            assert_eq!(BatchView::parse(&bytes).unwrap().base_offset(), Offset(offset));
        }
    }
}

#[test]
fn what_came_in_one_read_is_written_together_also_across_the_end() {
    let batch = records::batch(1_024, Codec::None);
    let mut log = ring(5 * batch.len() as u64 + 100);
    let mut buffer = batch.repeat(8);
    for offset in 0..8 {
        let part = offset * batch.len()..(offset + 1) * batch.len();
        assert_eq!(log.append(&mut buffer, part).unwrap(), Offset(offset as i64));
    }
    log.ring().borrow_mut().write(&buffer).unwrap();
    assert_eq!(log.start_offset(), Offset(3));
    for offset in 3..8 {
        let bytes = read(&log.read(Offset(offset), 1).unwrap());
        let batch = BatchView::parse(&bytes).unwrap();
        assert_eq!(batch.base_offset(), Offset(offset));
        batch.check_crc().unwrap();
    }
}

#[test]
fn damaged_bytes_are_not_acknowledged() {
    let mut log = ring(1 << 20);
    let mut batch = records::batch(1_024, Codec::None).to_vec();
    *batch.last_mut().unwrap() ^= 1;
    assert!(append(&mut log, &mut batch).is_err());
    assert!(append(&mut log, &mut [0; 10]).is_err());
    assert_eq!(log.end_offset(), Offset(0));
    let mut large = records::batch(2_000_000, Codec::None).to_vec();
    assert!(append(&mut log, &mut large).is_err());
}

#[test]
fn logs_that_share_a_ring_each_read_their_own() {
    let batch = records::batch(1_024, Codec::None);
    let ring = Ring::over(Rc::new(tempfile::tempfile().unwrap()), 4 * 4_096);
    let ring = Rc::new(RefCell::new(ring));
    let mut logs = [Log::over(Rc::clone(&ring)), Log::over(Rc::clone(&ring))];
    for round in 0..10 {
        for log in &mut logs {
            assert_eq!(append(log, &mut batch.to_vec()).unwrap(), Offset(round));
            assert!(ring.borrow().needs_sync());
            ring.borrow_mut().sync().unwrap();
        }
        for log in &logs {
            let bytes = read(&log.read(Offset(round), 1 << 20).unwrap());
            let batch = BatchView::parse(&bytes).unwrap();
            assert_eq!((batch.base_offset(), batch.size()), (Offset(round), bytes.len()));
        }
    }
    // Four pages hold two batches of each.
    assert_eq!(logs.map(|log| log.start_offset()), [Offset(8), Offset(8)]);
}

#[test]
fn a_log_in_new_files_keeps_four_and_reads_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::in_new_files(NewFiles::at(dir.path().join("p")), 64 << 20).unwrap();
    let mut log = Log::over(Rc::new(RefCell::new(ring)));
    let batch = records::batch(1 << 20, Codec::None);
    let (per_file, files) = ((64 << 20) / batch.len() as i64, 6);
    for offset in 0..per_file * files {
        let records = i64::from(BatchView::parse(&batch).unwrap().record_count());
        assert_eq!(append(&mut log, &mut batch.to_vec()).unwrap(), Offset(offset * records));
    }
    let batches = i64::try_from(log.batches.len()).unwrap();
    assert_eq!(batches, per_file);
    let bytes = read(&log.read(log.start_offset(), 1).unwrap());
    assert_eq!(BatchView::parse(&bytes).unwrap().base_offset(), log.start_offset());
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files(), 4);
    drop(log);
    assert_eq!(files(), 0);
}
