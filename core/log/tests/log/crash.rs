//! Whatever call the power is cut behind, or fails, the log that is opened next has all that was
//! flushed, and nothing that was not appended.
//!
//! Method: scripts of everything that is done to a log are repeated and cut at each of their disk
//! calls in turn (`dohle_log::sim::cuts`), with several seeds about what the disk keeps; what is
//! left is held against what the player of the script was told (`told`).

use dohle_log::{
    Log, LogError, OnDamage,
    sim::{
        Faults, SimDisk,
        cuts::{Fault, Run, at_each_call},
    },
};

use crate::{
    kit::*,
    script::{Op, Player, Script, start},
    told::Told,
};

/// How many random scripts: seconds.
const SCRIPTS: u64 = 6;

/// A script on the simulated disk.
struct OnSimDisk(Script);

impl Run for OnSimDisk {
    type Told = Told;

    fn disk(&self) -> SimDisk {
        disk()
    }

    fn run(&self, disk: &SimDisk, told: &mut Told) -> Result<(), String> {
        self.0.play(disk, told).map_err(|error| error.to_string())
    }

    fn restart(&self, disk: &SimDisk, _told: &Self::Told) {
        // Whether it opens is for `check` to say.
        let _ = start(disk, OnDamage::Refuse);
    }

    fn check(&self, disk: &SimDisk, told: &Told) -> Result<(), String> {
        told.check(disk)
    }
}

/// What no random script may leave out.
fn everything() -> Script {
    use Op::*;
    let filled = [Append(2), Append(3), Produce(2), Append(4), Transact(2), Append(1), Append(3)];
    let more = [
        vec![Flush, Checkpoint],
        filled.to_vec(),
        vec![End { committed: false }, Roll, BeginEpoch, Replicate(2), FlushBehind, Truncate(9)],
        filled.to_vec(),
        vec![Kill, Append(2), Flush, Checkpoint, Retain(10), Append(1), Reopen, Append(2)],
        vec![Append(4), Append(4), Append(4), Flush, Expire, Append(1)],
        vec![StartAnew, Append(3), Flush, Produce(2), Kill, Produce(1)],
    ];
    Script([filled.to_vec(), more.concat()].concat())
}

#[test]
fn a_power_cut_after_any_call_loses_nothing_that_was_flushed() {
    let run = OnSimDisk(everything());
    let calls = at_each_call(&run, Fault::PowerCut, &[0, 1, 2, 3, 4, 5]);
    let calls = calls.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(calls > 150, "{calls}");
}

#[test]
fn nor_does_one_in_a_random_script() {
    for seed in 0..SCRIPTS {
        let script = Script::random(seed);
        let run = OnSimDisk(script.clone());
        at_each_call(&run, Fault::PowerCut, &[seed % 2, 2 + seed, 100 + seed])
            .unwrap_or_else(|broken| panic!("script {seed}: {broken}\n{script:?}"));
    }
}

#[test]
fn an_error_at_any_call_loses_nothing_that_was_flushed() {
    for (seed, script) in
        [everything(), Script::random(100), Script::random(101)].iter().enumerate()
    {
        let run = OnSimDisk(script.clone());
        for fault in [Fault::ChangeError, Fault::ReadError] {
            at_each_call(&run, fault, &[1, 2 + seed as u64])
                .unwrap_or_else(|broken| panic!("{broken}\n{script:?}"));
        }
    }
}

/// Once there is room again, a log goes on where it was, or where it is opened again if it says so.
#[test]
fn a_disk_that_is_full_anywhere_loses_nothing_and_goes_on_when_there_is_room() {
    let (script, mut times_full) = (everything(), 0);
    for bytes_free in (0..6_000).step_by(37) {
        let (disk, mut told) = (disk(), Told::default());
        let full = Faults { bytes_free: Some(bytes_free), ..Faults::default() };
        disk.set_faults(full);
        let context = |error: LogError| panic!("{error} with {bytes_free} bytes");
        let log = start(&disk, OnDamage::Refuse).unwrap_or_else(|error| {
            times_full += u32::from(is_full(&error));
            disk.set_faults(Faults::default());
            start(&disk, OnDamage::Refuse).unwrap_or_else(context)
        });
        let mut player = Player { disk: &disk, log: Some(log), told: &mut told };
        for op in &script.0 {
            let Err(error) = player.play(*op) else { continue };
            assert!(is_full(&error), "{error} with {bytes_free} bytes in {op:?}");
            times_full += 1;
            disk.set_faults(Faults::default());
            go_on(&mut player, &disk);
        }
        disk.restart(1);
        told.check(&disk).unwrap_or_else(|complaint| panic!("{bytes_free} bytes: {complaint}"));
    }
    assert!(times_full > 50, "{times_full}");
}

fn is_full(error: &LogError) -> bool {
    matches!(error, LogError::Io(error) if error.is_full())
}

/// There is room again. What the operation left undone is found out by looking.
fn go_on(player: &mut Player<'_, SimDisk>, disk: &SimDisk) {
    if player.log.as_ref().is_none_or(Log::is_poisoned) {
        player.log = Some(start(disk, OnDamage::Refuse).unwrap());
    }
    let log = player.log.as_mut().unwrap();
    player.told.now.batches = player.told.admits(log).unwrap();
    player.told.now.start = log.log_start_offset();
    player.told.doubt = None;
}

#[test]
fn the_same_luck_leaves_the_same_disk() {
    let image = |seed| {
        let disk = disk();
        disk.set_faults(Faults { power_after: Some(70), ..Faults::default() });
        let _ = everything().play(&disk, &mut Told::default());
        disk.restart(seed);
        disk
    };
    assert_eq!(format!("{:?}", image(5)), format!("{:?}", image(5)));
    assert_ne!(format!("{:?}", image(5)), format!("{:?}", image(6)));
}
