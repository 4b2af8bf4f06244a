//! Goal: starting, idling and stopping. Method: what peers, the clock and the kernel's own counts
//! say.

use std::{
    net::{SocketAddr, TcpStream},
    sync::atomic::Ordering::SeqCst,
    thread::sleep,
    time::{Duration, Instant},
};

use dohle_net::{
    ConnectionContext, Frames, Handler, ListenerSpec, Moves, Options, Reply, Server, StartError,
};

use crate::kit::{Ask, PATIENCE, Service, eventually, local};

struct Mute;

impl Handler for Mute {
    type Session = ();

    fn open(&self, _: &ConnectionContext) {}

    fn handle(&self, _: &ConnectionContext, (): &mut (), _: bytes::Bytes, frames: &mut Frames<'_>) {
        frames.reply(Reply::Nothing);
    }
}

fn listener(name: &str, address: SocketAddr) -> ListenerSpec {
    ListenerSpec { name: name.to_owned(), address, reserved: None }
}

#[test]
fn a_taken_port_is_named_with_its_listener_and_leaves_nothing_bound() {
    let taken = std::net::TcpListener::bind(local()).expect("a free port");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("bound");
    // Where no other test can take it in between.
    let free = std::net::TcpListener::bind("127.0.0.2:0").and_then(|socket| socket.local_addr());
    let free = free.expect("a free port");

    let listeners = vec![listener("INTERNAL", free), listener("EXTERNAL", taken.1)];
    let error = Server::start(Options::default(), listeners, |_| Mute).err().expect("it is taken");
    assert_eq!(
        error.to_string(),
        format!("listener EXTERNAL: address {} is already in use", taken.1)
    );
    assert!(TcpStream::connect(free).is_err(), "the first listener is closed again");
}

#[test]
fn what_cannot_start_says_why() {
    let elsewhere = listener("REMOTE", "192.0.2.1:0".parse().expect("an address"));
    let error = Server::start(Options::default(), vec![elsewhere], |_| Mute).err();
    assert!(matches!(error, Some(StartError::Bind { listener, .. }) if listener == "REMOTE"));

    let none = Options { threads: 0, ..Options::default() };
    let error = Server::start(none, vec![listener("ANY", local())], |_| Mute).err();
    assert!(matches!(error, Some(StartError::NoThreads)));

    let error = Server::start(Options::default(), Vec::new(), |_| -> Mute { panic!("as asked") });
    assert!(matches!(error.err(), Some(StartError::Handler { thread: 0 })));
}

#[test]
fn connections_are_dealt_evenly_and_know_their_listener() {
    // With the default backlog a burst overflows it, and TCP tries again only after a second.
    let options = Options { threads: 3, backlog: 300, moves: Moves::Never, ..Options::default() };
    let service = Service::start(options);
    let mut peers: Vec<_> = (0..300).map(|_| service.peer()).collect();
    peers.iter_mut().for_each(|peer| peer.send(&Ask::Where));
    for peer in &mut peers {
        let place = String::from_utf8(peer.receive()).expect("a name");
        assert!(["0 TEST", "1 TEST", "2 TEST"].contains(&place.as_str()), "{place}");
    }
    // What is sent is counted after it is sent.
    eventually("all is counted", || service.counters().bytes_out == 300 * 10);
    for thread in service.server.counters().iter().map(|thread| thread.read()) {
        assert_eq!((thread.connections(), thread.requests), (100, 100));
        assert_eq!((thread.bytes_in, thread.bytes_out), (100 * 5, 100 * 10));
    }
    drop(peers);
    eventually("all are closed", || service.counters().connections() == 0);
    eventually("their sessions are over", || service.seen.sessions.load(SeqCst) == 0);
}

#[test]
fn a_dual_stack_listener_gives_ipv4_peers_as_ipv4() {
    struct Family;
    impl Handler for Family {
        type Session = ();
        fn open(&self, connection: &ConnectionContext) {
            assert!(connection.peer.is_ipv4());
        }
        fn handle(
            &self,
            _: &ConnectionContext,
            (): &mut (),
            frame: bytes::Bytes,
            frames: &mut Frames<'_>,
        ) {
            frames.reply(Reply::Now(dohle_net::Response::new(frame)));
        }
    }
    let address = "[::]:0".parse().expect("an address");
    let server =
        match Server::start(Options::default(), vec![listener("BOTH", address)], |_| Family) {
            Ok(server) => server,
            // A machine without IPv6 has nothing to test.
            Err(StartError::Bind { .. }) => return,
            Err(error) => panic!("{error}"),
        };
    let port = server.listeners()[0].address.port();
    let mut peer = crate::kit::Peer::connect(SocketAddr::from(([127, 0, 0, 1], port)));
    peer.send_bytes(&[0, 0, 0, 4, 0, 0, 0, 0]);
    assert_eq!(peer.receive(), b"");
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    // Long enough for who is busy to have a turn on a busy machine.
    let idle_max = Duration::from_millis(1_500);
    let service = Service::start(Options { idle_max: Some(idle_max), ..Options::default() });
    let start = Instant::now();
    let (mut idle, mut busy, mut owed) = (service.peer(), service.peer(), service.peer());
    owed.send(&Ask::Released(b"worth waiting for"));
    let chatting = std::thread::spawn(move || {
        while start.elapsed() < 2 * idle_max {
            assert_eq!(busy.ask(&Ask::Echo(b"here")), b"here");
            sleep(Duration::from_millis(20));
        }
    });
    assert!(idle.is_closed());
    assert!((idle_max..PATIENCE).contains(&start.elapsed()), "{:?}", start.elapsed());
    sleep((2 * idle_max).saturating_sub(start.elapsed()));
    assert!(owed.has_nothing(), "it is not closed either");
    service.seen.release(1);
    assert_eq!(owed.receive(), b"worth waiting for");
    chatting.join().expect("the busy one was served to the end");
    eventually("it is counted", || service.counters().connections_expired >= 1);
}

#[test]
fn without_traffic_no_thread_wakes_up() {
    let options = Options { thread_name: "resting".to_owned(), threads: 2, ..Options::default() };
    let service = Service::start(options);
    let mut peers: Vec<_> = (0..20).map(|_| service.peer()).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask(&Ask::Echo(b"hello")), b"hello");
    }
    // Once they have come to rest, which on a busy machine may take a while.
    let is_asleep = |told: &String| told.contains("S (sleeping)");
    let mut before = Vec::new();
    eventually("both threads sleep", || {
        let former = std::mem::replace(&mut before, wake_ups("resting-"));
        before.len() == 2 && before.iter().all(is_asleep) && before == former
    });
    sleep(Duration::from_millis(500));
    assert_eq!(wake_ups("resting-"), before);
}

/// How often each thread of this process whose name starts so has gone to sleep, by the kernel, and what
/// it does now.
fn wake_ups(name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let status = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status")).ok();
    let mut found: Vec<String> = tasks
        .filter_map(|task| status(task.ok()?))
        .filter(|status| status.starts_with(&format!("Name:\t{name}")))
        .filter_map(|status| {
            let told = |name| status.lines().find(|line: &&str| line.starts_with(name));
            let (state, count) = (told("State:")?, told("voluntary_ctxt_switches")?);
            Some(format!("{} {state} {count}", status.lines().next()?))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn shutting_down_sends_what_is_owed_and_nothing_else() {
    let options = Options { threads: 2, moves: Moves::Never, ..Options::default() };
    let service = Service::start(options);
    // Dealt in turn: the first and the last share a thread.
    let (mut busy, mut idle, mut beside) = (service.peer(), service.peer(), service.peer());
    assert_eq!(idle.ask(&Ask::Echo(b"hello")), b"hello");
    assert_eq!(beside.ask(&Ask::Echo(b"hello")), b"hello");
    busy.send(&Ask::Released(b"owed"));
    busy.send(&Ask::Echo(b"too"));
    eventually("all are handled", || service.handled() == 4);

    let (address, seen, server) = (service.address, service.seen, service.server);
    let stopping = std::thread::spawn(move || server.shutdown(2 * PATIENCE));
    // These need not wait for the other one, nor does the listener.
    assert!(idle.is_closed() && beside.is_closed(), "nothing is owed here");
    eventually("the listener is closed", || TcpStream::connect(address).is_err());
    assert!(busy.has_nothing());
    busy.send(&Ask::Echo(b"too late"));
    seen.release(1);
    assert_eq!(busy.receive(), b"owed");
    assert_eq!(busy.receive(), b"too");
    assert!(busy.is_closed());
    drop(busy);
    let start = Instant::now();
    stopping.join().expect("no panic");
    assert!(start.elapsed() < PATIENCE, "it waits for nobody any more");
    assert_eq!(seen.handled.load(SeqCst), 4, "no request was handled after the call");
    assert_eq!(seen.sessions.load(SeqCst), 0);
}

#[test]
fn shutting_down_does_not_wait_longer_than_its_grace() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    peer.send(&Ask::Never);
    eventually("it is handled", || service.handled() == 1);
    let start = Instant::now();
    let grace = Duration::from_millis(100);
    service.server.shutdown(grace);
    assert!((grace..PATIENCE).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(peer.is_closed());
    assert_eq!(service.seen.abandoned.load(SeqCst), 1);
}

#[test]
fn a_dropped_server_is_gone_at_once() {
    // Where no other test can take the port in between.
    let options = Options { threads: 2, ..Options::default() };
    let service = Service::at("127.0.0.3:0".parse().expect("an address"), options, None);
    let mut peer = service.peer();
    assert_eq!(peer.ask(&Ask::Echo(b"hello")), b"hello");
    let address = service.address;
    drop(service);
    assert!(peer.is_closed());
    Server::start(Options::default(), vec![listener("AGAIN", address)], |_| Mute)
        .map(drop)
        .expect("the port is free again");
}
