//! Goal: ranges of files arrive byte for byte, short and long, also when the reader is slow.
//! Method: a file whose bytes tell their position.

use std::{
    fs::File,
    io::{IoSliceMut, Read, Write},
    time::Duration,
};

use dohle_net::Options;
use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
    net::sockopt::set_socket_recv_buffer_size,
};

use crate::kit::{Ask, Numbers, Peer, Service};

const SIZE: usize = 8 * 1024 * 1024;

/// A file and its contents; no stretch of them repeats within the distances that matter.
fn file() -> (File, Vec<u8>) {
    let contents: Vec<u8> =
        (0..SIZE as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&contents).expect("room on the disk");
    (file, contents)
}

fn expected(contents: &[u8], ranges: &[(u64, u32)]) -> Vec<u8> {
    let range = |&(position, len): &(u64, u32)| {
        let start = position as usize;
        [&[1], &contents[start..start + len as usize]].concat()
    };
    ranges.iter().flat_map(range).collect()
}

fn check(peer: &mut Peer, contents: &[u8], ranges: &[(u64, u32)]) {
    let received = peer.ask(&Ask::Ranges(ranges));
    assert!(received == expected(contents, ranges), "wrong bytes for {ranges:?}");
}

#[test]
fn ranges_of_every_size_are_byte_exact() {
    let (file, contents) = file();
    let service = Service::with_file(Options::default(), Some(file));
    let mut peer = service.peer();
    check(&mut peer, &contents, &[]);
    check(&mut peer, &contents, &[(0, 0), (5, 1), (9, 0)]);
    check(&mut peer, &contents, &[(3, SIZE as u32 - 3)]);

    let mut numbers = Numbers(3);
    for _ in 0..100 {
        let ranges: Vec<_> = (0..1 + numbers.below(20))
            .map(|_| {
                let max = [100, 5_000, 20_000, 300_000][numbers.below(4)];
                let len = numbers.below(max);
                (numbers.below(SIZE - len) as u64, len as u32)
            })
            .collect();
        check(&mut peer, &contents, &ranges);
    }
}

#[test]
fn pipelined_file_answers_keep_their_order_behind_slow_ones() {
    let (file, contents) = file();
    let service = Service::with_file(Options::default(), Some(file));
    let mut peer = service.peer();
    let ranges = |n: u64| [(n * 1_000, 500 + n as u32), (n * 7, 70_000)];
    for n in 0..30 {
        peer.send(&Ask::Ranges(&ranges(n)));
        peer.send(&Ask::After(2, b"between"));
    }
    for n in 0..30 {
        assert!(peer.receive() == expected(&contents, &ranges(n)));
        assert_eq!(peer.receive(), b"between");
    }
}

#[test]
fn a_slow_reader_gets_every_byte() {
    let (file, contents) = file();
    let options = Options { send_buffer_bytes: Some(32 * 1024), ..Options::default() };
    let service = Service::with_file(options, Some(file));
    let mut slow = service.peer();
    set_socket_recv_buffer_size(&slow.stream, 16 * 1024).expect("a socket");
    let ranges = [(1, 3_000_000), (SIZE as u64 - 10_000, 10_000), (77, 100_000)];
    slow.send(&Ask::Ranges(&ranges));

    let mut other = service.peer();
    let (mut received, mut chunk) = (Vec::new(), [0; 70_000]);
    let wanted = expected(&contents, &ranges);
    while received.len() < 4 + wanted.len() {
        let count = slow.stream.read(&mut chunk).expect("the answer goes on");
        assert!(count > 0, "the server gave up");
        received.extend_from_slice(&chunk[..count]);
        if received.len() < 1_000_000 {
            std::thread::sleep(Duration::from_micros(500));
        }
        assert_eq!(other.ask(&Ask::Echo(b"still there")), b"still there");
    }
    assert!(received[4..] == wanted);
}

/// The file again, to take its bytes out of memory; `None`, and a word, where the system keeps them.
fn evictable(file: &File) -> Option<File> {
    file.sync_all().expect("a disk");
    let file = file.try_clone().expect("a file");
    evict(&file);
    let mut byte = [0];
    let mut buffer = [IoSliceMut::new(&mut byte)];
    let read = preadv2(&file, &mut buffer, 0, ReadWriteFlags::NOWAIT);
    if read != Err(Errno::AGAIN) {
        println!("skipped: files in the temporary directory stay in memory");
        return None;
    }
    Some(file)
}

fn evict(file: &File) {
    fadvise(file, 0, None, Advice::DontNeed).expect("a file");
}

#[test]
fn what_is_on_the_disk_only_is_read_before_it_is_sent() {
    let (file, contents) = file();
    let evicted = evictable(&file);
    let service = Service::with_file(Options::default(), Some(file));
    let mut peer = service.peer();
    let Some(evicted) = evicted else { return };
    // A disk that is quick may be done with one page before the look at it is over, but not with each of many.
    let short: Vec<_> = (0..30).map(|n| (n * 250_000, 1_000)).collect();
    // Long ones in one piece and in several, short ones, and a long one with a short rest.
    for ranges in [
        &[(3, SIZE as u32 - 3)][..],
        &[(0, 100), (1_000_000, 70_000), (5_000_000, 1_500_000), (2_000_000, 4_000)],
        &short,
        &[(6_000_000, (1 << 20) + 1_000)],
    ] {
        let mut reads = || {
            check(&mut peer, &contents, ranges);
            // What the last answer needed is counted once it has left, and before the next one is made.
            assert_eq!(peer.ask(&Ask::Echo(b"counted")), b"counted");
            service.counters().cold_reads
        };
        // A system that is short of memory may take it out again.
        let is_kept = (0..10).any(|_| {
            let before = reads();
            reads() == before
        });
        assert!(is_kept, "it is in memory: {ranges:?}");
        let before = reads();
        // The system may keep pages that it is at work on, whatever it is advised.
        let was_read = (0..10).any(|_| {
            evict(&evicted);
            reads() > before
        });
        assert!(was_read, "nothing was waited for: {ranges:?}");
    }
}

#[test]
fn a_peer_may_leave_while_the_disk_is_read() {
    let (file, contents) = file();
    let evicted = evictable(&file);
    let service = Service::with_file(Options::default(), Some(file));
    let Some(evicted) = evicted else { return };
    for _ in 0..20 {
        evict(&evicted);
        service.peer().send(&Ask::Ranges(&[(0, SIZE as u32)]));
    }
    check(&mut service.peer(), &contents, &[(1, SIZE as u32 - 1)]);
}

#[test]
fn a_file_shorter_than_promised_closes_its_connection_only() {
    let (file, contents) = file();
    let shrunk = file.try_clone().expect("a file");
    let service = Service::with_file(Options::default(), Some(file));
    let mut other = service.peer();
    check(&mut other, &contents, &[(0, 100_000)]);
    shrunk.set_len(1_000_000).expect("a file");
    for len in [100, 10_000, 100_000] {
        let mut peer = service.peer();
        peer.send(&Ask::Ranges(&[(1_000_000 - 50, len)]));
        let mut rest = Vec::new();
        peer.stream.read_to_end(&mut rest).expect("the end, not a time-out");
        assert!(rest.len() < 5 + len as usize);
    }
    check(&mut other, &contents, &[(0, 100_000)]);
}
