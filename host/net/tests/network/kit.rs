//! A server whose handler obeys its frames, and a peer that speaks to it.

use std::{
    fs::File,
    future::pending,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use dohle_net::{
    ConnectionContext, Counters, Frames, Handler, ListenerSpec, Options, Outcome, Part, Reply,
    Response, Server,
};
use tokio::sync::Semaphore;

/// Nothing in these tests takes this long unless it is broken, on a busy machine neither.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes that [`Ask::Bytes`] gets, whatever a mutated frame asks for.
const BYTES_MAX: u32 = 4 * 1024 * 1024;

/// What the handlers of a server have seen.
pub(crate) struct Seen {
    pub(crate) handled: AtomicUsize,
    pub(crate) sessions: AtomicUsize,
    /// Futures that were dropped before they knew their outcome.
    pub(crate) abandoned: AtomicUsize,
    /// How many answers may leave that wait for it.
    gate: Semaphore,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            handled: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        }
    }
}

impl Seen {
    /// Lets so many answers leave that wait for it.
    pub(crate) fn release(&self, answers: usize) {
        self.gate.add_permits(answers);
    }
}

/// What a frame may ask for. Anything else is answered by closing.
pub(crate) enum Ask<'a> {
    /// The same bytes, at once.
    Echo(&'a [u8]),
    /// The same bytes, after so many milliseconds.
    After(u16, &'a [u8]),
    /// The same bytes, once the test releases them.
    Released(&'a [u8]),
    /// No answer.
    Silence,
    /// The same bytes, then the end.
    Last(&'a [u8]),
    /// The same bytes, after so many milliseconds, then the end.
    LastAfter(u16, &'a [u8]),
    /// An answer that never comes.
    Never,
    /// So many bytes of the value 7.
    Bytes(u32),
    /// Ranges of the server's file, each behind one byte of the value 1.
    Ranges(&'a [(u64, u32)]),
    /// The same bytes, after the thread was at work for so many milliseconds.
    Work(u16, &'a [u8]),
    /// The thread of the connection and the name of its listener.
    Where,
    /// The same bytes behind one that says how many of these were handled together.
    Together(&'a [u8]),
    /// A bug in the handler.
    Panic,
}

struct Obedient {
    seen: Arc<Seen>,
    file: Option<Arc<File>>,
}

/// Counts a future that is dropped.
struct Abandoned(Arc<Seen>);

/// Counts a session that is over.
pub(crate) struct Session(Arc<Seen>);

pub(crate) struct Service {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

impl Handler for Obedient {
    type Session = Session;

    fn open(&self, _: &ConnectionContext) -> Session {
        self.seen.sessions.fetch_add(1, SeqCst);
        Session(Arc::clone(&self.seen))
    }

    fn handle(
        &self,
        connection: &ConnectionContext,
        _: &mut Session,
        frame: Bytes,
        frames: &mut Frames<'_>,
    ) {
        self.seen.handled.fetch_add(1, SeqCst);
        if !frame.starts_with(b"t") {
            return frames.reply(self.reply_to(connection, frame));
        }
        let mut together = vec![frame];
        while let Some(frame) = frames.take_if(|frame| frame.starts_with(b"t")) {
            self.seen.handled.fetch_add(1, SeqCst);
            together.push(frame);
        }
        for frame in &together {
            let count = u8::try_from(together.len()).expect("a bounded number");
            let reply = [&[count], frame.get(1..).unwrap_or_default()].concat();
            frames.reply(Reply::Now(answer(&reply)));
        }
    }
}

impl Obedient {
    fn reply_to(&self, connection: &ConnectionContext, mut frame: Bytes) -> Reply {
        if frame.is_empty() {
            return Reply::Close;
        }
        match frame.get_u8() {
            b'e' => Reply::Now(answer(&frame)),
            b'x' => Reply::Last(answer(&frame)),
            b's' => Reply::Nothing,
            b'a' if frame.len() >= 2 => {
                let time = Duration::from_millis(frame.get_u16().into());
                Reply::later(async move {
                    tokio::time::sleep(time).await;
                    Outcome::Response(answer(&frame))
                })
            }
            b'k' if frame.len() >= 2 => {
                std::thread::sleep(Duration::from_millis(frame.get_u16().into()));
                Reply::Now(answer(&frame))
            }
            b'g' => {
                let seen = Arc::clone(&self.seen);
                Reply::later(async move {
                    seen.gate.acquire().await.expect("it is never closed").forget();
                    Outcome::Response(answer(&frame))
                })
            }
            b'z' if frame.len() >= 2 => {
                let time = Duration::from_millis(frame.get_u16().into());
                Reply::later(async move {
                    tokio::time::sleep(time).await;
                    Outcome::Last(answer(&frame))
                })
            }
            b'n' => {
                let guard = Abandoned(Arc::clone(&self.seen));
                Reply::later(async move {
                    pending::<()>().await;
                    drop(guard);
                    Outcome::Nothing
                })
            }
            b'b' if frame.len() >= 4 => {
                Reply::Now(answer(&vec![7; frame.get_u32().min(BYTES_MAX) as usize]))
            }
            b'r' => self.ranges(frame),
            b'w' => {
                let place = format!("{} {}", connection.thread, connection.listener_name);
                Reply::Now(answer(place.as_bytes()))
            }
            b'p' => panic!("as asked"),
            _ => Reply::Close,
        }
    }

    fn ranges(&self, mut frame: Bytes) -> Reply {
        let Some(file) = &self.file else { return Reply::Close };
        let (mut parts, mut size) = (Vec::new(), 0);
        while frame.len() >= 12 {
            let (position, len) = (frame.get_u64(), frame.get_u32());
            parts.push(Part::Bytes(Bytes::from_static(&[1])));
            let file = Arc::<File>::clone(file);
            parts.push(Part::File { file, position, len });
            size += 1 + len;
        }
        let response = Response::with_parts(Bytes::copy_from_slice(&size.to_be_bytes()), parts);
        assert_eq!(response.wire_size(), 4 + u64::from(size));
        Reply::Now(response)
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.abandoned.fetch_add(1, SeqCst);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, SeqCst);
    }
}

impl Ask<'_> {
    pub(crate) fn frame(&self) -> Vec<u8> {
        let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
        match self {
            Self::Echo(bytes) => tagged(b'e', bytes),
            Self::Together(bytes) => tagged(b't', bytes),
            Self::After(ms, bytes) => tagged(b'a', &[&ms.to_be_bytes(), *bytes].concat()),
            Self::LastAfter(ms, bytes) => tagged(b'z', &[&ms.to_be_bytes(), *bytes].concat()),
            Self::Released(bytes) => tagged(b'g', bytes),
            Self::Silence => tagged(b's', &[]),
            Self::Last(bytes) => tagged(b'x', bytes),
            Self::Never => tagged(b'n', &[]),
            Self::Bytes(count) => tagged(b'b', &count.to_be_bytes()),
            Self::Ranges(ranges) => {
                let range =
                    |(at, len): &(u64, u32)| [&at.to_be_bytes()[..], &len.to_be_bytes()].concat();
                tagged(b'r', &ranges.iter().flat_map(range).collect::<Vec<_>>())
            }
            Self::Work(ms, bytes) => tagged(b'k', &[&ms.to_be_bytes(), *bytes].concat()),
            Self::Where => tagged(b'w', &[]),
            Self::Panic => tagged(b'p', &[]),
        }
    }

    pub(crate) fn framed(&self) -> Vec<u8> {
        framed(&self.frame())
    }
}

impl Service {
    pub(crate) fn start(options: Options) -> Self {
        Self::with_file(options, None)
    }

    pub(crate) fn with_file(options: Options, file: Option<File>) -> Self {
        Self::at(local(), options, file)
    }

    pub(crate) fn at(address: SocketAddr, options: Options, file: Option<File>) -> Self {
        let seen = Arc::<Seen>::default();
        let listener = ListenerSpec { name: "TEST".to_owned(), address, reserved: None };
        let (file, sight) = (file.map(Arc::new), Arc::clone(&seen));
        let server = Server::start(options, vec![listener], move |_| Obedient {
            seen: Arc::clone(&sight),
            file: file.clone(),
        });
        let server = server.expect("starts");
        let address = server.listeners()[0].address;
        Self { server, address, seen }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Waits until so many frames were handled, and holds that there are no more in a while.
    pub(crate) fn handles_no_more_than(&self, count: usize) {
        eventually("they are handled", || self.handled() >= count);
        assert_eq!(self.settled(), count);
    }

    pub(crate) fn handled(&self) -> usize {
        self.seen.handled.load(SeqCst)
    }

    /// The counters of all threads together.
    pub(crate) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for counters in self.server.counters().iter().map(|thread| thread.read()) {
            sum.bytes_in += counters.bytes_in;
            sum.bytes_out += counters.bytes_out;
            sum.requests += counters.requests;
            sum.connections_opened += counters.connections_opened;
            sum.connections_closed += counters.connections_closed;
            sum.connections_came += counters.connections_came;
            sum.connections_left += counters.connections_left;
            sum.connections_expired += counters.connections_expired;
            sum.frames_refused += counters.frames_refused;
            sum.cold_reads += counters.cold_reads;
        }
        sum
    }

    /// Waits until the handlers have seen nothing new for a while.
    pub(crate) fn settled(&self) -> usize {
        let mut handled = self.handled();
        loop {
            std::thread::sleep(Duration::from_millis(150));
            let now = self.handled();
            if now == handled {
                return now;
            }
            handled = now;
        }
    }
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Self { stream }
    }

    pub(crate) fn send(&mut self, ask: &Ask<'_>) {
        self.send_bytes(&ask.framed());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix).expect("an answer");
        let mut answer = vec![0; u32::from_be_bytes(prefix) as usize];
        self.stream.read_exact(&mut answer).expect("a whole answer");
        answer
    }

    pub(crate) fn ask(&mut self, ask: &Ask<'_>) -> Vec<u8> {
        self.send(ask);
        self.receive()
    }

    /// Whether nothing has come from the server yet.
    pub(crate) fn has_nothing(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a TCP socket");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a TCP socket");
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Whether the next thing from the server is the end of the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

pub(crate) fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn framed(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).expect("short").to_be_bytes(), frame].concat()
}

/// Waits for something that must come true.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A sequence of numbers that is the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn answer(bytes: &[u8]) -> Response {
    let mut head = BytesMut::with_capacity(4 + bytes.len());
    head.put_u32(u32::try_from(bytes.len()).expect("short"));
    head.put_slice(bytes);
    Response::new(head)
}
