//! Producers that have not written for long are forgotten while the node runs.

use std::{
    thread,
    time::{Duration, Instant},
};

use dohle_base::{ErrorCode, Offset, ProducerEpoch, ProducerId};
use dohle_records::Producer;

use crate::{
    process::{Site, serve},
    wire::{configure, create_topic, produce_as},
};

const EXPIRATION: &str = "producer.id.expiration.ms";
const REFUSED: (ErrorCode, Offset) = (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, Offset(-1));

fn numbered(base_sequence: i32) -> Producer {
    Producer { id: ProducerId(5), epoch: ProducerEpoch(0), base_sequence }
}

#[test]
fn a_producer_is_known_as_long_as_the_setting_of_the_moment_says() {
    let site = Site::formatted("producer.id.expiration.check.interval.ms=20\n");
    let node = serve(&site);
    assert_eq!(create_topic(&node.address, "t"), ErrorCode::NONE);
    let send = |sequence| produce_as(&node.address, "t", numbered(sequence));
    assert_eq!(send(0), (ErrorCode::NONE, Offset(0)));
    thread::sleep(Duration::from_millis(200));
    assert_eq!(send(7), REFUSED, "a day is the default");
    assert_eq!(send(0), (ErrorCode::NONE, Offset(0)), "it is sent again");

    assert_eq!(configure(&node.address, EXPIRATION, "1"), ErrorCode::NONE);
    let begun = Instant::now();
    let mut answer = send(7);
    while answer == REFUSED {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is still known");
        thread::sleep(Duration::from_millis(10));
        answer = send(7);
    }
    assert_eq!(answer, (ErrorCode::NONE, Offset(1)), "any number may be the next");

    // That one may be forgotten, too, and so may the next: the last check that goes by the old value may
    // come late. From then on it is known, whatever time passes.
    assert_eq!(configure(&node.address, EXPIRATION, "60000"), ErrorCode::NONE);
    let (begun, mut last, mut is_known) = (Instant::now(), (7, answer), 0);
    for sequence in (20..).step_by(10) {
        thread::sleep(Duration::from_millis(200));
        match send(sequence) {
            REFUSED => is_known += 1,
            answer => {
                assert_eq!(answer.0, ErrorCode::NONE);
                (last, is_known) = ((sequence, answer), 0);
            }
        }
        if is_known == 3 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it is forgotten all the time");
    }
    assert_eq!(send(last.0), last.1, "it is sent again");
}
