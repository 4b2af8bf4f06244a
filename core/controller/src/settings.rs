//! What the controller is told when it is made.

use std::time::Duration;

use dohle_base::{BrokerId, Str};
use dohle_config::{NoProviders, NodeSettings, Properties};

/// The controller's surroundings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node that this controller runs on; a broker with this id lives in the same process.
    pub node_id: BrokerId,
    /// The cluster.
    pub cluster_id: Str,
    /// The node's configuration, as far as its file says it.
    pub node: NodeSettings,
}

impl Settings {
    /// For how long a broker counts as alive after its last heartbeat.
    pub(crate) fn session_timeout(&self) -> Duration {
        let ms = self.node.long("broker.session.timeout.ms");
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

impl Default for Settings {
    /// Node 0 of a cluster without a name, with Kafka's defaults.
    fn default() -> Self {
        let mut properties = Properties::default();
        properties.insert("process.roles", "broker,controller");
        properties.insert("node.id", "0");
        properties.insert("controller.listener.names", "CONTROLLER");
        let (node, _) = NodeSettings::from_file(&properties, &NoProviders)
            .expect("a file that sets only what it must sets nothing wrong");
        Self { node_id: BrokerId(0), cluster_id: Str::default(), node }
    }
}
