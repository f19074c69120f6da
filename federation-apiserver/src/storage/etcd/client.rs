//! What all requests to etcd have in common: how long they may take, what keys are called there, and what failures mean.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{Error, KeyValue, KvClient, ResponseHeader};
use etcd_endpoints::{Effort, Endpoint, Failure, Refusal, Repeat};

use crate::storage::{ROOT, StorageError, Versioned};

/// Longest wait for one call; an unreachable etcd is reported within it.
pub(super) const CALL: Duration = Duration::from_secs(4);
/// Longest wait for a write at one endpoint where there are others: what a member passed on to a leader that died is
/// lost, and the member does not notice.
pub(super) const WRITE: Duration = Duration::from_secs(1);
/// What may be asked anywhere, twice if need be.
pub(super) const REPEATABLE: Effort = Effort { limit: CALL, each: CALL, repeat: Repeat::Freely };
/// Largest answer taken; busy watches exceed gRPC's 4 MB.
pub(super) const MESSAGE: usize = 256 << 20;

pub(super) fn kv(endpoint: &Endpoint) -> KvClient {
    endpoint.client().kv_client().max_decoding_message_size(MESSAGE)
}

/// Our keys and etcd's: the prefix of the flags stands for `/registry`.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = if prefix.is_empty() { ROOT } else { prefix };
        Self { prefix: format!("/{}/", prefix.trim_matches('/')) }
    }

    pub(super) fn to_etcd(&self, key: &str) -> Vec<u8> {
        format!("{}{}", self.prefix, key.strip_prefix(ROOT).unwrap_or(key)).into_bytes()
    }

    pub(super) fn key(&self, name: &[u8]) -> Result<String, StorageError> {
        let name = std::str::from_utf8(name).ok().and_then(|n| n.strip_prefix(&self.prefix));
        let name = name.ok_or_else(|| StorageError::Corrupt(format!("etcd has a key under {} that is not text", self.prefix)))?;
        Ok(format!("{ROOT}{name}"))
    }

    pub(super) fn versioned(&self, kv: KeyValue) -> Result<Versioned, StorageError> {
        let revision = unsigned(kv.mod_revision());
        let (name, value) = kv.into_key_value();
        Ok(Versioned { key: self.key(&name)?, value: value.into(), revision, damaged: false })
    }
}

/// Remembers which etcd cluster it was, so that another one is never taken for it.
#[derive(Debug, Default)]
pub(super) struct ClusterId(AtomicU64);

impl ClusterId {
    /// Checks who answered; answers the revision.
    pub(super) fn check(&self, header: Option<&ResponseHeader>) -> Result<u64, StorageError> {
        let header = header.ok_or_else(|| StorageError::Corrupt("etcd answered without a header".into()))?;
        let id = header.cluster_id();
        match self.0.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed) {
            Err(known) if known != id => Err(StorageError::Corrupt(format!(
                "--etcd-servers now leads to another etcd cluster ({id:x} instead of {known:x}); restart this server to accept it"
            ))),
            _ => Ok(unsigned(header.revision())),
        }
    }
}

/// What a failed read or a repeatable write is told as. `revision` is the one asked for, to tell which was too old or
/// too new.
pub(super) fn explain(failure: Failure, revision: u64) -> StorageError {
    match failure {
        Failure::Refused(error) => refused(&error, revision),
        Failure::Away(why) | Failure::Unanswered(why) => StorageError::Unavailable(format!("etcd: {why}")),
        other => StorageError::Unavailable(format!("etcd: {other:?}")),
    }
}

/// What etcd's own answer is told as.
pub(super) fn refused(error: &Error, revision: u64) -> StorageError {
    let why = || match error {
        Error::GRpcStatus(status) => format!("etcd: {}", status.message()),
        other => format!("etcd: {other}"),
    };
    match Refusal::of(error) {
        Refusal::Compacted => StorageError::Compacted { requested: revision, oldest: revision + 1 },
        Refusal::Future => StorageError::Future { requested: revision, current: 0 },
        Refusal::TooLarge => StorageError::TooLarge(why()),
        _ => StorageError::Unavailable(why()),
    }
}

/// The first key behind all that begin with `prefix`, which ends in a slash.
pub(super) fn end_of(mut prefix: Vec<u8>) -> Vec<u8> {
    if let Some(last) = prefix.last_mut() {
        *last = last.saturating_add(1);
    }
    prefix
}

// etcd counts in signed numbers, from 1 upwards.
pub(super) fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or(0)
}
