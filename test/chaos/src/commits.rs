//! A group that commits one offset after the other, each greater than the one before: what is found
//! after an outage must not be smaller than what was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use dohle_client::{Admin, CommittedOffset, Consumer, ConsumerConfig, Offset, Str, TopicPartition};
use tokio::task::JoinHandle;

use crate::{
    judge::Findings,
    load::{TOPIC, client_config},
};

const GROUP: &str = "chaos";
/// How long a commit is waited for before the next is tried: for ever. One that is given up may
/// still wait in a connection, and overtake the next.
const PATIENCE: Duration = Duration::from_secs(600);

/// A group at work.
pub(crate) struct Commits {
    address: String,
    tried: Arc<AtomicI64>,
    acknowledged: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Commits {
    pub(crate) fn start(address: &str) -> Result<Self> {
        let (tried, acknowledged) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let mut client = client_config(address)?;
        (client.request_timeout, client.api_timeout) = (PATIENCE, PATIENCE);
        let group_id = Some(GROUP.into());
        let config = ConsumerConfig { group_id, ..ConsumerConfig::new(client) };
        let task = tokio::spawn(work(config, Arc::clone(&tried), Arc::clone(&acknowledged)));
        Ok(Self { address: address.to_owned(), tried, acknowledged, task })
    }

    pub(crate) fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Asks what is committed.
    ///
    /// # Errors
    /// The node cannot be asked.
    pub(crate) async fn look(&self, findings: &mut Findings) -> Result<()> {
        let least = self.acknowledged();
        let admin = Admin::new(client_config(&self.address)?)?;
        let found = admin.list_group_offsets(&Str::from(GROUP), false).await?;
        let found = found.get(&TopicPartition::new(TOPIC, 0));
        let found = match found {
            Some(Ok(committed)) => committed.offset.0,
            Some(Err(code)) => anyhow::bail!("committed offsets: {code:?}"),
            None => 0,
        };
        let most = self.tried.load(Ordering::SeqCst);
        if found < least || found > most {
            findings.add(format!(
                "group {GROUP}: offset {found} is committed; {least} was acknowledged, {most} tried"
            ));
        }
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

async fn work(config: ConsumerConfig, tried: Arc<AtomicI64>, acknowledged: Arc<AtomicI64>) {
    let partition = TopicPartition::new(TOPIC, 0);
    loop {
        let Ok(mut consumer) = Consumer::new(config.clone()) else { return };
        consumer.assign([partition.clone()]).await;
        loop {
            let offset = tried.fetch_add(1, Ordering::SeqCst) + 1;
            let committed = CommittedOffset::new(Offset(offset));
            let commit = consumer.commit_offsets(BTreeMap::from([(partition.clone(), committed)]));
            match commit.await {
                Ok(()) => acknowledged.store(offset, Ordering::SeqCst),
                Err(_) => break,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        consumer.close().await;
    }
}
