//! What all requests to the controller share: it is in this process, and asked over a channel.

use std::sync::Arc;

use dohle_base::ErrorCode;
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

/// What is answered when the controller has stopped.
pub(crate) fn stopped() -> Reply {
    Reply::Refused(ErrorCode::NOT_CONTROLLER.into())
}
