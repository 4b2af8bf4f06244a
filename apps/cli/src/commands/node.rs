//! A node in this process, from start to signal.

use dohle_config::{BrokerConfig, NodeSettings};
use dohle_server::{Node, Reserved};

use crate::{
    ending::{Ending, Failure, Outcome},
    interrupt::Signals,
    say,
};

/// Starts a node, of whose ports some may be reserved, says `hello` of it, and serves until a signal asks to stop. A second signal does
/// not wait for the stop to be clean.
///
/// # Errors
/// The node does not start, or the greeting cannot be written.
pub(crate) fn serve(
    settings: NodeSettings,
    config: BrokerConfig,
    reserved: Vec<Reserved>,
    hello: impl FnOnce(&Node) -> Result<(), Failure>,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::new)?;
    // Before the node: a signal during its start must not tear it down.
    let mut signals = {
        let _entered = runtime.enter();
        Signals::listen().map_err(Failure::new)?
    };
    let node = Node::start(settings, config, reserved).map_err(Failure::new)?;
    // A greeting that nobody reads is no reason to stop.
    let _ = hello(&node);
    let outcome = runtime.block_on(async {
        let failure = tokio::select! {
            _ = signals.next() => None,
            reason = node.failed() => Some(reason),
        };
        let stopping = tokio::task::spawn_blocking(move || node.shutdown());
        tokio::select! {
            stopped = stopping => match stopped {
                Ok(()) => failure.map_or(Ok(Ending::Done), |reason| Err(Failure::new(reason))),
                Err(_) => Err(Failure::new("the stop was not clean; the next start takes longer")),
            },
            signal = signals.next() => {
                say::warning("not waiting for a clean stop; the next start takes longer");
                Ok(Ending::Interrupted(signal))
            }
        }
    });
    runtime.shutdown_background();
    outcome
}
