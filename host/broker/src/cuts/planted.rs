//! Each fault that is planted in the node, or between it and its disk, makes a script go red.

use dohle_log::sim::cuts::{Fault, Run, at_each_call, once_at_each_call};

use super::{
    CHANGED, COMPACTED, DELETED, EPOCHS, MANY, MANY_SEEDS, MOVED, READ_ONCE, RECORDS, REMADE,
    SEEDS, UNFLUSHED, UNFRAMED, WRITTEN,
    script::{Frames, Handles, Op, Planted, Script},
    site::Shared,
};

fn is_found(ops: &[Op], planted: Planted) -> bool {
    at_each_call(&Script { planted, ..Script::new(ops) }, fault_for(planted), &SEEDS).is_err()
}

/// What shows a fault that is planted.
fn fault_for(planted: Planted) -> Fault {
    match planted {
        Planted::FailTogether | Planted::SyncAgain(_) => Fault::ChangeError,
        _ => Fault::PowerCut,
    }
}

#[test]
fn planted_faults_are_found() {
    for (planted, ops) in [
        (Planted::NoSyncOf("dohle.wal"), RECORDS),
        (Planted::NoSyncOf(".log"), RECORDS),
        (Planted::NoSyncOf("/a"), REMADE),
        (Planted::AckEarly, RECORDS),
        (Planted::DeleteEarly, DELETED),
        (Planted::CleanStopStays, RECORDS),
        (Planted::NoSyncOf("/b"), MOVED),
        (Planted::FailTogether, MOVED),
        (Planted::SyncAgain("dohle.wal"), COMPACTED),
    ] {
        assert!(is_found(ops, planted), "{planted:?}");
    }
}

/// Volumes are synced in pairs: before files are put in place, and behind that. The first of them alone is not
/// missed here: until the second one the write-ahead log has what it should have made durable.
#[test]
fn planted_faults_of_volumes_are_found() {
    let (all, second) = ((1, 1), (2, 2));
    let skipped = |(first, step)| Planted::NoVolumeSync { first, step };
    for (planted, ops, handles) in [
        (skipped(all), MANY, Handles::Enough),
        (skipped(second), MANY, Handles::Enough),
        (skipped(all), RECORDS, Handles::Few),
        (skipped(second), RECORDS, Handles::Few),
        (Planted::SyncAgain("/*"), RECORDS, Handles::Few),
    ] {
        let script = Script { planted, handles, ..Script::new(ops) };
        let swept = once_at_each_call(&script, fault_for(planted), &MANY_SEEDS);
        assert!(swept.is_err(), "{planted:?}, {handles:?}");
    }
}

/// What no frame has is made durable by a sync of its segments, or of the volume where there is no handle for what lies
/// beside them; and nobody is told that a sync has done it that failed once.
#[test]
fn planted_faults_of_segments_that_no_frame_has_are_found() {
    let no_volume = Planted::NoVolumeSync { first: 1, step: 1 };
    for (planted, ops, fault) in [
        (Planted::NoSyncOf(".log"), UNFRAMED, Fault::PowerCut),
        (no_volume, READ_ONCE, Fault::NoHandle),
        (Planted::SyncAgain(".log"), READ_ONCE, Fault::ChangeError),
    ] {
        let swept = at_each_call(&Script { planted, ..Script::new(ops) }, fault, &SEEDS);
        assert!(swept.is_err(), "{planted:?}, {fault:?}");
    }
}

/// What is in segments alone is made durable by their sync: nothing else has it where frames have no room, or where
/// a topic was not durable before.
#[test]
fn planted_faults_of_what_frames_do_not_have_are_found() {
    for (planted, ops, frames) in [
        (Planted::NoSyncOf(".log"), UNFLUSHED, Frames::Few),
        (Planted::NoSyncOf(".log"), CHANGED, Frames::Enough),
        (Planted::NoSyncOf("leader-epoch-checkpoint.tmp"), EPOCHS, Frames::Enough),
    ] {
        let script = Script { planted, frames, ..Script::new(ops) };
        let swept = once_at_each_call(&script, Fault::PowerCut, &MANY_SEEDS);
        assert!(swept.is_err(), "{planted:?}");
    }
}

/// A process that ends leaves to the next one what it has acknowledged, also where that is on no disk.
#[test]
fn a_planted_loss_at_the_end_of_a_process_is_found() {
    for (planted, is_found) in [(Planted::Nothing, false), (Planted::KillLosesCache, true)] {
        let script = Script { planted, ..Script::new(WRITTEN) };
        let (disk, mut told) = (script.disk(), Shared::default());
        script.run(&disk, &mut told).unwrap();
        assert_eq!(script.check(&disk, &told).is_err(), is_found, "{planted:?}");
    }
}
