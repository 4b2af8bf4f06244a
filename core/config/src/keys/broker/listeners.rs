//! Where the node listens, what it tells clients about it, and how many connections it takes.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// The endpoints to listen on, each as `NAME://HOST:PORT`; an empty host means all interfaces.
    /// Dohle takes what the file says at start: what is set while it runs has no effect.
    "listeners": List = "PLAINTEXT://:9092", non_empty_list, high, per_broker, used;

    /// The endpoints that clients and other brokers are told to connect to; `listeners` if absent.
    "advertised.listeners": List, non_empty_list_or_null, high, used;

    /// Which security protocol each listener name speaks, as `NAME:PROTOCOL` pairs. Dohle takes what the
    /// file says at start: what is set while it runs has no effect.
    "listener.security.protocol.map": String = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        low, per_broker, used;

    /// Names of the listeners that controllers use; brokers connect to the first.
    "controller.listener.names": List, required, non_empty_list, high, used;

    /// Name of the listener over which brokers talk to one another.
    "inter.broker.listener.name": String;

    /// The security protocol between brokers, when no listener name is given for it.
    "security.inter.broker.protocol": String = "PLAINTEXT",
        one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]);

    /// Listeners that open before authorisation is ready; by default those of the controller.
    "early.start.listeners": List, any_list_or_null, high;

    /// SO_SNDBUF of accepted sockets; -1 leaves it to the operating system.
    "socket.send.buffer.bytes": Int = 102_400, high, used;

    /// SO_RCVBUF of accepted sockets; -1 leaves it to the operating system. Dohle takes Kafka's default for 512 KiB.
    "socket.receive.buffer.bytes": Int = 102_400, high, used;

    /// How many connections may wait to be accepted on a listener.
    "socket.listen.backlog.size": Int = 50, at_least(1), used;

    /// The largest request that is read; a longer one closes the connection.
    "socket.request.max.bytes": Int = 104_857_600, at_least(1), high, used;

    /// How long to wait for a connection to another node, at first.
    "socket.connection.setup.timeout.ms": Long = 10_000;

    /// How long to wait for a connection to another node, after repeated failures.
    "socket.connection.setup.timeout.max.ms": Long = 30_000;

    /// After how long without traffic a connection is closed.
    "connections.max.idle.ms": Long = 600_000, used;

    /// How many connections the broker keeps open at once. At most half as many as the process may
    /// have files open: more wait. Dohle takes what the file says at start: what is set while it
    /// runs has no effect, nor has a limit of one listener.
    "max.connections": Int = i32::MAX, at_least(0), cluster_wide, used;

    /// How many connections one address may have open. Dohle takes what the file says at start: what is
    /// set while it runs has no effect.
    "max.connections.per.ip": Int = i32::MAX, at_least(0), cluster_wide, used;

    /// Other limits for single hosts or addresses, as `HOST:LIMIT` pairs.
    "max.connections.per.ip.overrides": String = "", cluster_wide;

    /// How many new connections a second the broker accepts; per listener with a `listener.name.`
    /// prefix.
    "max.connection.creation.rate": Int = i32::MAX, at_least(0), cluster_wide;

    /// How long the answer to a failed authentication is held back.
    "connection.failed.authentication.delay.ms": Int = 100, at_least(0), low;

    /// Threads that read from and write to connections and handle requests, at most one a core. Dohle
    /// takes what the file says at start: what is set while it runs has no effect.
    "num.network.threads": Int = 3, at_least(1), high, cluster_wide, used;
};
