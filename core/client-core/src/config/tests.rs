//! Goal: addresses as users write them, and configurations that cannot work. Method: tables.

use super::*;

#[test]
fn addresses_read_as_they_are_written() {
    for (text, host, port) in [
        ("localhost:9092", "localhost", 9092),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("[::1]:9092", "::1", 9092),
        ("PLAINTEXT://b1:9093", "b1", 9093),
    ] {
        assert_eq!(text.parse(), Ok(Address { host: host.into(), port }), "{text}");
    }
    assert_eq!("[::1]:9092".parse::<Address>().unwrap().to_string(), "[::1]:9092");
}

#[test]
fn what_is_not_an_address_is_refused() {
    for text in ["", "localhost", ":9092", "host:", "host:0", "host:99999", "::1:9092", "host:x"] {
        assert_eq!(text.parse::<Address>(), Err(AddressError { text: text.into() }), "{text}");
    }
}

#[test]
fn lists_pass_over_empty_elements() {
    let list = Address::parse_list(" a:1, ,b:2,").unwrap();
    assert_eq!(list.iter().map(Address::to_string).collect::<Vec<_>>(), ["a:1", "b:2"]);
    assert!(Address::parse_list("a:1,b").is_err());
}

#[test]
fn a_client_without_a_start_or_without_patience_is_refused() {
    assert_eq!(ClientConfig::new(Vec::new()).check(), Err(ConfigError::NoBootstrapServers));
    let mut config = ClientConfig::parse("a:1").unwrap();
    assert_eq!(config.check(), Ok(()));
    config.request_timeout = Duration::ZERO;
    let setting = "request.timeout.ms";
    assert_eq!(config.check(), Err(ConfigError::OutOfRange { setting, reason: "above zero" }));
}
