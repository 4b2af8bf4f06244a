//! How much memory a survey of a batch takes, however large its records become: the allocator counts.
//! What libzstd allocates by itself is not seen here; its window has a bound of its own.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use dohle_records::{BatchBuilder, BatchSpec, BatchView, Codec, NewRecord};

/// A piece, and a block of LZ4 or Snappy with what it looks back in. Measured: 0.2 MiB.
const SURVEY_SIZE_MAX: usize = 1 << 20;

struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.get() + layout.size();
        LIVE.set(live);
        PEAK.set(PEAK.get().max(live));
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

#[test]
fn a_survey_needs_no_room_for_the_records() {
    let value = vec![0; 64 << 20];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let spec = BatchSpec { compression: codec.into(), ..BatchSpec::default() };
        let mut builder = BatchBuilder::new(spec);
        builder.append(&NewRecord { value: Some(&value), ..NewRecord::default() }).unwrap();
        let bytes = builder.finish();
        let batch = BatchView::parse(&bytes).unwrap();
        let before = LIVE.get();
        PEAK.set(before);
        let summary = batch.survey(usize::MAX).unwrap();
        let peak = PEAK.get() - before;
        assert!(summary.size > value.len());
        assert!(peak < SURVEY_SIZE_MAX, "{codec}: {peak} bytes");
    }
}
