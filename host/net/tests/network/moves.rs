//! Goal: connections are together while one thread is enough and apart when it is not, and nobody notices
//! a move. Method: handlers that are at work for a given time; connections that move whenever they can.

use std::{
    io::Write,
    sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use dohle_net::{Moves, Options};

use crate::kit::{Ask, Numbers, PATIENCE, Peer, Service, eventually};

/// How many bursts of requests each peer sends.
const BURSTS: usize = 60;

fn restless() -> Options {
    Options { threads: 3, moves: Moves::Always, ..Options::default() }
}

/// On which thread each of them is.
fn threads(peers: &mut [Peer]) -> Vec<u8> {
    peers.iter_mut().map(|peer| peer.ask(&Ask::Where)[0]).collect()
}

/// One request of each at a time, until they lie as is `wanted`.
fn ask_until(peers: &mut [Peer], ask: &Ask<'_>, wanted: impl Fn(&[u8]) -> bool) {
    let start = Instant::now();
    loop {
        peers.iter_mut().for_each(|peer| peer.send(ask));
        peers.iter_mut().for_each(|peer| _ = peer.receive());
        let threads = threads(peers);
        if wanted(&threads) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "they stay on {threads:?}");
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn connections_with_little_to_do_come_together_and_part_when_there_is_much() {
    let service = Service::start(Options { threads: 2, ..Options::default() });
    let mut peers = [service.peer(), service.peer()];
    assert_eq!(threads(&mut peers), b"00", "they begin together");
    ask_until(&mut peers, &Ask::Work(5, b"much"), |threads| threads[0] != threads[1]);
    ask_until(&mut peers, &Ask::Echo(b"little"), |threads| threads == b"00");
    let counters = service.counters();
    assert_eq!(counters.connections(), 2);
    assert!(counters.connections_left >= 2, "{counters:?}");
    assert_eq!(counters.connections_left, counters.connections_came);
    assert_eq!((counters.connections_opened, counters.connections_closed), (2, 0));
}

#[test]
fn connections_that_always_owe_an_answer_part_too() {
    let service = Service::start(Options { threads: 2, ..Options::default() });
    let mut peers = [service.peer(), service.peer()];
    ask_until(&mut peers, &Ask::Echo(b"little"), |threads| threads == b"00");
    let (places, is_over) = ([const { AtomicU8::new(b'0') }; 2], AtomicBool::new(false));
    scope(|scope| {
        for (mut peer, place) in peers.into_iter().zip(&places) {
            let is_over = &is_over;
            scope.spawn(move || {
                // The last that was handled of those that wait always waits still.
                let asks =
                    [Ask::Work(4, b"w"), Ask::After(200, b"a"), Ask::Work(4, b"w"), Ask::Where];
                let in_flight = 15 * asks.len();
                asks.iter().cycle().take(in_flight).for_each(|ask| peer.send(ask));
                for ask in asks.iter().cycle() {
                    let answer = peer.receive();
                    if matches!(ask, Ask::Where) {
                        place.store(answer[0], SeqCst);
                    }
                    if is_over.load(SeqCst) {
                        break;
                    }
                    peer.send(ask);
                }
            });
        }
        let start = Instant::now();
        let [one, other] = &places;
        while one.load(SeqCst) == other.load(SeqCst) && start.elapsed() < Duration::from_secs(30) {
            sleep(Duration::from_millis(10));
        }
        is_over.store(true, SeqCst);
        assert_ne!(one.load(SeqCst), other.load(SeqCst), "they stay together");
    });
}

#[test]
fn nothing_is_lost_or_overtaken_by_moves() {
    let service = Service::start(restless());
    scope(|scope| {
        for seed in 0..6 {
            let mut peer = service.peer();
            scope.spawn(move || converse(&mut peer, seed));
        }
    });
    eventually("all are closed", || service.counters().connections_closed == 6);
    eventually("their sessions are over", || service.seen.sessions.load(SeqCst) == 0);
    let counters = service.counters();
    assert_eq!((counters.connections_opened, counters.connections_closed), (6, 6));
    assert_eq!(counters.connections_left, counters.connections_came);
    // When a burst is answered nothing holds a connection where it is.
    assert!(counters.connections_left > 6 * BURSTS as u64 / 2, "few have moved: {counters:?}");
}

/// Bursts of requests of many sizes, cut anywhere, some of them not answered at once.
fn converse(peer: &mut Peer, seed: u64) {
    let mut numbers = Numbers(seed);
    for burst in 0..BURSTS {
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for n in 0..1 + numbers.below(10) {
            let most = [100, 3_000, 100_000, 1_500_000][[0, 0, 1, 1, 1, 1, 2, 3][numbers.below(8)]];
            let payload = vec![(burst * 10 + n) as u8; numbers.below(most)];
            let ask = match numbers.below(6) {
                0 => Ask::After(numbers.below(3) as u16, &payload),
                1 if n > 0 => Ask::Silence,
                _ => Ask::Echo(&payload),
            };
            sent.extend(ask.framed());
            if !matches!(ask, Ask::Silence) {
                expected.push(payload);
            }
        }
        let mut writer = peer.stream.try_clone().expect("a socket");
        scope(|scope| {
            scope.spawn(|| {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let size = [10, 1_000, 200_000][numbers.below(3)];
                    let (piece, behind) = rest.split_at((1 + numbers.below(size)).min(rest.len()));
                    writer.write_all(piece).expect("the server reads");
                    rest = behind;
                }
            });
            for payload in &expected {
                assert!(peer.receive() == *payload, "an answer is missing or out of order");
            }
        });
    }
}

#[test]
fn a_server_whose_connections_move_stops() {
    for _ in 0..20 {
        let service = Service::start(restless());
        scope(|scope| {
            for mut peer in (0..4).map(|_| service.peer()) {
                // Until the server closes it, with an answer or without.
                scope.spawn(move || {
                    while peer.stream.write_all(&Ask::Echo(b"again").framed()).is_ok()
                        && std::io::Read::read(&mut peer.stream, &mut [0; 9])
                            .is_ok_and(|read| read > 0)
                    {}
                });
            }
            sleep(Duration::from_millis(10));
            let (seen, counters) = (service.seen, service.server.counters().to_vec());
            let began = Instant::now();
            service.server.shutdown(2 * PATIENCE);
            assert!(began.elapsed() < PATIENCE, "it waits for nobody");
            assert_eq!(seen.sessions.load(SeqCst), 0);
            let open: u64 = counters.iter().map(|thread| thread.read().connections()).sum();
            assert_eq!(open, 0);
        });
    }
}
