//! Bytes from someone who means harm, for every schema in every version: cut off at each length,
//! with flipped bytes, with huge lengths, and pure noise. Decoding must end with a message or an
//! error, never with a panic, and what decodes must encode.

use bytes::Bytes;
use dohle_base::Rng;
use dohle_protocol::random::{Codec, codecs};

/// Calls `check` for every schema and version with the bytes of a few random messages.
fn each(seed: u64, messages: usize, mut check: impl FnMut(&mut Rng, &Codec, i16, Bytes)) {
    let mut rng = Rng::from_seed(seed);
    for codec in codecs() {
        for version in codec.schema.versions.first..=codec.schema.versions.last {
            for _ in 0..messages {
                let bytes = codec.encode_random(&mut rng, version).expect("encodes");
                check(&mut rng, codec, version, bytes);
            }
        }
    }
}

#[test]
fn messages_cut_off_anywhere_are_refused() {
    each(1, 2, |_, codec, version, bytes| {
        for end in 0..bytes.len() {
            let decoded = codec.reencode(bytes.slice(..end), version);
            assert!(decoded.is_err(), "{} {version}: {end} of {bytes:x?}", codec.schema.name);
        }
    });
}

#[test]
fn bytes_behind_a_message_are_refused() {
    each(2, 1, |_, codec, version, bytes| {
        let longer = [&bytes[..], &[0]].concat();
        assert!(codec.reencode(longer.into(), version).is_err(), "{} {version}", codec.schema.name);
    });
}

#[test]
fn damaged_messages_end_in_an_error_or_in_a_message() {
    each(3, 3, |rng, codec, version, bytes| {
        for _ in 0..20 {
            let mut damaged = bytes.to_vec();
            for _ in 0..=rng.below(2) {
                damage(rng, &mut damaged);
            }
            // A version may lack what a damaged one says, but then nothing was decoded wrongly.
            if let Ok(again) = codec.reencode(damaged.into(), version) {
                let again = again.expect("what was decoded in a version can be encoded in it");
                let twice = codec.reencode(again.clone(), version);
                assert_eq!(twice, Ok(Ok(again)), "{} {version}", codec.schema.name);
            }
        }
    });
}

fn damage(rng: &mut Rng, bytes: &mut [u8]) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.below(bytes.len() as u64) as usize;
    match rng.below(4) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.next_u64() as u8,
        // A huge length, wherever one is read here.
        2 => bytes[at..].iter_mut().take(4).for_each(|byte| *byte = 0x7f),
        _ => bytes[at..].iter_mut().take(5).for_each(|byte| *byte = 0xff),
    }
}

#[test]
fn noise_ends_in_an_error_or_in_a_message() {
    each(4, 20, |rng, codec, version, _| {
        let mut noise = vec![0; rng.below(200) as usize];
        rng.fill(&mut noise);
        if let Ok(again) = codec.reencode(noise.into(), version) {
            again.expect("what was decoded in a version can be encoded in it");
        }
    });
}
