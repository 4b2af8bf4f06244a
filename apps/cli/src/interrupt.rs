//! Signals that ask the process to end: SIGINT (Ctrl-C), SIGTERM, and SIGHUP (the terminal is gone).

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::signal::unix::{self, SignalKind};

/// One wish to stop may come as several signals: `timeout`, shells and npm signal both the process
/// and its group. Only what comes later than this was meant again.
const ECHO: Duration = Duration::from_millis(500);

/// What asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
}

impl Signal {
    /// What a shell is told of a process that a signal ended: 128 and the number of the signal.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// The signals, heard from now on instead of ending the process.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
    last: Option<Instant>,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system has no signals to give.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hang_up: unix::signal(SignalKind::hangup())?,
            last: None,
        })
    }

    /// The next signal that is no echo of the one before. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            let signal = tokio::select! {
                _ = self.interrupt.recv() => Signal::Interrupt,
                _ = self.terminate.recv() => Signal::Terminate,
                _ = self.hang_up.recv() => Signal::HangUp,
            };
            if self.last.is_none_or(|last| last.elapsed() > ECHO) {
                self.last = Some(Instant::now());
                return signal;
            }
        }
    }
}
