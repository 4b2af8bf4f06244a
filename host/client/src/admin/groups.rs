//! Groups and their offsets, each at its coordinator.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{ErrorCode, Str};
use dohle_client_core::{
    CommittedOffset, CoordinatorKind, Limits, RequestError, Route, ServerError, TopicPartition,
    Verdict,
    admin::{
        groups::{self, GroupDescription, GroupListing},
        offsets::ByPartition,
    },
};
use dohle_protocol::api::{
    consumer_group_describe_request::ConsumerGroupDescribeRequest,
    delete_groups_request::DeleteGroupsRequest, describe_groups_request::DescribeGroupsRequest,
    list_groups_request::ListGroupsRequest, offset_commit_request::OffsetCommitRequest,
    offset_delete_request::OffsetDeleteRequest, offset_fetch_request::OffsetFetchRequest,
};

use super::{Admin, all};

impl Admin {
    /// All groups, of these states and types; empty means all.
    ///
    /// # Errors
    /// No answer of one of the brokers, or a refusal.
    pub async fn list_groups(
        &self,
        states: &[Str],
        kinds: &[Str],
    ) -> Result<Vec<GroupListing>, RequestError> {
        let cluster = self.describe_cluster(false).await?;
        let asked = cluster.brokers.iter().map(|broker| {
            let (client, id) = (self.client.clone(), broker.id);
            let (states, kinds) = (states.to_vec(), kinds.to_vec());
            async move {
                let build = move |version| groups::list(&states, &kinds, version);
                let judge = |answer: &_| list_verdict(answer);
                let route = Route::Broker(id);
                let limits = Limits::default();
                let answer = client.call::<ListGroupsRequest>(route, limits, build, judge).await?;
                Ok(groups::listed(answer)?)
            }
        });
        let mut listed: Vec<_> = all(asked).await?.into_iter().flatten().collect();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(listed)
    }

    /// Groups with their members, classic ones and those of KIP-848.
    ///
    /// # Errors
    /// No answer of one of their coordinators.
    pub async fn describe_groups(
        &self,
        ids: &[Str],
    ) -> Result<groups::ByGroup<GroupDescription>, RequestError> {
        let asked = ids.iter().map(|id| {
            let (admin, id) = (self.clone(), id.clone());
            async move { admin.describe_group(&id).await }
        });
        Ok(all(asked).await?.into_iter().flatten().collect())
    }

    async fn describe_group(
        &self,
        id: &Str,
    ) -> Result<groups::ByGroup<GroupDescription>, RequestError> {
        let request = groups::describe_modern(id);
        let judge =
            |answer: &<ConsumerGroupDescribeRequest as dohle_protocol::Request>::Response| {
                first_verdict(answer.groups.iter().map(|group| group.error_code))
            };
        let modern = self.coordinated(id, i16::MAX, move |_| request.clone(), judge).await;
        let is_modern = |(_, outcome): &(Str, _)| !is_not_found(outcome);
        match modern {
            Ok(answer) => {
                let described = groups::described_modern(answer);
                if described.iter().all(is_modern) {
                    return Ok(described);
                }
            }
            // Brokers before 3.7.
            Err(RequestError::Unsupported { .. }) => {}
            Err(error) => return Err(error),
        }
        let request = groups::describe(id);
        let judge = |answer: &<DescribeGroupsRequest as dohle_protocol::Request>::Response| {
            first_verdict(answer.groups.iter().map(|group| group.error_code))
        };
        let answer = self.coordinated(id, i16::MAX, move |_| request.clone(), judge).await?;
        Ok(groups::described(answer))
    }

    /// Deletes groups that have no members, with their offsets.
    ///
    /// # Errors
    /// No answer of one of their coordinators.
    pub async fn delete_groups(&self, ids: &[Str]) -> Result<groups::ByGroup<()>, RequestError> {
        let asked = ids.iter().map(|id| {
            let (admin, id) = (self.clone(), id.clone());
            async move {
                let request = groups::delete(&id);
                let judge =
                    |answer: &<DeleteGroupsRequest as dohle_protocol::Request>::Response| {
                        first_verdict(answer.results.iter().map(|group| group.error_code))
                    };
                let build = move |_| request.clone();
                let answer = admin.coordinated(&id, i16::MAX, build, judge).await?;
                Ok(groups::deleted(answer))
            }
        });
        Ok(all(asked).await?.into_iter().flatten().collect())
    }

    /// All offsets that a group has committed. With `require_stable`, those that a transaction may
    /// still change are waited for.
    ///
    /// # Errors
    /// No answer of the coordinator, or a refusal.
    pub async fn list_group_offsets(
        &self,
        group: &Str,
        require_stable: bool,
    ) -> Result<ByPartition<CommittedOffset>, RequestError> {
        let id = group.clone();
        let build = move |version| groups::committed(&id, require_stable, version);
        let judge = |answer: &<OffsetFetchRequest as dohle_protocol::Request>::Response| {
            let groups = answer.groups.iter().map(|group| group.error_code);
            first_verdict(groups.chain([answer.error_code]))
        };
        let version_max = groups::COMMITTED_VERSION_MAX;
        let answer =
            self.coordinated::<OffsetFetchRequest>(group, version_max, build, judge).await?;
        Ok(groups::committed_found(answer)?)
    }

    /// Changes offsets of a group that has no members.
    ///
    /// # Errors
    /// No answer of the coordinator.
    pub async fn alter_group_offsets(
        &self,
        group: &Str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<ByPartition<()>, RequestError> {
        let request: OffsetCommitRequest = groups::alter_offsets(group, offsets);
        let judge = |answer: &<OffsetCommitRequest as dohle_protocol::Request>::Response| {
            let parts = answer.topics.iter().flat_map(|topic| &topic.partitions);
            first_verdict(parts.map(|part| part.error_code))
        };
        let version_max = groups::COMMITTED_VERSION_MAX;
        let build = move |_| request.clone();
        let answer = self.coordinated(group, version_max, build, judge).await?;
        Ok(groups::offsets_altered(answer))
    }

    /// Forgets offsets of a group, of topics that its members do not subscribe to.
    ///
    /// # Errors
    /// No answer of the coordinator, or a refusal.
    pub async fn delete_group_offsets(
        &self,
        group: &Str,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<ByPartition<()>, RequestError> {
        let request = groups::delete_offsets(group, partitions);
        let judge = |answer: &<OffsetDeleteRequest as dohle_protocol::Request>::Response| {
            Verdict::of(answer.error_code)
        };
        let answer = self.coordinated(group, i16::MAX, move |_| request.clone(), judge).await?;
        Ok(groups::offsets_deleted(answer)?)
    }

    /// A request to the coordinator of a group.
    async fn coordinated<M: dohle_protocol::Request + 'static>(
        &self,
        group: &Str,
        version_max: i16,
        build: impl Fn(i16) -> M + Send + 'static,
        judge: impl FnMut(&M::Response) -> Verdict + Send + 'static,
    ) -> Result<M::Response, RequestError>
    where
        M::Response: Send,
    {
        let route = Route::Coordinator(CoordinatorKind::Group, group.clone());
        self.client.call(route, Limits { version_max, timeout: None }, build, judge).await
    }
}

/// Whether a group is not one of those that were asked for.
fn is_not_found(outcome: &Result<GroupDescription, ServerError>) -> bool {
    outcome.as_ref().is_err_and(|error| error.code == ErrorCode::GROUP_ID_NOT_FOUND)
}

fn list_verdict(answer: &<ListGroupsRequest as dohle_protocol::Request>::Response) -> Verdict {
    // Another broker coordinates other groups, so the route stays.
    let code = answer.error_code;
    if code.is_retriable() { Verdict::Retry(code) } else { Verdict::Done }
}

/// The verdict of the first code that has one; all items of a request share their coordinator.
fn first_verdict(codes: impl Iterator<Item = ErrorCode>) -> Verdict {
    let mut verdicts = codes.map(Verdict::of);
    verdicts.find(|verdict| *verdict != Verdict::Done).unwrap_or(Verdict::Done)
}
