//! When is a broker of use? From before its start, tries each millisecond to connect and to
//! produce, and prints the time of the first acknowledgement.
//!
//! The time is the system's monotonic clock, so that whoever started the broker can take the
//! difference. Connecting every millisecond takes a little CPU from the broker that starts.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::{cli, control::Control, frames::Partition};

const RETRY_AFTER: Duration = Duration::from_millis(1);

/// Waits for the first acknowledgement.
///
/// # Errors
/// None within the time given; the last reason is in the error.
pub(crate) fn run(args: &cli::FirstAck) -> Result<Value> {
    let deadline = Instant::now() + args.give_up_seconds;
    let mut attempt = Attempt::default();
    let mut attempts = 0_u64;
    loop {
        attempts += 1;
        match attempt.go_on(args) {
            Ok(()) => break,
            Err(error) if Instant::now() > deadline => {
                return Err(error).context(format!("no ack in {:?}", args.give_up_seconds));
            }
            Err(_) => sleep(RETRY_AFTER),
        }
    }
    Ok(json!({ "acked_at_nanos": monotonic_nanos()?, "attempts": attempts }))
}

/// The time of the system's monotonic clock.
pub(crate) fn monotonic_nanos() -> Result<u64> {
    let now = clock_gettime(ClockId::Monotonic);
    let nanos = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    Ok(u64::try_from(nanos)?)
}

/// How far it came; goes on from there.
#[derive(Default)]
struct Attempt {
    control: Option<Control>,
    created: bool,
}

impl Attempt {
    fn go_on(&mut self, args: &cli::FirstAck) -> Result<()> {
        let mut control = match self.control.take() {
            Some(control) => control,
            None => Control::connect(args.target.bootstrap)?,
        };
        let topic = &args.target.topic;
        if args.create && !self.created {
            control.create_topic(&args.target.new_topic(1))?;
            self.created = true;
        }
        let partition = Partition { topic: topic.clone(), index: 0 };
        let outcome = control.produce_one(&partition).map(drop);
        // A refusal leaves the connection usable; after anything else the next try says so.
        self.control = Some(control);
        if outcome.as_ref().is_err_and(|error| error.is::<std::io::Error>()) {
            self.control = None;
        }
        outcome
    }
}
