//! Goal: integers are those of Kafka at every length. Method: a table, and all lengths both ways.

use crate::RecordFault;
use crate::varint::{put_varlong, take_varint, take_varlong, varlong_size};

#[test]
fn integers_are_folded_and_cut_into_sevens() {
    let cases: [(i64, &[u8]); 8] = [
        (0, &[0]),
        (-1, &[1]),
        (63, &[0x7e]),
        (-64, &[0x7f]),
        (64, &[0x80, 0x01]),
        (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
    ];
    for (value, bytes) in cases {
        let mut out = Vec::new();
        put_varlong(&mut out, value);
        assert_eq!(out, bytes);
        assert_eq!(varlong_size(value), bytes.len());
        assert_eq!(take_varlong(&mut out.as_slice()), Ok(value));
        if let Ok(value) = i32::try_from(value) {
            assert_eq!(take_varint(&mut out.as_slice()), Ok(value));
        }
    }
}

#[test]
fn every_power_of_two_and_its_neighbours_are_read_back() {
    for shift in 0..64 {
        for value in [(1_i64 << shift).wrapping_sub(1), 1 << shift, (1_i64 << shift).wrapping_neg()]
        {
            let mut out = Vec::new();
            put_varlong(&mut out, value);
            assert_eq!(out.len(), varlong_size(value));
            let mut rest = out.as_slice();
            assert_eq!(take_varlong(&mut rest), Ok(value));
            assert!(rest.is_empty());
        }
    }
}

#[test]
fn overlong_and_cut_integers_are_told_apart() {
    assert_eq!(take_varint(&mut [].as_slice()), Err(RecordFault::Truncated));
    assert_eq!(take_varint(&mut [0x80, 0x80].as_slice()), Err(RecordFault::Truncated));
    assert_eq!(take_varint(&mut [0x80; 5].as_slice()), Err(RecordFault::BadVarint));
    assert_eq!(take_varint(&mut [0xff, 0xff, 0xff, 0xff, 0x10].as_slice()), {
        Err(RecordFault::BadVarint)
    });
    assert_eq!(take_varlong(&mut [0x80; 10].as_slice()), Err(RecordFault::BadVarint));
    let mut too_wide = [0xff; 10];
    too_wide[9] = 2;
    assert_eq!(take_varlong(&mut too_wide.as_slice()), Err(RecordFault::BadVarint));
    // Not the shortest, but no wider than its type.
    assert_eq!(take_varint(&mut [0x82, 0x00].as_slice()), Ok(1));
}
