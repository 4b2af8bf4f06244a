//! Goal: values are read and shown by Java's rules. Method: tables; what Java 17 answered for
//! numbers is in the right column.

use super::*;
use crate::key::{DefaultValue, Scope};

fn key(kind: Kind) -> ConfigKey {
    ConfigKey::new("a.key", kind, DefaultValue::Null, Scope::ReadOnly, " A key.")
}

fn shown(kind: Kind, text: &str) -> Option<String> {
    Value::parse(&key(kind), text).ok().map(|value| value.to_text().into())
}

#[test]
fn text_is_read_by_the_rules_of_its_type() {
    let table = [
        (Kind::Boolean, "true", Some("true")),
        (Kind::Boolean, " TRUE ", Some("true")),
        (Kind::Boolean, "False", Some("false")),
        (Kind::Boolean, "yes", None),
        (Kind::Boolean, "", None),
        (Kind::Int, "+5", Some("5")),
        (Kind::Int, "-0", Some("0")),
        (Kind::Int, " 5\t", Some("5")),
        (Kind::Int, "2147483647", Some("2147483647")),
        (Kind::Int, "2147483648", None),
        (Kind::Int, "0x5", None),
        (Kind::Int, "5.0", None),
        (Kind::Int, "1_000", None),
        (Kind::Int, "", None),
        (Kind::Short, "32767", Some("32767")),
        (Kind::Short, "32768", None),
        (Kind::Long, "9223372036854775807", Some("9223372036854775807")),
        (Kind::Long, "9223372036854775808", None),
        (Kind::Double, "1", Some("1.0")),
        (Kind::Double, "1d", Some("1.0")),
        (Kind::Double, "1F", Some("1.0")),
        (Kind::Double, "1.", Some("1.0")),
        (Kind::Double, ".5", Some("0.5")),
        (Kind::Double, "1e3", Some("1000.0")),
        (Kind::Double, "+1", Some("1.0")),
        (Kind::Double, "-NaN", Some("NaN")),
        (Kind::Double, "+Infinity", Some("Infinity")),
        (Kind::Double, "-Infinity", Some("-Infinity")),
        (Kind::Double, "inf", None),
        (Kind::Double, "nan", None),
        (Kind::Double, "d", None),
        (Kind::Double, "1e", None),
        (Kind::Double, ".", None),
        (Kind::Double, "", None),
        (Kind::String, "  a b ", Some("a b")),
        (Kind::String, "", Some("")),
        (Kind::Class, " x.Y ", Some("x.Y")),
        (Kind::Password, " secret ", Some("secret")),
        (Kind::List, "", Some("")),
        (Kind::List, "  ", Some("")),
        (Kind::List, "a, b ,c", Some("a,b,c")),
        (Kind::List, "a b,c", Some("a b,c")),
        (Kind::List, "a,,b,", Some("a,,b,")),
    ];
    for (kind, text, wanted) in table {
        assert_eq!(shown(kind, text).as_deref(), wanted, "{kind} {text:?}");
    }
}

#[test]
fn an_empty_list_has_no_items_and_a_comma_has_two() {
    assert_eq!(Value::list(" "), Value::List(vec![]));
    assert_eq!(Value::list(","), Value::List(vec!["".into(), "".into()]));
}

#[test]
fn duplicates_go_only_where_values_must_be_distinct() {
    let distinct = key(Kind::List).any_list();
    assert_eq!(Value::parse(&distinct, "b,a,b,a"), Ok(Value::List(vec!["b".into(), "a".into()])));
    assert_eq!(shown(Kind::List, "a,a").as_deref(), Some("a,a"));
}

#[test]
fn doubles_are_shown_as_java_shows_them() {
    let table = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.5, "0.5"),
        (0.001, "0.001"),
        (0.0009999, "9.999E-4"),
        (1e7, "1.0E7"),
        (9_999_999.5, "9999999.5"),
        (12_345_678.9, "1.23456789E7"),
        (1e-5, "1.0E-5"),
        (1.5e300, "1.5E300"),
        (f64::MAX, "1.7976931348623157E308"),
        (2_147_483_647.0, "2.147483647E9"),
        (-3.25e-4, "-3.25E-4"),
    ];
    for (double, wanted) in table {
        assert_eq!(Value::Double(double).to_text(), wanted);
    }
}

#[test]
fn errors_name_key_and_value_but_no_secret() {
    let error = Value::parse(&key(Kind::Int), "many").expect_err("no number");
    assert_eq!(error.to_string(), "a.key = many: is not a 32-bit integer");
    let secret = crate::check::parse_checked(&key(Kind::Password).non_empty(), " ");
    let error = secret.expect_err("empty");
    assert_eq!(error.to_string(), "a.key = [hidden]: must be a text that is not empty");
}
