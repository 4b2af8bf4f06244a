//! How a command ends, and what the shell is told of it.

use std::{io, process::ExitCode};

use crate::{interrupt::Signal, say};

/// What `main` gets from every command.
pub(crate) type Outcome = Result<Ending, Failure>;

/// An end without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All was done.
    Done,
    /// All was done, and what was found is not well.
    ProblemsFound,
    /// A signal came before all was done.
    Interrupted(Signal),
}

/// An end with errors, each a line.
#[derive(Debug)]
pub(crate) struct Failure {
    lines: Vec<String>,
    /// Nobody reads our output any more, so nothing has to be said and nothing is wrong.
    is_pipe_closed: bool,
}

impl Failure {
    /// One error.
    pub(crate) fn new(line: impl ToString) -> Self {
        Self::all([line])
    }

    /// Several errors.
    pub(crate) fn all(lines: impl IntoIterator<Item: ToString>) -> Self {
        let lines = lines.into_iter().map(|line| line.to_string()).collect();
        Self { lines, is_pipe_closed: false }
    }

    /// Standard output cannot be written.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        let is_pipe_closed = error.kind() == io::ErrorKind::BrokenPipe;
        Self { lines: vec![format!("standard output: {error}")], is_pipe_closed }
    }
}

/// Says what went wrong, and how the process ends.
pub(crate) fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::ProblemsFound) => ExitCode::FAILURE,
        Ok(Ending::Interrupted(signal)) => ExitCode::from(signal.exit_code()),
        Err(failure) if failure.is_pipe_closed => ExitCode::SUCCESS,
        Err(failure) => {
            failure.lines.iter().for_each(say::error);
            ExitCode::FAILURE
        }
    }
}
