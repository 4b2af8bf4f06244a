//! A copy begins where its partition does, or does not take its place.

use super::*;

/// Records were deleted, and a crash came before that was written down. A copy that began meanwhile begins
/// behind them.
#[test]
fn a_copy_that_begins_behind_the_partitions_start_begins_anew() {
    let config = LogConfig { segment_bytes_max: 200, ..LogConfig::default() };
    let (mut kit, mut worker) = site("", 1, &config);
    control(&mut kit, |_| true);
    let (partition, dirs) = (&kit.partitions[0], &kit.broker.log_dirs);
    (0..4).for_each(|_| write(partition));
    kit.flush();
    let path = dirs[1].path.join("t-0.x-future");
    fs::create_dir(&path).unwrap();
    for entry in fs::read_dir(dirs[0].path.join("t-0")).unwrap() {
        let (name, from) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
        if !["00000000000000000000", "00000000000000000001"]
            .iter()
            .any(|deleted| name.to_str().unwrap().starts_with(deleted))
        {
            fs::copy(from, path.join(name)).unwrap();
        }
    }
    let before = records(partition);
    assert_eq!(before.len(), 4);
    kit.broker.moves.resume(partition, &dirs[1], path);
    turn_until(&mut worker, || partition.directory() == Uuid(8));
    assert_eq!(records(partition), before);
}

#[test]
fn a_copy_that_lacks_what_the_partition_has_does_not_take_its_place() {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| false);
    let partition = &kit.partitions[0];
    (0..4).for_each(|_| write(partition));
    request(&kit, partition);
    turn(&mut worker);
    let (_, (moving, mut copy)) = worker.copies.pop_first().unwrap();
    copy.log.truncate_fully_and_start_at(Offset(2), Timestamp(0)).unwrap();
    let error = swap::swap(&kit.broker, &moving, copy).err().expect("it lacks two records");
    let expected = "its copy holds the offsets from 2 to 4, the partition those from 0 to 4";
    assert_eq!(error.to_string(), expected);
    assert!(error.is_final(), "it is of no use");
    assert_eq!((partition.directory(), copies(&kit).len()), (Uuid(7), 1));
    assert_eq!(records(partition).len(), 4);
}
