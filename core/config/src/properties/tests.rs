//! Goal: files read and write as with `java.util.Properties`. Method: tables whose right column is
//! what Java 17 answered.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Vec<(String, String)> {
    let bytes: Vec<u8> =
        text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    let properties = Properties::parse_latin1(&bytes).expect("well-formed");
    properties.iter().map(|(k, p)| (k.to_string(), p.value.to_string())).collect()
}

#[test]
fn lines_are_read_as_java_reads_them() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("a=1", &[("a", "1")]),
        ("a = 1 ", &[("a", "1 ")]),
        ("a:1", &[("a", "1")]),
        ("a 1", &[("a", "1")]),
        ("a\t1", &[("a", "1")]),
        ("a\u{c}b", &[("a", "b")]),
        ("a=\u{b}1", &[("a", "\u{b}1")]),
        ("a==1", &[("a", "=1")]),
        ("a=:1", &[("a", ":1")]),
        ("a : = 1", &[("a", "= 1")]),
        ("a", &[("a", "")]),
        ("a=", &[("a", "")]),
        ("=1", &[("", "1")]),
        (":x", &[("", "x")]),
        ("  a=1", &[("a", "1")]),
        ("a=  b  c  ", &[("a", "b  c  ")]),
        // Comments, and what only looks like one.
        (" # c\na=1", &[("a", "1")]),
        ("!c\\\na=1", &[("a", "1")]),
        ("#", &[]),
        ("a=#1", &[("a", "#1")]),
        ("a=1\\\n#2", &[("a", "1#2")]),
        ("\\#a=1", &[("#a", "1")]),
        // Continuations.
        ("a=1\\\n  2", &[("a", "12")]),
        ("a=1\\\\\nb=2", &[("a", "1\\"), ("b", "2")]),
        ("a=1\\\\\\\n2", &[("a", "1\\2")]),
        ("a=1\\\n\nb=2", &[("a", "1"), ("b", "2")]),
        ("a=1\\\n   \\\n   2", &[("a", "12")]),
        ("a=b\\\n   ", &[("a", "b")]),
        ("a\\\nb=1", &[("ab", "1")]),
        ("a \\\n = 1", &[("a", "1")]),
        ("a=1\\", &[("a", "1")]),
        ("a\\\n", &[("a", "")]),
        ("\\\n  a=1", &[("a", "1")]),
        ("\\\n#c\na=1", &[("a", "1")]),
        ("\\\n\\\nb=1", &[("b", "1")]),
        // Line ends.
        ("a=1\rb=2", &[("a", "1"), ("b", "2")]),
        ("a=1\\\r\n  2\r\nb=2", &[("a", "12"), ("b", "2")]),
        ("a=1\\\r\n\r\nb=2", &[("a", "1"), ("b", "2")]),
        // Escapes.
        ("a\\ b=1", &[("a b", "1")]),
        ("a\\:b\\=c=1", &[("a:b=c", "1")]),
        ("a=1\\ ", &[("a", "1 ")]),
        ("a=\\t\\n\\r\\f\\x\\\\", &[("a", "\t\n\r\u{c}x\\")]),
        ("a=\\u00e4", &[("a", "ä")]),
        ("a=\\ud83d\\ude00", &[("a", "😀")]),
        ("\\u0061=1", &[("a", "1")]),
        // Bytes are ISO 8859-1.
        ("a=\u{e4}", &[("a", "ä")]),
        ("a=\u{c3}\u{a4}", &[("a", "Ã¤")]),
        ("a=1\na=2", &[("a", "2")]),
    ];
    for (text, wanted) in table {
        let wanted: Vec<_> = wanted.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        assert_eq!(read(text), wanted, "{text:?}");
    }
}

#[test]
fn a_backslash_at_the_very_end_sets_nothing() {
    // Java sets the empty key here, which nobody can mean.
    assert_eq!(read("\\"), []);
    assert_eq!(read("a=x\n\\\n"), [("a".into(), "x".into())]);
}

#[test]
fn every_key_knows_its_line() {
    let text = "# one\n\na=1\nb=2,\\\n  3\n\nc=4\r\nd=5\ra=6";
    let properties = Properties::parse(text).expect("well-formed");
    let lines: Vec<_> = properties.iter().map(|(k, p)| (k.as_str(), p.line)).collect();
    assert_eq!(lines, [("a", 9), ("b", 4), ("c", 7), ("d", 8)]);
    assert_eq!(properties.repeated(), [Repeated { key: "a".into(), line: 3, winner: 9 }]);
}

#[test]
fn bad_escapes_name_their_line() {
    for text in ["a=1\nb=\\u12", "a=1\nb=\\u12g4", "a=1\n\\u", "\nb\\u+123=1"] {
        assert_eq!(
            Properties::parse(text),
            Err(PropertiesError::BadEscape { line: 2 }),
            "{text:?}"
        );
    }
    assert_eq!(Properties::parse("b=\\ud83d"), Err(PropertiesError::HalfCharacter { line: 1 }));
}

#[test]
fn text_is_written_as_java_writes_it() {
    let properties =
        Properties::from_iter([("a b", "  x y=z:#!\\ \tä😀"), ("node.id", "1"), ("empty", "")]);
    assert_eq!(
        properties.to_text(&["", "from a\ntest"]),
        "#\n\
         #from a test\n\
         a\\ b=\\  x y\\=z\\:\\#\\!\\\\ \\t\\u00E4\\uD83D\\uDE00\n\
         empty=\n\
         node.id=1\n"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(pairs in proptest::collection::btree_map(".{1,8}", ".{0,12}", 0..6)) {
        let written = Properties::from_iter(pairs.clone()).to_text(&["comment"]);
        prop_assert!(written.is_ascii());
        let read: std::collections::BTreeMap<String, String> = read(&written).into_iter().collect();
        prop_assert_eq!(read, pairs);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        // Errors are as good as values here.
        _ = Properties::parse_latin1(&bytes);
    }

    #[test]
    fn no_text_of_special_characters_makes_it_panic(text in "[a\\\\u0=: \r\n#!]{0,32}") {
        _ = Properties::parse(&text);
    }
}
