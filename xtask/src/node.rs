//! A node of our own for a test run: started from the release build, on a free port, and gone with the
//! value.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result};

/// A running `dohle dev` with a fresh directory.
pub(crate) struct DevNode {
    process: Child,
    address: String,
    /// Kept open: a node that nobody listens to ends.
    output: BufReader<ChildStdout>,
}

impl DevNode {
    /// Starts the node and waits until it says where it listens.
    pub(crate) fn start(root: &Path) -> Result<Self> {
        let dir = root.join("target/xtask-node");
        if dir.exists() {
            std::fs::remove_dir_all(&dir).context("the last run's directory")?;
        }
        let mut process = Command::new(root.join("target/release/dohle"))
            .args(["dev", "--port", "0", "--dir"])
            .arg(&dir)
            .stdout(Stdio::piped())
            .spawn()
            .context("dohle dev")?;
        let stdout = process.stdout.take().context("the node's output")?;
        let mut node = Self { process, address: String::new(), output: BufReader::new(stdout) };
        let mut line = String::new();
        node.output.read_line(&mut line)?;
        // "dohle serves 127.0.0.1:9092 (data in …)"
        let address = line.split_whitespace().nth(2);
        node.address = address.with_context(|| format!("the node said {line:?}"))?.to_owned();
        Ok(node)
    }

    /// Where clients reach it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for DevNode {
    fn drop(&mut self) {
        let _ = self.process.kill(); // It may have ended by itself.
        let _ = self.process.wait();
    }
}
