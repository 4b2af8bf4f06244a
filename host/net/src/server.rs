//! The server as a whole: binds, starts the threads, and stops them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::{Arc, atomic::AtomicU64, mpsc as blocking},
    thread::JoinHandle,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, watch},
    task::spawn_local,
    time::Instant,
};

use crate::{
    BoundListener, Handler, ListenerSpec, Options, ThreadCounters,
    admission::Admission,
    balance::{Balance, Neighbours},
    limits::{COLD_THREAD_KEPT, COLD_THREADS_MAX, HANDOVER_MAX},
    listener::{self, Acceptor, Dealer},
    thread::{self, Incoming, StopAt, ThreadState},
};

/// Listeners and network threads that serve until [`Server::shutdown`].
///
/// Dropping a server stops it without waiting for answers still owed.
pub struct Server {
    listeners: Vec<BoundListener>,
    counters: Vec<Arc<ThreadCounters>>,
    stop: watch::Sender<StopAt>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a server did not start. Nothing is left running or bound.
#[derive(Debug, Error)]
pub enum StartError {
    /// `Options::threads` is 0.
    #[error("a server needs at least one network thread")]
    NoThreads,
    /// Somebody else listens there.
    #[error("listener {listener}: address {address} is already in use")]
    AddressInUse {
        /// Name of the listener.
        listener: String,
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The listener cannot be opened for another reason.
    #[error("listener {listener}: cannot listen on {address}")]
    Bind {
        /// Name of the listener.
        listener: String,
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A thread or its runtime cannot be made.
    #[error("cannot start network thread {thread}")]
    Thread {
        /// Number of the thread, from 0.
        thread: usize,
        /// What the system says.
        source: io::Error,
    },
    /// The handler's factory panicked.
    #[error("the handler of network thread {thread} could not be made")]
    Handler {
        /// Number of the thread, from 0.
        thread: usize,
    },
}

/// What a network thread starts with.
struct ThreadStart<S> {
    seat: Seat<S>,
    state: ThreadSeed,
    stop: watch::Receiver<StopAt>,
    started: blocking::SyncSender<io::Result<()>>,
}

/// Which of the threads it is, and how connections come to it.
struct Seat<S> {
    thread: usize,
    neighbours: Arc<Neighbours<S>>,
    incoming: mpsc::Receiver<Incoming<S>>,
    /// The accept loops; thread 0 runs them all.
    acceptors: Vec<(Acceptor<S>, TcpListener)>,
}

/// What becomes the state of a thread once it is there.
struct ThreadSeed {
    options: Arc<Options>,
    counters: Arc<ThreadCounters>,
}

impl Server {
    /// Binds all listeners, then starts the threads. `factory` is called once on each network
    /// thread, inside its runtime, with the thread's number.
    ///
    /// When this returns, connections are being accepted.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start<H, F>(
        options: Options,
        listeners: Vec<ListenerSpec>,
        factory: F,
    ) -> Result<Self, StartError>
    where
        H: Handler,
        F: Fn(usize) -> H + Send + Sync + 'static,
    {
        if options.threads == 0 {
            return Err(StartError::NoThreads);
        }
        let options = Arc::new(options);
        let (sockets, listeners) = bind_all(listeners, &options)?;
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..options.threads).map(|_| mpsc::channel(HANDOVER_MAX)).unzip();
        let neighbours = Arc::new(Neighbours::new(senders));
        let dealer = Arc::new(Dealer {
            admission: Arc::new(Admission::new(&options)),
            threads: Arc::clone(&neighbours),
            dealt: AtomicU64::new(0),
        });
        let mut acceptors = acceptors(sockets, &listeners, &dealer);
        let stop = watch::Sender::new(None);
        let mut server = Self { listeners, counters: Vec::new(), stop, threads: Vec::new() };
        let factory = Arc::new(factory);
        // Thread 0 comes last: nothing is accepted before all threads are there.
        for (thread, incoming) in receivers.into_iter().enumerate().rev() {
            let acceptors = if thread == 0 { std::mem::take(&mut acceptors) } else { Vec::new() };
            let neighbours = Arc::clone(&neighbours);
            let seat = Seat { thread, neighbours, incoming, acceptors };
            server.start_thread(seat, &options, &factory)?;
        }
        server.counters.reverse();
        Ok(server)
    }

    /// The listeners, in the order in which they were given.
    pub fn listeners(&self) -> &[BoundListener] {
        &self.listeners
    }

    /// The counters of each network thread; they may be kept and outlive the server.
    pub fn counters(&self) -> &[Arc<ThreadCounters>] {
        &self.counters
    }

    /// Stops: closes the listeners, handles no further request, sends the answers still owed for up
    /// to `grace`, and closes all connections. Returns when the threads have ended.
    ///
    /// It blocks its caller, so it must not be called on a network thread.
    pub fn shutdown(mut self, grace: Duration) {
        self.stop_threads(grace);
    }

    fn start_thread<H, F>(
        &mut self,
        seat: Seat<H::Session>,
        options: &Arc<Options>,
        factory: &Arc<F>,
    ) -> Result<(), StartError>
    where
        H: Handler,
        F: Fn(usize) -> H + Send + Sync + 'static,
    {
        let thread = seat.thread;
        let counters = Arc::<ThreadCounters>::default();
        let (started, has_started) = blocking::sync_channel(1);
        let start = ThreadStart {
            seat,
            state: ThreadSeed { options: Arc::clone(options), counters: Arc::clone(&counters) },
            stop: self.stop.subscribe(),
            started,
        };
        let factory = Arc::clone(factory);
        let handle = std::thread::Builder::new()
            .name(format!("{}-{thread}", options.thread_name))
            .spawn(move || run_thread(start, move || factory(thread)))
            .map_err(|source| StartError::Thread { thread, source })?;
        self.threads.push(handle);
        self.counters.push(counters);
        match has_started.recv() {
            Ok(result) => result.map_err(|source| StartError::Thread { thread, source }),
            Err(blocking::RecvError) => Err(StartError::Handler { thread }),
        }
    }

    fn stop_threads(&mut self, grace: Duration) {
        self.stop.send_replace(Some(Instant::now() + grace));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a network thread had panicked");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_threads(Duration::ZERO);
    }
}

fn bind_all(
    specs: Vec<ListenerSpec>,
    options: &Options,
) -> Result<(Vec<TcpListener>, Vec<BoundListener>), StartError> {
    let mut sockets = Vec::new();
    let mut bound = Vec::new();
    for ListenerSpec { name, address, reserved } in specs {
        let opened = listener::open(address, reserved, options)
            .and_then(|socket| Ok((socket.local_addr()?, socket)));
        match opened {
            Ok((address, socket)) => {
                sockets.push(socket);
                bound.push(BoundListener { name: name.into(), address });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(StartError::AddressInUse { listener: name, address });
            }
            Err(source) => return Err(StartError::Bind { listener: name, address, source }),
        }
    }
    Ok((sockets, bound))
}

fn acceptors<S>(
    sockets: Vec<TcpListener>,
    listeners: &[BoundListener],
    dealer: &Arc<Dealer<S>>,
) -> Vec<(Acceptor<S>, TcpListener)> {
    let named = sockets.into_iter().zip(listeners).enumerate();
    named
        .map(|(index, (socket, listener))| {
            let name = Arc::clone(&listener.name);
            (Acceptor { index, name, dealer: Arc::clone(dealer) }, socket)
        })
        .collect()
}

/// The life of a network thread.
fn run_thread<H: Handler>(start: ThreadStart<H::Session>, make_handler: impl FnOnce() -> H) {
    let ThreadStart { seat, state, stop, started } = start;
    let Seat { thread, neighbours, incoming, acceptors } = seat;
    let mut builder = Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(COLD_THREADS_MAX).thread_name("cold-read");
    // One is there from the start and stays: to have none when there is no more to be had is a panic.
    builder.thread_keep_alive(COLD_THREAD_KEPT);
    let runtime = match builder.build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            // The starter may have given up; then nobody is to be told.
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.spawn_blocking(|| ());
    runtime.block_on(async move {
        let handler = make_handler();
        let balance = Rc::new(Balance::here(thread, state.options.moves, neighbours));
        for (acceptor, socket) in acceptors {
            spawn_local(acceptor.run(socket, Rc::clone(&balance), stop.clone()));
        }
        let _ = started.send(Ok(()));
        let state = Rc::new(ThreadState::new(state.options, state.counters));
        thread::serve(handler, state, balance, incoming, stop).await;
    });
}
