//! How a tool of Kafka's ends that does not end well.

use std::{fmt, io};

use super::Flag;

/// A Java exception that nobody caught, by what scripts see of it: its first line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// The class, with its package.
    pub(crate) class: &'static str,
    /// The message, if it has one.
    pub(crate) message: Option<String>,
    /// Lines that say more, as stack traces do.
    pub(crate) more: Vec<String>,
}

/// Why a tool ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The flags are wrong, or help was asked for: a message and the help on standard error.
    Usage { message: String, flags: &'static [Flag] },
    /// The release was asked for.
    Version,
    /// Something that Kafka's tool does not catch.
    Exception(Exception),
    /// Nobody reads what the tool writes.
    OutputClosed,
}

impl Exception {
    pub(crate) fn new(class: &'static str, message: impl ToString) -> Self {
        Self { class, message: Some(message.to_string()), more: Vec::new() }
    }

    /// One of those that have nothing to say.
    pub(crate) fn silent(class: &'static str) -> Self {
        Self { class, message: None, more: Vec::new() }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exception in thread \"main\" {}", self.class)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        self.more.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

impl From<Exception> for Stop {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Exception::new("java.io.IOException", error).into(),
        }
    }
}
