//! However often a topic is named, it is told once and made once.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use dohle_base::Uuid;
use dohle_controller::Request;
use dohle_log::LogConfig;

use super::*;
use crate::{
    OpenFiles,
    controller::Event,
    kit::{Kit, kit},
};

/// Of the topic `t`.
const ID: TopicId = TopicId(Uuid(1));
const OTHER_ID: TopicId = TopicId(Uuid(99));

fn a_broker() -> Kit {
    kit("", OpenFiles::within(1_000, 100, 2), 2, &LogConfig::default())
}

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name.into()), ..MetadataRequestTopic::default() }
}

fn by_id(topic_id: TopicId) -> MetadataRequestTopic {
    MetadataRequestTopic { topic_id, name: None }
}

fn ask(
    kit: &Kit,
    version: i16,
    topics: Vec<MetadataRequestTopic>,
    allow_auto_topic_creation: bool,
) -> Answer<MetadataResponse> {
    let request = MetadataRequest {
        topics: Some(topics),
        allow_auto_topic_creation,
        ..MetadataRequest::default()
    };
    kit.call(version, |call| Metadata::handle(call, request))
}

fn told(answer: Answer<MetadataResponse>) -> Vec<MetadataResponseTopic> {
    let Answer::Now(body) = answer else { panic!("it waits") };
    body.message.topics
}

/// A name takes two bytes here, and its answer all partitions.
#[test]
fn each_topic_is_told_once_in_the_order_of_first_mention() {
    let asked = || [named("x"), named("t"), by_id(OTHER_ID), by_id(ID)];
    let asked = std::iter::repeat_with(asked).take(1_000).flatten().collect();
    let topics = told(ask(&a_broker(), 12, asked, false));
    let topics = topics.into_iter();
    let topics = topics.map(|topic| {
        (topic.error_code, topic.name.unwrap_or_default(), topic.topic_id, topic.partitions.len())
    });
    let expected = [
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "x".into(), TopicId::ZERO, 0),
        (ErrorCode::NONE, "t".into(), ID, 2),
        (ErrorCode::UNKNOWN_TOPIC_ID, "".into(), OTHER_ID, 0),
        (ErrorCode::NONE, "t".into(), ID, 2),
    ];
    assert_eq!(topics.collect::<Vec<_>>(), expected);
}

/// The controller makes no topic that a request names twice.
#[test]
fn each_topic_is_made_once() {
    let mut kit = a_broker();
    let asked = ["x", "t", "y", "x", "y", "x"].map(named).to_vec();
    let Answer::Later(answer) = ask(&kit, 12, asked, true) else { panic!("it makes none") };
    let mut answer = pin!(answer);
    let is_pending = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
    assert!(is_pending, "the controller has not answered");
    let Ok(Event::Ask { request, reply }) = kit.controller.0.try_recv() else {
        panic!("the controller was not asked")
    };
    let Request::CreateTopics(asked) = *request else { panic!("{request:?}") };
    let names: Vec<_> = asked.topics.iter().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["x", "y"]);
    drop(reply);
    let Poll::Ready(body) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits for ever")
    };
    assert_eq!(body.message.topics.len(), 3);
}

#[test]
fn a_version_that_cannot_name_topics_by_id_is_refused_if_it_does() {
    let kit = a_broker();
    for version in [10, 11] {
        for wanted in
            [by_id(ID), by_id(TopicId::ZERO), MetadataRequestTopic { topic_id: ID, ..named("t") }]
        {
            let name = wanted.name.clone().unwrap_or_default();
            let topics = told(ask(&kit, version, vec![named("t"), wanted], true));
            assert!(topics.iter().all(|topic| topic.error_code == ErrorCode::INVALID_REQUEST));
            assert_eq!((topics.len(), &topics[1].name), (2, &Some(name)), "{version}");
        }
        let topics = told(ask(&kit, version, vec![named("t")], true));
        assert_eq!((topics.len(), topics[0].error_code), (1, ErrorCode::NONE), "{version}");
    }
}
