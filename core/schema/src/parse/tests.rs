//! Lines that are the language, and lines that are not: each with the error and its line.

use super::parse;
use crate::{
    Fault, Source,
    model::{Kind, Room, Type, Versions},
};

fn source(text: &str) -> Source {
    Source { path: "api/some.kmsg".to_owned(), text: text.to_owned() }
}

const GOOD: &str = "\
# For readers only.

// What it asks.
request SomeRequest api 9 Some versions 1-4 flexible 2+ listeners broker,controller unstable
  // Above.
  name    topic_name?3+  0+   = null ignorable  // And behind.
  items   [Item]         1-2
    offset  offset  1+  = -1 tag 0
    places  [Shared]  2
  number  i32            4    named NUMBER plain

  struct Shared 2+
    host  string  2+

response SomeResponse versions 1-4 flexible none
";

#[test]
fn everything_that_a_file_can_say_is_heard() {
    let messages = parse(&source(GOOD)).expect("good");
    let [request, response] = &messages[..] else { panic!("two messages") };
    assert_eq!((request.kind, request.room), (Kind::Request, Room::Api));
    assert_eq!(request.docs, ["What it asks."]);
    assert_eq!(request.versions, Versions { first: 1, last: 4 });
    assert_eq!(request.flexible, Some(Versions { first: 2, last: Versions::OPEN }));
    let api = request.api.as_ref().expect("an api");
    assert_eq!((api.key, api.name.as_str()), (9, "Some"));
    assert!(api.on_broker && api.on_controller && api.latest_unstable && !api.forwardable);
    let names: Vec<&str> = request.structs.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["SomeRequest", "Item", "Shared"]);

    let [name, items, number] = &request.structs[0].fields[..] else { panic!("three fields") };
    assert_eq!(name.docs, ["Above.", "And behind."]);
    assert_eq!(name.nullable, Some(Versions { first: 3, last: Versions::OPEN }));
    assert_eq!((name.default.as_deref(), name.ignorable), (Some("null"), true));
    assert_eq!((items.array, &items.ty), (true, &Type::Struct("Item".to_owned())));
    assert_eq!((number.exact.as_str(), number.plain), ("NUMBER", true));
    let [offset, places] = &request.structs[1].fields[..] else { panic!("two fields") };
    assert_eq!((offset.exact.as_str(), offset.tag), ("Offset", Some(0)));
    assert_eq!(places.versions, Versions { first: 2, last: 2 });
    assert_eq!((response.kind, response.flexible), (Kind::Response, None));
}

#[test]
fn what_is_not_the_language_is_refused_with_its_line() {
    let head = "data D versions 0 flexible none\n";
    let word = |word: &str| Fault::UnknownWord(word.to_owned());
    for (line, fault) in [
        ("  a  i32", Fault::Missing("versions")),
        ("  a  int32  0", Fault::UnknownType("int32".to_owned())),
        ("  a  i32  x", Fault::BadVersions("x".to_owned())),
        ("  a  i32  3-1", Fault::BadVersions("3-1".to_owned())),
        ("  a  i32  -1", Fault::BadVersions("-1".to_owned())),
        ("  a  i32  0  tag x", Fault::BadNumber("x".to_owned())),
        ("  a  i32  0  ignorible", word("ignorible")),
        ("   a  i32  0", Fault::BadIndent),
        ("    a  i32  0", Fault::BadIndent),
        ("message M versions 0", word("message")),
        ("data E flexible none", Fault::Missing("versions")),
        ("data E versions 0", Fault::Missing("flexible")),
        ("  struct S 0 and more", word("and")),
    ] {
        let error = parse(&source(&format!("{head}{line}\n"))).expect_err(line);
        assert_eq!((error.fault, error.line), (fault, 2), "{line}");
    }
}

#[test]
fn indentation_belongs_to_the_field_above() {
    let text = "data D versions 0 flexible none\n  a  i32  0\n    b  i32  0\n";
    assert_eq!(parse(&source(text)).expect_err("a number has no fields").fault, Fault::BadIndent);
    assert_eq!(parse(&source("  a  i32  0\n")).expect_err("no message").fault, Fault::BadIndent);
}

#[test]
fn a_folder_decides_the_module() {
    let text = "data D versions 0 flexible none\n".to_owned();
    let raft = Source { path: "records/raft/d.kmsg".to_owned(), text: text.clone() };
    assert_eq!(parse(&raft).expect("good")[0].room, Room::Raft);
    for path in ["d.kmsg", "records/other/d.kmsg"] {
        assert!(parse(&Source { path: path.to_owned(), text: text.clone() }).is_err(), "{path}");
    }
}
