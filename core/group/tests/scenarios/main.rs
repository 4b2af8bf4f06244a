//! Goal: what the coordinator does, told as stories that can be read next to Kafka's behaviour.
//!
//! Method: each file in `testdata` is a list of commands, each followed by `----` and everything
//! that came of it: records logged, answers given, at which time. `UPDATE=1` rewrites the files.
//! Each record goes through its bytes and back, each answer through those of its version, and after every command a second machine that only
//! replays the log must be equal to the first.

mod script;
mod show;
mod stage;
mod wire;

use std::{fmt::Write as _, fs, path::Path};

use script::Line;
use stage::Stage;

#[test]
fn stories_go_as_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("testdata is part of the crate")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "the stories are missing");
    let update = std::env::var_os("UPDATE").is_some();
    let mut different = Vec::new();
    for file in files {
        let told = fs::read_to_string(&file).expect("a readable story");
        let played = play(&told, &file);
        if told == played {
            continue;
        }
        if update {
            fs::write(&file, &played).expect("a writable story");
        } else {
            different.push(format!("{}:\n{}", file.display(), first_difference(&told, &played)));
        }
    }
    assert!(different.is_empty(), "UPDATE=1 rewrites these:\n{}", different.join("\n"));
}

/// Plays a story and tells it again with what really happened.
fn play(told: &str, file: &Path) -> String {
    let mut stage = Stage::new();
    let mut played = String::new();
    let mut in_outcome = false;
    for (number, text) in told.lines().enumerate() {
        match script::read(text, in_outcome) {
            Line::Outcome => {}
            Line::Remark => {
                in_outcome = false;
                played.push_str(text);
                played.push('\n');
            }
            Line::Separator => in_outcome = true,
            Line::Command(words) => {
                in_outcome = false;
                let outcome = stage
                    .act(&words)
                    .unwrap_or_else(|why| panic!("{}:{}: {why}", file.display(), number + 1));
                writeln!(played, "{text}\n----").expect("strings take it");
                for line in outcome {
                    writeln!(played, "{line}").expect("strings take it");
                }
                stage.check();
            }
        }
    }
    played
}

fn first_difference(told: &str, played: &str) -> String {
    let (mut told, mut played) = (told.lines(), played.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (told.next(), played.next()) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                let none = "(the end)";
                let (a, b) = (a.unwrap_or(none), b.unwrap_or(none));
                return format!("  line {number}\n  told   {a}\n  played {b}");
            }
        }
    }
}
