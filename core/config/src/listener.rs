//! Listeners: `NAME://HOST:PORT`, the security protocol behind each name, and which of them are
//! told to whom.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use dohle_base::Str;

use crate::address::{fmt_host_port, split_host_port};
use crate::error::ConfigError;

/// How bytes are protected on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL within TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// All protocols, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    /// The name in configurations, such as `SASL_SSL`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// The number in registrations of brokers and controllers. Source: Kafka 4.4.0.
    pub fn code(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    /// Whether clients authenticate with SASL.
    pub fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// The protocol of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An endpoint to listen on, or one that others are told to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in upper case.
    pub name: Str,
    /// A host name or address; none means all interfaces, or the name of this machine.
    pub host: Option<Str>,
    /// The TCP port; 0 lets the operating system choose.
    pub port: u16,
    /// How connections to it are protected.
    pub protocol: SecurityProtocol,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.name)?;
        fmt_host_port(f, self.host.as_deref().unwrap_or(""), self.port)
    }
}

impl Listener {
    fn ip(&self) -> Option<IpAddr> {
        self.host.as_deref()?.parse().ok()
    }
}

/// Listener names in upper case, and the protocol that each speaks.
pub(crate) type ProtocolMap = BTreeMap<Str, SecurityProtocol>;

/// Reads `listener.security.protocol.map`, a list of `NAME:PROTOCOL`.
pub(crate) fn parse_protocol_map(text: &str) -> Result<ProtocolMap, ConfigError> {
    let fault = |rule: String| ConfigError::conflict("listener.security.protocol.map", text, rule);
    let mut map = ProtocolMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, protocol) = item
            .rsplit_once(':')
            .ok_or_else(|| fault(format!("{item} is not of the form NAME:PROTOCOL")))?;
        let protocol = SecurityProtocol::from_name(protocol.trim())
            .ok_or_else(|| fault(format!("{} is no security protocol", protocol.trim())))?;
        map.insert(name.trim().to_uppercase().into(), protocol);
    }
    Ok(map)
}

/// Whether listeners of one list may share a port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ports {
    /// They may not, except for one IPv4 and one IPv6 address: the list is bound.
    Distinct,
    /// They may: the list is only told to others.
    Shared,
}

/// Reads a list of listeners.
///
/// # Errors
/// [`ConfigError::Conflict`] for a malformed listener, a name without protocol, and a name or port
/// that occurs twice.
pub(crate) fn parse_listeners(
    key: &str,
    list: &[Str],
    protocols: &ProtocolMap,
    ports: Ports,
) -> Result<Vec<Listener>, ConfigError> {
    let fault = |rule: String| ConfigError::conflict(key, list.join(","), rule);
    let mut listeners: Vec<Listener> = Vec::with_capacity(list.len());
    for text in list {
        let listener = parse_listener(text, protocols).map_err(fault)?;
        if listeners.iter().any(|other| other.name == listener.name) {
            return Err(fault(format!("two listeners have the name {}", listener.name)));
        }
        listeners.push(listener);
    }
    if ports == Ports::Distinct {
        check_ports(&listeners).map_err(fault)?;
    }
    Ok(listeners)
}

fn parse_listener(text: &str, protocols: &ProtocolMap) -> Result<Listener, String> {
    let malformed = || format!("{text} is not of the form NAME://HOST:PORT");
    let (name, address) = text.rsplit_once("://").ok_or_else(malformed)?;
    let (host, port) = split_host_port(address).ok_or_else(malformed)?;
    let name: Str = name.to_uppercase().into();
    let protocol = *protocols.get(&name).ok_or_else(|| {
        format!("listener.security.protocol.map has no security protocol for {name}")
    })?;
    let host = if host.is_empty() { None } else { Some(host.into()) };
    Ok(Listener { name, host, port, protocol })
}

/// One port may serve an IPv4 and an IPv6 address, and nothing else beside them.
fn check_ports(listeners: &[Listener]) -> Result<(), String> {
    for (i, one) in listeners.iter().enumerate() {
        let sharing: Vec<_> =
            listeners[i + 1..].iter().filter(|other| other.port == one.port).collect();
        let is_pair = match (one.ip(), sharing.as_slice()) {
            _ if one.port == 0 => true,
            (_, []) => true,
            (Some(ip), [other]) => other.ip().is_some_and(|o| o.is_ipv4() != ip.is_ipv4()),
            _ => false,
        };
        if !is_pair {
            return Err(format!(
                "port {} may be used twice only with an IPv4 and an IPv6 address",
                one.port
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
