//! Which topics there are, and the files that their logs lie in.
//!
//! Files of deleted topics are used again, and those of topics that are kept short are written once when they are made, so
//! that a run does not pay for pages that were never touched before; with `--new-files` each has its own, as in a broker. Topics with `flush.messages=1`, Kafka's way to ask for durable appends, share one
//! file: a sync of one costs a fraction of the syncs of many.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{File, OpenOptions},
    mem,
    ops::Range,
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::{Context, Result, bail};
use dohle_base::{ErrorCode, Offset, Str};
use dohle_protocol::api::{
    create_topics_request::{CreatableTopic, CreateTopicsRequest},
    create_topics_response::{CreatableTopicResult, CreateTopicsResponse},
    delete_topics_request::DeleteTopicsRequest,
    delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse},
};

use super::{
    log::Log,
    new_files::NewFiles,
    ring::{self, FILE_SIZE, NEW_FILE_SIZE, Pieces, Ring, SIZE_MIN},
};
use crate::frames::{self, Ack, FetchAnswer};

/// No load has more.
const PARTITIONS_MAX: i32 = 10_000;

pub(super) struct Topics {
    dir: PathBuf,
    /// Which of `topics` has a name.
    numbers: BTreeMap<String, usize>,
    /// By number, which is not given again; a deleted one has no partitions.
    topics: Vec<Vec<Partition>>,
    /// Of deleted topics.
    spare: Vec<Rc<File>>,
    files_made: u64,
    new_files: bool,
    /// Of the durable topics, once there is one.
    durable: Option<Rc<RefCell<Ring>>>,
    /// What was given something that is still to be written, each once.
    unwritten: Vec<Rc<RefCell<Ring>>>,
}

pub(super) struct Partition {
    pub(super) log: Log,
    pub(super) ack: Ack,
    pub(super) fetched: FetchAnswer,
}

/// How much a partition of a topic keeps: of many there is to be as much in all as of one.
#[derive(Clone, Copy, Debug)]
struct Size {
    ring: u64,
    new_file: u64,
    kept_short: bool,
}

impl Size {
    fn of(topic: &CreatableTopic) -> Self {
        let kept = setting(topic, "retention.bytes");
        let segment = setting(topic, "segment.bytes").unwrap_or(NEW_FILE_SIZE);
        Self {
            ring: kept.unwrap_or(FILE_SIZE).clamp(SIZE_MIN, FILE_SIZE),
            new_file: segment.clamp(SIZE_MIN, FILE_SIZE),
            kept_short: kept.is_some(),
        }
    }
}

/// A number among a topic's settings.
fn setting(topic: &CreatableTopic, key: &str) -> Option<u64> {
    let config = topic.configs.iter().find(|config| config.name.as_str() == key)?;
    config.value.as_ref()?.as_str().parse().ok()
}

/// Where a partition is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    topic: usize,
    index: usize,
}

impl Topics {
    pub(super) fn in_dir(dir: &Path, new_files: bool) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let (dir, numbers, topics) = (dir.to_owned(), BTreeMap::new(), Vec::new());
        let (spare, files_made) = (Vec::new(), 0);
        let (durable, unwritten) = (None, Vec::new());
        Ok(Self { dir, numbers, topics, spare, files_made, new_files, durable, unwritten })
    }

    /// # Errors
    /// A topic that is not there.
    pub(super) fn number(&self, topic: &str) -> Result<usize> {
        self.numbers.get(topic).copied().with_context(|| format!("no topic {topic}"))
    }

    /// # Errors
    /// A partition that is not there.
    pub(super) fn place(&self, topic: &str, index: i32) -> Result<Place> {
        let number = self.numbers.get(topic).copied();
        let place = number.zip(usize::try_from(index).ok());
        match place.map(|(topic, index)| Place { topic, index }) {
            Some(place) if place.index < self.topics[place.topic].len() => Ok(place),
            _ => bail!("no partition {topic}-{index}"),
        }
    }

    /// # Errors
    /// A partition that is gone.
    pub(super) fn at(&mut self, place: Place) -> Result<&mut Partition> {
        let topic = self.topics.get_mut(place.topic);
        let partition = topic.and_then(|partitions| partitions.get_mut(place.index));
        partition.context("the partition is gone")
    }

    pub(super) fn create(&mut self, request: &CreateTopicsRequest) -> Result<CreateTopicsResponse> {
        let mut topics = Vec::new();
        for topic in &request.topics {
            let error_code = self.create_one(topic)?;
            let name = topic.name.clone();
            topics.push(CreatableTopicResult { name, error_code, ..Default::default() });
        }
        Ok(CreateTopicsResponse { topics, ..Default::default() })
    }

    fn create_one(&mut self, topic: &CreatableTopic) -> Result<ErrorCode> {
        if self.numbers.contains_key(topic.name.as_str()) {
            return Ok(ErrorCode::TOPIC_ALREADY_EXISTS);
        }
        if !(1..=PARTITIONS_MAX).contains(&topic.num_partitions) {
            return Ok(ErrorCode::INVALID_PARTITIONS);
        }
        let durable = setting(topic, "flush.messages") == Some(1);
        let size = Size::of(topic);
        let mut partitions = Vec::new();
        for index in 0..topic.num_partitions {
            let name = frames::Partition { topic: topic.name.to_string(), index };
            let ring = if durable { self.durable_ring()? } else { self.own_ring(size)? };
            let (ack, fetched) = (Ack::of(&name)?, FetchAnswer::of(&name)?);
            partitions.push(Partition { log: Log::over(ring), ack, fetched });
        }
        self.numbers.insert(topic.name.to_string(), self.topics.len());
        self.topics.push(partitions);
        Ok(ErrorCode::NONE)
    }

    pub(super) fn delete(&mut self, request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
        let mut responses = Vec::new();
        let names = request.topics.iter().filter_map(|topic| topic.name.as_ref());
        for name in names.chain(&request.topic_names) {
            let error_code = self.delete_one(name);
            let name = Some(name.clone());
            responses.push(DeletableTopicResult { name, error_code, ..Default::default() });
        }
        DeleteTopicsResponse { responses, ..Default::default() }
    }

    fn delete_one(&mut self, name: &Str) -> ErrorCode {
        match self.numbers.remove(name.as_str()) {
            None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            Some(number) => {
                let partitions = mem::take(&mut self.topics[number]);
                let rings = partitions.into_iter().map(|partition| partition.log.into_ring());
                let own = rings.filter(|ring| {
                    let durable = self.durable.as_ref();
                    durable.is_none_or(|durable| !Rc::ptr_eq(durable, ring))
                        && ring.borrow().can_be_used_again()
                });
                self.spare.extend(own.map(|ring| Rc::clone(ring.borrow().file())));
                ErrorCode::NONE
            }
        }
    }

    /// Takes in a batch that is a part of `buffer`; where, and its base offset. It is written by [`Self::write`]
    /// together with all that comes for the same partition meanwhile.
    ///
    /// # Errors
    /// A partition that is not there, bytes that are not one batch, or a disk that fails.
    pub(super) fn append(
        &mut self,
        topic: usize,
        index: i32,
        buffer: &mut [u8],
        part: Range<usize>,
    ) -> Result<(&mut Partition, Offset)> {
        let Self { topics, unwritten, .. } = self;
        let partitions = topics.get_mut(topic).context("the topic is gone")?;
        let partition = usize::try_from(index).ok().and_then(|index| partitions.get_mut(index));
        let partition = partition.with_context(|| format!("no partition {index}"))?;
        let waited = partition.log.ring().borrow().is_waiting();
        let appended = partition.log.append(buffer, part);
        let ring = partition.log.ring();
        if !waited && ring.borrow().is_waiting() {
            unwritten.push(Rc::clone(ring));
        }
        Ok((partition, appended?))
    }

    /// Writes what was put into rings; into all of them, also if one fails.
    pub(super) fn write(&mut self, buffer: &[u8]) -> Result<()> {
        let write = |ring: Rc<RefCell<Ring>>| ring.borrow_mut().write(buffer);
        self.unwritten.drain(..).map(write).fold(Ok(()), Result::and)
    }

    /// Whether something of a durable topic is not synced.
    pub(super) fn needs_sync(&self) -> bool {
        self.durable.as_ref().is_some_and(|ring| ring.borrow().needs_sync())
    }

    /// Makes durable what durable topics were given.
    pub(super) fn sync(&self) -> Result<()> {
        self.durable.as_ref().map_or(Ok(()), |ring| ring.borrow_mut().sync())
    }

    fn durable_ring(&mut self) -> Result<Rc<RefCell<Ring>>> {
        if let Some(ring) = &self.durable {
            return Ok(Rc::clone(ring));
        }
        let ring = Rc::new(RefCell::new(Ring::durable(self.file()?)?));
        self.durable = Some(Rc::clone(&ring));
        Ok(ring)
    }

    fn own_ring(&mut self, size: Size) -> Result<Rc<RefCell<Ring>>> {
        if self.new_files {
            let files = NewFiles::at(self.dir.join(self.files_made.to_string()));
            self.files_made += 1;
            return Ok(Rc::new(RefCell::new(Ring::in_new_files(files, size.new_file)?)));
        }
        let spare = self.spare.pop();
        let laid_out = spare.is_some() || size.kept_short;
        let file = spare.map_or_else(|| self.file(), Ok)?;
        if laid_out {
            // What is kept short is written to without end, and what is not is read.
            let pieces = if size.kept_short { Pieces::ToWrite } else { Pieces::ToRead };
            ring::lay_out_anew(&file, size.ring, pieces)?;
        }
        Ok(Rc::new(RefCell::new(Ring::over(file, size.ring))))
    }

    fn file(&mut self) -> Result<Rc<File>> {
        let path = self.dir.join(format!("{}.log", self.files_made));
        self.files_made += 1;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        Ok(Rc::new(file.with_context(|| path.display().to_string())?))
    }
}
