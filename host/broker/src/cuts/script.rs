//! Scripts of what happens to a node's log directories, and who plays them.

use std::{path::Path, sync::Arc};

use dohle_base::{Offset, Uuid};
use dohle_log::{
    Disk, Origin, checkpoint,
    disk::Operation,
    sim::{SimDisk, cuts::Run},
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use super::{
    site::{DIRS, Means, Shared, Site, formatted, lock},
    told::{DURABILITY, Record, Topic},
};
use crate::partition::Partition;

pub(super) use super::site::{Frames, Handles};

/// The many topics, of a partition each: so many are flushed with their volume.
pub(super) const MANY: [&str; 16] = [
    "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15",
];

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Create(&'static str),
    /// With segments of a record or two, of which retention keeps the last ones.
    CreateShort(&'static str),
    /// The same, compacted.
    CreateCompacted(&'static str),
    /// Records are acknowledged when they are written.
    CreateOs(&'static str),
    /// When records are acknowledged from now on.
    Durability(&'static str, &'static str),
    Delete(&'static str),
    /// Deleted and made again, before the node hears of either.
    Remake(&'static str),
    /// As many topics as are flushed together.
    CreateMany,
    /// So many records are sent, a batch each, and then acknowledged.
    Append(&'static str, usize),
    /// A record that is larger than what few frames take.
    AppendLarge(&'static str),
    /// Records are sent to each of the many, at once.
    AppendMany(usize),
    /// So many records are sent and written to the log; the process does not come to make them durable.
    Send(&'static str, usize),
    /// A consumer reads all that it is given: that stays.
    Read(&'static str),
    /// From the next start on nobody leads the partition, by what the metadata says.
    Unlead(&'static str),
    /// This node leads it, again or in a later leader epoch.
    Lead(&'static str),
    /// Records before this offset are deleted.
    DeleteRecords(&'static str, i64),
    Flush,
    /// Old segments are removed.
    Expire,
    /// What was deleted is removed for good.
    Remove,
    Clean(&'static str),
    /// A partition is moved to the other directory.
    Move(&'static str),
    /// A clean stop, and a start.
    Restart,
    /// The process is killed, and another one starts.
    Kill,
}

/// A fault of the node's that the scripts must find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Planted {
    #[default]
    Nothing,
    /// Syncs of paths that end so do nothing.
    NoSyncOf(&'static str),
    /// The sync of a volume that has this number does nothing, nor does each so manieth behind it.
    NoVolumeSync { first: u64, step: u64 },
    /// Syncs of paths that end so are made again if they fail, and believed.
    SyncAgain(&'static str),
    /// Records are acknowledged before they are durable.
    AckEarly,
    /// The same of their deletion.
    DeleteEarly,
    /// A process that is killed takes with it what it has not synced.
    KillLosesCache,
    /// The clean stop before is believed once more.
    CleanStopStays,
    /// If a directory fails all are out of service.
    FailTogether,
}

/// What happens, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) ops: Vec<Op>,
    pub(super) planted: Planted,
    pub(super) handles: Handles,
    pub(super) frames: Frames,
}

impl Script {
    fn means(&self) -> Means {
        Means { handles: self.handles, frames: self.frames }
    }

    pub(super) fn new(ops: &[Op]) -> Self {
        Self { ops: ops.to_vec(), ..Self::default() }
    }
}

impl Run for Script {
    type Told = Shared;

    fn disk(&self) -> SimDisk {
        let disk = formatted();
        match self.planted {
            Planted::NoSyncOf(ending) => disk.ignore_syncs_of(ending),
            Planted::SyncAgain(ending) => disk.repeat_failed_syncs_of(ending),
            Planted::NoVolumeSync { first, step } => disk.ignore_volume_syncs(first, step),
            _ => {}
        }
        disk
    }

    fn run(&self, disk: &SimDisk, told: &mut Shared) -> Result<(), String> {
        let site = Some(Site::start(disk, told, self.means())?);
        let mut player = Player { disk, planted: self.planted, means: self.means(), site };
        for op in &self.ops {
            player.play(*op)?;
            if disk.is_off() {
                return Err("the power is off".to_owned());
            }
            player.check_healthy(op, told);
        }
        Ok(())
    }

    fn restart(&self, disk: &SimDisk, told: &Shared) {
        drop(Site::start(disk, &copy(told), self.means()));
    }

    /// A start refuses nothing, and serves what was told; so does the next one, and what is new with it.
    fn check(&self, disk: &SimDisk, told: &Shared) -> Result<(), String> {
        let disk = disk.fork();
        check_for_kafka(&disk)?;
        let told = copy(told);
        if let Some(complaint) = &lock(&told).complaint {
            return Err(complaint.clone());
        }
        let mut site = Site::start(&disk, &told, self.means())?;
        lock(&told).lead_all();
        site.publish();
        site.step();
        site.take_loss()?;
        site.check()?;
        let ids = lock(&told).ids().into_iter();
        let partitions: Vec<_> = ids.map(|id| site.partition(id).expect("checked")).collect();
        append(&mut site, &partitions, (1, 0), Planted::Nothing)?;
        site.broker.moves.step(&Arc::clone(&site.broker));
        site.broker.retention.step_removals(&Arc::clone(&site.broker));
        site.check().map_err(|complaint| format!("in use, {complaint}"))?;
        site.stop();
        let site = Site::start(&disk, &told, self.means())?;
        site.check().map_err(|complaint| format!("after a clean stop, {complaint}"))
    }
}

/// What was told by now, for one who goes on with it.
fn copy(told: &Shared) -> Shared {
    Arc::new(std::sync::Mutex::new(lock(told).clone()))
}

/// One who plays a script.
struct Player<'a> {
    disk: &'a SimDisk,
    planted: Planted,
    means: Means,
    /// None only between two processes.
    site: Option<Site>,
}

impl Player<'_> {
    fn play(&mut self, op: Op) -> Result<(), String> {
        let site = self.site.as_mut().expect("one runs between operations");
        match op {
            Op::Create(name) => Self::change(site, |told| told.create(name, &[])),
            Op::CreateShort(name) => {
                let short = [("internal.segment.bytes", "200"), ("retention.bytes", "400")];
                Self::change(site, |told| told.create(name, &short));
            }
            Op::CreateCompacted(name) => {
                let configs = [
                    ("internal.segment.bytes", "200"),
                    ("cleanup.policy", "compact"),
                    ("min.cleanable.dirty.ratio", "0"),
                ];
                Self::change(site, |told| told.create(name, &configs));
            }
            Op::CreateOs(name) => {
                Self::change(site, |told| told.create(name, &[(DURABILITY, "os")]));
            }
            Op::Durability(name, when) => {
                Self::change(site, |told| told.configure(name, DURABILITY, when));
            }
            Op::CreateMany => Self::change(site, |told| {
                MANY.iter().for_each(|name| told.create(name, &[]));
            }),
            Op::Delete(name) => Self::change(site, |told| told.delete(name)),
            Op::Remake(name) => Self::change(site, |told| {
                told.delete(name);
                told.create(name, &[]);
            }),
            Op::Append(name, count) => self.append(&[name], (count, 0))?,
            Op::AppendLarge(name) => self.append(&[name], (1, Frames::FEW as usize))?,
            Op::AppendMany(count) => self.append(&MANY, (count, 0))?,
            Op::Send(name, count) => {
                send(site, &find(site, name)?, (count, 0));
                // Nothing else is done.
                return Ok(());
            }
            Op::Read(name) => {
                let partition = find(site, name)?;
                match lock(&site.told).topic(partition.topic_id()).read(&partition) {
                    Err(complaint) if is_undisturbed(self.disk) => return Err(complaint),
                    _ => {}
                }
            }
            Op::Unlead(name) => lock(&site.told).lead(name, false),
            Op::Lead(name) => Self::change(site, |told| told.lead(name, true)),
            Op::DeleteRecords(name, to) => {
                let partition = find(site, name)?;
                delete_records(site, &partition, Offset(to), self.planted);
            }
            Op::Flush => {
                site.flush();
                self.note_durable();
            }
            Op::Expire => {
                for partition in site.broker.partitions.all() {
                    let active = partition.with_leader(|leader| leader.log().active_base_offset());
                    let mut told = lock(&site.told);
                    told.topic(partition.topic_id()).may_be_deleted(active.unwrap_or_default());
                }
                site.broker.retention.step_check(&site.broker);
            }
            Op::Remove => site.broker.retention.step_removals(&Arc::clone(&site.broker)),
            Op::Clean(name) => {
                let partition = find(site, name)?;
                site.broker.cleaner.step(&site.broker, &partition);
            }
            Op::Move(name) => {
                let partition = find(site, name)?;
                let dirs = &site.broker.log_dirs;
                let target = dirs.iter().find(|dir| dir.id != partition.directory());
                let unique = Uuid(u128::from(self.disk.changes()));
                let target = target.expect("there are two");
                site.broker.moves.request(&partition, target, unique);
                site.broker.moves.step(&Arc::clone(&site.broker));
                if is_undisturbed(self.disk) && partition.directory() != target.id {
                    return Err(format!("{name} has not moved"));
                }
            }
            Op::Restart | Op::Kill => return self.start_again(op == Op::Restart),
        }
        let site = self.site.as_mut().expect("one runs between operations");
        site.step();
        if self.planted == Planted::FailTogether && site.broker.has_failed_dirs() {
            site.broker.partitions.all().iter().for_each(|partition| partition.take_offline());
        }
        Ok(())
    }

    fn append(&mut self, names: &[&str], what: (usize, usize)) -> Result<(), String> {
        let site = self.site.as_mut().expect("one runs between operations");
        let partitions = names.iter().map(|name| find(site, name));
        let partitions = partitions.collect::<Result<Vec<_>, _>>()?;
        let appended = append(site, &partitions, what, self.planted);
        if is_undisturbed(self.disk) { appended } else { Ok(()) }
    }

    /// All is flushed, or closed, if nothing has gone wrong.
    fn note_durable(&self) {
        if let Some(site) = self.site.as_ref().filter(|_| is_undisturbed(self.disk)) {
            lock(&site.told).topics.values_mut().for_each(Topic::flushed);
        }
    }

    /// Where a directory has failed, what lies in the other one is served as if nothing had been.
    fn check_healthy(&self, op: &Op, told: &Shared) {
        let complaint = self.site.as_ref().and_then(|site| site.check_healthy().err());
        let mut told = lock(told);
        if told.complaint.is_none() {
            told.complaint = complaint.map(|complaint| format!("behind {op:?}, {complaint}"));
        }
    }

    /// A process that was killed has taken nothing with it, acknowledged when written or not. A disk that has failed
    /// may have.
    fn check_cached(&self) {
        let Some(site) = &self.site else { return };
        let complaint = site.check_cached().err().filter(|_| is_undisturbed(self.disk));
        let mut told = lock(&site.told);
        if told.complaint.is_none() {
            told.complaint = complaint.map(|complaint| format!("after a kill, {complaint}"));
        }
    }

    /// The metadata changes, and the node hears of it.
    fn change(site: &mut Site, change: impl FnOnce(&mut super::told::Told)) {
        change(&mut lock(&site.told));
        site.publish();
    }

    fn start_again(&mut self, cleanly: bool) -> Result<(), String> {
        let site = self.site.take().expect("one runs between operations");
        let told = Arc::clone(&site.told);
        if cleanly {
            site.stop();
            if is_undisturbed(self.disk) {
                lock(&told).topics.values_mut().for_each(Topic::flushed);
            }
        } else {
            drop(site);
        }
        if let Some((Operation::SyncDir, dir)) = self.disk.last_fault() {
            // Systems have no journal any more then, and let nobody write. What names are lost nothing tells.
            return Err(format!("the names in {} may be lost", dir.display()));
        }
        match self.planted {
            Planted::KillLosesCache if !cleanly => self.disk.restart(0),
            _ => self.disk.kill(),
        }
        if self.disk.is_off() {
            return Err("the power is off".to_owned());
        }
        let clean_stop = Path::new("/a").join(dohle_log::clean_stop::FILE_NAME);
        let left = self.disk.peek(&clean_stop);
        self.site = Some(Site::start(self.disk, &told, self.means)?);
        if let Some(left) = left.filter(|_| self.planted == Planted::CleanStopStays) {
            self.disk.plant(&clean_stop, &left);
        }
        self.check_cached();
        Ok(())
    }
}

/// Kafka does not start with a file of epochs that it cannot read, where a node of this kind makes do.
fn check_for_kafka(disk: &SimDisk) -> Result<(), String> {
    for dir in DIRS.map(Path::new) {
        for entry in disk.list(dir).map_err(|error| error.to_string())? {
            let of = dir.join(entry.name);
            let file = of.join(checkpoint::LEADER_EPOCH_FILE);
            checkpoint::read_epochs(disk, &of).map_err(|error| error.to_string())?;
            if disk.peek(&file).is_some_and(|bytes| bytes.contains(&0)) {
                return Err(format!("{} has zeros where nothing was written", file.display()));
            }
        }
    }
    Ok(())
}

/// Whether nothing has gone wrong yet: then all is done that is asked for.
fn is_undisturbed(disk: &SimDisk) -> bool {
    disk.last_fault().is_none() && !disk.is_off()
}

fn find(site: &Site, name: &str) -> Result<Arc<Partition>, String> {
    let id = lock(&site.told).id(name);
    site.partition(id).ok_or_else(|| format!("{name} is not there"))
}

/// Sends so many records to each partition, and notes which are acknowledged.
///
/// # Errors
/// Not all of them are.
pub(super) fn append(
    site: &mut Site,
    partitions: &[Arc<Partition>],
    (count, size): (usize, usize),
    planted: Planted,
) -> Result<(), String> {
    let sent = partitions.iter().map(|partition| send(site, partition, (count, size)));
    let mut sent: Vec<_> = sent.collect();
    if planted != Planted::AckEarly {
        site.step();
        for (partition, sent) in partitions.iter().zip(&mut sent) {
            let committed = partition.high_watermark();
            sent.retain(|(at, _)| *at < committed);
        }
    }
    let (mut told, mut all) = (lock(&site.told), Ok(()));
    for (partition, sent) in partitions.iter().zip(sent) {
        if sent.len() < count {
            all = Err(format!("{} of {count} records of {partition} are acknowledged", sent.len()));
        }
        let topic = told.topic(partition.topic_id());
        sent.into_iter().for_each(|(at, record)| topic.acked(at, record));
    }
    all
}

/// Sends so many records of that size at least, a batch each; says which are in the log.
pub(super) fn send(
    site: &Site,
    partition: &Arc<Partition>,
    (count, size): (usize, usize),
) -> Vec<(Offset, Record)> {
    let id = partition.topic_id();
    let mut sent = Vec::new();
    for _ in 0..count {
        let end = partition.with_leader(|leader| leader.log().log_end_offset());
        let Ok(at) = end else { break };
        let key = format!("k{}", at.0 % 2).into_bytes();
        let epoch = lock(&site.told).epoch(id);
        let number = lock(&site.told).number();
        let value = format!("{number}, {at} of {id}");
        let record = Record { key, value: format!("{value:size$}").into_bytes(), epoch };
        lock(&site.told).topic(id).sent(at, record.clone());
        let mut batch = BatchBuilder::new(BatchSpec::default());
        let (key, value) = (Some(&record.key[..]), Some(&record.value[..]));
        let timestamp = site.broker.clock.wall();
        batch.append(&NewRecord { timestamp, key, value, ..NewRecord::default() }).unwrap();
        let appended = partition.append(&batch.finish(), Origin::Client, timestamp);
        // One that fails has judged the disk.
        if let Ok(Ok((appended, _))) = appended {
            assert_eq!(appended.last_offset, at);
            sent.push((at, record));
        }
    }
    sent
}

/// As a client's request does it: the answer comes once the start is noted.
fn delete_records(site: &mut Site, partition: &Partition, to: Offset, planted: Planted) {
    let id = partition.topic_id();
    lock(&site.told).topic(id).may_be_deleted(to);
    let deleted = partition.with_leader(|leader| leader.delete_records(to));
    let start = match deleted {
        Ok(Ok(start)) => start,
        Ok(Err(error)) => {
            crate::storage::read_error(&error, partition);
            return;
        }
        Err(_) => return,
    };
    let dir = partition.log_dir();
    let mut noted = dir.upkeep().note_log_starts();
    if planted != Planted::DeleteEarly {
        dir.upkeep().step_log_starts(&site.broker, &dir);
    }
    let is_noted = matches!(noted.try_recv(), Ok(Ok(())));
    if is_noted || planted == Planted::DeleteEarly {
        lock(&site.told).topic(id).deleted(start);
    }
}
