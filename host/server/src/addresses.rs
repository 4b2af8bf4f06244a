//! From listeners in the configuration to addresses: names resolved, ports chosen, and what is told to
//! others.

use std::net::{SocketAddr, ToSocketAddrs};

use dohle_base::Str;
use dohle_config::{BrokerConfig, Listener, SecurityProtocol};
use dohle_metadata::Listener as Registered;
use dohle_net::Reserved;

/// Why a listener cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The listener speaks what is not built yet.
    #[error("listener {listener}: {protocol} is not supported yet, only PLAINTEXT is")]
    Protocol {
        /// The listener.
        listener: Str,
        /// What it was to speak.
        protocol: &'static str,
    },
    /// The host has no address.
    #[error("listener {listener}: {host} cannot be resolved: {source}")]
    Host {
        /// The listener.
        listener: Str,
        /// The host.
        host: Str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system has no port.
    #[error("listener {listener}: there is no port for {address}: {source}")]
    NoPort {
        /// The listener.
        listener: Str,
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A listener of this node, with its port known.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: Listener,
    pub(crate) address: SocketAddr,
    /// The port, if the configuration leaves it to the system or it was chosen before.
    pub(crate) reserved: Option<Reserved>,
    pub(crate) is_controller: bool,
}

/// The listeners of the node. A port of 0 is replaced by one that is free, and stays so until the node listens there:
/// much is done before, and others choose meanwhile.
pub(crate) fn bound(
    config: &BrokerConfig,
    mut reserved: Vec<Reserved>,
) -> Result<Vec<Bound>, AddressError> {
    let listeners = &config.listeners;
    listeners
        .bound
        .iter()
        .map(|listener| {
            if listener.protocol != SecurityProtocol::Plaintext {
                return Err(AddressError::Protocol {
                    listener: listener.name.clone(),
                    protocol: listener.protocol.name(),
                });
            }
            let wanted = resolve(listener)?;
            let before = reserved.iter().position(|port| port.address() == wanted);
            let reserved = match before.map(|at| reserved.swap_remove(at)) {
                None if wanted.port() == 0 => Some(reserve(listener, wanted)?),
                before => before,
            };
            let address = reserved.as_ref().map_or(wanted, Reserved::address);
            let is_controller = listeners.is_controller(listener);
            let listener = Listener { port: address.port(), ..listener.clone() };
            Ok(Bound { listener, address, reserved, is_controller })
        })
        .collect()
}

fn resolve(listener: &Listener) -> Result<SocketAddr, AddressError> {
    let host = listener.host.as_deref().unwrap_or("0.0.0.0");
    let failed =
        |source| AddressError::Host { listener: listener.name.clone(), host: host.into(), source };
    let mut found = (host, listener.port).to_socket_addrs().map_err(failed)?;
    found.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

fn reserve(listener: &Listener, address: SocketAddr) -> Result<Reserved, AddressError> {
    let listener = listener.name.clone();
    Reserved::new(address).map_err(|source| AddressError::NoPort { listener, address, source })
}

/// What others are told about listeners: hosts and ports left out are those that are bound.
pub(crate) fn advertised(told: &[Listener], bound: &[Bound]) -> Vec<Registered> {
    told.iter()
        .map(|listener| {
            let at = bound.iter().find(|bound| bound.listener.name == listener.name);
            let port = match listener.port {
                0 => at.map_or(0, |at| at.address.port()),
                port => port,
            };
            let host = listener.host.clone().unwrap_or_else(|| {
                at.filter(|at| !at.address.ip().is_unspecified())
                    .map_or_else(|| "localhost".into(), |at| at.address.ip().to_string().into())
            });
            Registered {
                name: listener.name.clone(),
                host,
                port,
                security_protocol: listener.protocol.code(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
