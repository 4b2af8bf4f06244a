//! Goal: lists of listeners are read, and refused, as by Kafka.

use super::*;

fn map() -> ProtocolMap {
    parse_protocol_map("PLAINTEXT:PLAINTEXT, SSL:ssl,internal:SASL_SSL,EXT:SASL_PLAINTEXT")
        .expect("well-formed")
}

fn read(list: &str, ports: Ports) -> Result<Vec<String>, String> {
    let list: Vec<Str> = list.split(',').map(Into::into).collect();
    match parse_listeners("listeners", &list, &map(), ports) {
        Ok(listeners) => Ok(listeners.iter().map(|l| format!("{l} {}", l.protocol)).collect()),
        Err(ConfigError::Conflict { rule, .. }) => Err(rule.into()),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn listeners_are_read() {
    for (list, wanted) in [
        ("PLAINTEXT://:9092", vec!["PLAINTEXT://:9092 PLAINTEXT"]),
        ("ssl://a.example:0", vec!["SSL://a.example:0 SSL"]),
        ("Internal://[::1]:1", vec!["INTERNAL://[::1]:1 SASL_SSL"]),
        ("EXT://::1:1", vec!["EXT://[::1]:1 SASL_PLAINTEXT"]),
        (
            "PLAINTEXT://127.0.0.1:1,SSL://[::1]:1,EXT://:2",
            vec![
                "PLAINTEXT://127.0.0.1:1 PLAINTEXT",
                "SSL://[::1]:1 SSL",
                "EXT://:2 SASL_PLAINTEXT",
            ],
        ),
        (
            "PLAINTEXT://a:0,SSL://b:0,EXT://c:0",
            vec!["PLAINTEXT://a:0 PLAINTEXT", "SSL://b:0 SSL", "EXT://c:0 SASL_PLAINTEXT"],
        ),
    ] {
        assert_eq!(read(list, Ports::Distinct), Ok(wanted.iter().map(|s| s.to_string()).collect()));
    }
    assert!(read("PLAINTEXT://a:1,SSL://b:1", Ports::Shared).is_ok());
}

#[test]
fn bad_listeners_are_refused() {
    let port =
        |port| format!("port {port} may be used twice only with an IPv4 and an IPv6 address");
    let form = |text: &str| format!("{text} is not of the form NAME://HOST:PORT");
    for (list, rule) in [
        ("localhost:9092", form("localhost:9092")),
        ("PLAINTEXT://localhost", form("PLAINTEXT://localhost")),
        ("PLAINTEXT://local host:1", form("PLAINTEXT://local host:1")),
        ("PLAINTEXT://a:65536", form("PLAINTEXT://a:65536")),
        ("PLAINTEXT://a:-1", form("PLAINTEXT://a:-1")),
        ("OTHER://a:1", "listener.security.protocol.map has no security protocol for OTHER".into()),
        ("SSL://a:1,ssl://b:2", "two listeners have the name SSL".into()),
        ("PLAINTEXT://a:1,SSL://b:1", port(1)),
        ("PLAINTEXT://:7,SSL://127.0.0.1:7", port(7)),
        ("PLAINTEXT://127.0.0.1:7,SSL://127.0.0.2:7", port(7)),
        ("PLAINTEXT://127.0.0.1:7,SSL://[::1]:7,EXT://[::2]:7", port(7)),
        ("PLAINTEXT://127.0.0.1:7,SSL://[::1]:7,EXT://c:7", port(7)),
    ] {
        assert_eq!(read(list, Ports::Distinct), Err(rule), "{list}");
    }
}

#[test]
fn bad_protocol_maps_are_refused() {
    for (text, rule) in
        [("A", "A is not of the form NAME:PROTOCOL"), ("A:TLS", "TLS is no security protocol")]
    {
        match parse_protocol_map(text) {
            Err(ConfigError::Conflict { rule: found, .. }) => assert_eq!(found, rule),
            other => panic!("{other:?}"),
        }
    }
}
