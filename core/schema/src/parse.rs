//! From text to [`Message`]s: one pass over the lines, with a stack of the structs that are open.
//!
//! Only the form is judged here; whether names, versions and types fit together is for `check`.

use crate::{
    Fault, SchemaError, Source,
    model::{
        Api, Field, Kind, Message, Place, Room, SCALARS, STRINGS, Struct, Type, Versions, camel,
    },
};

#[cfg(test)]
mod tests;

/// The messages of one file, in its order.
pub(crate) fn parse(source: &Source) -> Result<Vec<Message>, SchemaError> {
    let mut parser = Parser { messages: Vec::new(), open: Vec::new(), docs: Vec::new() };
    for (at, line) in source.text.lines().enumerate() {
        let place = Place { path: source.path.clone(), line: at + 1 };
        parser.line(line, &place).map_err(|fault| place.error(fault))?;
    }
    Ok(parser.messages)
}

impl Place {
    /// The error that something here is wrong.
    pub(crate) fn error(&self, fault: Fault) -> SchemaError {
        SchemaError { path: self.path.clone(), line: self.line, fault }
    }
}

struct Parser {
    messages: Vec<Message>,
    /// For each level of indentation, the index of the struct in the last message that is open.
    open: Vec<usize>,
    /// The `//` lines that wait for what they describe.
    docs: Vec<String>,
}

impl Parser {
    fn line(&mut self, line: &str, place: &Place) -> Result<(), Fault> {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        if let Some(doc) = text.strip_prefix("//") {
            self.docs.push(doc.trim().to_owned());
            return Ok(());
        }
        let (text, trailing) = match text.split_once("//") {
            Some((text, doc)) => (text.trim(), Some(doc.trim().to_owned())),
            None => (text, None),
        };
        let mut docs = std::mem::take(&mut self.docs);
        docs.extend(trailing);
        let mut words = Words(text.split_whitespace());
        let spaces = line.len() - line.trim_start().len();
        let level = spaces / 2;
        match (spaces % 2, level) {
            (0, 0) => self.message(&mut words, docs, place),
            (0, 1) if text.starts_with("struct ") => self.structure(&mut words, docs, place),
            (0, level) => self.field(&mut words, docs, level, place),
            _ => Err(Fault::BadIndent),
        }
    }

    fn message(
        &mut self,
        words: &mut Words,
        docs: Vec<String>,
        place: &Place,
    ) -> Result<(), Fault> {
        let message = message(words, docs, place)?;
        self.messages.push(message);
        self.open = vec![0];
        Ok(())
    }

    fn structure(
        &mut self,
        words: &mut Words,
        docs: Vec<String>,
        place: &Place,
    ) -> Result<(), Fault> {
        words.expect("struct")?;
        let name = words.next("a name")?.to_owned();
        let versions = versions(words.next("versions")?)?;
        words.end()?;
        self.open_struct(
            1,
            Struct {
                place: place.clone(),
                docs,
                name,
                versions,
                reach: versions,
                fields: Vec::new(),
            },
        )
    }

    fn field(
        &mut self,
        words: &mut Words,
        docs: Vec<String>,
        level: usize,
        place: &Place,
    ) -> Result<(), Fault> {
        if level > self.open.len() {
            self.open_inline(level)?;
        }
        self.open.truncate(level);
        let field = field(words, docs, place)?;
        let message = self.messages.last_mut().ok_or(Fault::BadIndent)?;
        let owner = *self.open.last().ok_or(Fault::BadIndent)?;
        message.structs[owner].fields.push(field);
        Ok(())
    }

    /// The line is deeper than the one above it, so it starts the struct that the field above names.
    fn open_inline(&mut self, level: usize) -> Result<(), Fault> {
        if level != self.open.len() + 1 {
            return Err(Fault::BadIndent);
        }
        let message = self.messages.last().ok_or(Fault::BadIndent)?;
        let owner = *self.open.last().ok_or(Fault::BadIndent)?;
        let above = message.structs[owner].fields.last().ok_or(Fault::BadIndent)?;
        let Type::Struct(name) = &above.ty else { return Err(Fault::BadIndent) };
        let structure = Struct {
            place: above.place.clone(),
            docs: Vec::new(),
            name: name.clone(),
            versions: above.versions,
            reach: above.versions,
            fields: Vec::new(),
        };
        self.open_struct(level - 1, structure)
    }

    fn open_struct(&mut self, level: usize, structure: Struct) -> Result<(), Fault> {
        let message = self.messages.last_mut().ok_or(Fault::BadIndent)?;
        if message.structure(&structure.name).is_some() {
            return Err(Fault::Twice(structure.name));
        }
        self.open.truncate(level);
        self.open.push(message.structs.len());
        message.structs.push(structure);
        Ok(())
    }
}

/// The words of one line, in order.
struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn next(&mut self, what: &'static str) -> Result<&'a str, Fault> {
        self.0.next().ok_or(Fault::Missing(what))
    }

    fn expect(&mut self, word: &'static str) -> Result<(), Fault> {
        let got = self.next(word)?;
        if got == word { Ok(()) } else { Err(Fault::UnknownWord(got.to_owned())) }
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.0.next().map_or(Ok(()), |word| Err(Fault::UnknownWord(word.to_owned())))
    }
}

fn message(words: &mut Words, docs: Vec<String>, place: &Place) -> Result<Message, Fault> {
    let kind = kind(words.next("a kind of message")?)?;
    let name = words.next("a name")?.to_owned();
    let (mut id, mut api, mut range, mut flexible) = (None, None, None, None);
    let mut marks = Marks::default();
    while let Some(word) = words.0.next() {
        match word {
            "api" => api = Some((number(words.next("a key")?)?, words.next("a name")?.to_owned())),
            "id" => id = Some(number(words.next("a number")?)?),
            "versions" => range = Some(versions(words.next("versions")?)?),
            "flexible" => {
                flexible = Some(match words.next("versions or none")? {
                    "none" => None,
                    text => Some(versions(text)?),
                })
            }
            _ => marks.word(word, words)?,
        }
    }
    let versions = range.ok_or(Fault::Missing("versions"))?;
    let flexible = flexible.ok_or(Fault::Missing("flexible"))?;
    Ok(Message {
        place: place.clone(),
        docs,
        room: room(&place.path)?,
        kind,
        api: api.map(|(key, name)| marks.api(key, name)),
        id,
        versions,
        flexible,
        structs: vec![Struct {
            place: place.clone(),
            docs: Vec::new(),
            name: name.clone(),
            versions,
            reach: versions,
            fields: Vec::new(),
        }],
        name,
    })
}

/// What only a request can say.
#[derive(Default)]
struct Marks {
    on_broker: bool,
    on_controller: bool,
    advertised: Option<Versions>,
    latest_unstable: bool,
    forwardable: bool,
    cluster_action: bool,
}

impl Marks {
    fn word(&mut self, word: &str, words: &mut Words) -> Result<(), Fault> {
        match word {
            "listeners" => {
                for listener in words.next("listeners")?.split(',') {
                    match listener {
                        "broker" => self.on_broker = true,
                        "controller" => self.on_controller = true,
                        other => return Err(Fault::UnknownWord(other.to_owned())),
                    }
                }
            }
            "advertised" => self.advertised = Some(versions(words.next("versions")?)?),
            "unstable" => self.latest_unstable = true,
            "forwardable" => self.forwardable = true,
            "cluster_action" => self.cluster_action = true,
            other => return Err(Fault::UnknownWord(other.to_owned())),
        }
        Ok(())
    }

    fn api(self, key: i16, name: String) -> Api {
        let Self {
            on_broker,
            on_controller,
            advertised,
            latest_unstable,
            forwardable,
            cluster_action,
        } = self;
        Api {
            key,
            name,
            on_broker,
            on_controller,
            advertised,
            latest_unstable,
            forwardable,
            cluster_action,
        }
    }
}

fn kind(word: &str) -> Result<Kind, Fault> {
    Ok(match word {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "header" => Kind::Header,
        "data" => Kind::Data,
        "record" => Kind::Record,
        "key" => Kind::Key,
        "value" => Kind::Value,
        other => return Err(Fault::UnknownWord(other.to_owned())),
    })
}

fn room(path: &str) -> Result<Room, Fault> {
    let (folder, _) =
        path.rsplit_once('/').ok_or(Fault::Incomplete("a schema file lies in a folder"))?;
    Ok(match folder {
        "api" => Room::Api,
        "records/metadata" => Room::Metadata,
        "records/group" => Room::Group,
        "records/transaction" => Room::Transaction,
        "records/share" => Room::Share,
        "records/raft" => Room::Raft,
        "records/log" => Room::Log,
        "records/consumer_protocol" => Room::ConsumerProtocol,
        _ => return Err(Fault::Incomplete("this folder has no module")),
    })
}

fn field(words: &mut Words, docs: Vec<String>, place: &Place) -> Result<Field, Fault> {
    let name = words.next("a field")?.to_owned();
    let (ty, nullable) = split_nullable(words.next("a type")?);
    let range = versions(words.next("versions")?)?;
    let (array, element) = match ty.strip_prefix('[').and_then(|ty| ty.strip_suffix(']')) {
        Some(element) => (true, element),
        None => (false, ty),
    };
    let nullable = match nullable {
        None => None,
        Some("") => Some(range),
        Some(text) => Some(versions(text)?),
    };
    let mut field = Field {
        place: place.clone(),
        docs,
        exact: camel(&name),
        name,
        ty: type_of(element)?,
        array,
        few: false,
        versions: range,
        nullable,
        default: None,
        tag: None,
        ignorable: false,
        plain: false,
    };
    while let Some(word) = words.0.next() {
        match word {
            "=" => field.default = Some(words.next("a default")?.to_owned()),
            "tag" => field.tag = Some(number(words.next("a tag")?)?),
            "ignorable" => field.ignorable = true,
            "plain" => field.plain = true,
            "few" => field.few = true,
            "named" => field.exact = words.next("a name")?.to_owned(),
            other => return Err(Fault::UnknownWord(other.to_owned())),
        }
    }
    Ok(field)
}

/// `string?7+` is a string that can be null in the versions behind the mark.
fn split_nullable(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((ty, versions)) => (ty, Some(versions)),
        None => (text, None),
    }
}

fn type_of(word: &str) -> Result<Type, Fault> {
    if let Some(scalar) = SCALARS.iter().find(|scalar| scalar.word == word) {
        return Ok(Type::Scalar(scalar));
    }
    if let Some(string) = STRINGS.iter().find(|string| **string == word) {
        return Ok(Type::String(string));
    }
    match word {
        "bytes" => Ok(Type::Bytes),
        "records" => Ok(Type::Records),
        name if name.starts_with(|first: char| first.is_ascii_uppercase()) => {
            Ok(Type::Struct(name.to_owned()))
        }
        other => Err(Fault::UnknownType(other.to_owned())),
    }
}

fn versions(text: &str) -> Result<Versions, Fault> {
    let bad = || Fault::BadVersions(text.to_owned());
    let version =
        |text: &str| text.parse::<i16>().ok().filter(|version| *version >= 0).ok_or_else(bad);
    let range = if let Some(first) = text.strip_suffix('+') {
        Versions { first: version(first)?, last: Versions::OPEN }
    } else if let Some((first, last)) = text.split_once('-') {
        Versions { first: version(first)?, last: version(last)? }
    } else {
        Versions { first: version(text)?, last: version(text)? }
    };
    if range.first <= range.last { Ok(range) } else { Err(bad()) }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::BadNumber(text.to_owned()))
}
