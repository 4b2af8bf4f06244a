//! Goal: what is shown is what is there, for all schemas, and no bytes harm.
//! Method: random messages of every schema and version walked to their last byte; the same cut and
//! changed everywhere; forms recorded of Kafka's tools.

use dohle_base::Rng;

use super::*;
use crate::{
    Message, Versions, random,
    records::metadata::{
        client_quota_record::{ClientQuotaRecord, EntityData},
        partition_change_record::PartitionChangeRecord,
    },
};

fn each_random_message(mut check: impl FnMut(&'static crate::Schema, i16, &[u8])) {
    let mut rng = Rng::from_seed(11);
    for codec in random::codecs() {
        let Versions { first, last } = codec.schema.versions;
        for version in first..=last {
            for _ in 0..3 {
                let bytes = codec.encode_random(&mut rng, version).unwrap();
                check(codec.schema, version, &bytes);
            }
        }
    }
}

#[test]
fn every_message_is_walked_to_its_last_byte() {
    each_random_message(|schema, version, bytes| {
        let (json, left) = read(schema, bytes, version).unwrap();
        assert_eq!(left, 0, "{} {version}", schema.name);
        assert!(matches!(json, Json::Object(_)));
    });
}

#[test]
fn no_bytes_harm() {
    let mut rng = Rng::from_seed(12);
    each_random_message(|schema, version, bytes| {
        for end in 0..bytes.len().min(60) {
            assert!(read(schema, &bytes[..end], version).is_err(), "{} {version}", schema.name);
        }
        if !bytes.is_empty() {
            let mut bytes = bytes.to_vec();
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
            if let Ok((json, _)) = read(schema, &bytes, version) {
                let _ = json.to_string();
            }
        }
    });
}

#[test]
fn tagged_fields_are_shown_where_they_are_not_at_their_default() {
    let record = PartitionChangeRecord::default();
    let shown = |record: &PartitionChangeRecord| {
        let bytes = record.to_bytes(0).unwrap();
        read(&PartitionChangeRecord::SCHEMA, &bytes, 0).unwrap().0.to_string()
    };
    assert_eq!(shown(&record), r#"{"partitionId":-1,"topicId":"AAAAAAAAAAAAAAAAAAAAAA"}"#);
    let record = PartitionChangeRecord {
        isr: Some(vec![dohle_base::BrokerId(3), dohle_base::BrokerId(1)]),
        leader: dohle_base::BrokerId(1),
        ..record
    };
    assert_eq!(
        shown(&record),
        r#"{"partitionId":-1,"topicId":"AAAAAAAAAAAAAAAAAAAAAA","isr":[3,1],"leader":1}"#
    );
    // On the wire, but with the default: tag 1 of four bytes, the leader −2.
    let mut bytes = PartitionChangeRecord::default().to_bytes(0).unwrap().to_vec();
    *bytes.last_mut().unwrap() = 1;
    bytes.extend([1, 4, 0xff, 0xff, 0xff, 0xfe]);
    let (json, left) = read(&PartitionChangeRecord::SCHEMA, &bytes, 0).unwrap();
    assert_eq!((json.get("leader"), left), (None, 0));
}

#[test]
fn a_nullable_field_and_a_fraction() {
    let record = ClientQuotaRecord {
        entity: vec![EntityData { entity_type: "user".into(), entity_name: None }],
        key: "a\"b\n".into(),
        value: 1.25e9,
        remove: true,
    };
    let bytes = record.to_bytes(0).unwrap();
    let (json, _) = read(&ClientQuotaRecord::SCHEMA, &bytes, 0).unwrap();
    assert_eq!(
        json.to_string(),
        r#"{"entity":[{"entityType":"user","entityName":null}],"key":"a\"b\n","value":1.25E9,"remove":true}"#
    );
}

#[test]
fn fractions_are_written_as_in_java() {
    let rows = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.001, "0.001"),
        (0.000_9, "9.0E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-123_456_789.5, "-1.234567895E8"),
        (1e300, "1.0E300"),
        (f64::NAN, "\"NaN\""),
        (f64::NEG_INFINITY, "\"-Infinity\""),
    ];
    for (value, text) in rows {
        assert_eq!(Json::Real(value).to_string(), text);
    }
}

#[test]
fn text_is_escaped_as_jackson_does_it() {
    let text = Json::Text("\u{1}\u{1f}\u{7f}\t\\/é€🐦".into()).to_string();
    assert_eq!(text, "\"\\u0001\\u001F\u{7f}\\t\\\\/é€🐦\"");
    assert_eq!(Json::Bytes(vec![0xff, 0xfe, 0x01, 0x02]).to_string(), "\"//4BAg==\"");
}

#[test]
fn an_array_of_nothing_does_not_fill_the_memory() {
    // An array that claims as many elements as bytes are left, each of which is an empty struct.
    static INNER: crate::Schema = crate::Schema {
        name: "Nested",
        module: "",
        kind: crate::Kind::Data,
        key: None,
        versions: Versions { first: 0, last: 0 },
        flexible: None,
        on_broker: false,
        on_controller: false,
        latest_unstable: false,
        fields: &[crate::FieldSchema {
            name: "Empty",
            type_name: "[]Nothing",
            domain: "Nothing",
            versions: Versions { first: 0, last: 0 },
            nullable: None,
            tag: None,
            default: None,
            ignorable: false,
            plain: false,
            fields: &[],
        }],
    };
    let count = 5_000_000_u32;
    let mut bytes = count.to_be_bytes().to_vec();
    bytes.resize(count as usize + 4, 0);
    assert_eq!(read(&INNER, &bytes, 0).unwrap_err(), JsonError::TooManyValues);
}
