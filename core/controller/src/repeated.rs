//! Things that a request names more than once, found in one pass: requests may be long.

use std::collections::BTreeSet;

/// The keys that occur more than once.
pub(crate) fn repeated<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeSet<K> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for key in keys {
        // Either set keeps the first of equal keys.
        if let Some(known) = seen.take(&key) {
            twice.insert(known);
        }
        seen.insert(key);
    }
    twice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_repeated() {
        assert_eq!(repeated([3, 1, 3, 2, 3, 1].into_iter()), [1, 3].into());
        assert!(repeated(["a", "b"].into_iter()).is_empty());
    }
}
