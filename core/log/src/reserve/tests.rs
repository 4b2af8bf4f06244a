use super::*;

const MIB: u32 = 1 << 20;

#[test]
fn a_large_segment_asks_for_a_quarter_of_what_it_holds() {
    let config = LogConfig::default();
    let mut reserve = Reserve::NONE;
    assert_eq!(reserve.due(MIB - 1, 4_096, &config), None, "small ones do not ask");
    assert_eq!(reserve.due(4 * MIB, 4_096, &config), Some(5 * MIB));
    reserve.reach(5 * MIB);
    assert_eq!(reserve.due(5 * MIB - 4_096, 4_096, &config), None, "it fits exactly");
    assert_eq!(reserve.due(5 * MIB - 4_096, 4_097, &config), Some((5 * MIB - 4_096) / 4 * 5));
}

#[test]
fn no_step_is_longer_than_the_most_or_than_the_segment() {
    let (config, reserve) = (LogConfig::default(), Reserve::NONE);
    assert_eq!(reserve.due(512 * MIB, 1, &config), Some(512 * MIB + STEP_MAX));
    assert_eq!(reserve.due(1_022 * MIB, 1, &config), Some(1_024 * MIB));
    assert_eq!(reserve.due(u32::MAX, u32::MAX, &config), None);
}

#[test]
fn a_batch_larger_than_a_step_does_not_ask() {
    assert_eq!(Reserve::NONE.due(2 * MIB, 8 * MIB, &LogConfig::default()), None);
}

#[test]
fn preallocate_asks_for_the_whole_segment_once() {
    let config = LogConfig { preallocate: true, ..LogConfig::default() };
    let mut reserve = Reserve::NONE;
    assert_eq!(reserve.due(0, 100, &config), Some(1 << 30));
    reserve.reach(1 << 30);
    assert_eq!(reserve.due(700 * MIB, 100, &config), None);
}

#[test]
fn after_a_refusal_nobody_asks_and_there_is_nothing_to_give_back() {
    let config = LogConfig { preallocate: true, ..LogConfig::default() };
    let mut reserve = Reserve::UNKNOWN;
    reserve.refuse();
    assert_eq!(reserve.due(4 * MIB, 4_096, &config), None);
    assert!(!reserve.exceeds(100));
}

#[test]
fn what_goes_back_is_what_is_left_or_may_be() {
    let mut reserve = Reserve::NONE;
    assert!(!reserve.exceeds(4 * MIB));
    reserve.reach(5 * MIB);
    assert!(reserve.exceeds(5 * MIB - 1) && !reserve.exceeds(5 * MIB));
    assert!(reserve.exceeds_much(4 * MIB - 1) && !reserve.exceeds_much(4 * MIB));
    assert!(Reserve::UNKNOWN.exceeds(100) && Reserve::UNKNOWN.exceeds_much(100));
}
