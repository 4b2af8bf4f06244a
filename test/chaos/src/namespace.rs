//! A mount namespace of our own: what is mounted there nobody else sees, and it is gone with the last
//! process in it, however that ends. Loop devices go with their mounts.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

/// Set in the process that is inside.
const INSIDE: &str = "DOHLE_CHAOS_INSIDE";

/// Runs this program once more, inside, and gives its end; none if this is that one.
pub(crate) fn enter() -> Result<Option<ExitCode>> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(None);
    }
    // A signal to the group reaches the one inside, which ends; one to this process alone, too.
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .args(["setpriv", "--pdeathsig", "TERM", "--"])
        .arg(std::env::current_exe().context("this program")?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .context("unshare")?;
    let code = status.code().unwrap_or(128 + status.signal().unwrap_or(0));
    Ok(Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))))
}
