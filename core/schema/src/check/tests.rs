//! Schemas that are well formed and yet cannot be.

use crate::{Fault, Source, generate};

fn fault(text: &str) -> Option<Fault> {
    let source = Source { path: "records/raft/some.kmsg".to_owned(), text: text.to_owned() };
    generate(&[source]).err().map(|error| error.fault)
}

fn field(line: &str) -> Option<Fault> {
    fault(&format!("data D versions 0-3 flexible 2+\n  {line}\n"))
}

#[test]
fn fields_that_make_sense_pass() {
    for line in [
        "a  i32  0+",
        "a  i32  0+  = 0x7fffffff",
        "a  i8  0+  = -128",
        "a  bool  0+  = true",
        "a  string?  0+  = null",
        "a  [i32]?1+  0+  = null",
        "a  i32  2+  tag 0",
    ] {
        assert_eq!(field(line), None, "{line}");
    }
}

#[test]
fn fields_that_make_none_are_refused() {
    let default = |text: &str| Some(Fault::BadDefault(text.to_owned()));
    for (line, expected) in [
        ("a  i8  0+  = 128", default("128")),
        ("a  u16  0+  = -1", default("-1")),
        ("a  bool  0+  = 1", default("1")),
        ("a  string  0+  = null", default("null")),
        ("a  [i32]  0+  = 1", default("1")),
        ("a  i32?  0+", Some(Fault::Unsupported("null"))),
        ("a  [bytes]  0+", Some(Fault::Unsupported("the element of an array"))),
        ("a  i32  1+  tag 0", Some(Fault::TagNeedsFlexible)),
        ("a  i32  4+", Some(Fault::NeverPresent)),
        ("a  string?4+  0+", Some(Fault::NeverPresent)),
        ("a  Other  0+", Some(Fault::UnknownType("Other".to_owned()))),
        ("a  i32  0+\n  a  i64  0+", Some(Fault::Twice("a".to_owned()))),
        ("a  i32  2+  tag 0\n  b  i64  2+  tag 0", Some(Fault::Twice("tag".to_owned()))),
    ] {
        assert_eq!(field(line), expected, "{line}");
    }
}

#[test]
fn nesting_must_end() {
    let text = "data D versions 0 flexible none\n  a  [S]  0\n\n  struct S 0\n    b  T  0\n\n  struct T 0\n    c  [S]  0\n";
    assert_eq!(fault(text), Some(Fault::Recursive("S".to_owned())));
}

#[test]
fn names_keys_and_ids_are_given_once() {
    let twice = |name: &str| Some(Fault::Twice(name.to_owned()));
    let data = "data D versions 0 flexible none\n";
    assert_eq!(fault(&format!("{data}{data}")), twice("D"));
    let record = |name: &str| format!("record {name} id 7 versions 0 flexible none\n");
    assert_eq!(fault(&(record("A") + &record("B"))), twice("id 7"));
    let request = |name: &str| {
        format!(
            "request {name}Request api 7 {name} versions 0 flexible none\nresponse {name}Response versions 0 flexible none\n"
        )
    };
    assert_eq!(fault(&(request("A") + &request("B"))), twice("api 7"));
}

#[test]
fn messages_say_what_their_kind_needs() {
    for text in [
        "record R versions 0 flexible none\n",
        "data D id 1 versions 0 flexible none\n",
        "request R versions 0 flexible none\n",
        "request AskRequest api 1 Ask versions 0 flexible none\n",
        "request AskRequest api 1 Ask versions 0-1 flexible none\nresponse AskResponse versions 0 flexible none\n",
    ] {
        assert!(matches!(fault(text), Some(Fault::Incomplete(_))), "{text}");
    }
}
