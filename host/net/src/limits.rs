//! Every bound of the network, in one place, each with where its number is from.

use std::time::Duration;

/// Most bytes that one read takes from a socket, and the size of a thread's receive buffer.
///
/// Half of a 1 MiB second-level cache, so that a batch is still in cache when its checksum is taken and
/// it is written to the log. Measured with four connections of five requests in flight, CPU of the
/// server against a window of 256 KiB, three runs on a shared machine: of 64 KiB each, which then come
/// in one read and are answered in one write, 10 to 22 % less; of 1 MiB 4 to 11 % less; of 1 and 16 KiB
/// between 3 % less and 11 % more, without a trend but that of the load.
pub(crate) const WINDOW_BYTES: usize = 512 * 1024;

/// By how much a request may be longer than the round number of bytes that clients fill their batches up to.
/// What lies behind a whole number of windows is read with the last of them.
pub(crate) const HEAD_BYTES: usize = 4 * 1024;

/// A frame larger than the window gets a buffer of at most this multiple of what has arrived.
///
/// Four lets a 1 MiB frame grow in one step from the first window, so that only half of it is copied,
/// and lets a peer pin at most four times the bytes that it really sent.
pub(crate) const GROWTH_FACTOR: usize = 4;

/// A rest of a frame up to this size is copied out of the window rather than keeping the window.
pub(crate) const REST_COPIED_MAX: usize = 4 * 1024;

/// A connection may go to another thread with so many bytes of its next frames: they are copied. As much as one
/// read brings, once.
pub(crate) const REST_MOVED_MAX: usize = WINDOW_BYTES;

/// Connections of one thread that may keep a whole window for the rest of a frame; the others get
/// a copy of the exact size. Eight windows are 4 MiB a thread.
pub(crate) const WINDOWS_KEPT_MAX: usize = 8;

/// Bytes of receive buffers that a thread keeps for reuse. Eight 1 MiB frames: touching fresh
/// memory costs more per byte than receiving into it.
pub(crate) const POOL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Answers of one connection that may wait behind a reply that is not known yet, that one included.
///
/// Clients pipeline 5 requests (Java) or as many as the socket takes (librdkafka); in the durable
/// mode one sync answers them all, so depth is throughput. All waiting replies of a connection are
/// polled when one wakes it, so the square of this number must stay cheap: 64 × 64 polls of some
/// 10 ns are 40 µs at worst.
pub(crate) const ANSWERS_WAITING_MAX: usize = 64;

/// Bytes of requests whose replies are not known yet, for one connection. At least one request is
/// always let in. Five requests of 1 MiB, the Java producer's defaults, fit.
pub(crate) const REQUEST_BYTES_WAITING_MAX: usize = 8 * 1024 * 1024;

/// Bytes of answers held in memory for one connection; above it no further request is handled. One
/// answer may exceed it, or those to requests that are handled together. The window in the other direction.
pub(crate) const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// What a queued piece of an answer costs beside its bytes: the queue entry, the allocation's
/// header and its reference count. Counted, so that a flood of tiny answers is bounded too.
pub(crate) const PIECE_OVERHEAD: usize = 128;

/// Pieces that one vectored write takes. The kernel's own bound is 1,024.
pub(crate) const WRITE_PIECES_MAX: usize = 256;

/// File ranges up to this size are read and copied into the vectored write; longer ones are sent
/// with `sendfile`.
///
/// A copy saves the look whether the range is in memory, and the write of what follows it, which is a
/// packet of its own. Measured on loopback with one request in flight on each of four connections, CPU
/// of the server for a fetch, sendfile and copy, medians of four rounds: 32 KiB 18.8 and 18.6 µs, 64 KiB
/// 47 and 29, 96 KiB 41.7 and 35.0, 128 KiB 54 and 42, 256 KiB 64 and 78.
pub(crate) const FILE_COPIED_MAX: usize = 128 * 1024;

/// The rest of a file range up to this size is copied however little the socket took of it last, so
/// that it shares a packet with what follows.
pub(crate) const FILE_REST_COPIED_MAX: usize = 4 * 1024;

/// Size of a thread's buffer for copied file ranges: two of the largest. Each needs to fit.
pub(crate) const SCRATCH_BYTES: usize = 2 * FILE_COPIED_MAX;

/// Most bytes of one `sendfile`, so that one fetch does not hold a thread for long.
pub(crate) const SENDFILE_MAX: usize = 1024 * 1024;

/// A range of a file is looked at once in so many bytes to see whether it is in memory. What a look
/// misses is waited for: so much of a disk is a millisecond or a few.
pub(crate) const COLD_PROBE_BYTES: usize = 256 * 1024;

/// For how long a range that was found in memory is taken to be there, while the peer takes no more of it. A look costs
/// 1.8 µs where the processor's caches have nothing of the range (by perf), and a peer of 1 MiB a request leaves the
/// socket full several times an answer. Pages that were read just now are not the first that memory is taken from.
pub(crate) const WARM_FOR: Duration = Duration::from_millis(100);

/// Bytes that are read at once to bring a range into memory.
pub(crate) const COLD_READ_BYTES: usize = 128 * 1024;

/// Threads that wait for the disk in the place of one network thread. A disk that needs more of them at
/// work to be fast has others.
pub(crate) const COLD_THREADS_MAX: usize = 4;

/// How long a thread that has nothing to wait for stays: for ever, as far as anybody can tell.
pub(crate) const COLD_THREAD_KEPT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Bytes that a connection moves before the other connections of its thread get their turn; about
/// half a millisecond. A request of 1 MiB, the most that clients send unasked, is one turn with its head.
pub(crate) const TURN_BYTES_MAX: usize = 1024 * 1024 + HEAD_BYTES;

/// What handling a request counts for among them, so that very many small ones do not come in one turn.
/// A produce or fetch of 1 KiB takes as long as it takes to receive so many bytes, 4 to 8 µs.
pub(crate) const REQUEST_TURN_BYTES: usize = 8 * 1024;

/// Requests that are handled before their answers are written.
pub(crate) const HANDLED_TOGETHER_MAX: usize = 128;

/// How long a thread counts how busy it is before it says where connections should go, at least. Small
/// against what a client notices, and large against most of what a thread does without a rest.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A thread that is busy for a greater share of the time hands connections over. Requests that come at random then
/// wait for one and a half others on average, which is what a wake-up across cores costs.
pub(crate) const RELIEVED_ABOVE: f64 = 0.75;

/// Threads that are busy for a smaller share of the time together are joined. Half of the other bound, so
/// that a load may double before its connections move again.
pub(crate) const JOINED_BELOW: f64 = 0.375;

/// A thread that is busy for a smaller share of the time has nothing to do.
pub(crate) const RESTING_BELOW: f64 = 0.01;

/// Which share of a thread's time a connection counts for that has been accepted since the last look. One client has
/// a few, which should lie together; a cluster's worth that reconnects should not.
pub(crate) const NEWCOMER_SHARE: f64 = 0.05;

/// A connection that has come from another thread stays for at least so long: to move costs two system calls and an
/// allocation, the one or other tenth of a millisecond.
pub(crate) const STAY_MIN: Duration = Duration::from_secs(1);

/// Accepted connections that wait for their thread to take them; the accept loop waits beyond.
pub(crate) const HANDOVER_MAX: usize = 256;

/// Pause of an accept loop after an error that only time heals, such as no free file descriptor.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection that we close still discards what its peer sends, so that the kernel does
/// not reset it and lose the last answers.
pub(crate) const LINGER: Duration = Duration::from_millis(250);

/// A thread repeats a warning about misbehaving peers at most this often.
pub(crate) const WARNING_INTERVAL: Duration = Duration::from_secs(60);
