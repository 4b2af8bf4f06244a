//! What all commands that talk to a cluster share: where it is, and a runtime to wait in.

use std::{future::Future, net::ToSocketAddrs, time::Duration};

use dohle_client::{Address, ClientConfig, RequestError};
use tokio::net::TcpStream;

use crate::ending::{Failure, Outcome};

/// A broker that does not take a connection for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the cluster is, and how long it is waited for.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoteArgs {
    /// Brokers to ask first: HOST:PORT, separated by commas
    #[arg(
        long,
        short = 'b',
        visible_alias = "bootstrap-server",
        env = "DOHLE_BOOTSTRAP",
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT"
    )]
    bootstrap: String,

    /// How long to wait for what the cluster is asked for; after a signal to end, for a third of it
    #[arg(
        long,
        default_value_t = 15,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    timeout: u32,
}

impl RemoteArgs {
    /// The settings of a client, after a look whether anybody is there: a client would try for its
    /// whole patience, and a person who forgot to start the broker should read that at once.
    ///
    /// # Errors
    /// No broker takes a connection.
    pub(crate) async fn connect(&self) -> Result<ClientConfig, Failure> {
        let mut config = ClientConfig::parse(&self.bootstrap)
            .map_err(|error| Failure::new(format!("--bootstrap {}: {error}", self.bootstrap)))?;
        config.client_id = "dohle-cli".into();
        config.api_timeout = self.timeout();
        // What is sent again because its answer is late may be told that it is done already.
        config.request_timeout = config.request_timeout.max(self.timeout());
        let mut reason = String::from("no address is given");
        for address in &config.bootstrap_servers {
            match reach(address).await {
                Ok(()) => return Ok(config),
                Err(error) => reason = error,
            }
        }
        Err(Failure::new(format!(
            "no broker at {}: {reason}; `dohle dev` starts one, --bootstrap or DOHLE_BOOTSTRAP says \
             where another is",
            self.bootstrap
        )))
    }

    /// How long anything may take that the cluster is asked for.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    /// How long the end may take after a signal.
    pub(crate) fn closing_timeout(&self) -> Duration {
        self.timeout() / 3
    }

    /// What to say of a request that had no answer.
    pub(crate) fn unanswered(&self, what: &str, error: &RequestError) -> Failure {
        match error {
            RequestError::TimedOut | RequestError::Disconnected => Failure::new(format!(
                "{what}: no answer from {}; is it a Kafka broker, and can its advertised listeners \
                 be reached?",
                self.bootstrap
            )),
            error => Failure::new(format!("{what}: {error}")),
        }
    }
}

async fn reach(address: &Address) -> Result<(), String> {
    let target = (address.host.to_string(), address.port);
    let found = tokio::task::spawn_blocking(move || target.to_socket_addrs()).await;
    let found = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("its name cannot be resolved".into()),
    };
    let mut reason = String::from("its name has no address");
    for one in found {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(one)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => reason = in_words(&error),
            Err(_) => reason = format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()),
        }
    }
    Err(reason)
}

fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        _ => error.to_string(),
    }
}

/// Runs a command to its end in a runtime of this thread. What still reads standard input or writes
/// standard output then is not waited for.
pub(crate) fn run(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::new)?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}
