//! Single requests: the ground that administration stands on, open to whoever needs an API that
//! has no function of its own.

use std::time::Duration;

use dohle_client_core::{
    ClientConfig, ConfigError, Core, Limits, RequestError, Requester, Route, Verdict,
};
use dohle_protocol::Request;
use tokio::sync::{mpsc, oneshot};

use crate::{clock::Clock, clock::fresh_rng, links::Links};

/// Calls that wait for the task.
const COMMANDS_MAX: usize = 256;

type Command = Box<dyn FnOnce(&mut Requester, Clock) + Send>;

/// Sends single requests to the brokers that they belong to. Clones share their connections, which
/// are closed with the last of them.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    api_timeout: Duration,
    retry_backoff: Duration,
}

impl Client {
    /// A client with its task, in the runtime that this is called in. It connects when it is used.
    ///
    /// # Errors
    /// A configuration that cannot work.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let (api_timeout, retry_backoff) = (config.api_timeout, config.retry_backoff);
        let machine = Requester::new(config, fresh_rng())?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        tokio::spawn(run(machine, receiver));
        Ok(Self { commands, api_timeout, retry_backoff })
    }

    /// Sends `request` in the newest version that both sides have, and waits for the answer,
    /// whatever it says. After a lost connection it is sent again.
    ///
    /// # Errors
    /// No answer in time, or none to be had.
    pub async fn request<M>(&self, route: Route, request: M) -> Result<M::Response, RequestError>
    where
        M: Request + Clone + Send + 'static,
        M::Response: Send,
    {
        self.call(route, Limits::default(), move |_| request.clone(), |_| Verdict::Done).await
    }

    /// As [`Self::request`], with a request made for the version in use, and trying again for as
    /// long as `judge` finds that worthwhile.
    ///
    /// # Errors
    /// No answer in time, or none to be had; the reason for the last retry when time is over.
    pub async fn call<M>(
        &self,
        route: Route,
        limits: Limits,
        build: impl Fn(i16) -> M + Send + 'static,
        judge: impl FnMut(&M::Response) -> Verdict + Send + 'static,
    ) -> Result<M::Response, RequestError>
    where
        M: Request + 'static,
        M::Response: Send,
    {
        let (outcome, answer) = oneshot::channel();
        let command: Command = Box::new(move |machine, clock| {
            let done = |answer| {
                // Who does not wait any more need not know.
                let _ = outcome.send(answer);
            };
            machine.submit(clock.now(), route, limits, build, judge, done);
        });
        self.commands.send(command).await.map_err(|_| RequestError::Closed)?;
        answer.await.unwrap_or(Err(RequestError::Closed))
    }

    /// `default.api.timeout.ms`.
    pub(crate) fn api_timeout(&self) -> Duration {
        self.api_timeout
    }

    /// `retry.backoff.ms`.
    pub(crate) fn retry_backoff(&self) -> Duration {
        self.retry_backoff
    }
}

async fn run(mut machine: Requester, mut commands: mpsc::Receiver<Command>) {
    let clock = Clock::start();
    let (mut links, mut inputs) = Links::new();
    loop {
        links.carry_out(&mut machine, clock);
        tokio::select! {
            Some(input) = inputs.recv() => machine.handle_input(clock.now(), input),
            command = commands.recv() => match command {
                Some(command) => command(&mut machine, clock),
                None => return machine.close(clock.now()),
            },
            () = clock.sleep_until(machine.poll_timeout()) => machine.handle_timeout(clock.now()),
        }
    }
}
