//! What all requests to the controller share: it is in this process, and asked over a channel.

use std::sync::Arc;

use dohle_base::{ErrorCode, Str};
use dohle_controller::{ApiError, Reply, Request};

use super::{Answer, Call};

impl Call<'_> {
    /// Asks the controller; `response` makes the answer of its reply.
    pub(crate) fn ask_controller<R: 'static>(
        &self,
        request: Request,
        response: impl FnOnce(Reply) -> Result<R, UnexpectedReply> + 'static,
    ) -> Answer<R> {
        let broker = Arc::clone(self.broker);
        Answer::later(async move {
            let reply = broker.controller.ask(request).await;
            response(reply).expect("each request has one kind of reply")
        })
    }
}

/// The controller answered something else than was asked.
#[derive(Debug)]
pub(crate) struct UnexpectedReply;

/// What was not answered, in the words of the request.
pub(crate) trait Refusal {
    /// The answer, if the reply is a refusal.
    fn refused<R>(self, told: impl FnOnce(ApiError) -> R) -> Result<R, UnexpectedReply>;
}

impl Refusal for Reply {
    fn refused<R>(self, told: impl FnOnce(ApiError) -> R) -> Result<R, UnexpectedReply> {
        match self {
            Self::Refused(error) => Ok(told(error)),
            _ => Err(UnexpectedReply),
        }
    }
}

/// The entries of an answer that refuses to alter any of the resources, which are given by type and
/// name. `entry` takes code, message, type and name.
pub(crate) fn refuse_each<E>(
    resources: Vec<(i8, Str)>,
    ApiError { code, message }: ApiError,
    entry: impl Fn(ErrorCode, Option<Str>, i8, Str) -> E,
) -> Vec<E> {
    let entries = resources.into_iter();
    entries.map(|(kind, name)| entry(code, message.clone(), kind, name)).collect()
}

/// What is answered when the controller has stopped.
pub(crate) fn stopped() -> Reply {
    Reply::Refused(ErrorCode::NOT_CONTROLLER.into())
}
