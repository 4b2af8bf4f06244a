//! Of syncs that overlap the later one may end first, and a block may be written during any: what is known to be on
//! the disk is the newest that is, and is not written over.

use std::sync::{Mutex, PoisonError};

use super::*;
use crate::wal::blocks::Blocks;

type Hook = Box<dyn FnOnce() + Send>;

/// A file during whose next sync something happens, once the disk is done with it.
#[derive(Clone)]
struct Slow {
    file: SimFile,
    meanwhile: Arc<Mutex<Option<Hook>>>,
}

impl DiskFile for Slow {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, IoError> {
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> Result<usize, IoError> {
        self.file.write_at(buffers, position)
    }

    fn size(&self) -> Result<u64, IoError> {
        self.file.size()
    }

    fn truncate(&self, size: u64) -> Result<(), IoError> {
        self.file.truncate(size)
    }

    fn sync(&self) -> Result<(), IoError> {
        self.file.sync()?;
        let meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take();
        meanwhile.into_iter().for_each(|act| act());
        Ok(())
    }

    fn path(&self) -> &Path {
        self.file.path()
    }
}

/// The blocks of a file, of which the first one is on the disk.
struct Stage {
    disk: SimDisk,
    file: Slow,
    blocks: Arc<Blocks<Slow>>,
}

const FIRST: u64 = 6;

impl Stage {
    fn new() -> Self {
        let disk = disk();
        let path = Path::new(DIR).join(FILE_NAME);
        disk.plant(&path, &[0; DATA_START as usize]);
        let file = disk.open(&path, OpenMode::Write).unwrap();
        let file = Slow { file, meanwhile: Arc::default() };
        let (salt, is_left) = (Salt::new(HOW.salt), true);
        let capacity = CAPACITY;
        let block = Block { sequence: FIRST, capacity, tail: 0, boot: 1, salt, is_left };
        block.write(&file).unwrap();
        file.sync().unwrap();
        let blocks = Blocks::new(file.clone(), block);
        Self { disk, file, blocks }
    }

    /// Syncs a block with that tail, and during that something happens.
    fn sync(&self, tail: u64, meanwhile: impl FnOnce(&Blocks<Slow>, &Slow) + Send + 'static) {
        self.blocks.write(tail, CAPACITY).unwrap();
        let (blocks, file) = (Arc::clone(&self.blocks), self.file.clone());
        let act: Hook = Box::new(move || meanwhile(&blocks, &file));
        *self.file.meanwhile.lock().unwrap() = Some(act);
        self.blocks.sync().unwrap();
    }

    /// Both blocks as they are read now.
    fn both(&self) -> [Block; 2] {
        let bytes = self.disk.peek(self.file.path()).unwrap();
        let (first, second) = bytes.split_at(ALIGN as usize);
        [first, second].map(|bytes| Block::decode(bytes).unwrap())
    }

    /// The newest one of those that are on the disk.
    fn durable(&self) -> Block {
        let disk = self.disk.fork();
        disk.restart(0);
        let file = disk.open(self.file.path(), OpenMode::Read).unwrap();
        Block::read(&file).unwrap().unwrap()
    }
}

/// Whoever leaves the logs then would take it for said already, and damage to what another process has written for
/// a torn end of ours.
#[test]
fn a_round_that_began_before_the_logs_were_taken_over_does_not_undo_it() {
    let stage = Stage::new();
    stage.sync(ALIGN, |blocks, file| blocks.set_left(false, 0, file).unwrap());
    assert!(!stage.durable().is_left);
    stage.blocks.set_left(true, ALIGN, &stage.file).unwrap();
    assert!(stage.durable().is_left);
}

#[test]
fn a_sync_that_ends_late_does_not_make_the_durable_block_be_written_over() {
    let stage = Stage::new();
    stage.sync(ALIGN, |blocks, file| {
        blocks.set_left(false, 0, file).unwrap();
        blocks.write(2 * ALIGN, CAPACITY).unwrap();
        blocks.sync().unwrap();
    });
    assert_eq!(stage.blocks.tail(), 2 * ALIGN);
    let durable = stage.durable();
    assert_eq!(durable.tail, 2 * ALIGN);
    stage.blocks.write(3 * ALIGN, CAPACITY).unwrap();
    assert!(stage.both().contains(&durable));
}

/// The sync may have come before it or behind, and it may lie there torn.
#[test]
fn a_block_that_was_written_during_a_sync_is_not_taken_for_durable_before_another() {
    let stage = Stage::new();
    stage.sync(ALIGN, |blocks, _| blocks.write(2 * ALIGN, CAPACITY).unwrap());
    let durable = stage.durable();
    assert_eq!((durable.tail, stage.blocks.tail()), (2 * ALIGN, 2 * ALIGN));
    stage.blocks.write(3 * ALIGN, CAPACITY).unwrap();
    assert!(stage.both().contains(&durable));
}
