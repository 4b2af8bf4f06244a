//! What a node does to its log directories, cut after each of its calls to the disk: the power goes off, or the disk
//! fails or is full for that call, and the next start has all that was told.
//!
//! The node is the real one, from the publisher to the write-ahead log, on a simulated disk (`site`); only its
//! threads are not there, so that each thing is done when a script says so (`script`). What it tells clients is
//! noted (`told`), and each fault that is planted is found (`planted`). What the node does about names that it cannot give
//! before its next start is looked at by itself (`in_the_way`), and so are failures that it must hear of though another
//! error, or that nobody had the file open, hides them (`hidden`).
//!
//! Not here: the metadata's own log, which is committed elsewhere (`controller`), and a log by itself (core/log).

mod hidden;
mod in_the_way;
mod planted;
mod script;
mod site;
mod told;

use dohle_log::sim::cuts::{Fault, Run, at_each_call, once_at_each_call};

use script::{Frames, Handles, Op::*, Script};

const SEEDS: [u64; 4] = [0, 1, 2, 3];
/// For long scripts, of which each call has one.
const MANY_SEEDS: [u64; 7] = [0, 1, 2, 3, 4, 5, 6];

/// Records come, are flushed, and processes end this way and that.
const RECORDS: &[script::Op] = &[
    Create("t"),
    Append("t", 2),
    Flush,
    Append("t", 1),
    Create("u"),
    Append("u", 2),
    Kill,
    Append("t", 2),
    Restart,
    Append("t", 1),
    Flush,
];

/// Topics go and come again, with and without something of them having become durable.
const REMADE: &[script::Op] = &[
    Create("t"),
    Append("t", 3),
    Remake("t"),
    Append("t", 1),
    Flush,
    Append("t", 3),
    DeleteRecords("t", 2),
    Remake("t"),
    Append("t", 2),
    DeleteRecords("t", 1),
    Kill,
    Delete("t"),
    Create("t"),
    Append("t", 1),
    Remove,
];

/// Records are deleted, by clients and because they are old.
const DELETED: &[script::Op] = &[
    CreateShort("t"),
    Append("t", 4),
    DeleteRecords("t", 1),
    Flush,
    DeleteRecords("t", 2),
    Append("t", 4),
    Expire,
    Append("t", 1),
    Remove,
    Kill,
    DeleteRecords("t", 9),
    Restart,
    Append("t", 2),
];

/// A log is compacted, and made again.
const COMPACTED: &[script::Op] = &[
    CreateCompacted("t"),
    Append("t", 5),
    Clean("t"),
    Append("t", 3),
    Kill,
    Clean("t"),
    Remove,
    Remake("t"),
    Append("t", 2),
];

/// A partition moves there and back.
const MOVED: &[script::Op] = &[
    Create("t"),
    Append("t", 3),
    DeleteRecords("t", 1),
    Move("t"),
    Append("t", 1),
    Flush,
    Remove,
    Move("t"),
    Append("t", 1),
    Remake("t"),
    Append("t", 1),
];

/// A topic is deleted right behind a move of its partition, and comes again in the directory that it has left.
const MOVED_AND_REMADE: &[script::Op] = &[
    Create("t"),
    Append("t", 3),
    Flush,
    Move("t"),
    Remake("t"),
    Append("t", 2),
    DeleteRecords("t", 1),
    Kill,
];

/// A process ends before it has made durable what it has written, and what the next one finds of that is read: it has
/// to stay although no frame has it.
const UNFRAMED: &[script::Op] = &[
    Create("t"),
    Append("t", 1),
    Send("t", 2),
    Kill,
    Read("t"),
    Append("t", 1),
    Send("t", 1),
    Kill,
    Read("t"),
    Append("t", 1),
];

/// The same, and nothing comes behind it.
const READ_ONCE: &[script::Op] = &[Create("t"), Append("t", 1), Send("t", 2), Kill, Read("t")];

/// Nobody leads a partition at a start, and then this node does: it is opened where it lies, with what frames have of
/// it and with what they have not.
const UNLED: &[script::Op] = &[
    Create("t"),
    Append("t", 2),
    Send("t", 1),
    Unlead("t"),
    Kill,
    Flush,
    Lead("t"),
    Read("t"),
    Append("t", 1),
    Flush,
    Append("t", 1),
    Unlead("t"),
    Restart,
    Lead("t"),
    Append("t", 1),
];

/// A start after a clean stop, and nothing is flushed before the power goes off: of what fills several sectors any may
/// be there then.
const STARTED: &[script::Op] = &[Create("t"), Append("t", 2), Restart, Append("t", 20)];

/// The longest name that a topic may have: what is deleted has the beginning of it alone.
const LONG: &str = match std::str::from_utf8(&[b'x'; 249]) {
    Ok(name) => name,
    Err(_) => unreachable!(),
};

/// Such a topic goes and comes again.
const LONG_NAMED: &[script::Op] = &[
    Create(LONG),
    Append(LONG, 3),
    Flush,
    Remake(LONG),
    Append(LONG, 1),
    Flush,
    DeleteRecords(LONG, 1),
    Kill,
    Remake(LONG),
    Append(LONG, 1),
    Remove,
    Restart,
    Append(LONG, 1),
];

/// A topic is made again before anything of it is durable but its records, in the write-ahead log.
const REMADE_EARLY: &[script::Op] =
    &[Create("t"), Append("t", 2), Remake("t"), Append("t", 1), Remake("t"), Append("t", 1)];

/// So many topics that they are flushed, closed and made durable at a start with their volume, not one by one.
const MANY: &[script::Op] =
    &[CreateMany, AppendMany(1), Flush, AppendMany(1), Restart, AppendMany(1), Kill, AppendMany(1)];

/// A partition is led in one leader epoch after the other, which a flush writes down.
const EPOCHS: &[script::Op] = &[
    Create("t"),
    Append("t", 2),
    Lead("t"),
    Append("t", 1),
    Lead("t"),
    Flush,
    Append("t", 1),
    Lead("t"),
    Append("t", 1),
    Kill,
    Lead("t"),
    Append("t", 1),
];

/// The same of a log that is compacted, where what was cleaned looks like what was lost.
const COMPACTED_EPOCHS: &[script::Op] = &[
    CreateCompacted("t"),
    Append("t", 4),
    Lead("t"),
    Append("t", 3),
    Clean("t"),
    Lead("t"),
    Append("t", 2),
    Kill,
    Clean("t"),
    Append("t", 1),
];

/// A topic is acknowledged when it is written, beside one that is durable.
const WRITTEN: &[script::Op] = &[
    CreateOs("o"),
    Create("t"),
    Append("o", 2),
    Append("t", 1),
    Kill,
    Append("o", 1),
    Append("t", 1),
    Flush,
    AppendLarge("o"),
    Append("o", 1),
    DeleteRecords("o", 1),
    Flush,
    AppendLarge("o"),
    Append("o", 1),
    Append("t", 1),
    Move("o"),
    Append("o", 1),
];

/// Such a topic moves: what its copy has of it, it may lose itself.
const WRITTEN_MOVED: &[script::Op] =
    &[CreateOs("t"), Lead("t"), Append("t", 1), Flush, Append("t", 2), Move("t"), Append("t", 1)];

/// The same of one that has become durable since.
const CHANGED_MOVED: &[script::Op] = &[
    CreateOs("t"),
    Lead("t"),
    Append("t", 1),
    Flush,
    Append("t", 2),
    Durability("t", "disk"),
    Move("t"),
    Append("t", 1),
];

/// A topic becomes durable, and is so no more, while it is written.
const CHANGED: &[script::Op] = &[
    CreateOs("t"),
    Append("t", 2),
    Durability("t", "disk"),
    Append("t", 1),
    Durability("t", "os"),
    Append("t", 1),
    Kill,
    Durability("t", "disk"),
    Append("t", 1),
    Flush,
    Durability("t", "os"),
    Append("t", 1),
];

/// Frames take a little and no more, and nothing is flushed: segments are synced.
const UNFLUSHED: &[script::Op] = &[
    Create("t"),
    Create("u"),
    Append("t", 1),
    AppendLarge("t"),
    Append("t", 1),
    Append("u", 2),
    AppendLarge("u"),
    Append("t", 2),
];

/// The same with flushes, so that the file goes round, and processes that end.
const ROUND: &[script::Op] = &[
    Create("t"),
    Create("u"),
    Append("t", 3),
    Append("u", 2),
    Flush,
    Append("t", 2),
    AppendLarge("u"),
    Kill,
    Append("u", 1),
    Append("t", 2),
];

/// Each call of a script once, with each of these faults.
fn bears_once(script: &Script, faults: &[Fault]) {
    for &fault in faults {
        let calls = once_at_each_call(script, fault, &MANY_SEEDS);
        assert!(calls.unwrap_or_else(|broken| panic!("{broken}")) > 50, "it does hardly anything");
    }
}

/// Each call of a script, with this fault.
fn bears(ops: &[script::Op], fault: Fault) {
    bears_with(ops, fault, &SEEDS);
}

/// The same, with what these seeds keep of what was not synced.
fn bears_with(ops: &[script::Op], fault: Fault, seeds: &[u64]) {
    let calls = at_each_call(&Script::new(ops), fault, seeds);
    let calls = calls.unwrap_or_else(|broken| panic!("{broken}"));
    let calls_min = if fault == Fault::ReadError { 5 } else { 50 };
    assert!(calls > calls_min, "it does hardly anything: {calls} calls");
}

/// Where volumes are synced, each call once, with what one seed keeps: of the many partitions each does the same.
fn bears_with_volumes(script: &Script, fault: Fault) {
    let whole = script.disk();
    script.run(&whole, &mut <Script as Run>::Told::default()).unwrap();
    assert!(whole.syncs_of_volumes() >= 4, "volumes are not synced");
    once_at_each_call(script, fault, &MANY_SEEDS).unwrap_or_else(|broken| panic!("{broken}"));
}

/// Each file that is opened in a script cannot be, in turn.
fn bears_without_a_handle(script: &Script) {
    let opens = at_each_call(script, Fault::NoHandle, &SEEDS);
    let opens = opens.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(opens > 20, "it opens hardly anything: {opens} files");
}

#[test]
fn acknowledged_records_survive_power_cuts() {
    bears(RECORDS, Fault::PowerCut);
}

#[test]
fn topics_that_are_made_again_have_nothing_of_the_former_after_power_cuts() {
    bears(REMADE, Fault::PowerCut);
}

/// Whose a directory is may be lost, and what is in it not.
#[test]
fn records_are_those_of_the_topic_that_they_were_sent_to_whatever_is_left() {
    bears_with(REMADE_EARLY, Fault::PowerCut, &(0..20).collect::<Vec<_>>());
}

#[test]
fn deleted_records_stay_deleted_after_power_cuts() {
    bears(DELETED, Fault::PowerCut);
}

#[test]
fn compacted_logs_survive_power_cuts() {
    bears(COMPACTED, Fault::PowerCut);
}

#[test]
fn moves_survive_power_cuts() {
    [MOVED, MOVED_AND_REMADE].into_iter().for_each(|ops| bears(ops, Fault::PowerCut));
}

#[test]
fn topics_with_the_longest_names_are_told_from_the_former() {
    bears(LONG_NAMED, Fault::PowerCut);
    bears(LONG_NAMED, Fault::ChangeError);
}

/// What is read once is there for good, also where no frame has it.
#[test]
fn what_was_never_made_durable_and_is_read_after_a_crash_stays() {
    [Fault::PowerCut, Fault::ChangeError, Fault::ChangeFull, Fault::ReadError]
        .into_iter()
        .for_each(|fault| bears(UNFRAMED, fault));
    // Another start makes up for what the one before has left out.
    [UNFRAMED, READ_ONCE].into_iter().for_each(|ops| bears_without_a_handle(&Script::new(ops)));
}

/// The same of logs whose files are closed.
#[test]
fn what_is_read_after_a_crash_stays_with_few_handles() {
    let script = Script { handles: Handles::Few, ..Script::new(UNFRAMED) };
    for fault in [Fault::PowerCut, Fault::ChangeError, Fault::ChangeFull, Fault::ReadError] {
        at_each_call(&script, fault, &SEEDS).unwrap_or_else(|broken| panic!("{broken}"));
    }
    bears_without_a_handle(&script);
}

#[test]
fn partitions_that_nobody_leads_for_a_while_lose_nothing() {
    let script = Script::new(UNLED);
    for fault in [Fault::PowerCut, Fault::ChangeError, Fault::ChangeFull, Fault::ReadError] {
        let calls = once_at_each_call(&script, fault, &MANY_SEEDS);
        assert!(calls.unwrap_or_else(|broken| panic!("{broken}")) > 5, "it does hardly anything");
    }
}

/// Nothing is acknowledged that a start would keep offline for another process's.
#[test]
fn what_is_appended_behind_a_start_is_known_to_be_ours() {
    let seeds: Vec<_> = (0..8).collect();
    bears_with(STARTED, Fault::ChangeFull, &seeds);
    bears_with(STARTED, Fault::PowerCut, &seeds);
}

#[test]
fn a_disk_that_is_full_for_a_moment_loses_nothing() {
    [RECORDS, REMADE, DELETED, COMPACTED, MOVED, MOVED_AND_REMADE]
        .into_iter()
        .for_each(|ops| bears(ops, Fault::ChangeFull));
}

#[test]
fn what_was_told_before_a_disk_failed_is_there_after_it() {
    [RECORDS, REMADE, DELETED, COMPACTED]
        .into_iter()
        .for_each(|ops| bears(ops, Fault::ChangeError));
}

/// Whichever of the two disks it is: what lies on the other one is served all the while.
#[test]
fn moves_survive_a_disk_that_fails() {
    [MOVED, MOVED_AND_REMADE].into_iter().for_each(|ops| bears(ops, Fault::ChangeError));
}

#[test]
fn a_read_that_fails_loses_nothing() {
    [RECORDS, REMADE, DELETED, COMPACTED, MOVED]
        .into_iter()
        .for_each(|ops| bears(ops, Fault::ReadError));
}

/// At a flush, at a clean stop, and at the start behind a crash.
#[test]
fn many_partitions_survive_power_cuts() {
    bears_with_volumes(&Script::new(MANY), Fault::PowerCut);
}

#[test]
fn many_partitions_survive_a_disk_that_fails() {
    bears_with_volumes(&Script::new(MANY), Fault::ChangeError);
}

#[test]
fn many_partitions_survive_a_disk_that_is_full_for_a_moment() {
    bears_with_volumes(&Script::new(MANY), Fault::ChangeFull);
}

/// Of a file that was closed before it was flushed only its volume can tell that it is on the disk.
#[test]
fn logs_that_are_closed_unflushed_survive_all_of_that() {
    let script = Script { handles: Handles::Few, ..Script::new(RECORDS) };
    [Fault::PowerCut, Fault::ChangeError, Fault::ChangeFull, Fault::ReadError]
        .into_iter()
        .for_each(|fault| bears_with_volumes(&script, fault));
}

/// All of its segments but the newest ones are closed before anything of it is flushed.
#[test]
fn a_copy_of_many_segments_is_made_durable_with_its_volume() {
    let syncs = |ops: &[script::Op]| {
        let script = Script::new(ops);
        let disk = script.disk();
        script.run(&disk, &mut <Script as Run>::Told::default()).unwrap();
        disk.syncs_of_volumes()
    };
    let moved = [CreateShort("t"), Append("t", 8), Flush, Move("t")];
    assert_eq!(syncs(&moved), syncs(&moved[..3]) + 1);
}

/// Records are told to be of the epochs in which they were sent.
#[test]
fn leader_epochs_that_rise_between_appends_lose_nothing() {
    bears_once(&Script::new(EPOCHS), &[Fault::PowerCut, Fault::ChangeFull]);
    bears_once(&Script::new(COMPACTED_EPOCHS), &[Fault::PowerCut]);
}

/// All of it survives the end of a process, and the beginning of it a power cut; the other topic is not touched.
#[test]
fn what_is_acknowledged_when_it_is_written_keeps_its_beginning() {
    bears_once(&Script::new(WRITTEN), &[Fault::PowerCut, Fault::ChangeError]);
}

/// What it has taken since is not given up for what a copy has of before.
#[test]
fn a_copy_does_not_bring_back_what_a_power_cut_took() {
    bears_once(&Script::new(WRITTEN_MOVED), &[Fault::PowerCut]);
    bears_once(&Script::new(CHANGED_MOVED), &[Fault::PowerCut]);
}

/// What was acknowledged as durable is so with all that came before.
#[test]
fn a_topic_that_becomes_durable_while_it_is_written_is_so() {
    bears_once(&Script::new(CHANGED), &[Fault::PowerCut, Fault::ChangeFull]);
}

#[test]
fn what_finds_no_room_in_frames_survives() {
    for ops in [UNFLUSHED, ROUND] {
        let script = Script { frames: Frames::Few, ..Script::new(ops) };
        bears_once(&script, &[Fault::PowerCut, Fault::ChangeError]);
    }
}
