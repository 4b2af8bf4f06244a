//! What a thread keeps for its next answers.

use dohle_log::LogConfig;
use dohle_protocol::api::list_groups_response::{ListGroupsResponse, ListedGroup};

use super::*;
use crate::{OpenFiles, kit::kit};

/// An answer of about so many KiB.
fn answer(kib: usize) -> Body<ListGroupsResponse> {
    let group = ListedGroup { group_id: "x".repeat(1_020).into(), ..ListedGroup::default() };
    Body::plain(ListGroupsResponse { groups: vec![group; kib], ..ListGroupsResponse::default() })
}

/// How much is left for the next answer behind one of this size.
fn left_behind(encoder: &Encoder, kib: usize) -> usize {
    let response = encoder.encode(ApiKey::ListGroups, 0, 1, &mut answer(kib));
    assert!(response.is_some());
    encoder.output.borrow().capacity()
}

/// The rest is little, and keeps all of it.
#[test]
fn the_buffer_of_a_long_answer_goes_with_it() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    let tally = kit.broker.metrics.tally(0);
    let encoder = Encoder { tally, output: RefCell::default() };
    for kib in [924, 300, 1_000, 3_000] {
        assert_eq!(left_behind(&encoder, kib), 0, "{kib} KiB");
    }
    let left = left_behind(&encoder, 1);
    assert!((1..OUTPUT_SIZE).contains(&left), "{left}");
    assert!(left_behind(&encoder, 1) < left, "it is what the next one is written into");
    // Of the same memory, and of memory that has grown.
    assert!((1..OUTPUT_KEPT_MAX).contains(&left_behind(&encoder, 100)));
}
