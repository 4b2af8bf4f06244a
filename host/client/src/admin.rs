//! Administration: topics, configurations, offsets, groups, the cluster.
//!
//! What to ask and what answers mean is in `dohle_client_core::admin`; here requests are put
//! together where one is not enough: for each leader, coordinator or broker its own.

mod configs;
mod groups;
mod offsets;
mod topics;

use std::{collections::BTreeMap, future::Future};

use dohle_client_core::{
    ClientConfig, ConfigError, Limits, RequestError, Route, Verdict,
    admin::cluster::{self, ClusterDescription},
};
use dohle_protocol::api::describe_cluster_request::DescribeClusterRequest;
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
