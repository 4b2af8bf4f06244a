//! Goal: bursts do not run into each other, and keyed requests go to each partition in turn. Method: a server that
//! answers by hand.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use super::*;

const SIZE: usize = 100;

fn lane() -> Lane {
    let partition = Partition { topic: "t".to_owned(), index: 0 };
    let batch = records::batch(SIZE, dohle_records::Codec::None);
    let burst = Burst::of(&frames::produce(&partition, -1, batch).unwrap(), 2);
    Lane { burst, ack: Ack::of(&partition).unwrap() }
}

/// Two bursts of two requests.
fn load(bootstrap: SocketAddr) -> Measured {
    let phases = cli::Phases {
        warm_up_seconds: Duration::ZERO,
        warm_up_requests: 0,
        seconds: Duration::MAX,
        requests: 2,
    };
    let load = Load::over(bootstrap, vec![lane()], 1, 2, SIZE).unwrap();
    let mut load = Load { bursts: true, ..load };
    load.run(Meter::start(&phases, None)).unwrap()
}

fn answer(client: &mut TcpStream, lane: &Lane, base_offset: i64) {
    let mut frame = vec![0; lane.ack.size()];
    lane.ack.put(&mut frame, [0; 4], dohle_base::Offset(base_offset));
    client.write_all(&frame).unwrap();
}

#[test]
fn a_burst_leaves_whole_when_the_last_one_is_answered_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bootstrap = listener.local_addr().unwrap();
    let loaded = thread::spawn(move || load(bootstrap));
    let (mut client, _) = listener.accept().unwrap();
    let lane = lane();
    let mut burst = vec![0; lane.burst.bytes.len()];
    client.read_exact(&mut burst).unwrap();
    answer(&mut client, &lane, 0);
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.read(&mut [0]).is_err(), "one of the burst is not answered yet");

    answer(&mut client, &lane, 1);
    client.set_read_timeout(None).unwrap();
    client.read_exact(&mut burst).unwrap();
    answer(&mut client, &lane, 2);
    answer(&mut client, &lane, 3);
    assert!(loaded.join().unwrap().requests >= 2);
}

#[test]
fn keyed_requests_go_to_one_partition_after_the_other_from_each_connections_own_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bootstrap = listener.local_addr().unwrap();
    let batch = records::batch(SIZE, dohle_records::Codec::None);
    let ack = Ack::of(&Partition { topic: "t".to_owned(), index: 0 }).unwrap();
    let frames: Vec<_> = (0..3)
        .map(|index| Partition { topic: "t".to_owned(), index })
        .map(|partition| frames::produce(&partition, -1, batch.clone()).unwrap())
        .collect();
    let lane = Lane { burst: Burst::in_turn(&frames), ack: ack.clone() };
    let phases = cli::Phases {
        warm_up_seconds: Duration::ZERO,
        warm_up_requests: 0,
        seconds: Duration::MAX,
        requests: 14,
    };
    // More in flight than there are partitions, so one goes round.
    let loaded = thread::spawn(move || {
        let mut load = Load::over(bootstrap, vec![lane], 2, 4, SIZE).unwrap();
        load.run(Meter::start(&phases, None)).unwrap()
    });
    let serve = |mut client: TcpStream, first: usize| {
        let (frames, ack) = (frames.clone(), ack.clone());
        thread::spawn(move || {
            let mut frame = vec![0; frames[0].len()];
            for number in first.. {
                if client.read_exact(&mut frame).is_err() {
                    return number - first;
                }
                assert_eq!(frame, frames[number % 3], "request {number}");
                let mut answer = vec![0; ack.size()];
                ack.put(&mut answer, [0; 4], dohle_base::Offset(0));
                client.write_all(&answer).unwrap();
            }
            unreachable!("a load ends")
        })
    };
    let servers = [0, 1].map(|first| serve(listener.accept().unwrap().0, first));
    assert!(loaded.join().unwrap().requests >= 14);
    let served = servers.map(|server| server.join().unwrap());
    assert!(served.iter().all(|count| *count >= 4), "{served:?}");
}
