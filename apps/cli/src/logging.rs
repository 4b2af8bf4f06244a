//! The log: lines on standard error, as many as somebody asked for.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::ending::Failure;

/// Starts logging what `--log` says, else RUST_LOG, else what is usual for the command.
///
/// # Errors
/// The filter is not understood.
pub(crate) fn start(asked: Option<&str>, usual: &str) -> Result<(), Failure> {
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let (name, filter) = match (asked, &variable) {
        (Some(filter), _) => ("--log", filter),
        (None, Some(filter)) if !filter.is_empty() => (EnvFilter::DEFAULT_ENV, filter.as_str()),
        _ => ("--log", usual),
    };
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::new(format!("{name} {filter}: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}
