//! Counts what a backend does and how long it takes, for `/metrics`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{Backend, Event, Expect, Page, StorageError, Unchanged, Versioned};
use crate::metrics;

/// A backend whose requests are measured.
pub struct Measured {
    inner: Arc<dyn Backend>,
    name: &'static str,
}

impl Measured {
    /// Measures `inner` under the label `backend="name"`.
    pub fn new(inner: Arc<dyn Backend>, name: &'static str) -> Self {
        Self { inner, name }
    }

    async fn timed<T>(&self, operation: &'static str, work: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
        let started = Instant::now();
        let outcome = work.await;
        // Conflicts and compacted revisions are answers.
        let failed = matches!(outcome, Err(StorageError::Unavailable(_) | StorageError::Unanswered(_) | StorageError::Corrupt(_)));
        metrics::storage(self.name, operation, started.elapsed(), failed);
        outcome
    }
}

#[async_trait]
impl Backend for Measured {
    async fn get(&self, key: &str) -> Result<(Option<Versioned>, u64), StorageError> {
        self.timed("get", self.inner.get(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Result<Page, StorageError> {
        self.timed("list", self.inner.list(prefix, after, limit, revision)).await
    }

    async fn put_while(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
        other: Option<Unchanged<'_>>,
    ) -> Result<u64, StorageError> {
        self.timed("put", self.inner.put_while(key, value, expect, ttl, other)).await
    }

    async fn delete(&self, key: &str, revision: u64) -> Result<u64, StorageError> {
        self.timed("delete", self.inner.delete(key, revision)).await
    }

    async fn watch(&self, prefix: &str, revision: u64) -> Result<BoxStream<'static, Result<Event, StorageError>>, StorageError> {
        self.timed("watch", self.inner.watch(prefix, revision)).await
    }

    /// Not measured: callers share round trips, and the embedded backend answers from memory.
    async fn revision(&self) -> Result<u64, StorageError> {
        self.inner.revision().await
    }

    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        self.timed("compact", self.inner.compact(revision)).await
    }
    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }
}
