//! The controller in scenarios: each file of `testdata/` is a story of commands, and under each
//! command, behind `----`, the records it led to and the answer. `UPDATE=1` rewrites the files.

mod scenario;

use scenario::Cluster;

/// Plays a file: blocks of a command, `----`, and what it did; comments and blank lines between.
fn play(name: &str) {
    let path = format!("{}/testdata/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a scenario file");
    let mut cluster = Cluster::default();
    let mut played = String::new();
    for block in text.trim_end().split("\n\n") {
        let comments: Vec<&str> = block.lines().take_while(|line| line.starts_with('#')).collect();
        for comment in &comments {
            played += &format!("{comment}\n");
        }
        if let Some(command) = block.lines().nth(comments.len()) {
            let did = cluster.play(command);
            played += &format!("{command}\n----\n");
            for line in did {
                played += &format!("{line}\n");
            }
        }
        played += "\n";
    }
    let played = format!("{}\n", played.trim_end());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &played).expect("the scenario file can be written");
    }
    assert_eq!(played, text, "{name}: run with UPDATE=1 and look at the difference");
}

macro_rules! scenarios {
    ($($name:ident)*) => { $(#[test] fn $name() { play(stringify!($name)); })* };
}

scenarios! {
    brokers
    directories
    configs
    elections_with_elr
    elections_without_elr
    isr_changes
    old_metadata_version
    topics
    reassignment
}
