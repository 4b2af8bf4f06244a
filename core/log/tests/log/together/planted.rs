//! The tests here find faults of who writes frames, flushes and lets frames go: each is planted in turn in
//! the one who plays the steps, and a power cut must show it.

use std::{cell::Cell, panic::catch_unwind};

use super::*;

/// What is wrong. A new kind is a variant and a row of `KINDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planted {
    /// Nothing: what all others are held against.
    Nothing,
    /// A frame is acknowledged before it is synced.
    NoSyncOfFrames,
    /// What no frame takes is acknowledged before its segments are synced.
    NoSyncOfLarge,
    /// Frames go on behind what none has, and is not synced either.
    FrameBehindHole,
    /// A recovery point is written down for what is not synced.
    NoSyncBeforeNote,
    /// Frames are let go before what they have is synced elsewhere.
    ReleaseBeforeFlush,
}

const KINDS: [Planted; 5] = [
    Planted::NoSyncOfFrames,
    Planted::NoSyncOfLarge,
    Planted::FrameBehindHole,
    Planted::NoSyncBeforeNote,
    Planted::ReleaseBeforeFlush,
];

const STEPS: &[Step] =
    &[Append, Append, Append, Flush, Append, AppendLarge, Append, Append, Flush, Append, Append];

thread_local! {
    static PLANTED: Cell<Planted> = const { Cell::new(Planted::Nothing) };
}

/// Whether this is what is wrong.
pub(super) fn is(planted: Planted) -> bool {
    PLANTED.get() == planted
}

#[test]
fn each_fault_of_the_one_who_writes_frames_is_found() {
    cut(&config(), STEPS);
    for planted in KINDS {
        PLANTED.set(planted);
        let found = catch_unwind(|| cut(&config(), STEPS));
        PLANTED.set(Planted::Nothing);
        assert!(found.is_err(), "{planted:?} was not found");
    }
}
