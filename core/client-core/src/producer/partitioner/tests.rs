//! Goal: keys go where all of Kafka's clients send them, the others are spread. Method: vectors of
//! the Java client, and counting.

use dohle_protocol::api::metadata_response::MetadataResponse;

use crate::{
    Metadata,
    stage::{cluster, topic},
};

use super::*;

fn known(leaders: &[i32]) -> TopicMetadata {
    let mut metadata = Metadata::default();
    metadata.update(MetadataResponse { topics: vec![topic("t", leaders)], ..cluster(3) });
    metadata.topic("t").unwrap().clone()
}

#[test]
fn keys_have_the_partitions_of_the_java_client() {
    // toPositive(murmur2(key)) % count, with the hashes that the Java client's own tests have.
    for (key, hash) in [
        ("21", -973_932_308_i32),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        for count in [1_i32, 2, 3, 7, 12, 100] {
            let expected = PartitionId((hash & 0x7fff_ffff) % count);
            let count = usize::try_from(count).unwrap();
            assert_eq!(partition_of_key(key.as_bytes(), count), expected, "{key} of {count}");
        }
    }
}

#[test]
fn records_without_a_key_stick_for_a_batch_and_are_spread_over_time() {
    let (topic, mut partitioner) = (known(&[1, 1, 1, 1]), Partitioner::default());
    let mut rng = Rng::from_seed(7);
    let mut places = Vec::new();
    for _ in 0..4_000 {
        places.push(partitioner.stick(&topic, 100, 1_000, &mut rng).unwrap());
    }
    for batch in places.chunks(10) {
        assert!(batch.iter().all(|place| place == &batch[0]), "ten records are a batch");
    }
    for partition in 0..4 {
        let share = places.iter().filter(|place| place.0 == partition).count();
        assert!((700..1_300).contains(&share), "{share} of 4000 in partition {partition}");
    }
}

#[test]
fn a_partition_without_a_leader_is_left_out_as_long_as_others_have_one() {
    let mut rng = Rng::from_seed(7);
    let mut one_led = Partitioner::default();
    for _ in 0..50 {
        let place = one_led.stick(&known(&[-1, 2, -1]), 1_000, 1_000, &mut rng);
        assert_eq!(place, Some(PartitionId(1)));
    }
    let none_led = Partitioner::default().stick(&known(&[-1, -1]), 1, 1_000, &mut rng);
    assert!(none_led.is_some());
    assert_eq!(Partitioner::default().stick(&known(&[]), 1, 1_000, &mut rng), None);
}

#[test]
fn a_leader_that_is_lost_is_left() {
    let mut rng = Rng::from_seed(7);
    let mut partitioner = Partitioner::default();
    assert_eq!(partitioner.stick(&known(&[1, -1]), 1, 1_000, &mut rng), Some(PartitionId(0)));
    assert_eq!(partitioner.stick(&known(&[-1, 1]), 1, 1_000, &mut rng), Some(PartitionId(1)));
}
