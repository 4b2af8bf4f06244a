//! How much memory a hostile message can cost: the allocator counts, for every schema and version.
//!
//! The bound is a multiple of what arrived, because a struct in memory is larger than at its
//! smallest on the wire. Lengths that lie must not show at all.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use dohle_base::Rng;
use dohle_protocol::random::codecs;

/// Measured: 23. An array of structs that are all defaults is the worst.
const BYTES_PER_WIRE_BYTE: usize = 64;
/// For what does not depend on the message, such as the first bytes of the encoder's buffer.
const BYTES_ANYHOW: usize = 4_096;

struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn grown(size: usize) {
    let live = LIVE.get() + size;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().saturating_sub(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that `work` held at once, beyond what was held before.
fn peak(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    PEAK.get() - before
}

#[test]
fn lying_lengths_cost_no_more_than_their_bytes() {
    let mut rng = Rng::from_seed(5);
    let mut worst = 0;
    for codec in codecs() {
        for version in codec.schema.versions.first..=codec.schema.versions.last {
            for _ in 0..60 {
                let message = codec.encode_random(&mut rng, version).expect("encodes");
                let mut bytes = message.to_vec();
                lie(&mut rng, &mut bytes);
                let length = bytes.len();
                let bytes = bytes.into();
                let used = peak(|| drop(codec.reencode(bytes, version)));
                let name = codec.schema.name;
                assert!(
                    used <= BYTES_ANYHOW + BYTES_PER_WIRE_BYTE * length,
                    "{name} {version}: {used} bytes for {length}"
                );
                worst = worst.max(used / length.max(1));
            }
        }
    }
    assert!(worst > 0, "the allocator counts nothing");
}

/// Puts a large count, in one of its forms, somewhere.
fn lie(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len() as u64 + 1) as usize;
    let count = [0x7fff_ffff_u32, 1_000_000, 100_000, 1_000, 100][rng.below(5) as usize];
    if rng.below(2) == 0 {
        bytes.splice(at.., count.to_be_bytes());
    } else {
        let varint = [count as u8 | 0x80, (count >> 7) as u8 | 0x80, (count >> 14) as u8 & 0x7f];
        bytes.splice(at.., varint);
    }
    // Enough bytes that smaller counts are believed: zeros and empty ones are valid in most places.
    let filler = rng.below(2) as u8;
    bytes.resize(bytes.len() + rng.below(20_000) as usize, filler);
}
