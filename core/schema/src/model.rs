//! A schema as data: what the parser fills, the checks complete and the emitter reads.

#[cfg(test)]
mod tests;

/// An inclusive range of versions; `last` is [`Versions::OPEN`] for `3+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Versions {
    /// The end of a range without one.
    pub(crate) const OPEN: i16 = i16::MAX;

    /// What both have, if anything.
    pub(crate) fn meet(self, other: Self) -> Option<Self> {
        let both = Self { first: self.first.max(other.first), last: self.last.min(other.last) };
        (both.first <= both.last).then_some(both)
    }

    pub(crate) fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Header,
    Data,
    Record,
    Key,
    Value,
}

/// The module a message goes to, from its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    Api,
    Metadata,
    Group,
    Transaction,
    Share,
    Raft,
    Log,
    ConsumerProtocol,
}

/// Where in the sources something stands, for errors.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) line: usize,
}

/// One message with all that its header line says.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) place: Place,
    pub(crate) docs: Vec<String>,
    pub(crate) room: Room,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) api: Option<Api>,
    pub(crate) id: Option<i16>,
    pub(crate) versions: Versions,
    /// The flexible versions as declared: they may begin before those of the message.
    pub(crate) flexible: Option<Versions>,
    /// The message itself first, then every struct of it, outer before inner.
    pub(crate) structs: Vec<Struct>,
}

/// What a request says about its API.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) name: String,
    pub(crate) on_broker: bool,
    pub(crate) on_controller: bool,
    pub(crate) advertised: Option<Versions>,
    pub(crate) latest_unstable: bool,
    pub(crate) forwardable: bool,
    pub(crate) cluster_action: bool,
}

/// A struct of a message; the message's own fields are one too.
#[derive(Clone, Debug)]
pub(crate) struct Struct {
    pub(crate) place: Place,
    pub(crate) docs: Vec<String>,
    pub(crate) name: String,
    /// As declared, or those of the field that it was written below.
    pub(crate) versions: Versions,
    /// The versions in which a struct of this kind can occur, from the checks.
    pub(crate) reach: Versions,
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) place: Place,
    pub(crate) docs: Vec<String>,
    /// In snake case, without the `r#` that a keyword needs.
    pub(crate) name: String,
    /// Kafka's name.
    pub(crate) exact: String,
    pub(crate) ty: Type,
    pub(crate) array: bool,
    /// An array that mostly has one element, which then needs no memory of its own.
    pub(crate) few: bool,
    /// As declared; the emitter cuts them to the reach of the struct.
    pub(crate) versions: Versions,
    pub(crate) nullable: Option<Versions>,
    pub(crate) default: Option<String>,
    pub(crate) tag: Option<u32>,
    pub(crate) ignorable: bool,
    pub(crate) plain: bool,
}

/// The type of a field or of the elements of its array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar(&'static Scalar),
    String(&'static str),
    Bytes,
    Records,
    Struct(String),
}

/// A type of fixed size: its word here, Kafka's word, the Rust type, and how a literal is wrapped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) word: &'static str,
    pub(crate) kafka: &'static str,
    pub(crate) rust: &'static str,
    pub(crate) size: usize,
}

const fn scalar(
    word: &'static str,
    kafka: &'static str,
    rust: &'static str,
    size: usize,
) -> Scalar {
    Scalar { word, kafka, rust, size }
}

/// Every type of fixed size.
pub(crate) const SCALARS: &[Scalar] = &[
    scalar("bool", "bool", "bool", 1),
    scalar("i8", "int8", "i8", 1),
    scalar("i16", "int16", "i16", 2),
    scalar("i32", "int32", "i32", 4),
    scalar("i64", "int64", "i64", 8),
    scalar("u16", "uint16", "u16", 2),
    scalar("u32", "uint32", "u32", 4),
    scalar("f64", "float64", "f64", 8),
    scalar("uuid", "uuid", "Uuid", 16),
    scalar("topic_id", "uuid", "TopicId", 16),
    scalar("broker_id", "int32", "BrokerId", 4),
    scalar("partition", "int32", "PartitionId", 4),
    scalar("leader_epoch", "int32", "LeaderEpoch", 4),
    scalar("offset", "int64", "Offset", 8),
    scalar("producer_id", "int64", "ProducerId", 8),
    scalar("producer_epoch", "int16", "ProducerEpoch", 2),
    scalar("error_code", "int16", "ErrorCode", 2),
    scalar("ms", "int32", "i32", 4),
    scalar("ms64", "int64", "i64", 8),
    scalar("timestamp", "int64", "i64", 8),
];

/// Every word for a string.
pub(crate) const STRINGS: &[&str] = &["string", "topic_name", "group_id", "transactional_id"];

impl Type {
    /// The word in the schema language.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Scalar(scalar) => scalar.word,
            Self::String(word) => word,
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Struct(name) => name,
        }
    }

    /// Kafka's word.
    pub(crate) fn kafka(&self) -> &str {
        match self {
            Self::Scalar(scalar) => scalar.kafka,
            Self::String(_) => "string",
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Struct(name) => name,
        }
    }
}

impl Message {
    /// The struct of that name, which the checks have found to exist.
    pub(crate) fn structure(&self, name: &str) -> Option<&Struct> {
        self.structs.iter().find(|candidate| candidate.name == name)
    }
}

/// `TopicId` from `topic_id`.
pub(crate) fn camel(snake: &str) -> String {
    let mut camel = String::with_capacity(snake.len());
    for word in snake.split('_') {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// `topic_id` from `TopicId`; runs of capitals are one word (`ISR`), and so is `KRaft`.
pub(crate) fn snake(camel: &str) -> String {
    let letters: Vec<char> = camel.replace("KRaft", "Kraft").chars().collect();
    let mut snake = String::with_capacity(camel.len() + 8);
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let starts_word = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase()
                    || letters.get(at + 1).is_some_and(char::is_ascii_lowercase)
            });
        if starts_word {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
