//! Whatever a file holds, a start reads it a few times at most.

use super::*;

const LONG: u64 = 256 * ALIGN;

/// A file whose tail is `tail`, and on each page of it what `page` makes of the position there.
fn filled(tail: u64, page: impl Fn(u64) -> Vec<u8>) -> SimDisk {
    let disk = disk();
    let path = Path::new(DIR).join(FILE_NAME);
    let file = disk.open(&path, OpenMode::Create).unwrap();
    let block = Block {
        sequence: 0,
        capacity: LONG,
        tail,
        boot: 1,
        salt: Salt::new([9; 12]),
        is_left: false,
    };
    block.write(&file).unwrap();
    let pages = (0..LONG / ALIGN).flat_map(|number| {
        let mut page = page(number * ALIGN);
        page.resize(ALIGN as usize, 3);
        page
    });
    let bytes = pages.collect::<Vec<_>>();
    file.write_all_at(&[IoSlice::new(&bytes)], DATA_START).unwrap();
    disk
}

/// The head of a frame at a position that claims so many bytes.
fn claiming(position: u64, size: u64) -> Vec<u8> {
    let mut frame = frame(key(1, 0), b"x");
    frame.seal(position, Salt::new([9; 12]));
    let mut head = frame.bytes().to_vec();
    head[8..12].copy_from_slice(&(size as u32).to_be_bytes());
    head
}

fn open_long(disk: &SimDisk) -> (Result<usize, WalError>, u64) {
    let before = disk.bytes_read();
    let opened = Wal::open(disk, Path::new(DIR), OpenWal { capacity: LONG, ..HOW });
    let opened = opened.map(|(_, unflushed)| unflushed.partitions().count());
    (opened, disk.bytes_read() - before)
}

#[test]
fn heads_that_claim_all_that_follows_are_read_once() {
    let disk = filled(0, |position| claiming(position, LONG - position));
    let (opened, read) = open_long(&disk);
    assert_eq!(opened, Ok(0));
    assert!(read <= 3 * LONG, "{read} bytes of a file of {LONG}");
    // So do those who only look.
    let before = disk.bytes_read();
    let file = disk.open(&Path::new(DIR).join(FILE_NAME), OpenMode::Read).unwrap();
    while WalFrames::new(&file).unwrap().next_frame().unwrap().is_some() {}
    assert!(disk.bytes_read() - before <= 3 * LONG);
    // Without blocks, too.
    let bytes = disk.peek(&Path::new(DIR).join(FILE_NAME)).unwrap();
    let blockless = [vec![0; DATA_START as usize], bytes[DATA_START as usize..].to_vec()].concat();
    disk.plant(&Path::new(DIR).join(FILE_NAME), &blockless);
    let (opened, read) = open_long(&disk);
    assert!(matches!(opened, Err(WalError::Damaged { reason: WalDamage::NoBlock, .. })));
    assert!(read <= 3 * LONG, "{read} bytes of a file of {LONG}");
}

/// Among them is a frame that is whole, within what another one claims.
#[test]
fn a_frame_among_such_heads_is_found() {
    let at = 100 * ALIGN;
    let disk = filled(0, |position| match position {
        0 => b"torn".to_vec(),
        position if position == at => {
            let mut whole = frame(key(1, 0), b"whole");
            whole.seal(position, Salt::new([9; 12]));
            whole.bytes().to_vec()
        }
        position => claiming(position, LONG - position),
    });
    let (opened, read) = open_long(&disk);
    let valid_at = DATA_START + at;
    assert!(
        matches!(
            opened,
            Err(WalError::Damaged { position: DATA_START, reason: WalDamage::Frame { valid_at: told }, .. })
                if told == valid_at
        ),
        "{opened:?}"
    );
    assert!(read <= 3 * LONG, "{read} bytes of a file of {LONG}");
}

/// All sizes: behind the last full page, within one, and over many.
#[test]
fn frames_of_all_sizes_are_found_behind_damage() {
    let disk = disk();
    let path = Path::new(DIR).join(FILE_NAME);
    let how = OpenWal { capacity: LONG, ..HOW };
    for size in [1, 100, 4047, 4048, 4049, 8144, 8145, 300_000] {
        let disk = disk.fork();
        let (mut wal, _) = Wal::open(&disk, Path::new(DIR), how).unwrap();
        wal.append(&mut frame(key(1, 0), b"to be damaged")).unwrap();
        wal.append(&mut frame(key(1, 0), &vec![5; size])).unwrap();
        wal.sync().unwrap();
        disk.flip(&path, 8 * (DATA_START + 50));
        let (opened, _) = open_long(&disk.fork());
        let valid_at = DATA_START + ALIGN;
        let reason = WalDamage::Frame { valid_at };
        assert_eq!(
            opened,
            Err(WalError::Damaged { path: path.clone(), position: DATA_START, reason })
        );
        // Once it is damaged, too, nothing is left.
        disk.flip(&path, 8 * (DATA_START + ALIGN + 47 + size as u64));
        assert_eq!(open_long(&disk).0, Ok(0), "{size}");
    }
}
