//! What was synced instead of a frame is acknowledged, and no recovery point says so yet. Damage there is
//! no torn end: the log is refused, and left as it is. A torn end is none the less cut.

use dohle_log::Disk;

use super::*;

/// What no frame takes lies before frames, behind them, and between them.
const STEPS: &[Step] = &[
    Append,
    Append,
    AppendLarge,
    AppendLarge,
    Append,
    Append,
    Flush,
    Append,
    AppendLarge,
    Append,
    AppendLarge,
    AppendLarge,
];

/// The segments, and what is in them.
fn segments(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let names = disk.list(Path::new(DIR)).unwrap_or_default().into_iter().map(|entry| entry.name);
    let logs = names.filter(|name| name.ends_with(".log")).map(|name| Path::new(DIR).join(name));
    logs.map(|path| (path.clone(), disk.peek(&path).unwrap())).collect()
}

/// Turns over a bit of a record's value; `false` if it is not there.
fn damage(disk: &SimDisk, value: &str) -> bool {
    segments(disk).into_iter().any(|(path, bytes)| {
        let at = bytes.windows(value.len()).position(|window| window == value.as_bytes());
        at.inspect(|at| disk.flip(&path, 8 * *at as u64 + 1)).is_some()
    })
}

#[test]
fn a_power_cut_costs_nothing_that_was_synced_instead_of_a_frame() {
    assert!(cut(&config(), STEPS) > 60);
    assert!(cut(&compacted(), STEPS) > 60);
}

/// Whatever is damaged, it is taken from the frames or the log is refused.
#[test]
fn damage_is_mended_or_told() {
    let (mut mended, mut refused) = (0, 0);
    for config in [config(), compacted()] {
        let (whole, _) = life(config.clone(), STEPS, End::Killed, u64::MAX);
        for at in 0..=whole.changes() {
            let (disk, told) = life(config.clone(), STEPS, End::Killed, at);
            for (seed, (offset, value)) in
                (0..4).flat_map(|seed| told.values.iter().map(move |v| (seed, v)))
            {
                let left = disk.fork();
                // The last one is a killed process.
                if seed < 3 {
                    left.restart(seed);
                }
                // What lies before the recovery point is not read by a start.
                let points =
                    checkpoint::read_offsets(&left, Path::new(LOGS), OffsetKind::RecoveryPoint);
                let point =
                    points.unwrap().get(&("t".into(), PARTITION)).map_or(0, |point| point.0);
                if *offset < point || !damage(&left, value) {
                    continue;
                }
                let before = segments(&left);
                let context = format!("behind {at}, seed {seed}, {value} is damaged");
                match check(&left, config.clone(), &told) {
                    Ok(()) => mended += 1,
                    Err(error) if error.starts_with(DIR) && error.contains("is damaged at") => {
                        refused += 1;
                        assert_eq!(segments(&left), before, "{context}: changed, and {error}");
                    }
                    Err(error) => panic!("{context}: {error}"),
                }
            }
        }
    }
    assert!(mended > 100 && refused > 100, "{mended} mended, {refused} refused");
}

#[test]
fn it_is_told_with_all_that_is_known() {
    let steps = [Append, AppendLarge, AppendLarge];
    let (disk, told) = life(config(), &steps, End::Killed, u64::MAX);
    assert_eq!(told.values.len(), 3);
    disk.restart(0);
    let size = segments(&disk)[0].1.len() / 3;
    assert!(damage(&disk, &told.values[1].1));
    let error = check(&disk, config(), &told).unwrap_err();
    let file = format!("{DIR}/00000000000000000000.log is damaged at {size}: checksum");
    assert!(error.starts_with(&file), "{error}");
    let told_by = format!("; all before offset 3 had been synced, says {LOGS}/dohle.wal");
    assert!(error.ends_with(&told_by), "{error}");
    // Nor is it forgotten by the next start.
    assert_eq!(check(&disk, config(), &told).unwrap_err(), error);
    // Another process has led since: it made of the log what is there.
    let (path, bytes) = segments(&disk).remove(0);
    disk.plant(&path, &bytes[..size]);
    disk.plant(&Path::new(DIR).join(checkpoint::LEADER_EPOCH_FILE), b"0\n2\n0 0\n7 1\n");
    let mut log = Node::start(&disk, ("third", 2), config(), &mut Told::default()).unwrap().log;
    assert_eq!(read_values(&mut log).len(), 1);
}

/// Several batches that nobody was told of, of which a power cut takes any sectors.
#[test]
fn a_torn_end_with_holes_is_cut() {
    let (disk, mut told) = (disk(), Told::default());
    let config = LogConfig::default();
    let mut node = Node::start(&disk, ("first", 1), config.clone(), &mut told).unwrap();
    node.play(&[Append, AppendLarge], &mut told).unwrap();
    for _ in 0..8 {
        records(1).sized(700).append(&mut node.log).unwrap();
    }
    let mut ends = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let disk = disk.fork();
        disk.restart(seed);
        check(&disk, config.clone(), &told).unwrap_or_else(|e| panic!("{seed}: {e}"));
        let mut node =
            Node::start(&disk, ("fourth", 3), config.clone(), &mut Told::default()).unwrap();
        ends.insert(read_values(&mut node.log).len());
    }
    assert!(ends.len() > 4, "{ends:?}");
}
