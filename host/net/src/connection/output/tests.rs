//! Goal: an answer leaves in one write where that can be, and arrives byte for byte wherever the socket
//! is full. Method: sockets that hold little, and a peer that reads little at a time; it is noted in
//! which piece a write ended.

use std::{
    fs::File,
    future::poll_fn,
    io::{Read, Write},
    net::TcpListener,
    os::fd::AsFd,
    thread,
    time::Duration,
};

use bytes::Bytes;
use rustix::{
    fs::{Advice, fadvise},
    net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size},
};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::limits::{COLD_PROBE_BYTES, SCRATCH_BYTES};

const FILE_SIZE: usize = 4 << 20;

/// Bytes that tell their position.
fn contents() -> Vec<u8> {
    (0..FILE_SIZE as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn file(contents: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(contents).unwrap();
    Arc::new(file)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_io().build().unwrap()
}

/// Our end and the peer's; if they are `small`, with little room in them. With less than a segment of the
/// loopback interface they would wait for timers.
fn sockets(small: bool) -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    if small {
        set_socket_recv_buffer_size(&peer, 64 << 10).unwrap();
        set_socket_send_buffer_size(&stream, 16 << 10).unwrap();
    }
    peer.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    (TcpStream::from_std(stream).unwrap(), peer)
}

fn range(file: &Arc<File>, position: usize, len: usize) -> Part {
    let file = Arc::<File>::clone(file);
    Part::File { file, position: position as u64, len: u32::try_from(len).unwrap() }
}

/// An answer: a head, the bytes of a range and what follows them.
fn answer(file: &Arc<File>, head: usize, (position, len): (usize, usize), tail: usize) -> Response {
    let tail = Part::Bytes(Bytes::from(vec![2; tail]));
    Response::with_parts(vec![1; head], vec![range(file, position, len), tail])
}

fn expected(contents: &[u8], head: usize, (position, len): (usize, usize), tail: usize) -> Vec<u8> {
    [&vec![1; head], &contents[position..position + len], &vec![2; tail]].concat()
}

#[test]
fn a_short_answer_leaves_in_one_write() {
    let contents = contents();
    let file = file(&contents);
    let runtime = runtime();
    let _here = runtime.enter();
    for len in [1, 5_000, 65_536, FILE_COPIED_MAX] {
        let (stream, mut peer) = sockets(false);
        let mut output = Output::default();
        output.push(answer(&file, 60, (77, len), 3));
        let mut sent = 0;
        output.send(&stream, &mut [0; SCRATCH_BYTES], &mut sent).unwrap();
        assert_eq!((sent, output.is_empty()), (60 + len + 3, true), "{len} bytes of records");
        let mut received = vec![0; sent];
        peer.read_exact(&mut received).unwrap();
        assert!(received == expected(&contents, 60, (77, len), 3), "{len} bytes of records");
    }
}

#[test]
fn of_a_range_no_more_is_copied_again_than_the_socket_took() {
    let file = file(&contents());
    let mut output = Output::default();
    for _ in 0..2 {
        output.push_part(range(&file, 0, FILE_COPIED_MAX));
    }
    assert_eq!(output.copied_max(0), FILE_COPIED_MAX);
    output.advance(1);
    assert_eq!(output.copied_max(0), FILE_REST_COPIED_MAX);
    assert_eq!(output.copied_max(1), FILE_COPIED_MAX, "that one has not begun");
    output.advance(20_000);
    assert_eq!(output.copied_max(0), 20_000);
    output.advance(FILE_COPIED_MAX - 20_001);
    assert_eq!(output.copied_max(0), FILE_COPIED_MAX, "it is the next one's turn");
}

/// In which pieces of an answer the socket was full, neither at the start nor at the end of one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cut {
    head: bool,
    records: bool,
    tail: bool,
}

#[test]
fn a_full_socket_in_any_piece_loses_nothing() {
    let contents = contents();
    let file = file(&contents);
    let mut cut = Cut::default();
    let mut scratch = vec![0; SCRATCH_BYTES];
    // Copied in one piece, copied and then sent from the file, sent from the file only.
    for (round, len) in [3_000, 60_000, FILE_COPIED_MAX, 500_000].repeat(6).into_iter().enumerate()
    {
        let (head, at, tail) = (90_000 + 777 * round, (1_000 * round, len), 130_000 - 555 * round);
        let runtime = runtime();
        let _here = runtime.enter();
        let (stream, mut peer) = sockets(true);
        let reader = thread::spawn(move || {
            let (mut received, mut chunk) = (Vec::new(), vec![0; 1_500 + 1_000 * round]);
            loop {
                match peer.read(&mut chunk).unwrap() {
                    0 => return received,
                    read => received.extend_from_slice(&chunk[..read]),
                }
            }
        });
        let mut output = Output::default();
        output.push(answer(&file, head, at, tail));
        output.push(answer(&file, head, at, tail));
        runtime
            .block_on(poll_fn(|cx| {
                let mut budget = usize::MAX;
                let flushed = output.poll_flush(cx, &stream, &mut scratch, &mut budget);
                match output.parts.front() {
                    Some(Part::Bytes(rest)) if rest[0] == 1 => cut.head |= rest.len() < head,
                    Some(Part::Bytes(rest)) => cut.tail |= rest.len() < tail,
                    Some(Part::File { len: rest, .. }) => cut.records |= (*rest as usize) < len,
                    None => {}
                }
                flushed
            }))
            .unwrap();
        drop(stream);
        let expected = expected(&contents, head, at, tail).repeat(2);
        assert!(reader.join().unwrap() == expected, "head {head}, records {at:?}, tail {tail}");
    }
    assert_eq!(cut, Cut { head: true, records: true, tail: true }, "else nothing was tried");
}

#[test]
fn nothing_is_held_back_for_a_range_that_is_on_the_disk_only() {
    let contents = vec![5; 4 << 20];
    let file = file(&contents);
    file.sync_all().unwrap();
    let mut output = Output::default();
    output.push(Response::with_parts(vec![1; 60], vec![range(&file, 0, contents.len())]));
    let next = |output: &Output| output.gather(&mut [0; SCRATCH_BYTES]).unwrap().next;
    assert_eq!(next(&output), Next::AtOnce { warm: SENDFILE_MAX });
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    if !cold::is_cold(file.as_fd(), 0, SENDFILE_MAX) {
        return println!("skipped: files in the temporary directory stay in memory");
    }
    // The looks make the system read where they looked, and each goes to another place.
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    assert_eq!(next(&output), Next::Later);
}

/// How many looks it takes to send a long range to a peer that reads little at a time and rests once, and how
/// long that took.
fn looks_to_send(file: &Arc<File>, rest: Duration) -> (u32, Duration) {
    let runtime = runtime();
    let _here = runtime.enter();
    let (stream, mut peer) = sockets(true);
    let reader = thread::spawn(move || {
        let mut chunk = vec![0; 30_000];
        let mut left = SENDFILE_MAX;
        while left > 0 {
            if (left..left + chunk.len()).contains(&(SENDFILE_MAX / 2)) {
                thread::sleep(rest);
            }
            left -= peer.read(&mut chunk).unwrap();
        }
    });
    let mut output = Output::default();
    output.push_part(range(file, 0, SENDFILE_MAX));
    let (before, began) = (cold::looks(), Instant::now());
    let mut scratch = vec![0; SCRATCH_BYTES];
    let flush = poll_fn(|cx| {
        let mut budget = usize::MAX;
        output.poll_flush(cx, &stream, &mut scratch, &mut budget)
    });
    runtime.block_on(flush).unwrap();
    let found = (cold::looks() - before, began.elapsed());
    reader.join().unwrap();
    found
}

#[test]
fn a_full_socket_brings_a_new_look_only_after_some_time() {
    let file = file(&contents());
    let looks = (SENDFILE_MAX / COLD_PROBE_BYTES) as u32;
    let quick = (0..20)
        .map(|_| looks_to_send(&file, Duration::ZERO))
        .find(|(_, time)| *time < WARM_FOR)
        .expect("a machine that sends 1 MiB in less than that");
    assert_eq!(quick.0, looks, "each part once");
    let (slow, _) = looks_to_send(&file, 2 * WARM_FOR);
    assert!(slow > looks, "the time for which a look counts is over");
}

/// Else they are held back while the disk is waited for.
#[test]
fn as_many_pieces_as_fit_leave_at_once_where_a_range_follows_that_may_be_cold() {
    let file = file(&[3; 100]);
    let next_behind = |last: Option<Part>| {
        let mut output = Output::default();
        for _ in 0..WRITE_PIECES_MAX {
            output.push_part(Part::Bytes(Bytes::from_static(b"x")));
        }
        last.into_iter().for_each(|part| output.push_part(part));
        let gathered = output.gather(&mut [0; SCRATCH_BYTES]).unwrap();
        assert_eq!(gathered.pieces, WRITE_PIECES_MAX);
        gathered.next
    };
    assert_eq!(next_behind(None), Next::Later);
    let more = Part::Bytes(Bytes::from_static(b"x"));
    assert_eq!(next_behind(Some(more)), Next::AtOnce { warm: 0 });
    assert_eq!(next_behind(Some(range(&file, 0, 100))), Next::Later);
}
