//! Sessions are driven request by request, as a consumer does, and the shape of each answer is
//! compared with what KIP-227 promises.

use super::*;

fn wanted(partition: i32, fetch_offset: i64) -> WantedPartition {
    WantedPartition {
        topic_id: TopicId::ZERO,
        topic: "t".into(),
        partition: PartitionId(partition),
        fetch_offset: Offset(fetch_offset),
        max_bytes: 1024,
        current_leader_epoch: LeaderEpoch::NONE,
        last_fetched_epoch: LeaderEpoch::NONE,
    }
}

fn request(id: i32, epoch: i32, partitions: &[i32]) -> SessionRequest {
    SessionRequest {
        id,
        epoch,
        by_topic_id: false,
        wanted: partitions.iter().map(|p| wanted(*p, 0)).collect(),
        forgotten: Vec::new(),
    }
}

fn quiet(high_watermark: i64) -> PartitionNews {
    PartitionNews {
        error: ErrorCode::NONE,
        high_watermark: Offset(high_watermark),
        log_start_offset: Offset(0),
        has_records: false,
        has_advice: false,
    }
}

fn with_records(high_watermark: i64) -> PartitionNews {
    PartitionNews { has_records: true, ..quiet(high_watermark) }
}

fn cache(slots: usize) -> SessionCache {
    let limits = SessionLimits { slots, ..SessionLimits::default() };
    SessionCache::new(limits, Rng::from_seed(1))
}

fn opened(cache: &mut SessionCache, partitions: &[i32]) -> i32 {
    let plan = cache.begin(Instant(0), request(0, 0, partitions)).unwrap();
    let news = vec![quiet(0); partitions.len()];
    let shape = cache.finish(Instant(0), &plan, &news);
    assert!(shape.included.iter().all(|told| *told), "a full answer tells everything");
    shape.session_id
}

#[test]
fn an_incremental_answer_tells_only_news() {
    let mut cache = cache(10);
    let id = opened(&mut cache, &[0, 1, 2]);
    assert_ne!(id, 0);
    let plan = cache.begin(Instant(1), request(id, 1, &[])).unwrap();
    assert_eq!(plan.partitions.len(), 3);
    let shape = cache.finish(Instant(1), &plan, &[quiet(0), with_records(5), quiet(7)]);
    assert_eq!((shape.session_id, &shape.included[..]), (id, &[false, true, true][..]));
}

#[test]
fn a_partition_with_records_goes_to_the_end() {
    let mut cache = cache(10);
    let id = opened(&mut cache, &[0, 1, 2]);
    let plan = cache.begin(Instant(1), request(id, 1, &[])).unwrap();
    cache.finish(Instant(1), &plan, &[with_records(5), quiet(0), quiet(0)]);
    let plan = cache.begin(Instant(2), request(id, 2, &[])).unwrap();
    let order: Vec<i32> = plan.partitions.iter().map(|p| p.partition.0).collect();
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn changed_and_forgotten_partitions_are_taken_over() {
    let mut cache = cache(10);
    let id = opened(&mut cache, &[0, 1]);
    let mut next = request(id, 1, &[]);
    next.wanted.push(wanted(1, 77));
    next.forgotten.push((TopicId::ZERO, "t".into(), PartitionId(0)));
    let plan = cache.begin(Instant(1), next).unwrap();
    assert_eq!(plan.partitions[..], [wanted(1, 77)]);
}

#[test]
fn after_an_error_the_next_answer_is_told() {
    let mut cache = cache(10);
    let id = opened(&mut cache, &[0]);
    let failed = PartitionNews { error: ErrorCode::KAFKA_STORAGE_ERROR, ..quiet(0) };
    for (epoch, (news, told)) in (1..).zip([(failed, true), (quiet(0), true), (quiet(0), false)]) {
        let plan = cache.begin(Instant(1), request(id, epoch, &[])).unwrap();
        assert_eq!(cache.finish(Instant(1), &plan, &[news]).included[..], [told], "epoch {epoch}");
    }
}

#[test]
fn wrong_ids_epochs_and_kinds_are_refused() {
    let mut cache = cache(10);
    let id = opened(&mut cache, &[0]);
    let refused = |cache: &mut SessionCache, request| cache.begin(Instant(1), request).unwrap_err();
    let other_id = if id == 1 { 2 } else { id - 1 };
    assert_eq!(
        refused(&mut cache, request(other_id, 1, &[])),
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
    );
    assert_eq!(refused(&mut cache, request(id, 2, &[])), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    let by_id = SessionRequest { by_topic_id: true, ..request(id, 1, &[]) };
    assert_eq!(refused(&mut cache, by_id), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    assert!(cache.begin(Instant(1), request(id, 1, &[])).is_ok(), "a refusal changes nothing");
}

#[test]
fn closing_and_emptying_end_a_session() {
    let mut cache = cache(10);
    let id = opened(&mut cache, &[0]);
    cache.begin(Instant(1), request(id, -1, &[0])).unwrap();
    assert_eq!(cache.count(), 0);
    let id = opened(&mut cache, &[0]);
    let mut empty = request(id, 1, &[]);
    empty.forgotten.push((TopicId::ZERO, "t".into(), PartitionId(0)));
    let plan = cache.begin(Instant(1), empty).unwrap();
    assert_eq!(cache.finish(Instant(1), &plan, &[]).session_id, 0);
    assert_eq!(cache.count(), 0);
}

#[test]
fn a_full_cache_gives_way_only_to_idleness() {
    let mut cache = cache(1);
    assert_ne!(opened(&mut cache, &[0]), 0);
    assert_eq!(opened(&mut cache, &[0]), 0, "the first one is fresh");
    let later = Instant(0) + Duration::from_secs(121);
    let plan = cache.begin(later, request(0, 0, &[0])).unwrap();
    assert_ne!(cache.finish(later, &plan, &[quiet(0)]).session_id, 0);
    assert_eq!(cache.count(), 1);
}

#[test]
fn epochs_wrap_to_one() {
    assert_eq!([epoch_after(1), epoch_after(i32::MAX)], [2, 1]);
}

#[test]
fn sessions_together_remember_a_bounded_number_of_partitions() {
    let limits = SessionLimits { partitions: 5, ..SessionLimits::default() };
    let mut cache = SessionCache::new(limits, Rng::from_seed(1));
    let three = opened(&mut cache, &[0, 1, 2]);
    assert_eq!(opened(&mut cache, &[0, 1, 2]), 0, "six would be too many");
    let two = opened(&mut cache, &[0, 1]);
    assert_ne!(two, 0);
    // What is named again is not counted again.
    assert!(cache.begin(Instant(1), request(two, 1, &[0, 1])).is_ok());
    let grown = cache.begin(Instant(1), request(three, 1, &[3]));
    assert_eq!(grown, Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
    assert_eq!((cache.count(), cache.partitions), (1, 2));
    let mut shrunk = request(two, 2, &[]);
    shrunk.forgotten.push((TopicId::ZERO, "t".into(), PartitionId(0)));
    cache.begin(Instant(1), shrunk).unwrap();
    assert_eq!(cache.partitions, 1);
    cache.begin(Instant(1), request(two, -1, &[])).unwrap();
    assert_eq!(cache.partitions, 0);
}

#[test]
fn idle_sessions_give_way_to_a_large_one() {
    let limits = SessionLimits { partitions: 5, ..SessionLimits::default() };
    let mut cache = SessionCache::new(limits, Rng::from_seed(1));
    for _ in 0..5 {
        assert_ne!(opened(&mut cache, &[0]), 0);
    }
    let later = Instant(0) + Duration::from_secs(121);
    let plan = cache.begin(later, request(0, 0, &[0, 1, 2])).unwrap();
    assert_ne!(cache.finish(later, &plan, &[quiet(0); 3]).session_id, 0);
    assert_eq!((cache.count(), cache.partitions), (3, 5), "three had to go");
    // A request that is larger than all may be drives nobody out.
    let plan = cache.begin(later, request(0, 0, &[0, 1, 2, 3, 4, 5])).unwrap();
    assert_eq!(cache.finish(later, &plan, &[quiet(0); 6]).session_id, 0);
    assert_eq!(cache.count(), 3);
}

#[test]
fn only_who_has_no_session_and_wants_none_needs_no_cache() {
    for (id, epoch) in [(0, 0), (5, 0), (5, -1), (5, 3), (0, 1)] {
        let mut asked = request(id, epoch, &[0, 1]);
        assert_eq!(asked.without_session(), None, "{id}, {epoch}");
        assert_eq!(asked, request(id, epoch, &[0, 1]));
    }
    let asked = request(0, -1, &[0, 1]);
    let plan = asked.clone().without_session().unwrap();
    let mut cache = cache(10);
    assert_eq!(cache.begin(Instant(0), asked), Ok(plan.clone()), "what the cache says");
    let shape = cache.finish(Instant(0), &plan, &[quiet(0), with_records(4)]);
    assert_eq!(plan.shape_without_session(), Some(shape));

    let id = opened(&mut cache, &[0]);
    for (id, epoch) in [(0, 0), (id, 1)] {
        let plan = cache.begin(Instant(0), request(id, epoch, &[0])).unwrap();
        assert_eq!(plan.shape_without_session(), None, "{id}, {epoch}");
    }
}
