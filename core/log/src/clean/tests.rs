//! The rules of compaction, each by itself; what a clean makes of a log is in `tests/log/compact`.

use std::collections::BTreeMap;

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use dohle_records::{
    BatchBuilder, BatchSpec, BatchView, ControlType, EndTxnMarker, Entry, NewRecord, Producer,
};

use super::{
    filter::{Filter, Kept},
    groups::first_group,
    offset_map::{CleanMemory, OffsetMap},
    plan::{Basis, Input, LastRecord},
    transactions::{Marker, Transactions},
};
use crate::{
    config::LogConfig, names::FileKind, segment::Dir, sim::SimDisk, txn_index::AbortedTransaction,
};

const NOW: Timestamp = Timestamp(1_000_000);
const RETENTION: i64 = 1_000;

fn memory(slots: usize, load_factor: f64) -> CleanMemory {
    CleanMemory { map_bytes: slots * 24, load_factor, io_bytes: 0 }
}

#[test]
fn a_map_of_keys_tells_the_last_offset_of_each() {
    let mut map = OffsetMap::new(memory(1_000, 0.9), u64::MAX);
    let mut model = BTreeMap::new();
    let mut rng = dohle_base::Rng::from_seed(7);
    for offset in 0..5_000 {
        let key = format!("key {}", rng.below(800));
        assert!(map.put(key.as_bytes(), Offset(offset)));
        model.insert(key, Offset(offset));
    }
    assert_eq!(map.latest(), Some(Offset(4_999)));
    for key in (0..1_000).map(|n| format!("key {n}")) {
        assert_eq!(map.get(key.as_bytes()), model.get(&key).copied(), "{key}");
    }
    map.advance(Offset(6_000));
    map.advance(Offset(5_500));
    assert_eq!(map.latest(), Some(Offset(6_000)));
}

#[test]
fn a_full_map_takes_known_keys_only() {
    // (slots, load factor, keys expected, how many keys fit)
    let rows = [
        (100, 0.9, u64::MAX, 90),
        (100, 0.9, 12, 12),
        (100, 0.5, 1_000, 50),
        (100, 1.0, u64::MAX, 98),
        (100, 7.0, u64::MAX, 98),
        (100, 0.0, u64::MAX, 1),
        (100, f64::NAN, u64::MAX, 1),
        (2, 0.9, u64::MAX, 1),
        (0, 0.9, u64::MAX, 1),
        (100, 0.9, 0, 1),
    ];
    for (slots, load_factor, keys_max, fit) in rows {
        let context = format!("{slots} {load_factor} {keys_max}");
        let mut map = OffsetMap::new(memory(slots, load_factor), keys_max);
        for key in 0..fit {
            assert!(map.put(&[key], Offset(key.into())), "{context}: {key}");
        }
        assert!(!map.put(b"another", Offset(500)), "{context}");
        assert_eq!(map.latest(), Some(Offset(i64::from(fit) - 1)), "{context}");
        assert!(map.put(&[0], Offset(501)), "{context}");
        assert_eq!((map.get(&[0]), map.get(b"another")), (Some(Offset(501)), None), "{context}");
    }
}

fn aborted(id: i64, first: i64, last: i64) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: ProducerId(id),
        first_offset: Offset(first),
        last_offset: Offset(last),
        last_stable_offset: Offset(last + 1),
    }
}

fn spec(base: i64, id: i64, transactional: bool) -> BatchSpec {
    let producer = match id {
        -1 => Producer::NONE,
        id => Producer { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence: 0 },
    };
    BatchSpec {
        base_offset: Offset(base),
        partition_leader_epoch: LeaderEpoch(3),
        producer,
        transactional,
        ..BatchSpec::default()
    }
}

type Pair<'a> = (Option<&'a str>, Option<&'a str>);

fn batch(spec: BatchSpec, records: &[Pair<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new(spec);
    for (index, (key, value)) in records.iter().enumerate() {
        let timestamp = Timestamp(500 + index as i64);
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        builder.append(&NewRecord { timestamp, key, value, headers: &[] }).unwrap();
    }
    builder.finish()
}

fn marker(base: i64, id: i64, committed: bool) -> Bytes {
    let marker = EndTxnMarker { committed, coordinator_epoch: 0 };
    let bytes = marker.batch(ProducerId(id), ProducerEpoch(0), Timestamp(600));
    let mut bytes = bytes.to_vec();
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes.into()
}

#[test]
fn batches_and_markers_are_told_by_their_transactions() {
    enum Step {
        Records(i64, i64, bool),
        Marker(i64, i64, Option<ControlType>, Marker),
    }
    use Step::{Marker as M, Records as R};
    let (abort, commit) = (Some(ControlType::Abort), Some(ControlType::Commit));
    let known = [aborted(1, 10, 14), aborted(2, 11, 16), aborted(1, 20, 22), aborted(9, 0, 3)];
    let steps = [
        // The transaction of producer 9 ended before the walk begins: what it writes now is another.
        R(5, 9, false),
        R(10, 1, true),
        R(11, 2, true),
        R(12, 3, false),
        R(13, 1, true),
        M(14, 1, abort, Marker::Ends(known[0])),
        // Of producer 1 nothing is aborted from here on, until 20.
        R(15, 1, false),
        M(16, 2, abort, Marker::Ends(known[1])),
        M(17, 3, commit, Marker::Needed),
        M(18, 3, commit, Marker::Bare),
        M(19, 1, commit, Marker::Needed),
        // The batches of this one are gone.
        M(22, 1, abort, Marker::Bare),
        R(23, 1, false),
        M(24, 7, abort, Marker::Bare),
        M(25, 7, None, Marker::Bare),
        M(26, 7, Some(ControlType::Unknown(9)), Marker::Needed),
        M(27, 7, Some(ControlType::LeaderChange), Marker::Needed),
    ];
    let mut transactions = Transactions::new(&known);
    for step in steps {
        match step {
            R(base, id, is_aborted) => {
                let bytes = batch(spec(base, id, true), &[(Some("k"), None)]);
                let view = BatchView::parse(&bytes).unwrap();
                assert_eq!(transactions.pass_records(&view.header()), is_aborted, "{base}");
            }
            M(base, id, kind, expected) => {
                let bytes = marker(base, id, kind == commit);
                let view = BatchView::parse(&bytes).unwrap();
                assert_eq!(transactions.pass_marker(&view.header(), kind), expected, "{base}");
            }
        }
    }
}

#[test]
fn an_index_entry_without_its_marker_takes_no_later_transaction_with_it() {
    let mut transactions = Transactions::new(&[aborted(1, 10, 14)]);
    for (base, is_aborted) in [(10, true), (14, true), (15, false), (16, false)] {
        let bytes = batch(spec(base, 1, true), &[(Some("k"), None)]);
        let view = BatchView::parse(&bytes).unwrap();
        assert_eq!(transactions.pass_records(&view.header()), is_aborted, "{base}");
    }
    let bytes = marker(17, 1, true);
    let view = BatchView::parse(&bytes).unwrap();
    let told = transactions.pass_marker(&view.header(), Some(ControlType::Commit));
    assert_eq!(told, Marker::Needed);
}

#[test]
fn transactions_without_records_do_not_matter_to_batches_outside_of_them() {
    let mut transactions = Transactions::new(&[aborted(1, 10, 14)]);
    let bytes = batch(spec(12, 1, false), &[(Some("k"), None)]);
    assert!(!transactions.pass_records(&BatchView::parse(&bytes).unwrap().header()));
}

fn basis() -> Basis<()> {
    Basis {
        dir: Dir { disk: (), path: "/logs/t-0".into() },
        config: LogConfig { delete_retention_ms: RETENTION, ..LogConfig::default() }.into(),
        now: NOW,
        high_watermark: Offset(1_000),
        producers: BTreeMap::new(),
        truncations: 0,
    }
}

/// What is left of a batch: nothing, or its records, and when its tombstones may go.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Untouched,
    Records(Vec<i64>, Option<Timestamp>),
}

fn left(basis: &Basis<()>, map: &OffsetMap, known: &[AbortedTransaction], bytes: &Bytes) -> Left {
    let mut transactions = Transactions::new(known);
    let mut filter = Filter { basis, map, transactions: &mut transactions };
    let filtered = filter.apply(&Entry::parse(bytes).unwrap()).unwrap();
    match filtered.kept {
        Kept::Nothing => Left::Nothing,
        Kept::Whole => Left::Untouched,
        Kept::Rebuilt(rebuilt) => {
            let (old, new) =
                (BatchView::parse(bytes).unwrap(), BatchView::parse(&rebuilt).unwrap());
            new.check().unwrap();
            new.check_crc().unwrap();
            assert_eq!(new.base_offset(), old.base_offset());
            assert_eq!(new.last_offset(), old.last_offset());
            assert_eq!(new.producer(), old.producer());
            assert_eq!(new.partition_leader_epoch(), old.partition_leader_epoch());
            let all = |view: &BatchView<'_>| {
                let payload = view.decompress(1 << 20).unwrap();
                let records = payload.records().map(|record| record.unwrap());
                records.map(|r| (r.offset.0, r.timestamp, r.value.map(<[u8]>::to_vec))).collect()
            };
            let (before, after): (Vec<_>, Vec<_>) = (all(&old), all(&new));
            assert!(after.iter().all(|record| before.contains(record)), "{before:?} {after:?}");
            let offsets = after.into_iter().map(|(offset, ..)| offset).collect();
            Left::Records(offsets, new.delete_horizon())
        }
    }
}

#[test]
fn records_stay_by_these_rules() {
    let horizon = Some(Timestamp(NOW.0 + RETENTION));
    let (a, b, none) = ((Some("a"), Some("1")), (Some("b"), Some("2")), (None, Some("3")));
    let tombstone = (Some("a"), None);
    let with_horizon =
        |ms: i64| BatchSpec { delete_horizon: Some(Timestamp(NOW.0 + ms)), ..spec(10, -1, false) };
    let plain = spec(10, -1, false);
    // (what, batch from offset 10, last offset of key a, latest that the map knows, what is left)
    let rows = [
        ("the last ones", batch(plain, &[a, b]), 10, 50, Left::Untouched),
        ("keys not in the map", batch(plain, &[b, b]), 10, 50, Left::Untouched),
        ("one superseded", batch(plain, &[a, b]), 40, 50, Left::Records(vec![11], None)),
        ("superseded in the batch", batch(plain, &[a, a]), 11, 50, Left::Records(vec![11], None)),
        ("all superseded", batch(plain, &[a, a]), 40, 50, Left::Nothing),
        ("no key", batch(plain, &[none, b]), 40, 50, Left::Records(vec![11], None)),
        ("no key at all", batch(plain, &[none]), 40, 50, Left::Nothing),
        ("not known to the map", batch(plain, &[a, none]), 9, 9, Left::Untouched),
        ("partly known", batch(plain, &[a, a, a]), 11, 11, Left::Records(vec![11, 12], None)),
        ("new tombstone", batch(plain, &[tombstone]), 10, 50, Left::Records(vec![10], horizon)),
        (
            "superseded tombstone",
            batch(plain, &[tombstone, b]),
            40,
            50,
            Left::Records(vec![11], None),
        ),
        (
            "tombstone before its horizon",
            batch(with_horizon(1), &[tombstone, b]),
            10,
            50,
            Left::Untouched,
        ),
        (
            "tombstone at its horizon",
            batch(with_horizon(0), &[tombstone, b]),
            10,
            50,
            Left::Records(vec![11], Some(NOW)),
        ),
        ("nothing but that", batch(with_horizon(-5), &[tombstone]), 10, 50, Left::Nothing),
        (
            "tombstone past its horizon, not known",
            batch(with_horizon(-5), &[tombstone]),
            9,
            9,
            Left::Untouched,
        ),
    ];
    for (what, bytes, last, latest, expected) in rows {
        let mut map = OffsetMap::new(memory(100, 0.9), u64::MAX);
        map.put(b"a", Offset(last));
        map.advance(Offset(latest));
        assert_eq!(left(&basis(), &map, &[], &bytes), expected, "{what}");
    }
}

#[test]
fn batches_stay_empty_where_producers_and_the_high_watermark_need_them() {
    let data = batch(spec(10, 1, false), &[(Some("a"), Some("1"))]);
    let commit = marker(10, 1, true);
    let record = |data_offset: Option<i64>, epoch| LastRecord {
        data_offset: data_offset.map(Offset),
        epoch: ProducerEpoch(epoch),
    };
    let empty = Left::Records(vec![], None);
    let horizon = Some(Timestamp(NOW.0 + RETENTION));
    // (what, batch, last record of producer 1, high watermark, what is left)
    let rows = [
        ("a producer's last", &data, Some(record(Some(10), 0)), 1_000, empty),
        ("not its last", &data, Some(record(Some(11), 0)), 1_000, Left::Nothing),
        ("a producer that is gone", &data, None, 1_000, Left::Nothing),
        ("last before the high watermark", &data, None, 11, Left::Records(vec![], None)),
        (
            "marker of a producer",
            &commit,
            Some(record(None, 0)),
            1_000,
            Left::Records(vec![10], horizon),
        ),
    ];
    let mut map = OffsetMap::new(memory(100, 0.9), u64::MAX);
    map.put(b"a", Offset(40));
    for (what, bytes, last, high_watermark, expected) in rows {
        let producers = last.map(|last| (ProducerId(1), last)).into_iter().collect();
        let basis = Basis { high_watermark: Offset(high_watermark), producers, ..basis() };
        assert_eq!(left(&basis, &map, &[], bytes), expected, "{what}");
    }
}

#[test]
fn bare_markers_wait_for_their_horizon_and_aborted_records_for_nothing() {
    let mut map = OffsetMap::new(memory(100, 0.9), u64::MAX);
    map.put(b"x", Offset(50));
    let data = batch(spec(10, 1, true), &[(Some("a"), Some("1"))]);
    assert_eq!(left(&basis(), &map, &[aborted(1, 10, 11)], &data), Left::Nothing);
    assert_eq!(left(&basis(), &map, &[], &data), Left::Untouched);

    let bare = marker(10, 1, true);
    let horizon = Timestamp(NOW.0 + RETENTION);
    assert_eq!(left(&basis(), &map, &[], &bare), Left::Records(vec![10], Some(horizon)));
    let mut transactions = Transactions::new(&[]);
    let basis_now = basis();
    let mut filter = Filter { basis: &basis_now, map: &map, transactions: &mut transactions };
    let filtered = filter.apply(&Entry::parse(&bare).unwrap()).unwrap();
    let Kept::Rebuilt(marked) = filtered.kept else { panic!("{filtered:?}") };
    // (now, the producer's last batch is this, what is left)
    let rows = [
        (horizon.0 - 1, false, Left::Untouched),
        (horizon.0, false, Left::Nothing),
        (horizon.0, true, Left::Records(vec![], None)),
    ];
    for (now, is_last, expected) in rows {
        let last = LastRecord { data_offset: None, epoch: ProducerEpoch(0) };
        let producers = is_last.then_some((ProducerId(1), last)).into_iter().collect();
        let basis = Basis { now: Timestamp(now), producers, ..basis() };
        assert_eq!(left(&basis, &map, &[], &marked), expected, "{now} {is_last}");
    }
}

/// First offsets of segments, their bytes and those of their offset indexes.
type Sizes<'a> = &'a [(i64, u32, usize)];

#[test]
fn segments_are_merged_while_they_fit_one() {
    let config =
        LogConfig { segment_bytes_max: 100, segment_index_bytes_max: 40, ..LogConfig::default() };
    let far = i64::from(i32::MAX);
    // (bases, sizes and bytes of the offset index, end, how many become one)
    let rows: [(Sizes<'_>, i64, usize); 9] = [
        (&[(0, 50, 8), (10, 50, 8), (20, 1, 8)], 30, 2),
        (&[(0, 50, 8), (10, 50, 8)], 30, 2),
        (&[(0, 101, 8), (10, 1, 8)], 30, 1),
        (&[(0, 1, 24), (10, 1, 24)], 30, 1),
        (&[(0, 1, 16), (10, 1, 24)], 30, 2),
        (&[(0, 1, 0), (10, 1, 0)], far + 1, 2),
        (&[(0, 1, 0), (10, 1, 0)], far + 2, 1),
        (&[(0, 1, 0), (10, 0, 0)], far + 2, 2),
        (&[(0, 1, 0)], far * 2, 1),
    ];
    for (segments, end, expected) in rows {
        let dir = Dir { disk: SimDisk::new(), path: "/t-0".into() };
        let mut inputs = Vec::new();
        for (base, size, index_size) in segments {
            let base = Offset(*base);
            dir.disk.plant(&dir.file(base, FileKind::OffsetIndex), &vec![0; *index_size]);
            inputs.push(Input { base, size: *size, opened_at: NOW });
        }
        let count = first_group(&dir, &inputs, Offset(end), &config).unwrap();
        assert_eq!(count, expected, "{segments:?} {end}");
    }
}
