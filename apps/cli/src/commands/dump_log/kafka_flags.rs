//! `kafka-dump-log`: the flags of Kafka's tool.

use std::{
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use dohle_protocol::records::CoordinatorLog;

use super::{
    IndexKind, IndexView, Questions, SegmentView,
    decoder::{Decoder, Plain},
    fault::{Fault, Problem},
    file,
    findings::Findings,
    kafka_faults,
    page::Page,
};
use crate::kafka::{Exception, Flag, Options, Stop, Takes};

const PURPOSE: &str = "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.";
const STRING_DECODER: &str = "org.apache.kafka.tools.api.StringDecoder";

/// Those that have a decoder of their own.
const DECODERS: [&str; 5] = [
    "offsets-decoder",
    "transaction-log-decoder",
    "cluster-metadata-decoder",
    "remote-log-metadata-decoder",
    "share-group-state-decoder",
];

static FLAGS: &[Flag] = &[
    flag("help", "Print usage information.", Takes::Nothing),
    flag("version", "Display Kafka version.", Takes::Nothing),
    flag(
        "print-data-log",
        "If set, printing the messages content when dumping data logs. Automatically set if any decoder option is specified.",
        Takes::Nothing,
    ),
    flag(
        "verify-index-only",
        "If set, just verify the index log without printing its content.",
        Takes::Nothing,
    ),
    flag(
        "index-sanity-check",
        "If set, just checks the index sanity without printing its content. This is the same check that is executed on broker startup to determine if an index needs rebuilding or not.",
        Takes::Nothing,
    ),
    flag(
        "files",
        "REQUIRED: The comma separated list of data and index log files to be dumped.",
        Takes::Value { kind: "String", called: "file1, file2, ...", default: None },
    ),
    flag(
        "max-message-size",
        "Size of largest message.",
        Takes::Value { kind: "Integer", called: "size", default: Some("5242880") },
    ),
    flag(
        "max-bytes",
        "Limit the amount of total batches read in bytes avoiding reading the whole .log file(s).",
        Takes::Value { kind: "Integer", called: "size", default: Some("2147483647") },
    ),
    flag(
        "deep-iteration",
        "If set, uses deep instead of shallow iteration. Automatically set if print-data-log is enabled.",
        Takes::Nothing,
    ),
    flag(
        "value-decoder-class",
        "If set, used to deserialize the messages. This class should implement org.apache.kafka.tools.api.Decoder trait. Custom jar should be available in kafka/libs directory.",
        Takes::Perhaps { kind: "String", default: Some(STRING_DECODER) },
    ),
    flag(
        "key-decoder-class",
        "If set, used to deserialize the keys. This class should implement org.apache.kafka.tools.api.Decoder trait. Custom jar should be available in kafka/libs directory.",
        Takes::Perhaps { kind: "String", default: Some(STRING_DECODER) },
    ),
    flag(
        "offsets-decoder",
        "If set, log data will be parsed as offset data from the __consumer_offsets topic.",
        Takes::Nothing,
    ),
    flag(
        "transaction-log-decoder",
        "If set, log data will be parsed as transaction metadata from the __transaction_state topic.",
        Takes::Nothing,
    ),
    flag(
        "cluster-metadata-decoder",
        "If set, log data will be parsed as cluster metadata records.",
        Takes::Nothing,
    ),
    flag(
        "remote-log-metadata-decoder",
        "If set, log data will be parsed as TopicBasedRemoteLogMetadataManager (RLMM) metadata records. Instead, the value-decoder-class option can be used if a custom RLMM implementation is configured.",
        Takes::Nothing,
    ),
    flag(
        "share-group-state-decoder",
        "If set, log data will be parsed as share group state data from the __share_group_state topic.",
        Takes::Nothing,
    ),
    flag(
        "skip-record-metadata",
        "Skip metadata when printing records. This flag also skips control records.",
        Takes::Nothing,
    ),
];

const fn flag(name: &'static str, about: &'static str, takes: Takes) -> Flag {
    Flag { name, about, takes }
}

/// Does what Kafka's tool does with these words.
pub(crate) fn run_as_kafka(words: &[String]) -> Result<(), Stop> {
    let options = Options::parse(FLAGS, words)?;
    let usage = |message: &str| Err(Stop::Usage { message: message.to_owned(), flags: FLAGS });
    if words.is_empty() || options.has("help") {
        return usage(PURPOSE);
    }
    if options.has("version") {
        return Err(Stop::Version);
    }
    if !options.has("files") {
        return usage("Missing required argument \"[files]\"");
    }
    let files = java_split(options.value("files")?.unwrap_or_default());
    let (mut out, mut err) = (BufWriter::with_capacity(1 << 16, io::stdout().lock()), io::stderr());
    let mut page = Page::new(&mut out, &mut err);
    let outcome = show_all(&files, &options, &mut page);
    page.flush()?;
    outcome.map_err(kafka_faults::stop)
}

fn show_all(files: &[String], options: &Options, page: &mut Page<'_>) -> Result<(), Fault> {
    let mut findings = Findings::default();
    for name in files {
        let path = java_path(name);
        let kind = file::Kind::of(&path);
        match file::show(&path, kind, options, page, &mut findings) {
            // Most segments have no aborted transactions, and then no index of them.
            Err(Fault::File { problem: Problem::Disk(error), .. })
                if error.is_not_found() && kind == Some(file::Kind::TransactionIndex) => {}
            other => other?,
        }
    }
    Ok(findings.report(page)?)
}

/// The parts between commas; empty ones at the end count for nothing.
fn java_split(list: &str) -> Vec<String> {
    let mut parts: Vec<String> = list.split(',').map(String::from).collect();
    while parts.len() > 1 && parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    parts
}

/// The path as Java writes it: without slashes that say nothing.
fn java_path(name: &str) -> PathBuf {
    let mut path = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter != '/' || !path.ends_with('/') {
            path.push(letter);
        }
    }
    if path.len() > 1 && path.ends_with('/') {
        path.pop();
    }
    path.into()
}

impl Questions for Options {
    fn segment(&self, path: &Path) -> Result<SegmentView, Fault> {
        let of_path = |problem| Fault::at(path, None, problem);
        let has_decoder = DECODERS.iter().any(|name| self.has(name));
        let has_class = self.has("value-decoder-class") || self.has("key-decoder-class");
        let shows_contents = self.has("print-data-log") || has_decoder || has_class;
        let decoder = decoder(self).map_err(of_path)?;
        Ok(SegmentView {
            records: self.has("deep-iteration") || shows_contents,
            metadata: !self.has("skip-record-metadata"),
            contents: shows_contents.then_some(decoder),
            bytes_max: self.integer("max-bytes").map_err(Problem::Flag).map_err(of_path)?,
        })
    }

    fn index(&self, path: &Path) -> Result<IndexView, Fault> {
        let kind = if self.has("index-sanity-check") {
            IndexKind::Sanity
        } else if self.has("verify-index-only") {
            IndexKind::Compared
        } else {
            IndexKind::Shown
        };
        // Only an index of offsets looks at the size.
        let batch_size_max = match file::Kind::of(path) {
            Some(file::Kind::OffsetIndex) => self
                .integer("max-message-size")
                .map_err(|exception| Fault::at(path, None, Problem::Flag(exception)))?,
            _ => i32::MAX,
        };
        Ok(IndexView { kind, batch_size_max })
    }
}

/// The first one of those that are asked for, in Kafka's order.
fn decoder(options: &Options) -> Result<Decoder, Problem> {
    let asked = DECODERS.iter().find(|name| options.has(name));
    Ok(match asked {
        Some(&"offsets-decoder") => Decoder::Coordinator(CoordinatorLog::Group),
        Some(&"transaction-log-decoder") => Decoder::Coordinator(CoordinatorLog::Transaction),
        Some(&"share-group-state-decoder") => Decoder::Coordinator(CoordinatorLog::Share),
        Some(&"cluster-metadata-decoder") => Decoder::Metadata,
        Some(_) => Decoder::RemoteLog,
        None => {
            let value = plain(options.value("value-decoder-class"))?;
            Decoder::Plain { key: plain(options.value("key-decoder-class"))?, value }
        }
    })
}

/// Those of Kafka's classes that are built in here.
fn plain(class: Result<Option<&str>, Exception>) -> Result<Plain, Problem> {
    let class = class.map_err(Problem::Flag)?.unwrap_or(STRING_DECODER);
    Ok(match class.strip_prefix("org.apache.kafka.tools.api.") {
        Some("StringDecoder") => Plain::Text,
        Some("IntegerDecoder") => Plain::Integer,
        Some("LongDecoder") => Plain::Long,
        Some("DefaultDecoder") => Plain::Bytes,
        _ => return Err(Problem::JavaClass(class.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_paths_are_java_s() {
        assert_eq!(java_split("a,,b,,"), ["a", "", "b"]);
        assert_eq!(java_split(""), [""]);
        assert_eq!(java_path("/a//b/"), PathBuf::from("/a/b"));
        assert_eq!(java_path("/"), PathBuf::from("/"));
    }
}
