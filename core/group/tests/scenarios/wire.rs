//! That an answer can be sent in the version in which it was asked for.

use dohle_group::{Reply, fetch_response};
use dohle_protocol::{
    Message,
    api::{
        delete_groups_response::DeleteGroupsResponse,
        describe_groups_response::DescribeGroupsResponse, list_groups_response::ListGroupsResponse,
    },
};

/// Encodes an answer; a version above the newest stands for the newest.
pub(crate) fn assert_fits(reply: &Reply, version: i16) {
    match reply {
        Reply::Join(answer) => assert_sent(answer, version),
        Reply::Sync(answer) => assert_sent(answer, version),
        Reply::Heartbeat(answer) => assert_sent(answer, version),
        Reply::Leave(answer) => assert_sent(answer, version),
        Reply::OffsetCommit(answer) => assert_sent(answer, version),
        Reply::OffsetFetch(group) => {
            // A story's version is that of the group; the newest of the older form is 7.
            for version in [version, 7] {
                assert_sent(&fetch_response(vec![group.clone()], version), version);
            }
        }
        Reply::OffsetDelete(answer) => assert_sent(answer, version),
        Reply::DescribeGroups(groups) => assert_sent(
            &DescribeGroupsResponse { groups: groups.clone(), ..Default::default() },
            version,
        ),
        Reply::ListGroups(groups) => {
            assert_sent(
                &ListGroupsResponse {
                    error_code: groups.as_ref().err().copied().unwrap_or_default(),
                    groups: groups.clone().unwrap_or_default(),
                    ..Default::default()
                },
                version,
            );
        }
        Reply::DeleteGroups(results) => assert_sent(
            &DeleteGroupsResponse { results: results.clone(), ..Default::default() },
            version,
        ),
    }
}

fn assert_sent<M: Message>(answer: &M, version: i16) {
    let version = version.min(M::MAX_VERSION);
    if let Err(error) = answer.to_bytes(version) {
        panic!("{} cannot be sent in version {version}: {error}", M::NAME);
    }
}
