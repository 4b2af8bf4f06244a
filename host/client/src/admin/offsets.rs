//! Offsets and records of partitions, each at its leader.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use dohle_base::{BrokerId, ErrorCode, Offset, Str};
use dohle_client_core::{
    IsolationLevel, Limits, RequestError, Route, ServerError, TopicPartition, Verdict,
    admin::{
        offsets::{self, ByPartition, ListedOffset, OffsetSpec},
        topics::TopicDescription,
    },
};
use dohle_protocol::api::list_offsets_request::ListOffsetsRequest;

use super::{Admin, all};
use crate::Client;

impl Admin {
    /// Offsets of partitions: starts, ends, or by time.
    ///
    /// # Errors
    /// No answer of one of the leaders.
    pub async fn list_offsets(
        &self,
        specs: &BTreeMap<TopicPartition, OffsetSpec>,
        isolation: IsolationLevel,
    ) -> Result<ByPartition<ListedOffset>, RequestError> {
        let timeout = self.client.api_timeout();
        self.by_leader(
            specs,
            move |client, route, part: BTreeMap<TopicPartition, OffsetSpec>| async move {
                let build = move |version| offsets::list(&part, isolation, timeout, version);
                let limits = Limits::default();
                let judge = |_: &_| Verdict::Done;
                let answer = client.call::<ListOffsetsRequest>(route, limits, build, judge).await?;
                Ok(offsets::listed(answer))
            },
        )
        .await
    }

    /// Deletes the records of partitions before an offset each; −1 means all that are replicated.
    /// Tells where the partitions begin then.
    ///
    /// # Errors
    /// No answer of one of the leaders.
    pub async fn delete_records(
        &self,
        before: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<ByPartition<Offset>, RequestError> {
        let timeout = self.client.api_timeout();
        self.by_leader(
            before,
            move |client, route, part: BTreeMap<TopicPartition, Offset>| async move {
                let answer = client.request(route, offsets::delete_records(&part, timeout)).await?;
                Ok(offsets::records_deleted(answer))
            },
        )
        .await
    }

    /// Asks each leader for its partitions, and again for those whose answer may get better, until
    /// time is over.
    async fn by_leader<W, V, F, A>(
        &self,
        wanted: &BTreeMap<TopicPartition, W>,
        ask: F,
    ) -> Result<ByPartition<V>, RequestError>
    where
        W: Clone,
        V: Send + 'static,
        F: Fn(Client, Route, BTreeMap<TopicPartition, W>) -> A,
        A: Future<Output = Result<ByPartition<V>, RequestError>> + Send + 'static,
    {
        let deadline = tokio::time::Instant::now() + self.client.api_timeout();
        let (mut open, mut outcomes) = (wanted.clone(), ByPartition::new());
        let mut wait = self.client.retry_backoff();
        while !open.is_empty() {
            let (leaders, unknown) = self.leaders(&open).await?;
            let asked = leaders
                .into_iter()
                .map(|(leader, part)| ask(self.client.clone(), Route::Broker(leader), part));
            let answers = all(asked).await?.into_iter().flatten();
            let over = tokio::time::Instant::now() + wait >= deadline;
            for (partition, outcome) in answers.chain(unknown) {
                let later = matches!(&outcome, Err(code) if is_passing(*code));
                if over || !later {
                    open.remove(&partition);
                    outcomes.insert(partition, outcome);
                }
            }
            if !open.is_empty() {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
        }
        Ok(outcomes)
    }

    /// Partitions by their leaders, and those that have none with the reason.
    async fn leaders<W: Clone, V>(
        &self,
        wanted: &BTreeMap<TopicPartition, W>,
    ) -> Result<(BTreeMap<BrokerId, BTreeMap<TopicPartition, W>>, ByPartition<V>), RequestError>
    {
        let topics: BTreeSet<Str> =
            wanted.keys().map(|partition| partition.topic.clone()).collect();
        let topics: Vec<Str> = topics.into_iter().collect();
        let described: BTreeMap<_, _> =
            self.describe_by_metadata(&topics).await?.into_iter().collect();
        let (mut leaders, mut unknown) = (BTreeMap::<_, BTreeMap<_, _>>::new(), ByPartition::new());
        for (partition, what) in wanted {
            match leader(&described, partition) {
                Ok(id) => {
                    leaders.entry(id).or_default().insert(partition.clone(), what.clone());
                }
                Err(code) => {
                    unknown.insert(partition.clone(), Err(code));
                }
            }
        }
        Ok((leaders, unknown))
    }
}

fn leader(
    described: &BTreeMap<Str, Result<TopicDescription, ServerError>>,
    partition: &TopicPartition,
) -> Result<BrokerId, ErrorCode> {
    let missing = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let topic = described.get(&partition.topic).ok_or(missing)?;
    let topic = topic.as_ref().map_err(|error| error.code)?;
    let known = topic.partitions.iter().find(|known| known.id == partition.partition);
    known.ok_or(missing)?.leader.ok_or(ErrorCode::LEADER_NOT_AVAILABLE)
}

/// Whether a partition's error is one of leadership on the move. A topic that is not known is told
/// at once: it is more likely misspelt than about to be made.
fn is_passing(code: ErrorCode) -> bool {
    code.is_retriable() && code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
}
