//! What happens to a log while it is cleaned makes the clean void, never the log wrong.

use dohle_base::{LeaderEpoch, Offset};
use dohle_log::{CleanError, Disk, Log, LogConfig, LogError, Origin, sim::SimDisk};

use super::kit::*;
use crate::kit::*;

/// All of a log's segments fit one.
fn config() -> LogConfig {
    LogConfig { segment_bytes_max: 4_000, ..compacted() }
}

/// Six segments of one record each, and an open one.
fn filled() -> (SimDisk, Log<SimDisk>) {
    let (disk, mut log) = empty(config());
    for index in 0..6 {
        put(&mut log, &[(["a", "b"][index % 2], Some("1"))]);
        roll(&mut log);
    }
    put(&mut log, &[("c", Some("1"))]);
    log.flush().unwrap();
    (disk, log)
}

/// Cleans with something happening before the first replacement is swapped in. Says whether it was.
fn clean_while(log: &mut Log<SimDisk>, meanwhile: impl FnOnce(&mut Log<SimDisk>)) -> bool {
    let plan = log.begin_clean(log.log_end_offset(), Offset(i64::MAX), NOW).unwrap().unwrap();
    let mut cleaning = plan.index(MEMORY, &mut |_| true).unwrap();
    let replacement = cleaning.next(&mut |_| true).unwrap().unwrap();
    meanwhile(log);
    let taken = log.swap_in(replacement, NOW).unwrap();
    if taken {
        assert!(cleaning.next(&mut |_| true).unwrap().is_none());
        log.finish_clean(cleaning.finish());
    }
    taken
}

fn left_over(disk: &SimDisk) -> Vec<String> {
    let names = disk.list(DIR.as_ref()).unwrap().into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(".cleaned") || name.ends_with(".swap")).collect()
}

#[test]
fn appends_and_rolls_do_not_matter() {
    let (disk, mut log) = filled();
    let taken = clean_while(&mut log, |log| {
        put(log, &[("a", Some("2"))]);
        roll(log);
        put(log, &[("a", Some("3"))]);
    });
    assert!(taken);
    assert_eq!(offsets(&mut log), [4, 5, 6, 7, 8]);
    assert_eq!(log.cleaned_to(), Offset(6));
    assert_eq!(left_over(&disk), Vec::<String>::new());
}

#[test]
fn a_truncation_makes_it_void() {
    for to in 0..7 {
        let (disk, mut log) = filled();
        let taken = clean_while(&mut log, |log| {
            log.truncate_to(Offset(to), NOW).unwrap();
        });
        assert!(!taken, "{to}");
        assert_eq!(offsets(&mut log), (0..to).collect::<Vec<_>>());
        assert_eq!((left_over(&disk), log.cleaned_to()), (vec![], Offset(0)), "{to}");
    }
}

#[test]
fn a_log_that_is_not_compacted_any_more_keeps_all() {
    let (disk, mut log) = filled();
    let plain = LogConfig { compacted: false, ..config() };
    assert!(!clean_while(&mut log, |log| log.set_config(plain)));
    assert_eq!(offsets(&mut log), (0..7).collect::<Vec<_>>());
    assert_eq!((left_over(&disk), log.cleaned_to()), (vec![], Offset(0)));
    // Nor does another clean begin, for who has seen that it was due before.
    let end = log.log_end_offset();
    assert!(log.begin_clean(end, Offset(i64::MAX), NOW).unwrap().is_none());
}

#[test]
fn segments_of_the_same_names_are_not_the_same_segments() {
    let (_disk, mut log) = filled();
    let taken = clean_while(&mut log, |log| {
        log.truncate_fully_and_start_at(Offset(0), NOW).unwrap();
        for index in 0..6 {
            let (key, value) = (format!("{index}"), Some("1"));
            put(log, &[(&key, value)]);
            roll(log);
        }
    });
    assert!(!taken);
    assert_eq!(offsets(&mut log), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn segments_that_were_deleted_do_not_come_back() {
    let (disk, mut log) = filled();
    let taken = clean_while(&mut log, |log| {
        log.advance_log_start(Offset(3)).unwrap();
        log.remove_old_segments(NOW).unwrap();
    });
    assert!(!taken);
    assert_eq!((log.first_base_offset(), offsets(&mut log)), (Offset(3), vec![3, 4, 5, 6]));
    assert_eq!(left_over(&disk), Vec::<String>::new());
    // The next clean begins where the log does.
    clean(&mut log, NOW).unwrap();
    assert_eq!(offsets(&mut log), [4, 5, 6]);
}

#[test]
fn a_start_that_moves_within_a_segment_stays() {
    let (_disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    roll(&mut log);
    put(&mut log, &[("c", Some("2"))]);
    roll(&mut log);
    log.flush().unwrap();
    let taken = clean_while(&mut log, |log| log.advance_log_start(Offset(2)).unwrap());
    assert!(taken);
    assert_eq!(log.log_start_offset(), Offset(2));
    assert_eq!(log.cleaned_to(), Offset(4));
}

#[test]
fn readers_keep_what_they_have() {
    let (_disk, mut log) = filled();
    let range = dohle_log::ReadRange {
        from: Offset(0),
        up_to: Offset(1),
        size_max: 1_000,
        at_least_one: true,
    };
    let slice = log.read(range).unwrap().unwrap();
    let bytes = slice.read().unwrap();
    assert!(clean_while(&mut log, |_| ()));
    let unlink = log.begin_unlink(later(1_000_000)).unwrap();
    assert!(unlink.run().unwrap() >= 6);
    assert_eq!(slice.read().unwrap(), bytes);
    assert_eq!(log.read(range).unwrap().map(|slice| slice.base_offset), None);
}

#[test]
fn segments_that_go_while_they_are_read_end_the_clean() {
    let (_disk, mut log) = filled();
    let plan = log.begin_clean(Offset(7), Offset(i64::MAX), NOW).unwrap().unwrap();
    log.advance_log_start(Offset(6)).unwrap();
    log.remove_old_segments(NOW).unwrap();
    let error = plan.index(MEMORY, &mut |_| true).unwrap_err();
    let CleanError::Log(LogError::Io(error)) = error else { panic!("{error}") };
    assert!(error.is_not_found());
}

#[test]
fn a_clean_stops_when_it_is_told_to_and_leaves_nothing() {
    let (disk, log) = filled();
    for stop_at in 0.. {
        let disk = disk.fork();
        let mut log_again = open(&disk, config()).unwrap();
        let mut asked = 0;
        let mut pace = |_: u64| {
            asked += 1;
            asked <= stop_at
        };
        log_again.flush().unwrap();
        let plan = log_again.begin_clean(Offset(7), Offset(i64::MAX), NOW).unwrap().unwrap();
        let stopped = match plan.index(MEMORY, &mut pace) {
            Err(error) => error,
            Ok(mut cleaning) => match cleaning.next(&mut pace) {
                Err(error) => error,
                Ok(replacement) => {
                    replacement.unwrap().discard();
                    assert_eq!(left_over(&disk), Vec::<String>::new());
                    assert_eq!(stop_at, 2, "asked at the end of each pass");
                    break;
                }
            },
        };
        assert_eq!(stopped, CleanError::Stopped);
        assert_eq!(left_over(&disk), Vec::<String>::new());
    }
    drop(log);
}

#[test]
fn a_cleaned_segment_can_be_cut_and_written_on() {
    for to in 0..=7 {
        let (_disk, mut log) = filled();
        assert!(clean_while(&mut log, |_| ()));
        let end = log.truncate_to(Offset(to), NOW).unwrap();
        assert!(end <= Offset(to));
        assert!(log.cleaned_to() <= end);
        let batch = records(1).bytes();
        let appended = log.append_as_leader(&batch, LeaderEpoch(1), Origin::Client, NOW).unwrap();
        assert_eq!(appended.base_offset, end, "{to}");
        let kept = [4, 5, 6].into_iter().filter(|offset| *offset < to).chain([end.0]);
        assert_eq!(offsets(&mut log), kept.collect::<Vec<_>>(), "{to}");
    }
}
