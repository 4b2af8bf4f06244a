//! Each fault that is planted in the node, or between it and its disk, makes a script go red.

use dohle_log::sim::cuts::{Fault, at_each_call, once_at_each_call};

use super::{
    COMPACTED, DELETED, MANY, MANY_SEEDS, MOVED, READ_ONCE, RECORDS, REMADE, SEEDS, UNFRAMED,
    script::{Handles, Op, Planted, Script},
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
