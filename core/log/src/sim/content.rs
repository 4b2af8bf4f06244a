//! The bytes of one simulated file: what is durable, what a reader sees, and what lies between.

use super::Luck;

/// Devices write whole sectors: a torn write is cut at a multiple of these.
const SECTOR_SIZE: u64 = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { position: u64, bytes: Vec<u8> },
    Truncate { size: u64 },
}

impl Content {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), current: bytes, unsynced: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn read(&self, buffer: &mut [u8], position: u64) -> usize {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let rest = self.current.get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        count
    }

    pub(super) fn write(&mut self, position: u64, bytes: Vec<u8>) {
        put(&mut self.current, position, &bytes);
        self.unsynced.push(Change::Write { position, bytes });
    }

    pub(super) fn truncate(&mut self, size: u64) {
        self.current.resize(size as usize, 0);
        self.unsynced.push(Change::Truncate { size });
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { position, bytes } => put(&mut self.durable, position, &bytes),
                Change::Truncate { size } => self.durable.resize(size as usize, 0),
            }
        }
    }

    /// A sync failed: the system takes the pages for written, which they are not.
    pub(super) fn forget(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn cut(&mut self, luck: &mut Luck) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Truncate { size } if luck.keeps() => self.durable.resize(size as usize, 0),
                Change::Truncate { .. } => {}
                Change::Write { position, bytes } => {
                    for (position, sector) in sectors(position, &bytes) {
                        if luck.keeps() {
                            put(&mut self.durable, position, sector);
                        }
                    }
                }
            }
        }
        self.current = self.durable.clone();
    }
}

fn put(image: &mut Vec<u8>, position: u64, bytes: &[u8]) {
    let start = position as usize;
    let end = start + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[start..end].copy_from_slice(bytes);
}

/// The parts of a write that are in one sector each.
fn sectors(mut position: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut sectors = Vec::new();
    while !bytes.is_empty() {
        let room = (SECTOR_SIZE - position % SECTOR_SIZE) as usize;
        let (sector, rest) = bytes.split_at(room.min(bytes.len()));
        sectors.push((position, sector));
        position += sector.len() as u64;
        bytes = rest;
    }
    sectors
}
