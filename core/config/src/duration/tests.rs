//! Goal: durations are read as `java.time.Duration.parse` reads them. The right column is what
//! Java 17 answered, in nanoseconds.

use super::*;

const SECOND: i128 = NANOS_PER_SECOND;

#[test]
fn durations_are_read_as_java_reads_them() {
    let table: &[(&str, Option<i128>)] = &[
        ("PT1H", Some(3_600 * SECOND)),
        ("P1D", Some(86_400 * SECOND)),
        ("P1DT2H3M4.5S", Some(93_784 * SECOND + SECOND / 2)),
        ("pt1h", Some(3_600 * SECOND)),
        ("-PT1H", Some(-3_600 * SECOND)),
        ("PT-1H", Some(-3_600 * SECOND)),
        ("-PT-1H", Some(3_600 * SECOND)),
        ("PT0.5S", Some(SECOND / 2)),
        ("PT-0.5S", Some(-SECOND / 2)),
        ("PT1.S", Some(SECOND)),
        ("PT1,5S", Some(SECOND * 3 / 2)),
        ("P-1D", Some(-86_400 * SECOND)),
        ("P1DT-25H", Some(-3_600 * SECOND)),
        ("PT+5M", Some(300 * SECOND)),
        ("-PT0S", Some(0)),
        ("P106751991167300D", Some(9_223_372_036_854_720_000 * SECOND)),
        ("P106751991167301D", None),
        ("", None),
        ("P", None),
        ("PT", None),
        ("P1DT", None),
        ("PT1", None),
        ("PT.5S", None),
        ("PT1S2M", None),
        ("PT1.1234567890S", None),
        ("P1H", None),
        ("P1.5D", None),
        ("PT 1S", None),
        ("PTH", None),
        ("1H", None),
    ];
    for (text, wanted) in table {
        assert_eq!(parse_duration(text).map(|d| d.nanos), *wanted, "{text}");
    }
}
