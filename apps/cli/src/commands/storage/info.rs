//! `dohle storage info`: whose the log directories of a node are, and what is wrong with them.
//!
//! The output is that of Kafka's tool, which scripts read; with problems the command fails.

use dohle_metadata::MetaProperties;
use dohle_os::OsDisk;
use dohle_server::storage::{Content, Surveyed, survey};

use super::ConfigArgs;
use crate::{
    ending::{Ending, Outcome},
    properties_file, say,
};

/// Prints what was found.
pub(crate) fn run(args: &ConfigArgs) -> Outcome {
    let file = properties_file::read(&args.config, &[])?;
    let report = Report::new(&survey(&OsDisk, &file.config));
    say::result(report.text())?;
    Ok(if report.problems.is_empty() { Ending::Done } else { Ending::ProblemsFound })
}

/// What there is to say.
#[derive(Debug, Default)]
struct Report {
    found: Vec<String>,
    /// What the first directory that says something says.
    said: Option<MetaProperties>,
    problems: Vec<String>,
}

impl Report {
    fn new(surveyed: &[Surveyed]) -> Self {
        let mut report = Self::default();
        for Surveyed { path, content, .. } in surveyed {
            let path = path.display().to_string();
            let problem = match content {
                Content::Missing => Some(format!("{path} does not exist")),
                Content::Unformatted => Some(format!("{path} is not formatted.")),
                Content::Damaged(_) | Content::Unreadable(_) => Some(format!("{path}: {content}")),
                Content::Formatted(properties) => report.mismatch(properties),
            };
            report.problems.extend(problem);
            if *content != Content::Missing {
                report.found.push(path);
            }
        }
        if report.said.as_ref().is_some_and(|said| said.version() == 0) {
            let old = "The directories are those of a node that was run with ZooKeeper.";
            report.problems.push(old.into());
        }
        report
    }

    fn mismatch(&mut self, properties: &MetaProperties) -> Option<String> {
        let said = self.said.get_or_insert_with(|| properties.clone());
        let what = match () {
            () if said.cluster_id != properties.cluster_id => "cluster IDs",
            () if said.node_id != properties.node_id => "node IDs",
            () => return None,
        };
        Some(format!("Mismatched {what} between storage directories."))
    }

    fn text(&self) -> String {
        let metadata =
            self.said.as_ref().map(|said| format!("Found metadata: {}\n", in_braces(said)));
        let sections = [
            section("Found log directory:", "Found log directories:", &self.found),
            metadata,
            section("Found problem:", "Found problems:", &self.problems),
        ];
        sections.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

fn section(title_of_one: &str, title_of_many: &str, lines: &[String]) -> Option<String> {
    let title = match lines.len() {
        0 => return None,
        1 => title_of_one,
        _ => title_of_many,
    };
    Some(format!("{title}\n  {}\n", lines.join("\n  ")))
}

/// As Java prints a sorted map.
fn in_braces(said: &MetaProperties) -> String {
    let node_key = if said.version() == 0 { "broker.id" } else { "node.id" };
    let mut pairs = vec![
        ("cluster.id", said.cluster_id.as_ref().map(ToString::to_string)),
        ("directory.id", said.directory_id.map(|id| id.to_string())),
        (node_key, said.node_id.map(|id| id.to_string())),
        ("version", Some(said.version().to_string())),
    ];
    pairs.sort_unstable();
    let pairs: Vec<String> =
        pairs.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?))).collect();
    format!("{{{}}}", pairs.join(", "))
}
