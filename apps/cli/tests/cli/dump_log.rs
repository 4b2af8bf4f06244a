//! `kafka-dump-log` against what Kafka's tool says about the same files, and `dump-log`.
//!
//! The files are the golden log directories of core/log and core/raft, written by Kafka 4.4.0. What
//! Kafka's tool said was recorded by test/compat/dump/record.py; only the folder is masked.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::process::{Ended, command, dohle, ended};

const MASK: &str = "DATA_DIR";
/// Where only the class of the exception is the same: in which of its calls Java notices that a
/// compressed stream is broken is nothing that we know.
const OTHER_WORDS: &str = "torn/tiny-segments-0/00000000000000000078.log";
const BLOCK_SIZE: usize = 512;

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn text(field: &[u8]) -> &str {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).unwrap()
}

/// The golden directories, side by side: made once for all tests, which only read.
fn golden() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core");
        for name in ["clean", "killed", "torn"] {
            let archive = unpacked(&core.join(format!("log/testdata/{name}.tar.gz")));
            unpack(&archive, &folder.path().join(name));
        }
        let metadata = folder.path().join("clean/__cluster_metadata-0");
        fs::create_dir_all(&metadata).unwrap();
        for file in fs::read_dir(core.join("raft/testdata/kafka-4.4.0")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), metadata.join(file.file_name())).unwrap();
        }
        folder
    });
    folder.path()
}

/// Unpacks a tar archive: a head of one block for each file, with name, size in octal and type.
fn unpack(archive: &[u8], folder: &Path) {
    let mut rest = archive;
    while let Some((head, behind)) = rest.split_at_checked(BLOCK_SIZE) {
        let Some(name) = text(&head[..100]).strip_prefix("./") else { break };
        let size = usize::from_str_radix(text(&head[124..136]).trim(), 8).unwrap();
        if head[156] == b'0' {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &behind[..size]).unwrap();
        }
        rest = &behind[size.div_ceil(BLOCK_SIZE) * BLOCK_SIZE..];
    }
}

/// A call of Kafka's tool and what came of it.
struct Recorded {
    arguments: Vec<String>,
    code: i32,
    stdout: String,
    stderr: String,
}

fn recorded() -> Vec<Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kafka-dump-log.txt.gz");
    let whole = String::from_utf8(unpacked(&path)).unwrap();
    let sections = whole.strip_prefix("$ ").unwrap().split("\n$ ");
    sections
        .map(|section| {
            let (call, rest) = section.split_once("\n-- exit ").unwrap();
            let (code, rest) = rest.split_once("\n-- stdout\n").unwrap();
            let (stdout, stderr) = rest.split_once("-- stderr").unwrap();
            let stderr = stderr.strip_prefix('\n').unwrap_or(stderr);
            let ended = |text: &str| {
                let text = text.to_owned();
                if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
            };
            Recorded {
                arguments: call.split(' ').map(String::from).collect(),
                code: code.parse().unwrap(),
                stdout: stdout.to_owned(),
                stderr: ended(stderr),
            }
        })
        .collect()
}

fn kafka_dump_log(arguments: &[&str]) -> Ended {
    dohle(&[&["kafka-dump-log"], arguments].concat())
}

#[test]
fn every_golden_file_is_dumped_as_kafka_dumps_it() {
    let folder = golden().to_str().unwrap();
    let all = recorded();
    let mut differ = Vec::new();
    for Recorded { arguments, code, stdout, stderr } in &all {
        let words: Vec<String> = arguments.iter().map(|word| word.replace(MASK, folder)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ours = kafka_dump_log(&words);
        let is_worded = !arguments.iter().any(|word| word.ends_with(OTHER_WORDS));
        let shown = |text: &str| {
            let text = text.replace(folder, MASK);
            match text.split_once(": ") {
                Some((class, _)) if !is_worded && text.starts_with("Exception") => class.to_owned(),
                _ => text,
            }
        };
        if (ours.code, shown(&ours.stdout), shown(&ours.stderr))
            != (Some(*code), stdout.clone(), shown(stderr))
        {
            let first = shown(&ours.stdout)
                .lines()
                .zip(stdout.lines())
                .find(|(ours, theirs)| ours != theirs)
                .map(|(ours, theirs)| format!("\n  kafka {theirs}\n  dohle {ours}"));
            differ.push(format!(
                "{}: {:?} instead of {code}{}\n  kafka {stderr:?}\n  dohle {:?}",
                arguments.join(" "),
                ours.code,
                first.unwrap_or_default(),
                shown(&ours.stderr),
            ));
        }
    }
    let first: Vec<&String> = differ.iter().take(8).collect();
    assert!(all.len() > 1000, "the record is not whole");
    assert!(differ.is_empty(), "{} of {} differ: {first:#?}", differ.len(), all.len());
}

/// Recorded of Kafka's tools 4.3.1.
#[test]
fn flags_and_their_errors_are_kafkas() {
    let help = include_str!("../../testdata/kafka-dump-log-help.txt");
    assert_eq!(kafka_dump_log(&[]).stderr, help);
    let ended = kafka_dump_log(&["--help"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(1), "", help));
    assert_eq!(kafka_dump_log(&["--version"]).well(), "4.4.0\n");

    let exception = "Exception in thread \"main\" ";
    let rows: [(&[&str], &str, &str); 8] = [
        (
            &["--no-such"],
            "",
            "joptsimple.UnrecognizedOptionException: no-such is not a recognized option\n",
        ),
        (
            &["--files"],
            "",
            "joptsimple.OptionMissingRequiredArgumentException: Option files requires an argument\n",
        ),
        (
            &["--files", "no-such.log"],
            "Dumping no-such.log\n",
            "java.lang.NumberFormatException: For input string: \"no-such\"\n",
        ),
        (
            &["--files", "/no/00.log"],
            "Dumping /no/00.log\nLog starting offset: 0\n",
            "java.nio.file.NoSuchFileException: /no/00.log\n",
        ),
        (
            &["--files", "/no/1.index"],
            "Dumping /no/1.index\n",
            "java.nio.file.NoSuchFileException: /no/1.log\n",
        ),
        (
            &["--files", "0.log", "--max-bytes", "x"],
            "Dumping 0.log\n",
            "joptsimple.OptionArgumentConversionException: Cannot parse argument 'x' of option max-bytes\n",
        ),
        (
            &["--files", "a.checkpoint"],
            "Dumping a.checkpoint\n",
            "java.lang.StringIndexOutOfBoundsException: begin 0, end 20, length 12\n",
        ),
        (
            &["--files", "0.log", "--value-decoder-class", "com.example.X"],
            "Dumping 0.log\n",
            "java.lang.RuntimeException: Failed to load decoder class\nCaused by: java.lang.ClassNotFoundException: com.example.X\n",
        ),
    ];
    for (arguments, stdout, error) in rows {
        let ended = kafka_dump_log(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), stdout), "{arguments:?}");
        let expected = format!("{exception}{error}");
        assert!(ended.stderr.starts_with(&expected), "{arguments:?}: {}", ended.stderr);
    }
    let ended = kafka_dump_log(&["--files", "a/x.properties,b"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "Dumping a/x.properties\nDumping b\n")
    );
    assert_eq!(ended.stderr, "Ignoring unknown file a/x.properties\nIgnoring unknown file b\n");
}

#[test]
fn a_link_of_the_tools_name_is_the_tool() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["kafka-dump-log", "kafka-dump-log.sh"] {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dohle"), &link).unwrap();
        let output = Command::new(link).arg("--version").output().unwrap();
        assert_eq!(Ended::from(output).well(), "4.4.0\n", "{name}");
    }
}

#[test]
fn nobody_who_reads_is_a_quiet_end() {
    let segment = golden().join("clean/many-index-entries-0/00000000000000000000.log");
    let segment = segment.to_str().unwrap();
    for arguments in [
        &["kafka-dump-log", "--print-data-log", "--files", segment][..],
        &["dump-log", "--contents", segment],
    ] {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = ended(child);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

/// Each kind of file, cut at many lengths and changed at many bytes: the tool ends, with 0 or 1, and
/// says why if it is 1.
#[test]
fn damaged_files_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("nulls-and-headers-0/00000000000000000000.log", "--print-data-log"),
        ("codec-zstd-0/00000000000000000000.log", "--deep-iteration"),
        ("__consumer_offsets-1/00000000000000000000.log", "--offsets-decoder"),
        (
            "__cluster_metadata-0/00000000000000000115-0000000001.checkpoint",
            "--cluster-metadata-decoder",
        ),
        ("many-index-entries-0/00000000000000000000.index", "--verify-index-only"),
        ("many-index-entries-0/00000000000000000000.timeindex", "--verify-index-only"),
        ("transactions-0/00000000000000000003.txnindex", "--deep-iteration"),
        ("transactions-0/00000000000000000003.snapshot", "--deep-iteration"),
    ];
    for (file, flag) in files {
        let source = golden().join("clean").join(file);
        let bytes = fs::read(&source).unwrap();
        let target = folder.path().join(file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        for other in fs::read_dir(source.parent().unwrap()).unwrap() {
            let other = other.unwrap();
            fs::copy(other.path(), target.with_file_name(other.file_name())).unwrap();
        }
        let step = (bytes.len() / 12).max(1);
        for at in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            for damaged in [&bytes[..at], &changed] {
                fs::write(&target, damaged).unwrap();
                let ended = kafka_dump_log(&[flag, "--files", target.to_str().unwrap()]);
                let said = ended.stderr.contains("Exception in thread");
                assert!(
                    matches!((ended.code, said), (Some(0), false) | (Some(1), true)),
                    "{file} at {at}: {ended:?}"
                );
            }
        }
    }
}

#[test]
fn our_own_flags_show_a_directory_with_the_decoder_of_its_name() {
    let folder = golden().join("clean");
    let shown = |arguments: &[&str], dir: &str| {
        let dir = folder.join(dir);
        dohle(&[&["dump-log"], arguments, &[dir.to_str().unwrap()]].concat())
    };
    let offsets = shown(&["-c"], "__consumer_offsets-1").well();
    assert!(offsets.contains("\"currentStateTimestamp\""), "{offsets}");
    let states = shown(&["--contents", "--bare"], "__transaction_state-2").well();
    assert!(states.contains("\"transactionStatus\":\"CompleteCommit\""), "{states}");
    let plain = shown(&["-c", "-d", "text"], "transactions-0").well();
    for part in
        ["endTxnMarker: ABORT", "key: txn-a-1 payload: i0", "lastStableOffset: 8", "producerId: 1 "]
    {
        assert!(plain.contains(part), "{part}: {plain}");
    }
    assert!(shown(&["--sanity"], "many-index-entries-0").well().contains("passed sanity check"));
}

#[test]
fn our_own_flags_go_on_behind_a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("00000000000000000007.log");
    fs::write(&bad, [0; 100]).unwrap();
    let good = golden().join("clean/transactions-0/00000000000000000003.txnindex");
    let (bad, good) = (bad.to_str().unwrap(), good.to_str().unwrap());
    let ended = dohle(&["dump-log", bad, good]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.ends_with("lastStableOffset: 20\n"), "{ended:?}");
    assert_eq!(ended.stderr, format!("error: {bad} at 0: no batch has a length of 0\n"));
}
