//! Which versions of which requests a broker understands, and which of them to use.

use std::collections::BTreeMap;

use dohle_protocol::{ApiKey, Request, api::api_versions_response::ApiVersion};

/// The versions that one broker offers, by API key. Keys that we do not know are kept out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BrokerVersions {
    ranges: BTreeMap<ApiKey, (i16, i16)>,
}

impl BrokerVersions {
    /// What a broker's answer says.
    pub(crate) fn of(offers: &[ApiVersion]) -> Self {
        let ranges = offers.iter().filter_map(|offer| {
            let key = ApiKey::from_key(offer.api_key)?;
            Some((key, (offer.min_version, offer.max_version)))
        });
        Self { ranges: ranges.collect() }
    }

    /// The newest version of `M` that both sides have and that is not above `cap`.
    ///
    /// The newest of ours that is not stable is left out: a broker that offers it has been told to
    /// serve it at its own risk, we have not.
    pub(crate) fn highest_common<M: Request>(&self, cap: i16) -> Option<i16> {
        let &(first, last) = self.ranges.get(&M::KEY)?;
        let version = last.min(M::KEY.max_stable_version()).min(cap);
        (version >= first && version >= M::MIN_VERSION).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use dohle_protocol::api::{
        init_producer_id_request::InitProducerIdRequest, produce_request::ProduceRequest,
    };

    use super::*;

    fn offer(api_key: i16, min_version: i16, max_version: i16) -> BrokerVersions {
        BrokerVersions::of(&[ApiVersion { api_key, min_version, max_version }])
    }

    #[test]
    fn the_newest_version_of_both_is_used() {
        for (first, last, cap, chosen) in [
            (0, 13, i16::MAX, Some(13)),
            (0, 99, i16::MAX, Some(13)),
            (0, 9, i16::MAX, Some(9)),
            (0, 13, 12, Some(12)),
            (0, 2, i16::MAX, None),
            (14, 20, i16::MAX, None),
            (13, 13, 12, None),
        ] {
            let versions = offer(0, first, last);
            let found = versions.highest_common::<ProduceRequest>(cap);
            assert_eq!(found, chosen, "{first} to {last}, at most {cap}");
        }
    }

    #[test]
    fn unstable_versions_and_unknown_keys_are_not_used() {
        assert_eq!(offer(22, 0, 6).highest_common::<InitProducerIdRequest>(i16::MAX), Some(5));
        assert_eq!(offer(999, 0, 6), BrokerVersions::default());
    }
}
