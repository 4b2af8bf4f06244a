//! What the options make of the topic, the node and the disk.

use std::ops::Range;

use crate::{cli::Chaos, keys, short};

/// Bytes of a record at most besides its number: many small ones find more than a few large ones.
const FILLING_MAX: u64 = 600;
/// The same of the large ones among them: up to near `message.max.bytes`, which counts the heads, too.
const LARGE: Range<u64> = 600_000..1_000_000;
/// The file system of a power cut: a few hundred megabytes of segments and what goes with them.
const VOLUME_SIZE: u64 = 1 << 30;
/// What a round with large records may write besides, those that are under way and copies of moves included: the
/// file takes no more of the disk than is written to it.
const VOLUME_SIZE_LARGE: u64 = 1 << 30;
/// How many bytes of large records a round has on average, at most.
pub(crate) const LARGE_MAX: u64 = 384 << 20;

/// The settings of the topic.
pub(crate) fn topic_config(args: &Chaos) -> Vec<(&'static str, &'static str)> {
    // Kafka takes no batch that is larger than a segment.
    let rolled = [("internal.segment.bytes", if args.large { "2097152" } else { "16384" })];
    let large = [("internal.segment.bytes", "33554432")];
    match args {
        Chaos { short: true, .. } => short::TOPIC_CONFIG.to_vec(),
        Chaos { rolls: true, .. } => rolled.to_vec(),
        Chaos { large: true, .. } => large.to_vec(),
        _ => Vec::new(),
    }
}

/// The settings of the node.
pub(crate) fn overrides(args: &Chaos) -> Vec<String> {
    let short = args.short.then_some(short::OVERRIDES).into_iter().flatten();
    let compacted = args.compacted.then_some(keys::OVERRIDES).into_iter().flatten();
    // What was given comes last, and counts.
    short.chain(compacted).map(str::to_owned).chain(args.overrides.iter().cloned()).collect()
}

/// How large a record may be: all but those of bursts, and those of bursts if there are any.
pub(crate) fn fillings(args: &Chaos) -> (u64, Option<Range<u64>>) {
    (FILLING_MAX, args.large.then_some(LARGE))
}

/// The size of each file system.
pub(crate) fn volume_size(args: &Chaos) -> u64 {
    let large = if args.large { VOLUME_SIZE_LARGE * u64::from(args.rounds) } else { 0 };
    VOLUME_SIZE + large
}
