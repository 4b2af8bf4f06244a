//! End to end: a message is due at its time on the schedule, leaves as soon as a request may, and
//! is there when a long poll brings it back.
//!
//! Latency counts from the schedule and not from the send: if a broker stalls, the messages that
//! could not leave meanwhile have waited too; and the load goes on until all that was due in the phase
//! that counts is back, so a stall at its end has them too. A message is known by its offset, for one producer
//! writes in order into a partition into which nobody else writes meanwhile.

use std::{
    collections::VecDeque,
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use dohle_base::Offset;
use rustix::{
    io::read,
    net::{SendFlags, send},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use serde_json::{Value, json};

use crate::{
    cli,
    control::Created,
    fetch::offset_behind,
    frames::{self, Ack, FetchFrame, FetchLimits, Fetched, Partition},
    inbox::{Arrived, Inbox},
    latency::Latencies,
    meter::{Measured, Meter},
    poller::{Poller, Ready},
    records,
};

const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The most messages that leave in one batch; more would be no longer this load.
const MESSAGES_PER_REQUEST_MAX: usize = 64;

const PRODUCER: u64 = 0;
const CONSUMER: u64 = 1;
const TIMER: u64 = 2;

/// Runs the load and reports it.
///
/// # Errors
/// A broker that refuses a request, closes a connection, falls silent, or loses the order.
pub(crate) fn run(args: &cli::E2e) -> Result<Value> {
    let target = &args.target;
    if args.rate == 0 {
        bail!("--rate 0: nothing would ever be sent");
    }
    let mut control = target.connect()?;
    let created = control.ready_topic(&target.new_topic(1))?;
    let partition = Partition { topic: target.topic.clone(), index: 0 };
    let last_offset = control.produce_one(&partition)?;
    let mut load = Load::connect(args, &partition, Offset(last_offset.0 + 1))?;
    let phases = cli::Phases {
        warm_up_seconds: args.warm_up_seconds,
        warm_up_requests: u64::MAX,
        seconds: args.seconds,
        requests: u64::MAX,
    };
    let measured = load.run(Meter::start(&phases, target.broker_pid), args.drain_seconds)?;
    if created == Created::Now && !target.keep {
        control.delete_topic(&target.topic)?;
    }
    let mut report = measured.report();
    report["messages"] = json!(load.arrivals.count);
    report["produce_requests"] = json!(load.acks.count);
    report["never_back"] = json!(load.never_back);
    report["e2e_micros"] = load.arrivals.latencies.report();
    report["ack_micros"] = load.acks.latencies.report();
    Ok(report)
}

/// When each message is due.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Instant,
    rate: u64,
    /// The messages that are due in the phase that counts.
    counted: Counted,
}

/// Numbers of messages, none before the phase that counts begins.
#[derive(Clone, Copy, Debug)]
struct Counted {
    start: u64,
    end: u64,
}

impl Counted {
    const NOTHING_YET: Self = Self { start: u64::MAX, end: u64::MAX };
}

impl Schedule {
    /// Of the message with this number, from 0.
    fn due_at(self, message: u64) -> Instant {
        let nanos = u128::from(message) * 1_000_000_000 / u128::from(self.rate);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many are due by now.
    fn due_by(self, now: Instant) -> u64 {
        let Some(since) = now.checked_duration_since(self.start) else { return 0 };
        let due = since.as_nanos() * u128::from(self.rate) / 1_000_000_000 + 1;
        // Nothing is due behind the phase that counts.
        u64::try_from(due).unwrap_or(u64::MAX).min(self.counted.end)
    }

    fn period(self) -> Duration {
        Duration::from_nanos(1_000_000_000 / self.rate)
    }
}

/// Latencies of one end of the way.
struct Tally {
    /// Of the messages that were due in the phase that counts.
    latencies: Latencies,
    /// What came within that phase.
    count: u64,
    /// Messages are back in order: up to this one.
    next: u64,
}

impl Tally {
    fn new() -> Self {
        Self { latencies: Latencies::new(), count: 0, next: 0 }
    }

    /// The messages before `end` are back.
    fn back(&mut self, end: u64, schedule: Schedule, now: Instant) {
        let (first, last) = (self.next.max(schedule.counted.start), end.min(schedule.counted.end));
        for message in first..last {
            self.latencies.record(now.saturating_duration_since(schedule.due_at(message)));
        }
        self.next = self.next.max(end);
    }
}

struct Load {
    poller: Poller,
    timer: std::os::fd::OwnedFd,
    schedule: Schedule,
    producer: Producer,
    consumer: Consumer,
    acks: Tally,
    arrivals: Tally,
    /// Messages that were due and did not arrive within the time that there was for it.
    never_back: u64,
    heard_at: Instant,
}

struct Producer {
    socket: TcpStream,
    inbox: Inbox,
    ack: Ack,
    /// By the number of messages in it, less one.
    frames: Vec<bytes::Bytes>,
    in_flight_max: usize,
    /// The first message and the count of each request in flight.
    in_flight: VecDeque<(u64, u64)>,
    next_message: u64,
    /// What the socket did not take.
    unsent: VecDeque<bytes::Bytes>,
}

struct Consumer {
    socket: TcpStream,
    inbox: Inbox,
    frame: FetchFrame,
    next_offset: Offset,
    first_offset: Offset,
}

impl Producer {
    /// Sends what is due, as far as requests are free.
    fn send_due(&mut self, schedule: Schedule, now: Instant) -> Result<()> {
        while self.in_flight.len() < self.in_flight_max {
            let due = schedule.due_by(now).saturating_sub(self.next_message);
            let count = due.min(MESSAGES_PER_REQUEST_MAX as u64);
            let Some(index) = (count as usize).checked_sub(1) else { break };
            self.unsent.push_back(self.frames[index].clone());
            self.in_flight.push_back((self.next_message, count));
            self.next_message += count;
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        while let Some(frame) = self.unsent.front_mut() {
            match send(&self.socket, frame, SendFlags::NOSIGNAL) {
                Ok(count) if count == frame.len() => drop(self.unsent.pop_front()),
                Ok(count) => *frame = frame.slice(count..),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error).context("send"),
            }
        }
        Ok(())
    }
}

impl Consumer {
    fn ask(&mut self) -> Result<()> {
        let frame = self.frame.at(self.next_offset);
        let count = send(&self.socket, frame, SendFlags::NOSIGNAL).context("send")?;
        if count != frame.len() {
            bail!("half a request was sent");
        }
        Ok(())
    }
}

impl Load {
    fn connect(args: &cli::E2e, partition: &Partition, first_offset: Offset) -> Result<Self> {
        let poller = Poller::new()?;
        let connect = |token| -> Result<TcpStream> {
            let socket = TcpStream::connect(args.target.bootstrap).context("connect")?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            poller.add_edges(&socket, token)?;
            Ok(socket)
        };
        let counts = 1..=MESSAGES_PER_REQUEST_MAX;
        let frame = |n| frames::produce(partition, -1, records::batch_of(n, args.size));
        let producer = Producer {
            socket: connect(PRODUCER)?,
            inbox: Inbox::new(),
            ack: Ack::of(partition)?,
            frames: counts.map(frame).collect::<Result<_>>()?,
            in_flight_max: args.in_flight.max(1),
            in_flight: VecDeque::new(),
            next_message: 0,
            unsent: VecDeque::new(),
        };
        let limits = FetchLimits { bytes_max: 1 << 20, wait_ms_max: 500 };
        let consumer = Consumer {
            socket: connect(CONSUMER)?,
            inbox: Inbox::new(),
            frame: FetchFrame::new(partition, limits)?,
            next_offset: first_offset,
            first_offset,
        };
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        poller.add(&timer, TIMER, crate::poller::EventFlags::IN)?;
        let schedule =
            Schedule { start: Instant::now(), rate: args.rate, counted: Counted::NOTHING_YET };
        let (acks, arrivals) = (Tally::new(), Tally::new());
        Ok(Self {
            poller,
            timer,
            schedule,
            producer,
            consumer,
            acks,
            arrivals,
            never_back: 0,
            heard_at: Instant::now(),
        })
    }

    fn run(&mut self, mut meter: Meter, drain_max: Duration) -> Result<Measured> {
        self.consumer.ask()?;
        self.start_timer()?;
        let measured = loop {
            self.turn(&mut meter)?;
            self.producer.send_due(self.schedule, Instant::now())?;
            let (measuring, now) = (meter.measuring(), Instant::now());
            if let Some(measured) = meter.turn(now)? {
                self.schedule.counted.end = self.schedule.due_by(now);
                break measured;
            }
            if !measuring && meter.measuring() {
                self.schedule.counted.start = self.schedule.due_by(now);
            }
        };
        self.drain(&mut meter, drain_max)?;
        // What is on its way comes back, for its errors; nothing more is sent, or a broker that is
        // behind would never be done.
        while !self.producer.in_flight.is_empty() {
            self.turn(&mut meter)?;
            self.producer.flush()?;
        }
        Ok(measured)
    }

    /// Goes on until all is back that was due, or for the longest time; what is not counts as if it came then.
    fn drain(&mut self, meter: &mut Meter, time_max: Duration) -> Result<()> {
        let until = Instant::now() + time_max;
        let end = self.schedule.counted.end;
        while self.arrivals.next.min(self.acks.next) < end && Instant::now() < until {
            self.turn(meter)?;
            self.producer.send_due(self.schedule, Instant::now())?;
        }
        let now = Instant::now();
        self.never_back = end.saturating_sub(self.arrivals.next);
        self.acks.back(end, self.schedule, now);
        self.arrivals.back(end, self.schedule, now);
        Ok(())
    }

    fn start_timer(&mut self) -> Result<()> {
        let period = self.schedule.period();
        let interval = Timespec {
            tv_sec: i64::try_from(period.as_secs())?,
            tv_nsec: period.subsec_nanos().into(),
        };
        self.schedule.start = Instant::now() + period;
        let timer = Itimerspec { it_interval: interval, it_value: interval };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer)?;
        Ok(())
    }

    fn turn(&mut self, meter: &mut Meter) -> Result<()> {
        let ready: Vec<Ready> = self.poller.wait(Some(SILENCE_MAX))?.collect();
        // The timer goes on whatever the broker does.
        if ready.iter().any(|event| event.token != TIMER) {
            self.heard_at = Instant::now();
        } else if self.heard_at.elapsed() > SILENCE_MAX {
            bail!("the broker fell silent");
        }
        for event in ready {
            match event.token {
                PRODUCER => self.take_acks(meter)?,
                CONSUMER => self.take_messages(meter)?,
                _ => {
                    // How often it fired does not matter: the schedule says what is due.
                    let _ = read(&self.timer, &mut [0; 8]);
                }
            }
        }
        Ok(())
    }

    fn take_acks(&mut self, meter: &Meter) -> Result<()> {
        let Self { producer, consumer, schedule, acks, .. } = self;
        loop {
            let arrived = producer.inbox.read(&producer.socket)?;
            let now = Instant::now();
            producer.inbox.each(|answer| {
                let offset = producer.ack.base_offset(&answer)?;
                let (first, count) = producer.in_flight.pop_front().context("a surplus answer")?;
                let expected = consumer.first_offset.0 + i64::try_from(first)?;
                if offset.0 != expected {
                    bail!("message {first} got offset {offset} and not {expected}");
                }
                acks.count += u64::from(meter.measuring());
                acks.back(first + count, *schedule, now);
                Ok(())
            })?;
            if arrived == Arrived::All {
                return Ok(());
            }
        }
    }

    fn take_messages(&mut self, meter: &mut Meter) -> Result<()> {
        let Self { consumer, schedule, arrivals, .. } = self;
        loop {
            let arrived = consumer.inbox.read(&consumer.socket)?;
            let now = Instant::now();
            let mut answered = false;
            consumer.inbox.each(|answer| {
                answered = true;
                let fetched = Fetched::decode(answer)?;
                if fetched.records.is_empty() {
                    return Ok(()); // A long poll that ran out.
                }
                let behind = offset_behind(&fetched.records)?;
                meter.count(1, fetched.records.len() as u64);
                let end = u64::try_from(behind.0 - consumer.first_offset.0)?;
                if meter.measuring() {
                    arrivals.count += end.saturating_sub(arrivals.next);
                }
                arrivals.back(end, *schedule, now);
                consumer.next_offset = behind;
                Ok(())
            })?;
            if answered {
                consumer.ask()?;
            }
            if arrived == Arrived::All {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
