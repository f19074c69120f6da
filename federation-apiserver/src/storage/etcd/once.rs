//! Writes that may be sent to several endpoints, one after the other, and are done once.
//!
//! A member that dies or hangs leaves its caller in doubt: the write may have been done, or be done yet. Where there
//! is another endpoint to ask, each write therefore carries a mark: a key of its own that the same transaction
//! expects as it was and writes. Of all attempts one at most can succeed, however late they arrive, and the mark's
//! revision tells which did and when. A mark is used by one write at a time, and again by the next where no attempt of
//! the one before can come late; a lease removes those that nobody uses any more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse};
use etcd_endpoints::{Effort, Endpoint, Endpoints, Failure, Refusal, Repeat};

use super::client::{CALL, ClusterId, Names, WRITE, explain, kv, refused, signed, unsigned};
use super::leases::Leases;
use crate::storage::{ROOT, StorageError};

/// Where marks are; no resource has such a name.
const MARKS: &str = "~writes";
/// How long a mark outlives its last use, at least by half.
const MARK_TTL: Duration = Duration::from_secs(600);

/// A guarded write.
pub(super) enum Op {
    /// `other` is a key that has to be as it was written at a revision.
    Put {
        value: Bytes,
        ttl: Option<Duration>,
        other: Option<(Vec<u8>, u64)>,
    },
    Delete,
}

/// Makes writes, with the marks of this process.
pub(super) struct Once {
    endpoints: Arc<Endpoints>,
    names: Names,
    cluster: Arc<ClusterId>,
    leases: Leases,
    /// What their keys begin with; `None` with a single endpoint, where nothing is sent twice.
    prefix: Option<Vec<u8>>,
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    made: u64,
    marks: Vec<Mark>,
}

struct Mark {
    key: Vec<u8>,
    /// When it was last written; 0 is never.
    revision: u64,
    lease: Option<(i64, Instant)>,
    /// How often the write that has it was sent.
    attempts: usize,
}

impl Once {
    pub(super) fn new(endpoints: Arc<Endpoints>, names: Names, cluster: Arc<ClusterId>, several: bool) -> Self {
        let process = uuid::Uuid::new_v4().simple();
        let prefix = several.then(|| names.to_etcd(&format!("{ROOT}{MARKS}/{process}/")));
        Self { leases: Leases::new(endpoints.clone()), endpoints, names, cluster, prefix, free: Mutex::default() }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A mark nobody uses.
    fn take(&self) -> Option<Mark> {
        let prefix = self.prefix.as_ref()?;
        let mut free = self.free();
        let made = free.marks.pop().map(|mark| Mark { attempts: 0, ..mark });
        Some(made.unwrap_or_else(|| {
            free.made += 1;
            Mark { key: [prefix, free.made.to_string().as_bytes()].concat(), revision: 0, lease: None, attempts: 0 }
        }))
    }

    /// Writes when the key was last written at `expected`; answers the new revision.
    pub(super) async fn write(&self, key: &str, expected: u64, op: Op) -> Result<u64, StorageError> {
        let mut mark = self.take();
        let done = self.attempt(mark.as_mut(), key, expected, &op).await;
        if let Some(mark) = mark.filter(|mark| mark.is_settled(&done)) {
            self.free().marks.push(mark);
        }
        done
    }

    async fn attempt(&self, mut mark: Option<&mut Mark>, key: &str, expected: u64, op: &Op) -> Result<u64, StorageError> {
        let name = self.names.to_etcd(key);
        let effort = Effort { limit: CALL, each: WRITE, repeat: if mark.is_some() { Repeat::Once } else { Repeat::Never } };
        let mut fresh = false;
        loop {
            let mut guards = vec![Compare::mod_revision(name.clone(), CompareOp::Equal, signed(expected))];
            let mut puts = Vec::with_capacity(2);
            let mut looks = vec![TxnOp::get(name.clone(), None)];
            match op {
                Op::Put { value, ttl, other } => {
                    let lease = match ttl {
                        Some(ttl) => Some(PutOptions::new().with_lease(self.leases.get(*ttl, fresh).await?)),
                        None => None,
                    };
                    puts.push(TxnOp::put(name.clone(), value.to_vec(), lease));
                    if let Some((other, revision)) = other {
                        guards.push(Compare::mod_revision(other.clone(), CompareOp::Equal, signed(*revision)));
                    }
                }
                Op::Delete => puts.push(TxnOp::delete(name.clone(), None)),
            }
            if let Some(mark) = &mut mark {
                let lease = mark.lease(&self.leases, fresh).await?;
                guards.push(Compare::mod_revision(mark.key.clone(), CompareOp::Equal, signed(mark.revision)));
                puts.push(TxnOp::put(mark.key.clone(), "", Some(PutOptions::new().with_lease(lease))));
                looks.push(TxnOp::get(mark.key.clone(), None));
            }
            let txn = Txn::new().when(guards).and_then(puts).or_else(looks);
            let attempt = |endpoint: Arc<Endpoint>| {
                if let Some(mark) = &mut mark {
                    mark.attempts += 1;
                }
                let txn = txn.clone();
                async move { kv(&endpoint).txn(txn).await }
            };
            let response = match self.endpoints.call(effort, attempt).await {
                Ok(response) => response,
                // One that ended early, as after a restored backup.
                Err(Failure::Refused(error)) if !fresh && Refusal::of(&error) == Refusal::NoLease => {
                    fresh = true;
                    continue;
                }
                Err(Failure::Refused(error)) => return Err(refused(&error, 0)),
                Err(Failure::Unanswered(why)) => return Err(StorageError::Unanswered(format!("etcd: {why}"))),
                Err(other) => return Err(explain(other, 0)),
            };
            let now = self.cluster.check(response.header())?;
            if response.succeeded() {
                if let Some(mark) = mark {
                    mark.revision = now;
                }
                return Ok(now);
            }
            let mut found = response.op_responses().into_iter().map(|found| match found {
                TxnOpResponse::Get(mut found) => found.take_kvs().pop(),
                _ => None,
            });
            let current = found.next().flatten().map(|kv| self.names.versioned(kv)).transpose()?;
            if let Some(mark) = &mut mark {
                let before = std::mem::replace(&mut mark.revision, found.next().flatten().as_ref().map_or(0, revision));
                if mark.revision > before && mark.attempts > 1 {
                    // An attempt that seemed lost.
                    return Ok(mark.revision);
                }
                if mark.revision != before && current.as_ref().map_or(0, |c| c.revision) == expected {
                    // Only the mark was in the way: it had ended, or was not as it should be.
                    continue;
                }
            }
            // The key was as it should be, so it was not what stood in the way.
            let fits = current.as_ref().map_or(0, |c| c.revision) == expected;
            return Err(if fits && matches!(op, Op::Put { other: Some(_), .. }) {
                StorageError::Changed
            } else {
                StorageError::Conflict { current }
            });
        }
    }
}

impl Mark {
    /// Whether the next write may have it, and begins anew: not when an attempt of this one may still be under way, or be
    /// done and not known. One that was done ends all others, which expect the mark as it was before.
    fn is_settled(&self, done: &Result<u64, StorageError>) -> bool {
        match done {
            Ok(_) => true,
            Err(StorageError::Conflict { .. } | StorageError::Changed) => self.attempts == 1,
            Err(_) => false,
        }
    }

    /// A lease that lasts for a while yet.
    async fn lease(&mut self, leases: &Leases, fresh: bool) -> Result<i64, StorageError> {
        if let Some((id, since)) = self.lease
            && !fresh
            && since.elapsed() < MARK_TTL / 2
        {
            return Ok(id);
        }
        let id = leases.get(MARK_TTL, fresh).await?;
        self.lease = Some((id, Instant::now()));
        Ok(id)
    }
}

fn revision(kv: &KeyValue) -> u64 {
    unsigned(kv.mod_revision())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_used_again_only_when_no_attempt_can_come_late() {
        let settled = |attempts, done| Mark { key: Vec::new(), revision: 3, lease: None, attempts }.is_settled(&done);
        let conflict = || Err(StorageError::Conflict { current: None });
        assert!(settled(1, Ok(4)) && settled(2, Ok(4)) && settled(1, conflict()) && settled(1, Err(StorageError::Changed)));
        assert!(!settled(2, conflict()), "the lost attempt may succeed when the key is as it was again");
        for error in [
            StorageError::Unanswered(String::new()),
            StorageError::Unavailable(String::new()),
            StorageError::TooLarge(String::new()),
            StorageError::Corrupt(String::new()),
        ] {
            assert!(!settled(1, Err(error.clone())), "{error}");
        }
    }
}
