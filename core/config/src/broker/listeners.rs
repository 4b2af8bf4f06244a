//! The listeners of a node, and which of them are told to whom.

use dohle_base::{BrokerId, Str};

use super::voters;
use crate::error::ConfigError;
use crate::listener::{
    Listener, Ports, ProtocolMap, SecurityProtocol, parse_listeners, parse_protocol_map,
};
use crate::settings::NodeSettings;

/// The listeners of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Listeners {
    /// Every endpoint to listen on, those of the controller among them.
    pub bound: Vec<Listener>,
    /// What brokers register: the endpoints that clients and other brokers connect to. Ports of 0
    /// and hosts of none are still to be filled in.
    pub advertised: Vec<Listener>,
    /// What controllers register: the endpoints of the controller role.
    pub advertised_controller: Vec<Listener>,
    /// Names of listeners of the controller role, on this node or on others; the first is the one
    /// that this node connects to.
    pub controller_names: Vec<Str>,
    /// How connections to controllers are protected.
    pub(crate) controller_protocol: SecurityProtocol,
    /// The name of the listener between brokers.
    pub(crate) inter_broker_name: Str,
    /// How connections between brokers are protected.
    pub(crate) inter_broker_protocol: SecurityProtocol,
}

impl Listeners {
    /// Whether a bound listener belongs to the controller role.
    pub fn is_controller(&self, listener: &Listener) -> bool {
        self.controller_names.contains(&listener.name)
    }
}

/// Reads everything about listeners.
pub(super) fn listeners(s: &NodeSettings) -> Result<Listeners, ConfigError> {
    let protocols = protocols(s)?;
    let controller_names = s.list("controller.listener.names").to_vec();
    let is_controller = |listener: &Listener| controller_names.contains(&listener.name);

    let bound = parse_listeners("listeners", s.list("listeners"), &protocols, Ports::Distinct)?;
    let told = match s.list_or_null("advertised.listeners") {
        Some(list) => {
            Some(parse_listeners("advertised.listeners", list, &protocols, Ports::Shared)?)
        }
        None => None,
    };
    let advertised = told.as_ref().unwrap_or(&bound);
    let advertised = advertised.iter().filter(|l| !is_controller(l)).cloned().collect();
    let advertised_controller =
        advertised_controller(s, &controller_names, &bound, told.as_deref().unwrap_or(&[]));

    let controller_protocol = match controller_names.first() {
        Some(name) => *protocols.get(name.to_uppercase().as_str()).ok_or_else(|| {
            ConfigError::conflict(
                "controller.listener.names",
                controller_names.join(","),
                format_args!("listener.security.protocol.map has no security protocol for {name}"),
            )
        })?,
        None => SecurityProtocol::Plaintext,
    };
    let (inter_broker_name, inter_broker_protocol) = inter_broker(s, &protocols)?;
    Ok(Listeners {
        bound,
        advertised,
        advertised_controller,
        controller_names,
        controller_protocol,
        inter_broker_name,
        inter_broker_protocol,
    })
}

/// `listener.security.protocol.map`. If nobody set it and no listener is named after a protocol
/// that protects, the controller's listeners speak plaintext.
fn protocols(s: &NodeSettings) -> Result<ProtocolMap, ConfigError> {
    let mut map = parse_protocol_map(s.text("listener.security.protocol.map"))?;
    if s.is_set("listener.security.protocol.map") {
        return Ok(map);
    }
    let protects = |name: &str| {
        !matches!(SecurityProtocol::from_name(name), None | Some(SecurityProtocol::Plaintext))
    };
    let names = s.list("controller.listener.names");
    let bound = s.list("listeners").iter().filter_map(|text| text.split(':').next());
    if !names.iter().any(|name| protects(name)) && !bound.into_iter().any(protects) {
        for name in names {
            map.entry(name.clone()).or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(map)
}

/// What a controller registers: for each of its names the advertised endpoint if there is one,
/// otherwise the bound one; an address that means all interfaces is not told to anybody.
fn advertised_controller(
    s: &NodeSettings,
    names: &[Str],
    bound: &[Listener],
    told: &[Listener],
) -> Vec<Listener> {
    let node_id = BrokerId(s.int("node.id"));
    let find = |among: &[Listener], name: &str| {
        among.iter().find(|listener| listener.name.eq_ignore_ascii_case(name)).cloned()
    };
    let effective = |(i, name): (usize, &Str)| {
        let is_told = |listener: &Listener| names.contains(&listener.name);
        if let Some(listener) = find(told, name).filter(is_told) {
            return Some(listener);
        }
        let mut listener = find(bound, name).filter(is_told)?;
        let is_everywhere = listener.host.as_deref().is_none_or(|host| host == "0.0.0.0");
        if is_everywhere {
            listener.host = None;
            // The fixed voters tell where the first listener of each controller is reached.
            if let (0, Some(me)) = (i, voters(s).into_iter().find(|voter| voter.id == node_id)) {
                listener.host = Some(me.address.host);
                listener.port = me.address.port;
            }
        }
        Some(listener)
    };
    names.iter().enumerate().filter_map(effective).collect()
}

fn inter_broker(
    s: &NodeSettings,
    protocols: &ProtocolMap,
) -> Result<(Str, SecurityProtocol), ConfigError> {
    const NAME: &str = "inter.broker.listener.name";
    const PROTOCOL: &str = "security.inter.broker.protocol";
    let Some(name) = s.text_or_null(NAME) else {
        // The values of this key are the names of the protocols.
        let protocol = SecurityProtocol::from_name(s.text(PROTOCOL));
        let protocol = protocol.unwrap_or(SecurityProtocol::Plaintext);
        return Ok((protocol.name().into(), protocol));
    };
    if s.is_set(PROTOCOL) {
        return Err(ConfigError::conflict(NAME, name, format_args!("excludes {PROTOCOL}")));
    }
    let name: Str = name.to_uppercase().into();
    match protocols.get(&name) {
        Some(protocol) => Ok((name, *protocol)),
        None => Err(ConfigError::conflict(
            NAME,
            name,
            "listener.security.protocol.map has no security protocol for it",
        )),
    }
}
