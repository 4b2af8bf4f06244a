//! Standard output, written by another thread: a reader that is slow (`| less`) must not keep us
//! from telling the group that we are alive.

use std::io::{self, Write};

use dohle_client::ConsumerRecord;

use super::format::Format;
use crate::ending::Failure;

/// Standard output, with the memory for what is written at once.
#[derive(Debug, Default)]
pub(super) struct Output {
    buffer: Vec<u8>,
}

impl Output {
    /// Writes records, and waits until whoever reads has taken them. Says how many bytes they were.
    ///
    /// # Errors
    /// Standard output cannot be written; a closed pipe is a quiet end.
    pub(super) async fn write(
        &mut self,
        format: &Format,
        records: &[ConsumerRecord],
    ) -> Result<u64, Failure> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        for record in records {
            format.write(&mut buffer, record);
        }
        let writing = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(&buffer).and_then(|()| stdout.flush());
            (buffer, written)
        });
        match writing.await {
            Ok((buffer, written)) => {
                let size = buffer.len() as u64;
                self.buffer = buffer;
                written.map(|()| size).map_err(|error| Failure::of_output(&error))
            }
            Err(error) => Err(Failure::new(format!("standard output: {error}"))),
        }
    }
}
