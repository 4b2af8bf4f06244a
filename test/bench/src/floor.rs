//! The floor: the least that a broker can do for these loads, to see what the machine itself costs.
//!
//! ```text
//! produce   recv → CRC-32C → base offset in place → pwritev of all that one read brought for a partition, of
//!           one request or several, to a recycled file → 64-byte answers; or to new files, of which the oldest goes
//! fetch     up to 64 KiB what was read, in one write; more by header + sendfile; at the end of the log it
//!           waits for the next append
//! durable   one fdatasync for all that came in one round of epoll, and then the answers
//! ```
//!
//! One thread, one epoll, level-triggered; answers of one read leave in one write. It keeps no
//! metadata, checks nothing but checksums, overwrites or removes what it was given and forgets all at its end:
//! a measure, not a broker. Nobody but the generator may rely on it.

mod at;
mod connection;
mod connections;
mod fetch;
mod fetch_frame;
mod log;
mod new_files;
mod output;
mod produce;
mod produce_frame;
mod ring;
mod topics;

use std::{
    mem,
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, bail};
use bytes::Bytes;
use dohle_protocol::{
    ApiKey, Message, Reader,
    api::{
        api_versions_response::ApiVersionsResponse, create_topics_request::CreateTopicsRequest,
        delete_topics_request::DeleteTopicsRequest,
    },
    decode_request_header,
};

use rustix::{
    io::Errno,
    net::{
        SocketFlags, accept_with,
        sockopt::{set_socket_send_buffer_size, set_tcp_nodelay},
    },
};

use crate::{
    cli,
    poller::{EventFlags, Poller, Ready},
    usage::allow_open_files,
};
use connection::{Connection, Windows};
use connections::Connections;
use fetch::Fetch;
use fetch_frame::FetchAsked;
use output::Spare;
use topics::Topics;

/// No connection has this number.
const LISTENER: u64 = u64::MAX;

/// Measured: with it, a fetch of 1 MiB costs half of what it costs with the system's own, growing
/// buffer. The receive buffer stays the system's: of 512 KiB it makes a produce of 1 MiB cost 0.39 CPU s/GB
/// and not 0.20 to 0.23, and makes no difference to smaller ones.
const SEND_BUFFER: usize = 102_400;

/// Serves until it is killed.
///
/// # Errors
/// A port or a directory that cannot be had, or a disk that fails: a floor does not go on then.
pub(crate) fn run(args: &cli::Floor) -> Result<()> {
    let address = ("127.0.0.1", args.port);
    let listener = TcpListener::bind(address).with_context(|| format!("port {}", args.port))?;
    // A file for each partition and a socket for each connection.
    allow_open_files()?;
    serve(&listener, Topics::in_dir(&args.dir, args.new_files)?)
}

fn serve(listener: &TcpListener, topics: Topics) -> Result<()> {
    listener.set_nonblocking(true)?;
    // Connections have what their listener has.
    set_tcp_nodelay(listener, true)?;
    set_socket_send_buffer_size(listener, SEND_BUFFER)?;
    let mut floor = Floor {
        poller: Poller::new()?,
        ready: Vec::new(),
        connections: Connections::default(),
        topics,
        parked: Vec::new(),
        held: Vec::new(),
        windows: Windows::default(),
        spare: Spare::default(),
    };
    floor.poller.add(listener, LISTENER, EventFlags::IN)?;
    loop {
        floor.turn(listener)?;
    }
}

struct Floor {
    poller: Poller,
    /// Of this round.
    ready: Vec<Ready>,
    connections: Connections,
    topics: Topics,
    parked: Vec<Parked>,
    /// Connections whose answers wait for the sync of this round.
    held: Vec<usize>,
    windows: Windows,
    spare: Spare,
}

/// A fetch at the end of a log.
struct Parked {
    connection: usize,
    fetch: Fetch,
    until: Instant,
}

impl Floor {
    fn turn(&mut self, listener: &TcpListener) -> Result<()> {
        let mut ready = mem::take(&mut self.ready);
        let time = self.time_to_wait();
        ready.extend(self.poller.wait(time)?);
        for event in ready.drain(..) {
            if event.token == LISTENER {
                self.accept(listener)?;
                continue;
            }
            let number = usize::try_from(event.token)?;
            if let Err(error) = self.serve(number, event.flags) {
                self.end(number, &error);
            }
        }
        self.ready = ready;
        self.sync()?;
        self.answer_parked();
        Ok(())
    }

    /// Whatever is wrong with a connection ends it, and only it.
    fn end(&mut self, number: usize, error: &Error) {
        eprintln!("floor: connection {number}: {error:#}");
        self.connections.remove(number);
        self.parked.retain(|parked| parked.connection != number);
        self.held.retain(|held| *held != number);
    }

    /// Makes durable what came in this round, and lets the answers go.
    fn sync(&mut self) -> Result<()> {
        if self.topics.needs_sync() {
            self.topics.sync()?;
        }
        while let Some(number) = self.held.pop() {
            let Some(connection) = self.connections.get_mut(number) else { continue };
            if let Err(error) = flush(&self.poller, number, connection) {
                self.end(number, &error);
            }
        }
        Ok(())
    }

    /// Until the first parked fetch must be answered.
    fn time_to_wait(&self) -> Option<Duration> {
        let first = self.parked.iter().map(|parked| parked.until).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Err(Errno::AGAIN) => return Ok(()),
            accepted => TcpStream::from(accepted.context("accept")?),
        };
        self.poller.add(&socket, self.connections.next() as u64, EventFlags::IN)?;
        self.connections.add(Connection::new(socket, &self.windows, &self.spare));
        Ok(())
    }

    /// Reads, handles every whole request, and writes the answers at once, unless something is
    /// to be synced first.
    fn serve(&mut self, number: usize, flags: EventFlags) -> Result<()> {
        let Self { connections, topics, parked, poller, held, .. } = self;
        let Some(connection) = connections.get_mut(number) else { return Ok(()) };
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            if !connection.read()? {
                bail!("closed by its peer");
            }
            let handled = handle_all(topics, connection, |fetch| {
                parked.push(Parked { connection: number, until: fetch.until(), fetch });
            });
            // Also what came before one that is broken: it lies in this connection's buffer.
            topics.write(connection.buffer())?;
            handled?;
            connection.leave_window();
        }
        if topics.needs_sync() {
            held.push(number);
            return Ok(());
        }
        flush(poller, number, connection)
    }

    /// Answers the waiting fetches for which there is something now, or whose time is up.
    fn answer_parked(&mut self) {
        if self.parked.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut index = 0;
        while let Some(&Parked { connection: number, fetch, until }) = self.parked.get(index) {
            match self.answer(number, fetch, now < until) {
                Ok(false) => index += 1,
                Ok(true) => drop(self.parked.swap_remove(index)),
                Err(error) => {
                    // And those that it has parked.
                    self.end(number, &error);
                    index = 0;
                }
            }
        }
    }

    /// Answers a fetch that waited, unless there is nothing yet and it `may_wait`; whether it did.
    fn answer(&mut self, number: usize, fetch: Fetch, may_wait: bool) -> Result<bool> {
        let connection = self.connections.get_mut(number).context("it is gone")?;
        let (_, output) = connection.buffers();
        if !fetch.answer(&mut self.topics, output, may_wait)? {
            return Ok(false);
        }
        flush(&self.poller, number, connection)?;
        Ok(true)
    }
}

fn flush(poller: &Poller, number: usize, connection: &mut Connection) -> Result<()> {
    if let Some(interest) = connection.flush()? {
        poller.modify(connection.socket(), number as u64, interest)?;
    }
    Ok(())
}

/// Answers what has come whole, and parks the fetches that have to wait.
fn handle_all(
    topics: &mut Topics,
    connection: &mut Connection,
    mut park: impl FnMut(Fetch),
) -> Result<()> {
    while let Some(frame) = connection.next_frame() {
        if let Some(fetch) = handle(topics, connection, frame)? {
            park(fetch);
        }
    }
    Ok(())
}

/// Answers a request, or gives it back if it is a fetch that has to wait.
fn handle(
    topics: &mut Topics,
    connection: &mut Connection,
    frame: std::ops::Range<usize>,
) -> Result<Option<Fetch>> {
    if produce::serve(topics, connection, frame.clone())? {
        return Ok(None);
    }
    let (buffer, output) = connection.buffers();
    // It may ask for what is before it.
    topics.write(buffer)?;
    if let Some(asked) = FetchAsked::parse(&buffer[frame.clone()]) {
        let fetch = Fetch::of(&asked, topics)?;
        let answered = fetch.answer(topics, output, true)?;
        return Ok((!answered).then_some(fetch));
    }
    let mut r = Reader::new(Bytes::copy_from_slice(&buffer[frame]));
    let (key, header) = decode_request_header(&mut r)?;
    let version = header.request_api_version;
    match key {
        ApiKey::CreateTopics => {
            let request = CreateTopicsRequest::decode(&mut r, version)?;
            connection.answer(key, &header, &topics.create(&request)?)?;
        }
        ApiKey::DeleteTopics => {
            let request = DeleteTopicsRequest::decode(&mut r, version)?;
            connection.answer(key, &header, &topics.delete(&request))?;
        }
        ApiKey::ApiVersions => {
            connection.answer(key, &header, &ApiVersionsResponse::default())?;
        }
        other => bail!("the floor does not serve such a {}", other.name()),
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
