//! Goal: batches fill, leave in time and keep their order. Method: a queue by hand.

use super::*;

const LINGER: Duration = Duration::from_millis(5);

fn at(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn pace(now: Instant) -> Pace {
    Pace { now, linger: LINGER, batch_size: 500, max_in_flight: 5, hurry: false }
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// An accumulator with records of about 100 bytes, a millisecond between them.
fn filled(count: u64) -> Accumulator<u64> {
    let mut accumulator = Accumulator::new();
    for token in 0..count {
        let record = ProducerRecord::new("t", vec![0; 90]);
        let (now, compression) = (at(token), Compression::NONE);
        let arrival = Arrival { now, id: None, batch_size: 500, compression };
        accumulator.append(&partition(), &record, Timestamp(0), arrival, token);
    }
    accumulator
}

fn queue(accumulator: &mut Accumulator<u64>) -> &mut Queue<u64> {
    accumulator.queues.get_mut(&partition()).unwrap()
}

#[test]
fn a_batch_takes_records_up_to_its_size() {
    let mut accumulator = filled(9);
    let counts: Vec<_> = queue(&mut accumulator).waiting.iter().map(Batch::count).collect();
    assert_eq!(counts, [4, 4, 1]);
    assert!(queue(&mut accumulator).waiting.iter().all(|batch| batch.size() <= 500));
}

#[test]
fn a_record_larger_than_a_batch_has_one_of_its_own() {
    let mut accumulator = filled(1);
    let record = ProducerRecord::new("t", vec![0; 2_000]);
    let (now, compression) = (at(0), Compression::NONE);
    let arrival = Arrival { now, id: None, batch_size: 500, compression };
    accumulator.append(&partition(), &record, Timestamp(0), arrival, 9);
    let counts: Vec<_> = queue(&mut accumulator).waiting.iter().map(Batch::count).collect();
    assert_eq!(counts, [1, 1]);
}

#[test]
fn a_batch_leaves_when_it_has_lingered_or_another_one_waits() {
    let mut lingering = filled(1);
    assert_eq!(queue(&mut lingering).due(pace(at(0))), Some(at(5)));
    assert!(!queue(&mut lingering).is_due(pace(at(4))));
    assert!(queue(&mut lingering).is_due(pace(at(5))));
    assert!(queue(&mut lingering).is_due(Pace { hurry: true, ..pace(at(0)) }));
    assert!(queue(&mut filled(5)).is_due(pace(at(4))), "a second batch has begun");
}

#[test]
fn only_so_many_are_in_flight() {
    let mut accumulator = filled(40);
    let queue = queue(&mut accumulator);
    let pace = pace(at(100));
    let mut taken = 0;
    while queue.is_due(pace) {
        queue.take().unwrap();
        taken += 1;
    }
    assert_eq!(taken, 5);
    queue.landed(0);
    assert!(queue.is_due(pace));
}

#[test]
fn what_comes_back_is_put_where_it_was_and_goes_alone() {
    let mut accumulator = filled(16);
    let queue = queue(&mut accumulator);
    let mut flown: Vec<_> = (0..3).map(|_| queue.take().unwrap()).collect();
    let order = [1, 0, 2];
    for ordinal in order {
        let at = flown.iter().position(|batch| batch.ordinal == ordinal).unwrap();
        let mut batch = flown.remove(at);
        batch.attempts = 1;
        batch.not_before = super::tests::at(50);
        queue.landed(ordinal);
        queue.put_back(batch);
    }
    let ordinals: Vec<_> = queue.waiting.iter().map(|batch| batch.ordinal).collect();
    assert_eq!(ordinals, [0, 1, 2, 3]);
    assert!(!queue.is_due(pace(at(49))), "it waits before it is tried again");
    assert!(queue.is_due(pace(at(50))));
    queue.take().unwrap();
    assert_eq!(queue.due(pace(at(50))), None, "the next one waits for it");
    assert!(queue.has_before(1));
    queue.landed(0);
    assert!(!queue.has_before(1));
    assert!(queue.is_due(pace(at(50))));
}
