//! What all group requests share: finding the coordinator, and asking it.

use std::{future::Future, sync::Arc};

use dohle_base::{ErrorCode, Str};
use dohle_group::{Caller, Command, Reply};

use super::{Answer, Call, find_coordinator::partition_of_group};
use crate::Broker;

impl Call<'_> {
    /// Who asks, for the coordinator.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            token: self.broker.coordinator.token(),
            api_version: self.version,
            client_id: self.client_id.cloned().unwrap_or_default(),
            client_host: format!("/{}", self.peer()).into(),
        }
    }

    /// Asks the coordinator of `group`; `response` takes what it needs of the reply.
    pub(crate) fn ask_group<R>(
        &self,
        group: Str,
        command: Command,
        response: impl FnOnce(Reply) -> Option<R> + 'static,
    ) -> Answer<R>
    where
        R: 'static,
    {
        let broker = Arc::clone(self.broker);
        Answer::later(async move {
            let reply = ask(&broker, &group, command).await;
            response(reply).expect("each command has one kind of reply")
        })
    }
}

/// Asks the coordinator of `group`. If this node does not coordinate it, the answer says so.
pub(crate) fn ask<'a>(
    broker: &'a Broker,
    group: &str,
    command: Command,
) -> impl Future<Output = Reply> + use<'a> {
    let partition = partition_of_group(&broker.metadata(), group);
    async move {
        match partition {
            Some(partition) => broker.coordinator.ask(partition, command).await,
            None => {
                let (_, refusal) =
                    command.refuse(ErrorCode::NOT_COORDINATOR).expect("a request has an answer");
                refusal
            }
        }
    }
}
