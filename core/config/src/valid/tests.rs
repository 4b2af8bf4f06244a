//! Goal: each rule allows what Kafka's validator allows, at its borders.

use super::*;

fn int(i: i64) -> Option<Value> {
    Some(Value::Integer(i))
}

fn text(s: &str) -> Option<Value> {
    Some(Value::Text(s.into()))
}

fn list(s: &str) -> Option<Value> {
    Some(Value::list(s))
}

#[test]
fn rules_hold_at_their_borders() {
    let gzip = Valid::BetweenOr(1, 9, -1);
    let double = |d| Some(Value::Double(d));
    let any_case = Valid::OneOfAnyCase(&["UPGRADE"]);
    let policies = Valid::List { of: &["compact", "delete"], empty: true, null: false };
    let names = Valid::List { of: &[], empty: false, null: true };
    let table: Vec<(Valid, Option<Value>, bool)> = vec![
        (Valid::Any, None, true),
        (Valid::AtLeast(1), int(1), true),
        (Valid::AtLeast(1), int(0), false),
        (Valid::AtLeast(1), None, false),
        (Valid::Between(2, 5), int(2), true),
        (Valid::Between(2, 5), int(5), true),
        (Valid::Between(2, 5), int(6), false),
        (gzip, int(-1), true),
        (gzip, int(0), false),
        (gzip, int(9), true),
        (gzip, int(10), false),
        (Valid::Share(0.0, 0.5), double(0.0), true),
        (Valid::Share(0.0, 0.5), double(0.5), true),
        (Valid::Share(0.0, 0.5), double(0.51), false),
        (Valid::Share(0.0, 0.5), double(f64::NAN), true),
        (Valid::NonNull, text(""), true),
        (Valid::NonNull, None, false),
        (Valid::NonEmpty, text(""), false),
        (Valid::NonEmpty, None, true),
        (Valid::OneOf(&["none"]), text("none"), true),
        (Valid::OneOf(&["none"]), text("NONE"), false),
        (any_case, text("upgrade"), true),
        (any_case, text("sidegrade"), false),
        (policies, list(""), true),
        (policies, list("compact,delete"), true),
        (policies, list("compact,keep"), false),
        (policies, None, false),
        (names, list(""), false),
        (names, list("a,,b"), false),
        (names, list("a,b"), true),
        (names, None, true),
        (Valid::Addresses, list(""), true),
        (Valid::Addresses, list("localhost:9093,[::1]:9093,C://h:1"), true),
        (Valid::Addresses, list("localhost"), false),
        (Valid::Addresses, list("localhost:port"), false),
        (Valid::Addresses, list("localhost:65536"), false),
        (Valid::Addresses, list("local host:1"), false),
        (Valid::Voters, list("1@localhost:9093,2@[::1]:9094"), true),
        (Valid::Voters, list("localhost:9093"), false),
        (Valid::Voters, list("x@localhost:9093"), false),
        (Valid::Voters, list("1@2@localhost:9093"), false),
        (Valid::ThrottledReplicas, list(""), true),
        (Valid::ThrottledReplicas, list("*"), true),
        (Valid::ThrottledReplicas, list("0:1,1:2"), true),
        (Valid::ThrottledReplicas, list("0:1,*"), false),
        (Valid::ThrottledReplicas, list("0-1"), false),
        (Valid::ThrottledReplicas, list("0:"), false),
        (Valid::ShareGroupStart, text("earliest"), true),
        (Valid::ShareGroupStart, text("EARLIEST"), false),
        (Valid::ShareGroupStart, text("none"), false),
        (Valid::ShareGroupStart, text("by_duration:PT1H"), true),
        (Valid::ShareGroupStart, text("by_duration:-PT1H"), false),
        (Valid::ShareGroupStart, text("by_duration"), false),
        (Valid::ShareGroupStart, text("by_duration:1h"), false),
    ];
    for (rule, value, allowed) in table {
        assert_eq!(rule.allows(value.as_ref()), allowed, "{rule} of {value:?}");
    }
}

#[test]
fn every_default_is_allowed_by_its_own_rule() {
    use crate::keys::{BROKER, CLIENT_METRICS, GROUP, QUOTA, TOPIC};
    for table in [&*BROKER, &*TOPIC, &*GROUP, &*CLIENT_METRICS, &*QUOTA] {
        for key in table.iter() {
            let value = key.default.value();
            let is_absent = value.is_none() && key.valid != Valid::NonNull;
            assert!(is_absent || key.valid.allows(value.as_ref()), "{}: {value:?}", key.name);
        }
    }
}
