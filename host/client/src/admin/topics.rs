//! Topics: made, grown, deleted, listed, described.

use dohle_base::{ErrorCode, Str};
use dohle_client_core::{
    Limits, RequestError, Route, ServerError, Verdict,
    admin::topics::{
        self, ByTopic, CreatedTopic, NewPartitions, NewTopic, TopicDescription, TopicListing,
    },
};
use dohle_protocol::api::{
    delete_topics_request::DeleteTopicsRequest,
    describe_topic_partitions_request::DescribeTopicPartitionsRequest,
    metadata_request::MetadataRequest,
};

use super::Admin;

impl Admin {
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

    pub(super) async fn describe_by_metadata(
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
}
