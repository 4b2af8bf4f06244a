//! The answer to a request, of what was found.

use std::mem;

use bytes::Bytes;
use dohle_base::{Str, TopicId};
use dohle_log::Slice;
use dohle_net::Part;
use dohle_protocol::{
    Few, RecordSet,
    api::fetch_response::{
        EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    },
};
use dohle_replication::fetch_session::PartitionNews;
use smallvec::SmallVec;

use super::{
    Serving,
    findings::{Finding, Findings},
};
use crate::{
    api::{Body, endpoint::Ranges, new_leader},
    disk::NodeFile,
};

/// From here on the answer says who leads instead.
const NEW_LEADER_VERSION: i16 = 12;
/// From here on it says where, too (KIP-951).
const ENDPOINTS_VERSION: i16 = 16;
/// For so many partitions nothing is allocated that the answer does not keep.
const FEW: usize = 4;

impl Serving {
    /// The answer, of what was found: taken out of `findings`.
    pub(super) fn answer(&self, findings: &mut Findings) -> Body<FetchResponse> {
        let shape = self.plan.shape_without_session().unwrap_or_else(|| {
            let news: SmallVec<[PartitionNews; FEW]> =
                findings.of_partitions.iter().map(news_of).collect();
            let now = self.broker.clock.instant();
            self.broker.sessions().finish(now, &self.plan, &news)
        });
        let mut response =
            FetchResponse { session_id: shape.session_id, ..FetchResponse::default() };
        let mut ranges = Ranges::new();
        let partitions = self.plan.partitions.iter().zip(&mut findings.of_partitions);
        for ((wanted, finding), included) in partitions.zip(shape.included) {
            if !included {
                continue;
            }
            let (slice, copied) = (finding.slice.take(), finding.copied.take());
            finding.data.records = Some(records(slice, copied, &mut ranges));
            if self.terms.version < NEW_LEADER_VERSION {
                finding.data.current_leader = LeaderIdAndEpoch::default();
            }
            topic_entry(&mut response.responses, wanted.topic_id, &wanted.topic)
                .partitions
                .push(mem::take(&mut finding.data));
        }
        response.node_endpoints = self.endpoints(&response.responses);
        Body { message: response, ranges }
    }

    /// Where the leaders are that the answer names.
    fn endpoints(&self, topics: &[FetchableTopicResponse]) -> Vec<NodeEndpoint> {
        if self.terms.version < ENDPOINTS_VERSION {
            return Vec::new();
        }
        let partitions = topics.iter().flat_map(|topic| &topic.partitions);
        new_leader::endpoints(
            partitions.map(|partition| partition.current_leader.leader_id),
            &self.broker.metadata().image,
            &self.terms.listener,
            |node_id, host, port, rack| NodeEndpoint { node_id, host, port, rack },
        )
    }
}

fn news_of(finding: &Finding) -> PartitionNews {
    PartitionNews {
        error: finding.data.error_code,
        high_watermark: finding.data.high_watermark,
        log_start_offset: finding.data.log_start_offset,
        has_records: finding.size() > 0,
        has_advice: finding.data.diverging_epoch != EpochEndOffset::default(),
    }
}

/// The place of a slice in the answer. Nothing is told as no bytes: old clients do not take null.
fn records(
    slice: Option<Slice<NodeFile>>,
    copied: Option<Bytes>,
    ranges: &mut Ranges,
) -> RecordSet {
    let Some(slice) = slice else { return RecordSet::Bytes(copied.unwrap_or_default()) };
    let len = u32::try_from(slice.size).expect("a slice lies in one segment, below 2 GiB");
    let token = u32::try_from(ranges.len()).expect("a request has fewer partitions");
    ranges.push(Part::File { file: slice.file.shared(), position: slice.position, len });
    RecordSet::Spliced { len, token }
}

/// The entry of a topic: partitions of one topic that follow one another share it.
fn topic_entry<'a>(
    topics: &'a mut Few<FetchableTopicResponse>,
    topic_id: TopicId,
    name: &Str,
) -> &'a mut FetchableTopicResponse {
    let is_last = topics.last().is_some_and(|t| t.topic_id == topic_id && t.topic == *name);
    if !is_last {
        topics.push(FetchableTopicResponse {
            topic: name.clone(),
            topic_id,
            partitions: Few::new(),
        });
    }
    topics.last_mut().expect("just made sure of it")
}
