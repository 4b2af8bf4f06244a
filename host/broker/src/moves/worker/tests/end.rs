//! The last step of a move: whom it holds up, and whom not.

use std::{io, sync::MutexGuard};

use dohle_log::disk::Operation;

use super::*;

/// Longer than the other thread needs to come to where it waits, on a busy machine, too: if it was not there yet
/// the test says less, and does not fail.
const A_WHILE: Duration = Duration::from_millis(200);

/// Lets `look` have a move whose end is held up by what `hold` holds, from when on the controller has taken the
/// new directory until `look` is done.
fn held_up<T, R>(
    hold: for<'a> fn(&'a Kit) -> MutexGuard<'a, T>,
    has_come: impl Fn(&Partition) -> bool,
    look: impl FnOnce(&Kit) -> R,
) -> R {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    let is_told = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let tells = Arc::clone(&is_told);
    control(&mut kit, move |_| {
        tells.store(true, Ordering::Release);
        true
    });
    let (kit, partition) = (&kit, &kit.partitions[0]);
    write(partition);
    request(kit, partition);
    let held = hold(kit);
    thread::scope(|scope| {
        let moving = scope.spawn(move || {
            turn_until(&mut worker, || partition.directory() == Uuid(8));
        });
        let start = Instant::now();
        while !is_told.load(Ordering::Acquire) || !has_come(partition) {
            assert!(start.elapsed() < SOON, "it does not come to its end");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(A_WHILE);
        let seen = look(kit);
        drop(held);
        moving.join().unwrap();
        seen
    })
}

fn lies_in(kit: &Kit, dir: usize) -> bool {
    kit.broker.log_dirs[dir].path.join("t-0").exists()
}

/// A topic of the same name that is made in the meantime would have its directory taken away.
#[test]
fn who_deletes_a_partition_waits_until_its_old_directory_has_another_name() {
    let is_awaited = held_up(
        |kit| kit.broker.hold_random(),
        |partition| partition.directory() == Uuid(8),
        |kit| {
            assert!(lies_in(kit, 0) && lies_in(kit, 1), "it is between its renames");
            kit.partitions[0].try_cleaning().is_none()
        },
    );
    assert!(is_awaited);
}

#[test]
fn the_old_directory_is_flushed_while_the_new_one_takes_its_time() {
    let is_free = held_up(
        |kit| kit.broker.log_dirs[1].hold_checkpoints(),
        |partition| partition.try_cleaning().is_none(),
        |kit| kit.broker.log_dirs[0].write_ahead().try_alone().is_some(),
    );
    assert!(is_free);
}

/// As one that takes more than its disk writes, which is why the partition leaves it.
#[test]
fn a_move_ends_although_the_old_directory_is_flushed_all_the_time() {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| true);
    let (partition, dirs) = (&kit.partitions[0], &kit.broker.log_dirs);
    write(partition);
    request(&kit, partition);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let flushes = scope.spawn(|| {
            // One is at it already whenever somebody looks.
            let mut held = dirs[0].write_ahead().alone();
            while !is_over.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(5));
                drop(held);
                held = dirs[0].write_ahead().alone();
            }
        });
        let start = Instant::now();
        while partition.directory() != Uuid(8) && start.elapsed() < SOON {
            turn(&mut worker);
        }
        is_over.store(true, Ordering::Release);
        flushes.join().unwrap();
        assert_eq!(partition.directory(), Uuid(8));
    });
}

#[test]
fn no_partition_moves_to_a_directory_that_has_failed() {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| false);
    let (partition, target) = (&kit.partitions[0], &kit.broker.log_dirs[1]);
    write(partition);
    request(&kit, partition);
    turn(&mut worker);
    let (_, (moving, copy)) = worker.copies.pop_first().unwrap();
    let gone = io::Error::other("gone");
    target.write_ahead().fail(&IoError::new(Operation::Sync, &target.path, &gone));
    let error = swap::swap(&kit.broker, &moving, copy).err().expect("it has failed");
    assert!(matches!(error, MoveError::TargetFailed), "{error}");
    assert_eq!((partition.directory(), lies_in(&kit, 1)), (Uuid(7), false));
}
