//! Goal: a member whose answer a slow disk holds back is not taken for one that has fallen silent.

use std::time::Duration;

use dohle_base::{ErrorCode, Now, Offset, Str, Uuid};
use dohle_group::{
    Caller, Command, Effect, GroupMachine, GroupRecord, GroupSettings, Reply, ReplyToken,
};
use dohle_machine::{Journal, Runtime};
use dohle_protocol::api::{
    join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
    sync_group_request::SyncGroupRequest,
};

const SESSION: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(1);
/// The last one in which members need no id beforehand.
const VERSION: i16 = 3;

#[derive(Default)]
struct Log(Vec<GroupRecord>);

impl Journal<GroupRecord> for Log {
    type Error = ();

    fn append(&mut self, records: &[GroupRecord]) -> Result<Offset, ()> {
        let first = Offset(self.0.len() as i64);
        self.0.extend_from_slice(records);
        Ok(first)
    }
}

/// A coordinator whose log is committed when told.
#[derive(Default)]
struct Stage {
    runtime: Runtime<GroupMachine>,
    log: Log,
    now: Now,
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self::default();
        let settings = GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() };
        stage.hand(Command::Configure(settings));
        stage.hand(Command::Loaded);
        stage
    }

    fn hand(&mut self, command: Command) {
        self.runtime.handle(self.now, command, &mut self.log).unwrap();
    }

    /// Time passes.
    fn wait(&mut self, time: Duration) {
        self.now.instant = self.now.instant + time;
        while self.runtime.deadline().is_some_and(|deadline| deadline <= self.now.instant) {
            self.runtime.tick(self.now, &mut self.log).unwrap();
        }
    }

    /// All that was appended is committed: the answers that rest on it.
    fn commit(&mut self) -> Vec<Reply> {
        self.runtime.handle_high_watermark(self.runtime.applied_end());
        let mut replies = Vec::new();
        while let Some(effect) = self.runtime.poll_effect() {
            match effect {
                Effect::Reply { reply, .. } => replies.push(reply),
                Effect::Told { group_id, member_id } => {
                    self.hand(Command::Told { group_id, member_id });
                }
                Effect::ParkedJoin { .. } => {}
                Effect::TombstoneTooLarge(_) => panic!("{effect:?}"),
            }
        }
        replies
    }

    fn join(&mut self) {
        let protocols = vec![JoinGroupRequestProtocol::default()];
        let request = JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".into(),
            protocols,
            ..JoinGroupRequest::default()
        };
        self.hand(Command::Join { caller: caller(), request, fresh_id: Uuid(5) });
        self.wait(Duration::ZERO);
    }

    fn sync(&mut self, member_id: Str) {
        let (group_id, generation_id) = ("g".into(), 1);
        let request =
            SyncGroupRequest { group_id, generation_id, member_id, ..SyncGroupRequest::default() };
        self.hand(Command::Sync(caller(), request));
    }
}

fn caller() -> Caller {
    Caller { token: ReplyToken(1), api_version: VERSION, ..Caller::default() }
}

/// Source: Kafka 4.4, where members wait for their assignment until its record is written.
#[test]
fn a_session_begins_when_the_answer_leaves() {
    let mut stage = Stage::new();
    stage.join();
    stage.wait(2 * SESSION);
    let replies = stage.commit();
    let [Reply::Join(joined)] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(joined.error_code, ErrorCode::NONE, "it is answered late, and in");
    stage.wait(SESSION - MOMENT);
    // Asked for again while the first answer is held.
    stage.sync(joined.member_id.clone());
    stage.sync(joined.member_id.clone());
    let written = stage.log.0.len();
    stage.wait(2 * SESSION);
    assert_eq!(stage.log.0.len(), written, "it is in the group still");
    let replies = stage.commit();
    let answered =
        |reply: &Reply| matches!(reply, Reply::Sync(told) if told.error_code == ErrorCode::NONE);
    assert!(replies.len() == 2 && replies.iter().all(answered), "{replies:?}");
    stage.wait(SESSION - MOMENT);
    assert_eq!(stage.log.0.len(), written, "its session has begun with the answer");
    stage.wait(MOMENT);
    assert!(stage.log.0.len() > written, "who is silent then is out");
}
