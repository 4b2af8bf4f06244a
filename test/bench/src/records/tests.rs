//! Goal: the loads are what the tables say they are. Method: build them and look.

use dohle_records::{BatchView, Codec, check_produce_batch};

use super::{batch, batch_of, random_batch};

#[test]
fn a_batch_has_the_size_that_was_asked_for() {
    for size in [200, 1_024, 16_384, 65_536, 1_048_576] {
        let bytes = batch(size, Codec::None);
        assert!((size - 2..=size).contains(&bytes.len()), "{} for {size}", bytes.len());
        let summary = check_produce_batch(&bytes).expect("a batch that brokers accept");
        let mean = size / summary.count as usize;
        assert!(mean == size || (900..1_300).contains(&mean), "records of {mean} bytes");
    }
}

#[test]
fn the_data_compresses_as_events_do() {
    let ratio = |codec| 65_536.0 / batch(65_536, codec).len() as f64;
    assert!((2.0..3.5).contains(&ratio(Codec::Lz4)), "lz4 {}", ratio(Codec::Lz4));
    assert!((2.5..6.0).contains(&ratio(Codec::Zstd)), "zstd {}", ratio(Codec::Zstd));
}

#[test]
fn random_data_does_not_compress() {
    let plain = random_batch(65_536, Codec::None).len();
    assert!((65_534..=65_536).contains(&plain), "{plain}");
    for codec in [Codec::Lz4, Codec::Zstd] {
        let bytes = random_batch(65_536, codec);
        check_produce_batch(&bytes).expect("a batch that brokers accept");
        // Record headers, of about a hundredth, may become smaller.
        let change = bytes.len().abs_diff(plain);
        assert!(change < plain / 50, "{} bytes of {plain}", bytes.len());
    }
}

#[test]
fn messages_of_a_schedule_are_counted_in_records() {
    for count in [1, 2, 64] {
        let bytes = batch_of(count, 1_024);
        let view = BatchView::parse(&bytes).expect("a batch");
        assert_eq!(view.record_count() as usize, count);
        assert!(bytes.len() > count * 900 && bytes.len() <= count * 1_024);
    }
}
