//! The producer's handle and its task.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use dohle_client_core::{
    ConfigError, Core, Delivered, ProduceError, Producer as Machine, ProducerConfig, ProducerEvent,
    ProducerRecord,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{clock::Clock, clock::fresh_rng, links::Links};

/// Commands that wait for the task. Records are bounded by their bytes besides.
const COMMANDS_MAX: usize = 1_024;

/// Commands that are taken before the machine is set going, so that it sees them together.
const COMMANDS_AT_ONCE: usize = 256;

/// Sends records. Clones are handles to the same producer.
///
/// When the last handle is dropped, records taken so far are still sent; [`Producer::close`] waits
/// for that.
#[derive(Clone, Debug)]
pub struct Producer {
    commands: mpsc::Sender<Command>,
    memory: Arc<Semaphore>,
    memory_max: u32,
}

/// The outcome of a record, which a future waits for. Dropping it drops the news, not the record.
#[derive(Debug)]
pub struct Delivery(oneshot::Receiver<Result<Delivered, ProduceError>>);

#[derive(Debug)]
enum Command {
    Send { record: ProducerRecord, waiter: Waiter },
    Flush { done: oneshot::Sender<()> },
    Close { done: oneshot::Sender<()> },
}

/// Who waits for an outcome.
#[derive(Debug)]
enum Waiter {
    Delivery {
        outcome: oneshot::Sender<Result<Delivered, ProduceError>>,
        _memory: OwnedSemaphorePermit,
    },
    Flush {
        done: oneshot::Sender<()>,
    },
    LastFlush {
        done: Option<oneshot::Sender<()>>,
    },
}

impl Producer {
    /// A producer with its task, in the runtime that this is called in. It connects when it is used.
    ///
    /// # Errors
    /// A configuration that cannot work.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(config: ProducerConfig) -> Result<Self, ConfigError> {
        let memory_max = u32::try_from(config.buffer_memory).unwrap_or(u32::MAX);
        let memory_max = memory_max.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        let memory = Arc::new(Semaphore::new(memory_max as usize));
        let machine = Machine::new(config, fresh_rng())?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        tokio::spawn(run(machine, receiver));
        Ok(Self { commands, memory, memory_max })
    }

    /// Takes a record, as soon as there is room for it; the delivery tells what becomes of it.
    /// Records of one task keep their order within a partition. If this future is dropped before it
    /// is ready, the record was not taken.
    ///
    /// # Errors
    /// [`ProduceError::Closed`].
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, ProduceError> {
        let size = u32::try_from(record.size_bound()).unwrap_or(u32::MAX).min(self.memory_max);
        let closed = |_| ProduceError::Closed;
        let memory = Arc::clone(&self.memory);
        let memory = memory.acquire_many_owned(size).await.map_err(closed)?;
        let slot = self.commands.reserve().await.map_err(|_| ProduceError::Closed)?;
        let (outcome, delivery) = oneshot::channel();
        slot.send(Command::Send { record, waiter: Waiter::Delivery { outcome, _memory: memory } });
        Ok(Delivery(delivery))
    }

    /// Sends everything without lingering and waits until each record taken so far has an outcome.
    ///
    /// # Errors
    /// [`ProduceError::Closed`].
    pub async fn flush(&self) -> Result<(), ProduceError> {
        let (done, flushed) = oneshot::channel();
        self.commands.send(Command::Flush { done }).await.map_err(|_| ProduceError::Closed)?;
        flushed.await.map_err(|_| ProduceError::Closed)
    }

    /// Flushes and closes, for all handles. Records that are sent later are refused.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close { done }).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = Pin::new(&mut self.0).poll(context);
        outcome.map(|outcome| outcome.unwrap_or(Err(ProduceError::Closed)))
    }
}

async fn run(mut machine: Machine<Waiter>, mut commands: mpsc::Receiver<Command>) {
    let clock = Clock::start();
    let (mut links, mut inputs) = Links::new();
    let mut taken = Vec::with_capacity(COMMANDS_AT_ONCE);
    let mut ending = false;
    loop {
        links.carry_out(&mut machine, clock);
        if tell(&mut machine) {
            machine.close(clock.now());
            tell(&mut machine);
            return;
        }
        tokio::select! {
            Some(input) = inputs.recv() => {
                machine.handle_input(clock.now(), input);
            }
            count = commands.recv_many(&mut taken, COMMANDS_AT_ONCE), if !ending => {
                let now = clock.now();
                for command in taken.drain(..) {
                    match command {
                        Command::Send { record, waiter } => machine.send(now, record, waiter),
                        Command::Flush { done } => machine.flush(Waiter::Flush { done }),
                        Command::Close { done } => {
                            ending = true;
                            machine.flush(Waiter::LastFlush { done: Some(done) });
                        }
                    }
                }
                if count == 0 && !ending {
                    ending = true;
                    machine.flush(Waiter::LastFlush { done: None });
                }
                machine.handle_timeout(now);
            }
            () = clock.sleep_until(machine.poll_timeout()) => {
                machine.handle_timeout(clock.now());
            }
        }
    }
}

/// Tells everyone what has become of what they wait for. Says whether it was the last thing to do.
fn tell(machine: &mut Machine<Waiter>) -> bool {
    let mut last = false;
    // Who does not wait any more need not know.
    while let Some(event) = machine.poll_event() {
        match event {
            ProducerEvent::Delivered {
                token: Waiter::Delivery { outcome: waiter, .. },
                outcome,
            } => {
                let _ = waiter.send(outcome);
            }
            ProducerEvent::Flushed { token: Waiter::Flush { done } } => {
                let _ = done.send(());
            }
            ProducerEvent::Flushed { token: Waiter::LastFlush { done } } => {
                if let Some(done) = done {
                    let _ = done.send(());
                }
                last = true;
            }
            ProducerEvent::Delivered { .. } | ProducerEvent::Flushed { .. } => {
                unreachable!("records have deliveries, flushes have flushes")
            }
        }
    }
    last
}
