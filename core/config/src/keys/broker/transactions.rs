//! Transactions and idempotent producers.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// The longest timeout that a transactional producer may ask for.
    "transaction.max.timeout.ms": Int = 900_000, at_least(1), high;

    /// Whether producers may take part in transactions that an outside coordinator decides.
    "transaction.two.phase.commit.enable": Boolean = false, low;

    /// Whether a partition leader checks that a transaction knows of the partition before it takes
    /// its records.
    "transaction.partition.verification.enable": Boolean = true, low, cluster_wide;

    /// How often transactions that timed out are aborted.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = 10_000, at_least(1), low;

    /// How often expired transactional ids are removed.
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = 3_600_000, at_least(1), low;

    /// After how long without a transaction a transactional id is forgotten.
    "transactional.id.expiration.ms": Int = 604_800_000, at_least(1), high;

    /// Partitions of the topic of transaction state; never change it on a running cluster.
    "transaction.state.log.num.partitions": Int = 50, at_least(1), high;

    /// Replicas of the topic of transaction state.
    "transaction.state.log.replication.factor": Short = 3, at_least(1), high;

    /// How many replicas of the topic of transaction state must be in sync for a write.
    "transaction.state.log.min.isr": Int = 2, at_least(1), high;

    /// Segment size of the topic of transaction state.
    "transaction.state.log.segment.bytes": Int = 104_857_600, at_least(1), high;

    /// How many bytes are read at once when a transaction coordinator loads a partition.
    "transaction.state.log.load.buffer.size": Int = 5_242_880, at_least(1), high;

    /// After how long without a write a partition forgets a producer's sequence numbers.
    "producer.id.expiration.ms": Int = 86_400_000, at_least(1), low, cluster_wide, used;

    /// How often expired producer ids are searched for.
    "producer.id.expiration.check.interval.ms": Int = 600_000, at_least(1), low, internal, used;

    /// The pause before a broker again asks to add a partition to a transaction whose last one
    /// still completes.
    "add.partitions.to.txn.retry.backoff.ms": Int = 20, at_least(1), high;

    /// For how long a broker goes on asking so.
    "add.partitions.to.txn.retry.backoff.max.ms": Int = 100, at_least(0), high;
};
