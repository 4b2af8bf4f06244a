//! Administration: topics, configurations, offsets, groups, the cluster.
//!
//! What to ask and what answers mean is in `dohle_client_core::admin`; here requests are put
//! together where one is not enough: for each leader, coordinator or broker its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use dohle_base::{BrokerId, ErrorCode, Offset, Str};
use dohle_client_core::{
    ClientConfig, CommittedOffset, ConfigError, CoordinatorKind, IsolationLevel, Limits,
    RequestError, Route, ServerError, TopicPartition, Verdict,
    admin::{
        cluster::{self, ClusterDescription},
        configs::{self, AlterConfig, ByResource, ConfigEntry, ConfigResource, Detail},
        groups::{self, GroupDescription, GroupListing},
        offsets::{self, ByPartition, ListedOffset, OffsetSpec},
        topics::{
            self, ByTopic, CreatedTopic, NewPartitions, NewTopic, TopicDescription, TopicListing,
        },
    },
};
use dohle_protocol::api::{
    consumer_group_describe_request::ConsumerGroupDescribeRequest,
    delete_groups_request::DeleteGroupsRequest, delete_topics_request::DeleteTopicsRequest,
    describe_cluster_request::DescribeClusterRequest,
    describe_groups_request::DescribeGroupsRequest,
    describe_topic_partitions_request::DescribeTopicPartitionsRequest,
    list_groups_request::ListGroupsRequest, list_offsets_request::ListOffsetsRequest,
    metadata_request::MetadataRequest, offset_commit_request::OffsetCommitRequest,
    offset_delete_request::OffsetDeleteRequest, offset_fetch_request::OffsetFetchRequest,
};
use tokio::task::JoinSet;

use crate::Client;

/// Administrates a cluster. Clones share their connections.
///
/// Operations on several things have an outcome for each: the outer error says that there was no
/// answer, the inner one that the broker refused this one. What changes something is sent again
/// after a lost connection, so a topic that was made by a first attempt shows as existing already.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use dohle_client::{Admin, ClientConfig, NewTopic};
///
/// let admin = Admin::new(ClientConfig::parse("localhost:9092")?)?;
/// let new = NewTopic::new("greetings", 3, 1).with_config("retention.ms", "3600000");
/// for (topic, outcome) in admin.create_topics(&[new], false).await? {
///     match outcome {
///         Ok(made) => println!("{topic} is {}", made.id),
///         Err(error) => println!("{topic}: {error}"),
///     }
/// }
/// for topic in admin.list_topics().await? {
///     println!("{}", topic.name);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    /// An administrator, in the runtime that this is called in. It connects when it is used.
    ///
    /// # Errors
    /// A configuration that cannot work.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        Client::new(config).map(|client| Self { client })
    }

    /// An administrator over the connections of `client`.
    pub fn over(client: Client) -> Self {
        Self { client }
    }

    /// The client below, for requests that have no function here.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes topics; with `validate_only` it is only checked whether that would work.
    ///
    /// # Errors
    /// No answer.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<ByTopic<CreatedTopic>, RequestError> {
        let request = topics::create(topics, validate_only, self.client.api_timeout());
        let answer = self
            .change(
                move |_| request.clone(),
                |answer| answer.topics.iter().map(|topic| topic.error_code).collect(),
            )
            .await?;
        Ok(topics::created(answer))
    }

    /// Deletes topics.
    ///
    /// # Errors
    /// No answer.
    pub async fn delete_topics(&self, topics: &[Str]) -> Result<ByTopic<()>, RequestError> {
        let (names, timeout) = (topics.to_vec(), self.client.api_timeout());
        let answer = self
            .change::<DeleteTopicsRequest>(
                move |version| topics::delete(&names, timeout, version),
                |answer| answer.responses.iter().map(|topic| topic.error_code).collect(),
            )
            .await?;
        Ok(topics::deleted(answer))
    }

    /// Lets topics grow; with `validate_only` it is only checked whether that would work.
    ///
    /// # Errors
    /// No answer.
    pub async fn create_partitions(
        &self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Result<ByTopic<()>, RequestError> {
        let request = topics::create_partitions(topics, validate_only, self.client.api_timeout());
        let answer = self
            .change(
                move |_| request.clone(),
                |answer| answer.results.iter().map(|topic| topic.error_code).collect(),
            )
            .await?;
        Ok(topics::partitions_created(answer))
    }

    /// All topics, by name, Kafka's own among them.
    ///
    /// # Errors
    /// No answer.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, RequestError> {
        let answer = self.client.request(Route::Any, topics::list()).await?;
        ServerError::check(answer.error_code, None)?;
        Ok(topics::listed(answer))
    }

    /// Topics with their partitions and replicas.
    ///
    /// # Errors
    /// No answer.
    pub async fn describe_topics(
        &self,
        topics: &[Str],
    ) -> Result<ByTopic<TopicDescription>, RequestError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        match self.describe_pages(topics).await {
            // Brokers before 3.8.
            Err(RequestError::Unsupported { .. }) => self.describe_by_metadata(topics).await,
            described => described,
        }
    }

    async fn describe_pages(
        &self,
        topics: &[Str],
    ) -> Result<ByTopic<TopicDescription>, RequestError> {
        let (mut described, mut cursor) = (Vec::new(), None);
        loop {
            let request: DescribeTopicPartitionsRequest = topics::describe_page(topics, cursor);
            let answer = self.client.request(Route::Any, request).await?;
            cursor = topics::take_page(answer, &mut described);
            if cursor.is_none() {
                return Ok(described);
            }
        }
    }

    async fn describe_by_metadata(
        &self,
        topics: &[Str],
    ) -> Result<ByTopic<TopicDescription>, RequestError> {
        let names = topics.to_vec();
        let build = move |version| topics::describe(Some(&names), version);
        let judge = |_: &_| Verdict::Done;
        let answer = self
            .client
            .call::<MetadataRequest>(Route::Any, Limits::default(), build, judge)
            .await?;
        Ok(topics::described(answer))
    }

    /// Configurations: all of each resource, or those of `keys`.
    ///
    /// # Errors
    /// No answer of a broker that is needed.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
        keys: Option<&[Str]>,
        detail: Detail,
    ) -> Result<ByResource<Vec<ConfigEntry>>, RequestError> {
        let mut outcomes = Vec::new();
        for (route, resources) in by_route(resources.iter().cloned(), configs::route) {
            let request = configs::describe(&resources, keys, detail);
            let answer = self.client.request(route, request).await?;
            outcomes.extend(configs::described(answer));
        }
        Ok(outcomes)
    }

    /// Changes configurations; those not named stay. With `validate_only` it is only checked
    /// whether that would work.
    ///
    /// # Errors
    /// No answer of a broker that is needed.
    pub async fn alter_configs(
        &self,
        changes: &[(ConfigResource, Vec<AlterConfig>)],
        validate_only: bool,
    ) -> Result<ByResource<()>, RequestError> {
        let mut outcomes = Vec::new();
        let route = |(resource, _): &(ConfigResource, _)| configs::route(resource);
        for (route, changes) in by_route(changes.iter().cloned(), route) {
            let request = configs::alter(&changes, validate_only);
            let answer = self.client.request(route, request).await?;
            outcomes.extend(configs::altered(answer));
        }
        Ok(outcomes)
    }

    /// The cluster: its id, its brokers.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn describe_cluster(
        &self,
        include_fenced_brokers: bool,
    ) -> Result<ClusterDescription, RequestError> {
        let build = move |version| cluster::describe(include_fenced_brokers, version);
        let judge = |_: &_| Verdict::Done;
        let limits = Limits::default();
        let answer =
            self.client.call::<DescribeClusterRequest>(Route::Any, limits, build, judge).await?;
        Ok(cluster::described(answer)?)
    }

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

    /// A change that the controller makes.
    async fn change<M: dohle_protocol::Request + 'static>(
        &self,
        build: impl Fn(i16) -> M + Send + 'static,
        codes: impl Fn(&M::Response) -> Vec<ErrorCode> + Send + 'static,
    ) -> Result<M::Response, RequestError>
    where
        M::Response: Send,
    {
        let judge = move |answer: &M::Response| topics::judge(codes(answer).into_iter());
        self.client.call(Route::Controller, Limits::default(), build, judge).await
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

/// Whether a group is not one of those that were asked for.
fn is_not_found(outcome: &Result<GroupDescription, ServerError>) -> bool {
    outcome.as_ref().is_err_and(|error| error.code == ErrorCode::GROUP_ID_NOT_FOUND)
}

/// Whether a partition's error is one of leadership on the move. A topic that is not known is told
/// at once: it is more likely misspelt than about to be made.
fn is_passing(code: ErrorCode) -> bool {
    code.is_retriable() && code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
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

/// Things by their route, in the order of the routes.
fn by_route<W>(
    things: impl Iterator<Item = W>,
    route: impl Fn(&W) -> Route,
) -> BTreeMap<Route, Vec<W>> {
    let mut routes: BTreeMap<Route, Vec<W>> = BTreeMap::new();
    for thing in things {
        routes.entry(route(&thing)).or_default().push(thing);
    }
    routes
}

/// All of them at once, in order; the first error ends all.
async fn all<T, A>(asked: impl Iterator<Item = A>) -> Result<Vec<T>, RequestError>
where
    T: Send + 'static,
    A: Future<Output = Result<T, RequestError>> + Send + 'static,
{
    let mut set = JoinSet::new();
    for (at, one) in asked.enumerate() {
        set.spawn(async move { (at, one.await) });
    }
    let mut outcomes = BTreeMap::new();
    while let Some(joined) = set.join_next().await {
        // Nothing cancels them, and a panic of theirs is one of ours.
        let (at, outcome) = joined.map_err(|_| RequestError::Closed)?;
        outcomes.insert(at, outcome?);
    }
    Ok(outcomes.into_values().collect())
}
