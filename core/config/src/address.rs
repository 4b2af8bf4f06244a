//! `HOST:PORT`, with or without the id of a voter before it.

use std::fmt;

use dohle_base::{BrokerId, Str};

/// A host and a port, not resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// A name or an IP address, without the brackets of IPv6.
    pub host: Str,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_host_port(f, &self.host, self.port)
    }
}

/// A member of a fixed quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its node id.
    pub id: BrokerId,
    /// Where it listens.
    pub address: Address,
}

/// Brackets around an IPv6 address keep its colons apart from the port's.
pub(crate) fn fmt_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

/// Splits `HOST:PORT` or `[HOST]:PORT`. The host may be empty.
pub(crate) fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-%._:".contains(&b);
    if !host.bytes().all(is_host) || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((host, port.parse().ok()?))
}

/// Reads `HOST:PORT`, which may have `NAME://` before it.
pub(crate) fn parse_address(text: &str) -> Option<Address> {
    let text = match text.split_once("://") {
        Some((name, rest)) if is_scheme(name) => rest,
        Some(_) => return None,
        None => text,
    };
    let (host, port) = split_host_port(text)?;
    Some(Address { host: host.into(), port })
}

/// Reads `ID@HOST:PORT`.
pub(crate) fn parse_voter(text: &str) -> Option<Voter> {
    let (id, address) = text.split_once('@')?;
    let id = BrokerId(id.parse().ok()?);
    Some(Voter { id, address: parse_address(address)? })
}

fn is_scheme(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-%._".contains(&b))
}
