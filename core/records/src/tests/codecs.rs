//! Goal: every writer's streams are read, whatever liberties the formats leave; bombs are bounded.
//! Method: streams by other libraries, streams cut and joined, streams that claim too much.

use std::io::Write;

use super::{LIMIT, golden_batch, large_text, named, with_payload};
use crate::codec::{Era, compress, decompress};
use crate::{BadLevel, BatchError, BatchSpec, BatchView, Codec, Compression};

fn codec_of(name: &str) -> Codec {
    Codec::from_name(name.split('-').next().unwrap()).unwrap()
}

fn frames() -> Vec<(String, Vec<u8>)> {
    named(include_str!("../../testdata/frames.txt")).into_iter().collect()
}

#[test]
fn streams_of_other_writers_are_read() {
    let text = large_text();
    let frames = frames();
    assert_eq!(frames.len(), 8);
    for (name, packed) in frames {
        let plain = decompress(codec_of(&name), Era::Current, &packed, LIMIT);
        assert!(plain.as_ref() == Ok(&text), "{name}");
        let exact = decompress(codec_of(&name), Era::Current, &packed, text.len());
        assert!(exact.as_ref() == Ok(&text), "{name}: the limit is inclusive");
    }
}

#[test]
fn a_limit_holds_in_every_codec_and_framing() {
    let text = large_text();
    let mut all = frames();
    all.extend(Codec::ALL.map(|c| (c.name().to_owned(), compress(c.into(), &text))));
    for (name, packed) in all {
        for limit in [0, 1, 65_535, 65_536, 149_999] {
            let plain = decompress(codec_of(&name), Era::Current, &packed, limit);
            assert_eq!(plain, Err(BatchError::TooLarge { limit }), "{name} {limit}");
        }
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let zeroes = vec![0; 16 << 20];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch = with_payload(
            &golden_batch(BatchSpec::default(), false),
            codec,
            &compress(codec.into(), &zeroes),
        );
        let view = BatchView::parse(&batch).unwrap();
        assert!(view.size() < LIMIT, "{codec} compresses zeroes");
        assert_eq!(
            view.decompress(LIMIT).map(|_| ()),
            Err(BatchError::TooLarge { limit: LIMIT }),
            "{codec}"
        );
    }
}

#[test]
fn no_stream_stands_for_more_than_its_codec_allows() {
    let zeroes = vec![0; 16 << 20];
    for codec in Codec::ALL {
        let size = compress(codec.into(), &zeroes).len() as u64;
        assert!(size * codec.ratio_max() >= zeroes.len() as u64, "{codec}");
        // The bounds are those of the formats, not far above what their writers reach.
        assert!(codec == Codec::Zstd || size * codec.ratio_max() < 2 * (16 << 20), "{codec}");
    }
    // Zstandard's densest: a frame of blocks that are one byte repeated.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88];
    for last in [0, 0, 0, 1_u32] {
        let block = (128 << 10 << 3) | (1 << 1) | last;
        frame.extend_from_slice(&block.to_le_bytes()[..3]);
        frame.push(0);
    }
    let plain = decompress(Codec::Zstd, Era::Current, &frame, usize::MAX).unwrap();
    assert_eq!(plain.len(), 4 * (128 << 10));
    let blocks = (frame.len() - 6) as u64;
    assert_eq!(blocks * Codec::Zstd.ratio_max(), plain.len() as u64);
}

#[test]
fn a_claimed_size_is_not_believed() {
    // A bare Snappy payload of six bytes that claims 4 GiB.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let broken = Err(BatchError::BadCompression { codec: Codec::Snappy });
    assert_eq!(decompress(Codec::Snappy, Era::Current, &claim, usize::MAX), broken);
    // A Zstandard frame that claims 2^40 bytes of content, and then has one empty last block.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    frame.extend_from_slice(&(1_u64 << 40).to_le_bytes());
    frame.extend_from_slice(&[1, 0, 0]);
    let broken = Err(BatchError::BadCompression { codec: Codec::Zstd });
    assert_eq!(decompress(Codec::Zstd, Era::Current, &frame, usize::MAX), broken);
}

#[test]
fn a_frame_that_looks_back_too_far_is_refused() {
    // The window byte says 2^31 bytes; then one empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0];
    let broken = Err(BatchError::BadCompression { codec: Codec::Zstd });
    assert_eq!(decompress(Codec::Zstd, Era::Current, &frame, LIMIT), broken);
    // 2^27 is allowed.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 1, 0, 0];
    assert_eq!(decompress(Codec::Zstd, Era::Current, &frame, LIMIT), Ok(vec![]));
}

#[test]
fn a_stream_cut_anywhere_is_broken() {
    let text = &large_text()[..3000];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let packed = compress(codec.into(), text);
        for end in 1..packed.len() {
            // Behind Snappy's framing, no blocks at all are an empty payload.
            if codec == Codec::Snappy && end == 16 {
                continue;
            }
            let plain = decompress(codec, Era::Current, &packed[..end], LIMIT);
            assert_eq!(plain, Err(BatchError::BadCompression { codec }), "{codec} cut at {end}");
        }
    }
}

#[test]
fn a_changed_byte_never_panics_and_never_passes_the_limit() {
    let text = &large_text()[..3000];
    let mut all: Vec<_> = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
        .map(|codec| (codec, compress(codec.into(), text)))
        .into();
    all.extend(frames().into_iter().map(|(name, mut packed)| {
        packed.truncate(600);
        (codec_of(&name), packed)
    }));
    for (codec, packed) in all {
        for at in 0..packed.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut packed = packed.clone();
                packed[at] ^= flip;
                if let Ok(plain) = decompress(codec, Era::Current, &packed, 4000) {
                    assert!(plain.len() <= 4000);
                }
            }
        }
    }
}

#[test]
fn what_does_not_compress_is_read_back() {
    let mut rng = dohle_base::Rng::from_seed(1);
    let mut noise = vec![0; 200_000];
    rng.fill(&mut noise);
    for codec in Codec::ALL {
        for size in [0, 1, 32_768, 65_536, 65_537, 200_000] {
            let packed = compress(codec.into(), &noise[..size]);
            assert!(packed.len() < size + size / 8 + 64, "{codec} adds little");
            let plain = decompress(codec, Era::Current, &packed, LIMIT);
            assert!(plain.as_deref() == Ok(&noise[..size]), "{codec} {size}");
        }
    }
}

#[test]
fn the_checksum_of_an_lz4_head_is_right_and_only_old_ones_may_be_wrong() {
    let mut packed = compress(Codec::Lz4.into(), b"text");
    assert_eq!(packed[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    // What KAFKA-3160 wrote.
    packed[6] = 0x1a;
    let broken = Err(BatchError::BadCompression { codec: Codec::Lz4 });
    assert_eq!(decompress(Codec::Lz4, Era::Current, &packed, LIMIT), broken);
    assert_eq!(decompress(Codec::Lz4, Era::Legacy, &packed, LIMIT), Ok(b"text".to_vec()));
}

#[test]
fn gzip_members_with_names_are_read() {
    let mut encoder = flate2::GzBuilder::new()
        .filename("name")
        .comment("comment")
        .write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"text").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(decompress(Codec::Gzip, Era::Current, &packed, LIMIT), Ok(b"text".to_vec()));
}

#[test]
fn levels_are_those_of_the_configuration() {
    let refused = [
        (Codec::Gzip, 0),
        (Codec::Gzip, 10),
        (Codec::Gzip, -2),
        (Codec::Lz4, 0),
        (Codec::Lz4, 18),
        (Codec::Zstd, 23),
        (Codec::Zstd, -131_073),
    ];
    for (codec, level) in refused {
        assert_eq!(Compression::with_level(codec, level), Err(BadLevel { codec, level }));
    }
    for (codec, level) in [(Codec::Gzip, -1), (Codec::Lz4, 17), (Codec::Zstd, 22)] {
        assert_eq!(Compression::with_level(codec, level).unwrap().level(), level);
    }
    assert_eq!(Compression::with_level(Codec::Snappy, 5), Ok(Compression::new(Codec::Snappy)));
}
