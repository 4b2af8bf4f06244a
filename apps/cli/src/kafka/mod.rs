//! Kafka's own command-line tools, by their names and in their manners, for scripts that call them.
//!
//! A tool is called as `dohle kafka-dump-log …`, or through a link to this binary with the name
//! `kafka-dump-log` or `kafka-dump-log.sh`. Flags, output, exit codes and the first line of an
//! error are Kafka's; there are no stack traces. What a tool does stands beside the command of our
//! own that does the same; this room has only what all of them share:
//!
//! ```text
//! TOOLS      name → function          a row for each tool
//! options    flags as data, parsed and explained as Kafka's library for it does
//! exception  how a tool ends that does not end well
//! ```

mod exception;
mod help;
mod options;

use std::{env, path::Path, process::ExitCode};

use crate::{commands::dump_log, say};

pub(crate) use exception::{Exception, Stop};
pub(crate) use options::{Flag, Options, Takes};

/// The release that the tools stand for.
const VERSION: &str = "4.4.0";

/// A tool, by the name that scripts know.
struct Tool {
    name: &'static str,
    run: fn(&[String]) -> Result<(), Stop>,
}

const TOOLS: &[Tool] = &[Tool { name: "kafka-dump-log", run: dump_log::run_as_kafka }];

/// Runs the tool that this process was called as, if it was; says how it ended.
pub(crate) fn run_if_called() -> Option<ExitCode> {
    let mut words = env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words.next()?;
    let mut arguments: Vec<String> = words.collect();
    let file_name = Path::new(&program).file_name()?.to_str()?;
    let tool = match find(file_name.strip_suffix(".sh").unwrap_or(file_name)) {
        Some(tool) => tool,
        None => {
            let tool = find(arguments.first()?)?;
            arguments.remove(0);
            tool
        }
    };
    Some(ended((tool.run)(&arguments)))
}

/// The names of all tools, for the help.
pub(crate) fn names() -> String {
    TOOLS.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ")
}

fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

fn ended(outcome: Result<(), Stop>) -> ExitCode {
    match outcome {
        Ok(()) | Err(Stop::OutputClosed) => ExitCode::SUCCESS,
        Err(Stop::Version) => {
            // Whoever does not listen has not asked.
            let _ = say::result(VERSION);
            ExitCode::SUCCESS
        }
        Err(Stop::Usage { message, flags }) => {
            say::note(format_args!("{message}\n{}", help::of(flags)));
            ExitCode::FAILURE
        }
        Err(Stop::Exception(exception)) => {
            say::note(exception);
            ExitCode::FAILURE
        }
    }
}
