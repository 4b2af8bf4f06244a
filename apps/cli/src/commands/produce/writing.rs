//! From lines to acknowledged records: what is under way, how far it is, and what ends it.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use dohle_client::{Delivery, ProduceError, Producer};

use super::{
    lines::{Line, Lines},
    template::{self, Template},
};
use crate::{
    ending::Ending,
    interrupt::{Signal, Signals},
    progress::{Amount, Progress},
};

/// A record without an outcome yet.
struct UnderWay {
    delivery: Delivery,
    line: u64,
    size: u64,
}

/// Lines on their way.
pub(super) struct Writing {
    producer: Producer,
    template: Template,
    under_way: VecDeque<UnderWay>,
    /// What has been acknowledged; bytes of lines without their ends.
    written: Amount,
    progress: Option<Progress>,
    /// How long the end may take after a signal.
    closing_timeout: Duration,
}

/// Why the command ends before its lines do.
#[derive(Debug)]
pub(super) enum Fault {
    /// The input cannot be read.
    Input(io::Error),
    /// A line is no record.
    Line { line: u64, fault: template::Fault },
    /// A record was not, or perhaps not, written.
    Record { line: u64, error: ProduceError },
}

impl Writing {
    /// Nothing so far.
    pub(super) fn new(
        producer: Producer,
        template: Template,
        progress: Option<Progress>,
        closing_timeout: Duration,
    ) -> Self {
        let (under_way, written) = (VecDeque::new(), Amount::default());
        Self { producer, template, under_way, written, progress, closing_timeout }
    }

    /// What has been acknowledged, at the end.
    pub(super) fn into_written(self) -> Amount {
        self.written
    }

    /// Writes lines until there are none, a signal comes, or something goes wrong.
    pub(super) async fn all(
        &mut self,
        lines: &mut Lines,
        signals: &mut Signals,
    ) -> Result<Option<Signal>, Fault> {
        loop {
            let batch = tokio::select! {
                signal = signals.next() => return Ok(Some(signal)),
                batch = lines.next() => batch,
                // News of what is under way is heard while a person types.
                outcome = first(&mut self.under_way) => {
                    self.note(outcome)?;
                    continue;
                }
            };
            let Some(batch) = batch else { return Ok(None) };
            for line in batch.map_err(Fault::Input)? {
                tokio::select! {
                    signal = signals.next() => return Ok(Some(signal)),
                    sent = self.send(line) => sent?,
                }
                self.note_ready()?;
            }
            self.show();
        }
    }

    async fn send(&mut self, line: Line) -> Result<(), Fault> {
        let (number, size) = (line.number, line.text.len() as u64);
        let record = self.template.record(line.text);
        let record = record.map_err(|fault| Fault::Line { line: number, fault })?;
        let sent = self.producer.send(record).await;
        let delivery = sent.map_err(|error| Fault::Record { line: number, error })?;
        self.under_way.push_back(UnderWay { delivery, line: number, size });
        Ok(())
    }

    /// Takes the outcomes that are there already, without waiting.
    fn note_ready(&mut self) -> Result<(), Fault> {
        loop {
            let outcome = {
                let first = pin!(first(&mut self.under_way));
                match first.poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => return Ok(()),
                }
            };
            self.note(outcome)?;
        }
    }

    fn note(&mut self, outcome: Result<u64, Fault>) -> Result<(), Fault> {
        self.written.bytes += outcome?;
        self.written.records += 1;
        self.show();
        Ok(())
    }

    /// Waits for what is under way, after a signal not for long.
    pub(super) async fn close(
        &mut self,
        end: Result<Option<Signal>, Fault>,
        signals: &mut Signals,
    ) -> Result<Ending, Fault> {
        let signal = end?;
        let patience = if signal.is_some() { self.closing_timeout } else { Duration::MAX };
        let deadline = tokio::time::sleep(patience);
        let mut deadline = pin!(deadline);
        // Without lingering, and heard of below.
        let producer = self.producer.clone();
        let flush = async move {
            let _ = producer.flush().await;
            std::future::pending::<()>().await;
        };
        let mut flush = pin!(flush);
        while !self.under_way.is_empty() {
            tokio::select! {
                outcome = first(&mut self.under_way) => self.note(outcome)?,
                () = &mut flush => {}
                () = &mut deadline => break,
                signal = signals.next() => return Ok(Ending::Interrupted(signal)),
            }
        }
        Ok(signal.map_or(Ending::Done, Ending::Interrupted))
    }

    fn show(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.show(self.written);
        }
    }
}

/// The outcome of the oldest record under way: its size. Waits for ever if there is none.
async fn first(under_way: &mut VecDeque<UnderWay>) -> Result<u64, Fault> {
    let Some(oldest) = under_way.front_mut() else { return std::future::pending().await };
    let outcome = (&mut oldest.delivery).await;
    let (line, size) = (oldest.line, oldest.size);
    under_way.pop_front();
    outcome.map(|_| size).map_err(|error| Fault::Record { line, error })
}
