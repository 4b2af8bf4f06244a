//! Whatever is appended and however it is cleaned: the last values are the same before and after,
//! what stays is what was there, nothing is taken that `promise` keeps, nothing from the clean's end on
//! has changed, producers can go on, and to clean again changes nothing.

use std::collections::BTreeMap;

use dohle_base::{Offset, ProducerId};
use dohle_log::{CleanMemory, Log, LogConfig, OpenLog, sim::SimDisk};
use dohle_records::Codec;
use proptest::prelude::*;

use super::{
    kit::*,
    promise::{Promise, Seen},
};
use crate::kit::*;

/// What can be done to a log.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Appends a batch: keys and values or tombstones, packed, outside of transactions or by one of
    /// two idempotent producers, or in a transaction of one of three.
    Put(Vec<(u8, bool)>, u8, Writer),
    /// Ends the transaction of a producer, if one is open.
    End(i64, bool),
    Roll,
    /// Cleans, so many milliseconds later, with room for so many keys.
    Clean(i64, usize),
    /// Cuts the power.
    Crash,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Writer {
    Anybody,
    Idempotent(i64),
    Transactional(i64),
}

/// What is wrong with the one who cleans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// Tombstones go with the second clean, whatever time has passed.
    TombstoneEarly,
    /// Transactions that are open count as committed.
    PastStable,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let records = prop::collection::vec((0..6_u8, prop::bool::weighted(0.75)), 1..5);
    let writer = prop_oneof![
        2 => Just(Writer::Anybody),
        1 => (1..3_i64).prop_map(Writer::Idempotent),
        2 => (5..8_i64).prop_map(Writer::Transactional),
    ];
    prop_oneof![
        12 => (records, 0..5_u8, writer).prop_map(|(r, codec, w)| Step::Put(r, codec, w)),
        4 => (5..8_i64, any::<bool>()).prop_map(|(id, committed)| Step::End(id, committed)),
        3 => Just(Step::Roll),
        3 => (0..2 * RETENTION, prop_oneof![Just(1_000_usize), 4..9_usize])
            .prop_map(|(ms, keys)| Step::Clean(ms, keys)),
        1 => Just(Step::Crash),
    ]
}

pub(crate) struct World {
    planted: Planted,
    promise: Promise,
    disk: SimDisk,
    log: Log<SimDisk>,
    now: i64,
    value: usize,
}

fn config() -> LogConfig {
    LogConfig { producer_expiration_ms: i64::MAX, ..compacted() }
}

impl World {
    pub(crate) fn new(planted: Planted) -> Self {
        let (disk, log) = empty(config());
        Self { planted, promise: Promise::default(), disk, log, now: 0, value: 0 }
    }

    /// Plays the steps, as far as cleans keep their promise.
    pub(crate) fn play(&mut self, steps: Vec<Step>) -> Result<(), String> {
        for step in steps {
            match step {
                Step::Put(records, codec, writer) => self.put(&records, codec, writer),
                Step::End(id, committed) => self.end(id, committed),
                Step::Roll => roll(&mut self.log),
                Step::Clean(ms, keys) => self.clean(ms, keys)?,
                Step::Crash => self.crash(),
            }
        }
        Ok(())
    }

    fn put(&mut self, records: &[(u8, bool)], codec: u8, writer: Writer) {
        self.value += 1;
        let value = format!("value {}", self.value);
        let keys = records.iter().map(|(key, _)| format!("key {key}")).collect::<Vec<_>>();
        let pairs = keys.iter().zip(records);
        let pairs = pairs.map(|(key, (_, has_value))| (&**key, has_value.then_some(&*value)));
        let (id, transactional) = match writer {
            Writer::Anybody => (None, false),
            Writer::Idempotent(id) => (Some(id), false),
            Writer::Transactional(id) => (Some(id), true),
        };
        let next = |id| self.log.producer(ProducerId(id)).map_or(0, |state| state.next_sequence());
        let producer = id.map_or(dohle_records::Producer::NONE, |id| producer(id, 0, next(id)));
        let compression = Codec::from_id(codec).unwrap().into();
        let timestamp = later(self.now + self.value as i64 % 7);
        let by = By { producer, transactional, compression, timestamp };
        put_by(&mut self.log, by, &pairs.collect::<Vec<_>>());
    }

    fn end(&mut self, id: i64, committed: bool) {
        let Some(start) = self.open_since(id) else { return };
        if !committed {
            let records = stored(&mut self.log).into_iter();
            let of_it = records.filter(|record| record.producer == id && record.offset >= start.0);
            self.promise.aborted.extend(of_it.map(|record| record.offset));
        }
        append_marker(&mut self.log, id, committed);
    }

    /// Where the open transaction of a producer begins.
    fn open_since(&self, id: i64) -> Option<Offset> {
        self.log.producer(ProducerId(id)).and_then(|state| state.transaction_start)
    }

    /// Does to the log what makes the next clean a bad one.
    fn plant(&mut self) {
        match self.planted {
            Planted::Nothing => {}
            Planted::TombstoneEarly => {
                self.log.set_config(LogConfig { delete_retention_ms: 0, ..config() });
            }
            Planted::PastStable => (5..8).for_each(|id| self.end(id, true)),
        }
    }

    fn clean(&mut self, ms: i64, keys: usize) -> Result<(), String> {
        self.now += ms;
        let log = &mut self.log;
        let (records, values) = (stored(log), folded(log));
        let end = log.log_end_offset();
        let stable = log.last_stable_offset(end);
        let producers = states(log);
        self.plant();
        let log = &mut self.log;
        let memory =
            CleanMemory { map_bytes: (keys + 1) * 24, load_factor: 1.0, io_bytes: keys * 100 };
        let high_watermark = log.log_end_offset();
        let cleaned = clean_with(log, high_watermark, later(self.now), memory).unwrap();
        assert!(!cleaned.is_some_and(|cleaned| cleaned.stats().aborts_replayed));
        let Some(cleaned) = cleaned else {
            if self.planted == Planted::Nothing {
                assert_eq!(stored(log), records);
            }
            return Ok(());
        };
        let kept = stored(log);
        let seen = Seen { before: &records, after: &kept, stable, now: self.now };
        self.promise.check(&seen)?;
        if self.planted != Planted::Nothing {
            return Ok(());
        }
        assert!(cleaned.end() <= stable && cleaned.end() <= log.active_base_offset());
        assert!(kept.iter().all(|record| records.contains(record)));
        let behind = |all: &[Stored]| {
            let behind = all.iter().filter(|record| record.offset >= cleaned.end().0);
            behind.filter(|record| !record.is_marker).cloned().collect::<Vec<_>>()
        };
        if cleaned.end() == stable {
            assert_eq!(behind(&kept), behind(&records));
        }
        assert_eq!(folded(log), values);
        assert_eq!((log.log_end_offset(), log.last_stable_offset(end)), (end, stable));
        assert_eq!(states(log), producers);
        self.at_most_once(cleaned.end());
        self.clean_once_more();
        Ok(())
    }

    /// Below the clean's end a key has one record, that of a transaction that is decided.
    fn at_most_once(&mut self, end: Offset) {
        let mut seen = BTreeMap::new();
        for record in stored(&mut self.log).into_iter().filter(|record| !record.is_marker) {
            if record.offset < end.0 {
                let earlier = seen.insert(record.key.clone(), record.offset);
                assert_eq!(earlier, None, "{record:?} below {end}");
            }
        }
    }

    /// A log that is cleaned from its start again, at the same time, is as it was.
    fn clean_once_more(&mut self) {
        self.log.flush().unwrap();
        let disk = self.disk.fork();
        let how = OpenLog { recovery_point: self.log.recovery_point(), ..OpenLog::default() };
        let mut log = open_how(&disk, config(), how).unwrap();
        let end = log.log_end_offset();
        let before = stored(&mut log).into_iter().filter(|r| !r.is_marker).collect::<Vec<_>>();
        clean_with(&mut log, end, later(self.now), MEMORY).unwrap();
        let mut after = stored(&mut log).into_iter().filter(|r| !r.is_marker).collect::<Vec<_>>();
        // One whose map was full did not go as far.
        after.retain(|record| record.offset < self.log.cleaned_to().0);
        assert!(after.iter().all(|record| before.contains(record)));
    }

    fn crash(&mut self) {
        let log = &mut self.log;
        log.flush().unwrap();
        let (values, producers) = (folded(log), states(log));
        let end = log.log_end_offset();
        let stable = log.last_stable_offset(end);
        let cleaned_to = log.cleaned_to();
        self.disk.restart(0);
        for recovery_point in [Offset(0), end] {
            let how = OpenLog { recovery_point, cleaned_to, ..OpenLog::default() };
            let disk = self.disk.fork();
            let mut log = open_how(&disk, config(), how).unwrap();
            assert_eq!((log.log_end_offset(), log.last_stable_offset(end)), (end, stable));
            assert_eq!(folded(&mut log), values);
            assert_eq!(states(&log), producers);
            (self.disk, self.log) = (disk, log);
        }
    }
}

/// Of each producer what it goes on with.
fn states(log: &Log<SimDisk>) -> Vec<(ProducerId, i16, i32, Option<Offset>)> {
    let states = log.producers();
    states.map(|s| (s.id, s.epoch.0, s.last_sequence(), s.transaction_start)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_clean_changes_nothing_that_a_reader_of_the_last_values_sees(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        World::new(Planted::Nothing).play(steps).map_err(TestCaseError::fail)?;
    }
}
