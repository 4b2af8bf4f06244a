//! Each fault that is planted in the node, or between it and its disk, makes a script go red.

use dohle_log::sim::cuts::{Fault, at_each_call};

use super::{
    DELETED, MOVED, RECORDS, REMADE, SEEDS,
    script::{Op, Planted, Script},
};

fn is_found(ops: &[Op], planted: Planted) -> bool {
    let fault = match planted {
        Planted::FailTogether => Fault::ChangeError,
        _ => Fault::PowerCut,
    };
    let script = Script { planted, ..Script::new(ops) };
    at_each_call(&script, fault, &SEEDS).is_err()
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
    ] {
        assert!(is_found(ops, planted), "{planted:?}");
    }
}
