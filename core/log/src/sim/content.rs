//! The bytes of one simulated file: what is durable, what a reader sees, and what lies between.
//!
//! A system writes pages back when it likes, whole, and the size of the file apart from them. So a
//! power cut leaves each page as it was after any of the changes since the last sync, or before all
//! of them, whatever became of its neighbours; where the size got there and a page did not, zeros.

use super::Luck;

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

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => put(image, *position, bytes),
            Self::Truncate { size } => image.resize(*size as usize, 0),
        }
    }

    /// The first byte that it touches, and the one behind the last, in a file that had or gets
    /// `size` bytes.
    fn range(&self, size: usize) -> (usize, usize) {
        match self {
            Self::Write { position, bytes } => {
                (*position as usize, *position as usize + bytes.len())
            }
            Self::Truncate { size: cut } => (*cut as usize, size.max(*cut as usize)),
        }
    }
}

impl Content {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), current: bytes, unsynced: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn size(&self) -> u64 {
        self.current.len() as u64
    }

    pub(super) fn read(&self, buffer: &mut [u8], position: u64) -> usize {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let rest = self.current.get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        count
    }

    pub(super) fn write(&mut self, position: u64, bytes: Vec<u8>) {
        self.change(Change::Write { position, bytes });
    }

    pub(super) fn truncate(&mut self, size: u64) {
        self.change(Change::Truncate { size });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync failed: the system takes the pages for written, which they are not, and shows them
    /// as long as it has them.
    pub(super) fn forget(&mut self) {
        self.unsynced.clear();
    }

    /// Shows what is durable, and what is yet to be written. The size is no page: it stays.
    pub(super) fn drop_cache(&mut self) {
        let size = self.current.len();
        self.current = self.durable.clone();
        for change in &self.unsynced {
            change.apply(&mut self.current);
        }
        self.current.resize(size, 0);
    }

    /// Turns a bit over where no write has been: what rots on a device.
    pub(super) fn flip(&mut self, bit: u64) {
        for image in [&mut self.durable, &mut self.current] {
            if let Some(byte) = image.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    pub(super) fn cut(&mut self, luck: &mut Luck) {
        let page_size = luck.page_size();
        let mut image = self.durable.clone();
        let mut size = image.len();
        for change in self.unsynced.drain(..) {
            let (start, end) = change.range(image.len());
            change.apply(&mut image);
            for page in start / page_size..end.div_ceil(page_size) {
                if luck.keeps() {
                    copy(&image, &mut self.durable, page * page_size, page_size);
                }
            }
            if luck.keeps() {
                size = image.len();
            }
        }
        self.durable.resize(size, 0);
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

/// Copies a page; what the image does not have of it is zeros.
fn copy(image: &[u8], to: &mut Vec<u8>, start: usize, size: usize) {
    if to.len() < start + size {
        to.resize(start + size, 0);
    }
    let page = &mut to[start..start + size];
    page.fill(0);
    let rest = image.get(start..).unwrap_or_default();
    let count = rest.len().min(size);
    page[..count].copy_from_slice(&rest[..count]);
}
