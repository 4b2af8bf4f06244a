//! Parts of an answer put together by topic, however many there are.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

/// `entries`, and `more` with them: an entry of a topic that has one already is joined to the first of
/// it, others come behind.
pub(crate) fn merge<T, K: Eq + Hash>(
    entries: Vec<T>,
    more: impl IntoIterator<Item = T>,
    topic: impl Fn(&T) -> K,
    join: impl Fn(&mut T, T),
) -> Vec<T> {
    let mut merged = entries;
    let mut places = HashMap::with_capacity(merged.len());
    for (place, entry) in merged.iter().enumerate() {
        places.entry(topic(entry)).or_insert(place);
    }
    for entry in more {
        match places.entry(topic(&entry)) {
            Entry::Occupied(place) => join(&mut merged[*place.get()], entry),
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(entry);
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests;
