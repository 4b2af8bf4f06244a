//! Goal: whoever asks is answered, whatever becomes of the thread.

use dohle_group::Caller;
use dohle_protocol::api::heartbeat_request::HeartbeatRequest;

use super::*;

fn heartbeat(coordinator: &Coordinator) -> Command {
    let caller = Caller {
        token: coordinator.token(),
        api_version: 4,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
    };
    Command::Heartbeat(caller, HeartbeatRequest::default())
}

fn error_of(reply: Reply) -> ErrorCode {
    match reply {
        Reply::Heartbeat(response) => response.error_code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_that_the_thread_dies_with_is_refused() {
    let (inbox, mut events) = mpsc::channel(1);
    let coordinator = Coordinator { inbox, next_token: AtomicU64::new(0) };
    let asked = coordinator.ask(PartitionId(0), heartbeat(&coordinator));
    let dies = async {
        drop(events.recv().await);
        drop(events);
    };
    let (reply, ()) = tokio::join!(asked, dies);
    assert_eq!(error_of(reply), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    let reply = coordinator.ask(PartitionId(0), heartbeat(&coordinator)).await;
    assert_eq!(error_of(reply), ErrorCode::COORDINATOR_NOT_AVAILABLE, "and all after it");
}
