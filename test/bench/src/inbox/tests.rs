//! Goal: answers come out whole and in order however the socket cuts them. Method: a socket pair.

use std::{io::Write, os::unix::net::UnixStream};

use super::{Arrived, Inbox, SIZE_FIRST};

fn answer(byte: u8, size: usize) -> Vec<u8> {
    let mut frame = (size as u32).to_be_bytes().to_vec();
    frame.resize(4 + size, byte);
    frame
}

fn drain(inbox: &mut Inbox, socket: &UnixStream) -> Vec<(u8, usize)> {
    let mut seen = Vec::new();
    loop {
        let arrived = inbox.read(socket).unwrap();
        inbox
            .each(|answer| {
                assert!(answer.iter().all(|byte| *byte == answer[0]));
                seen.push((answer[0], answer.len()));
                Ok(())
            })
            .unwrap();
        if arrived == Arrived::All {
            return seen;
        }
    }
}

#[test]
fn answers_are_cut_whatever_the_reads_are() {
    let (mut broker, client) = UnixStream::pair().unwrap();
    let mut inbox = Inbox::new();
    let stream: Vec<u8> = [answer(1, 10), answer(2, 50_000), answer(3, 1)].concat();
    let mut seen = Vec::new();
    for piece in stream.chunks(4_099) {
        broker.write_all(piece).unwrap();
        seen.extend(drain(&mut inbox, &client));
    }
    assert_eq!(seen, [(1, 10), (2, 50_000), (3, 1)]);
}

#[test]
fn the_buffer_grows_to_an_answer_and_is_kept() {
    let (mut broker, client) = UnixStream::pair().unwrap();
    let mut inbox = Inbox::new();
    let writer = std::thread::spawn(move || {
        for byte in [7, 8] {
            broker.write_all(&answer(byte, 3 * SIZE_FIRST)).unwrap();
        }
        broker
    });
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(drain(&mut inbox, &client));
    }
    assert_eq!(seen, [(7, 3 * SIZE_FIRST), (8, 3 * SIZE_FIRST)]);
    assert_eq!(inbox.buffer.len(), 4 + 3 * SIZE_FIRST);
    drop(writer.join());
    assert!(inbox.read(&client).is_err(), "the broker has closed");
}

#[test]
fn an_absurd_size_is_refused() {
    let (mut broker, client) = UnixStream::pair().unwrap();
    let mut inbox = Inbox::new();
    broker.write_all(&[0x7f, 0, 0, 0]).unwrap();
    inbox.read(&client).unwrap();
    assert!(inbox.each(|_| Ok(())).is_err());
}
