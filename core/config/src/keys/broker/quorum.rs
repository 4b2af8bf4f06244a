//! The controllers' quorum and the metadata log that it keeps.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// Addresses of controllers, as `HOST:PORT`, by which the quorum is found.
    "controller.quorum.bootstrap.servers": List = "", addresses, high;

    /// The fixed set of voters, as `ID@HOST:PORT`; leave it empty for a quorum whose members may
    /// change.
    "controller.quorum.voters": List = "", voters, high, used;

    /// Whether a controller that is no voter yet asks to become one.
    "controller.quorum.auto.join.enable": Boolean = false, low;

    /// How long a candidate waits for votes before it starts over.
    "controller.quorum.election.timeout.ms": Int = 1000, at_least(0), high;

    /// The longest random pause between two elections.
    "controller.quorum.election.backoff.max.ms": Int = 1000, at_least(0), high;

    /// How long a voter goes without a successful fetch before it campaigns, and a leader without a
    /// majority's fetches before it resigns.
    "controller.quorum.fetch.timeout.ms": Int = 2000, at_least(0), high;

    /// How long to wait for an answer from another member of the quorum.
    "controller.quorum.request.timeout.ms": Int = 2000, at_least(0);

    /// The pause before a failed request to the quorum is sent again.
    "controller.quorum.retry.backoff.ms": Int = 20, at_least(0), low;

    /// How long the leader collects records before it writes them as one batch.
    "controller.quorum.append.linger.ms": Int = 25, at_least(0);

    /// The most bytes that one fetch of the metadata log asks for; a larger single batch still
    /// comes.
    "controller.quorum.fetch.max.bytes": Int = 1_048_576, at_least(1), low;

    /// The most bytes that one fetch of a metadata snapshot asks for.
    "controller.quorum.fetch.snapshot.max.bytes": Int = 1_048_576, at_least(1), low;

    /// How often the controller logs how long its events took.
    "controller.performance.sample.period.ms": Long = 60_000, at_least(100), internal;

    /// A controller event that takes longer than this is logged.
    "controller.performance.always.log.threshold.ms": Long = 2000, at_least(0), internal;

    /// How long a broker waits for the controller on an idle connection.
    "controller.socket.timeout.ms": Int = 30_000;

    /// Where the metadata log lives; by default in the first of `log.dirs`.
    "metadata.log.dir": String, high, used;

    /// At which size a segment of the metadata log is closed.
    "metadata.log.segment.bytes": Int = 1_073_741_824, at_least(8_388_608), high, used;

    /// At which age a segment of the metadata log is closed.
    "metadata.log.segment.ms": Long = 604_800_000, high, used;

    /// After how many bytes of new records a metadata snapshot is written.
    "metadata.log.max.record.bytes.between.snapshots": Long = 20_971_520, at_least(1), high, used;

    /// After how long a metadata snapshot is written if there are new records; 0 means only by
    /// size.
    "metadata.log.max.snapshot.interval.ms": Long = 3_600_000, at_least(0), high, used;

    /// How many bytes of metadata log and snapshots are kept; the latest snapshot and the segment
    /// that is written always stay. Negative means no limit.
    "metadata.max.retention.bytes": Long = 104_857_600, high, used;

    /// How long a metadata snapshot and the log behind it are kept once there is a newer one.
    /// Negative means for ever.
    "metadata.max.retention.ms": Long = 604_800_000, high, used;

    /// How often the active controller appends an empty record when nothing else happens; 0 means
    /// never.
    "metadata.max.idle.interval.ms": Int = 500, at_least(0), low;

    /// Size of a metadata log segment, below the limit of the public key; for tests.
    "internal.metadata.log.segment.bytes": Int, low, internal, used;

    /// The largest batch in the metadata log; for tests.
    "internal.metadata.max.batch.size.in.bytes": Int = 8_388_608, low, internal;

    /// How long a metadata log file is kept after it was marked deleted; for tests.
    "internal.metadata.delete.delay.millis": Long = 60_000, low, internal, used;
};
