//! The current revision, asked once for all who ask at the same time.

use std::sync::Arc;

use daemon::supervise::{Done, Supervisor};
use etcd_client::GetOptions;
use etcd_endpoints::{Endpoint, Endpoints};
use tokio::sync::{mpsc, oneshot, watch};

use super::client::{ClusterId, REPEATABLE, explain, kv};
use crate::storage::StorageError;

type Answer = Result<u64, StorageError>;

/// Callers that share one round trip, at most.
const SHARE: usize = 4096;

pub(super) struct Revisions {
    /// Unbounded: each one in it is a caller that waits, and requests are limited before they come here.
    asked: mpsc::UnboundedSender<oneshot::Sender<Answer>>,
    newest: watch::Receiver<u64>,
    _tasks: Supervisor,
}

impl Revisions {
    pub(super) fn start(endpoints: Arc<Endpoints>, key: Vec<u8>, cluster: Arc<ClusterId>, tasks: Supervisor) -> Self {
        let (asked, mut inbox) = mpsc::unbounded_channel::<oneshot::Sender<Answer>>();
        let (sender, newest) = watch::channel(0);
        tasks.spawn("etcd-revisions", async move {
            let mut waiting = Vec::new();
            // Who asks while a round trip is under way waits for the next one: only an answer that was
            // asked for after a caller came is linearizable for him.
            while inbox.recv_many(&mut waiting, SHARE).await > 0 {
                let read = |endpoint: Arc<Endpoint>| {
                    let key = key.clone();
                    async move { kv(&endpoint).get(key, Some(GetOptions::new().with_count_only())).await }
                };
                let response = endpoints.call(REPEATABLE, read).await.map_err(|e| explain(e, 0));
                let answer = response.and_then(|r| cluster.check(r.header()));
                match answer {
                    Ok(revision) => drop(sender.send_if_modified(|newest| revision > std::mem::replace(newest, revision))),
                    // A failure is no old news to anybody: who came meanwhile need not wait for a second one.
                    Err(_) => while inbox.try_recv().map(|caller| waiting.push(caller)).is_ok() {},
                }
                for caller in waiting.drain(..) {
                    let _ = caller.send(answer.clone());
                }
            }
            // Who could ask is gone.
            Done
        });
        Self { asked, newest, _tasks: tasks }
    }

    pub(super) async fn current(&self) -> Answer {
        let stopped = || StorageError::Unavailable("the etcd client has been closed".into());
        let (caller, answer) = oneshot::channel();
        self.asked.send(caller).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// The newest revision anybody was told: what watches ought to reach.
    pub(super) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }
}
