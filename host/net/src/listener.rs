//! Listening sockets: binding them, accepting, and dealing connections out to the threads.
//!
//! `TCP_NODELAY` and the socket buffer sizes are set on the listening socket, from which Linux
//! copies them to each accepted one: no system call for each connection.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use tokio::{sync::watch, time::sleep};

use crate::{
    ConnectionContext, ConnectionId, Options,
    admission::{Admission, Admitted},
    balance::{Balance, Neighbours},
    limits::ACCEPT_PAUSE,
    log_gate::LogGate,
    thread::{Incoming, StopAt},
};

/// A listener to open.
#[derive(Debug)]
pub struct ListenerSpec {
    /// Its name, such as `PLAINTEXT` or `CONTROLLER`.
    pub name: String,
    /// Where to listen; port 0 lets the system choose. `[::]` takes IPv4 connections too.
    pub address: SocketAddr,
    /// The port, if it was chosen before.
    pub reserved: Option<Reserved>,
}

/// A port that the system has chosen: nobody else is given it until somebody listens on it or this is dropped.
#[derive(Debug)]
pub struct Reserved {
    /// Bound; nobody listens.
    socket: TcpListener,
    address: SocketAddr,
}

impl Reserved {
    /// A port of this address, whose own is 0.
    ///
    /// # Errors
    /// The system's.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = bound(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address, with the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A listener that is open.
#[derive(Clone, Debug)]
pub struct BoundListener {
    /// Its name.
    pub name: Arc<str>,
    /// Where it listens, with the port that the system chose.
    pub address: SocketAddr,
}

/// Where accepted connections go, shared by all listeners of a server.
pub(crate) struct Dealer<S> {
    pub(crate) admission: Arc<Admission>,
    pub(crate) threads: Arc<Neighbours<S>>,
    /// Number of connections dealt so far; also the next connection's name.
    pub(crate) dealt: AtomicU64,
}

/// One listener's accept loop.
pub(crate) struct Acceptor<S> {
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    pub(crate) dealer: Arc<Dealer<S>>,
}

/// Opens a listening socket.
///
/// # Errors
/// The system's, of whichever step failed.
pub(crate) fn open(
    address: SocketAddr,
    reserved: Option<Reserved>,
    options: &Options,
) -> io::Result<TcpListener> {
    let socket = match reserved {
        Some(reserved) => reserved.socket,
        None => bound(address)?,
    };
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(size) = options.send_buffer_bytes {
        sockopt::set_socket_send_buffer_size(&socket, size)?;
    }
    if let Some(size) = options.receive_buffer_bytes {
        sockopt::set_socket_recv_buffer_size(&socket, size)?;
    }
    // Not before, where the system has chosen the port: of two who let it choose at the same time both would be
    // given the same one, and only one can listen on it.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    listen(&socket, i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// A socket on which nobody listens yet.
fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.port() != 0 {
        // A restart must not wait for the connections of the last run to be forgotten.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    Ok(TcpListener::from(socket))
}

impl<S> Acceptor<S> {
    /// Accepts until told to stop; the socket is closed when this returns or is dropped.
    pub(crate) async fn run(
        self,
        socket: TcpListener,
        balance: Rc<Balance<S>>,
        mut stop: watch::Receiver<StopAt>,
    ) {
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            result = self.accept_all(socket, &balance) => if let Err(error) = result {
                tracing::error!(listener = %self.name, %error, "the listener has failed");
            },
        }
    }

    async fn accept_all(&self, socket: TcpListener, balance: &Balance<S>) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let paused = LogGate::default();
        loop {
            let (stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    // Such as no free file descriptor, or a network error of the connection.
                    if let Some(suppressed) = paused.pass() {
                        tracing::warn!(listener = %self.name, %error, suppressed, "cannot accept");
                    }
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            let place = self.dealer.admission.place().await;
            let Some(admitted) = self.dealer.admission.admit(peer.ip(), place) else {
                tracing::debug!(%peer, listener = %self.name, "too many from this address");
                continue;
            };
            match stream.into_std() {
                Ok(stream) => {
                    self.deal(stream, peer, admitted, balance).await;
                }
                Err(error) => tracing::warn!(%peer, %error, "cannot hand over a connection"),
            }
        }
    }

    /// Hands a connection to its thread, and waits if that thread is behind.
    async fn deal(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        admitted: Admitted,
        balance: &Balance<S>,
    ) {
        let id = self.dealer.dealt.fetch_add(1, Relaxed);
        let thread = balance.deal(id);
        let context = ConnectionContext {
            id: ConnectionId(id),
            peer,
            listener: self.index,
            listener_name: Arc::clone(&self.name),
            thread,
        };
        // A thread that no longer listens is stopping, and so are we: the connection is dropped.
        let incoming = Incoming { stream, context, admitted, past: None };
        let _ = self.dealer.threads.inbox(thread).send(incoming).await;
    }
}

#[cfg(test)]
mod tests;
