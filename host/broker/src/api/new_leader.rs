//! Where leaders are that an answer names, so that a client that asked the wrong broker need not ask
//! for metadata first (KIP-951).

use dohle_base::{BrokerId, Str};
use dohle_metadata::MetadataImage;

/// The leaders' addresses at the listener that the client came by, each once, without those that
/// have none there. `endpoint` makes the answer's own entry of node, host, port and rack.
pub(crate) fn endpoints<E>(
    leaders: impl Iterator<Item = BrokerId>,
    image: &MetadataImage,
    listener: &str,
    endpoint: impl Fn(BrokerId, Str, i32, Option<Str>) -> E,
) -> Vec<E> {
    // Almost always none.
    let mut leaders: Vec<BrokerId> = leaders.filter(|leader| leader.0 >= 0).collect();
    leaders.sort_unstable();
    leaders.dedup();
    let endpoints = leaders.into_iter().filter_map(|leader| {
        let broker = image.broker(leader)?;
        let at = broker.listener(listener)?;
        Some(endpoint(leader, at.host.clone(), i32::from(at.port), broker.rack.clone()))
    });
    endpoints.collect()
}
