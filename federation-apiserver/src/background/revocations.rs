//! Follows what was revoked, so that every request is compared with it; and puts back what a store has lost that was put back
//! to an earlier state.
//!
//! What is known is kept in memory and, where there is a file for it, in that too: a store that is restored while no server
//! runs does not know what was revoked since. Who hears of news does not wait for disks and stores.

mod file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daemon::backoff::{Backoff, Policy};
use daemon::logs::Said;
use federation_api::credential::{self, CredentialSpec, CredentialStatus, Revocation, Type};
use federation_api::keys;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::credentials::kept_until;
use crate::auth::authn::revoked::{Known, Revoked};
use crate::error::ConfigError;
use crate::handlers::Api;
use crate::registry::Entry;
use crate::storage::StorageError;
use crate::storage::event::{EventKind, WatchEvent};
use crate::storage::store::{ReadAt, WatchFrom, WatchOptions};

/// Pauses after a watch that failed or ended.
const RETRY: Policy = Policy::doubling(Duration::from_millis(50), Duration::from_secs(1));
/// Changes that are taken at once.
const BATCH: usize = 4096;
/// How often what the store has lost is put back, and the file written that could not be.
const EVERY: Duration = Duration::from_secs(2);

/// Reads what was revoked from the file, but what has expired since.
///
/// # Errors
/// The file is there and cannot be read: nobody could say what was revoked.
pub(crate) fn load(revoked: &Revoked, path: &Path) -> Result<(), ConfigError> {
    revoked.put(file::read(path)?.iter().map(known).collect());
    revoked.forget(Timestamp::now().as_second());
    Ok(())
}

/// What is kept of an object that is revoked: what it takes to refuse it, and to make it again. Labels and the like are not,
/// for they may be long.
fn known(object: &Value) -> (Arc<str>, Known) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let kept = json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "metadata": {"name": name, "uid": object["metadata"]["uid"], "creationTimestamp": object["metadata"]["creationTimestamp"]},
        "spec": object["spec"],
        "status": object["status"],
    });
    (name.into(), Known { object: kept.to_string().into(), until: kept_until(object) })
}

/// One whose object cannot be read, which counts as revoked.
fn unreadable(name: &str) -> (Arc<str>, Known) {
    let type_ = if credential::is_name(name, Type::Token) { Type::Token } else { Type::Certificate };
    let spec = CredentialSpec { type_, ..CredentialSpec::default() };
    let revoked = Revocation { time: None, reason: "its object cannot be read".to_owned() };
    let version = format!("{}/{}", keys::GROUP, keys::VERSION);
    known(&json!({"apiVersion": version, "kind": credential::KIND, "metadata": {"name": name}, "spec": spec,
        "status": CredentialStatus { revoked: Some(revoked), ..CredentialStatus::default() }}))
}

struct Desk {
    api: Arc<Api>,
    entry: Arc<Entry>,
    path: Option<PathBuf>,
    /// Whether something is not in the file yet.
    unwritten: AtomicBool,
    /// Whether the store may lack something that is known.
    lacking: AtomicBool,
    /// One of the two is so.
    work: Notify,
}

/// Runs for ever.
pub(crate) async fn run(api: Arc<Api>, path: Option<PathBuf>) {
    let Some(entry) = api.registry.find(keys::GROUP, keys::VERSION, credential::PLURAL) else { return std::future::pending().await };
    // What was heard before this task was made again may not be written.
    let unwritten = AtomicBool::new(!api.authn.revoked().all().is_empty());
    let desk = Desk { api, entry, path, unwritten, lacking: AtomicBool::new(false), work: Notify::new() };
    tokio::join!(desk.hear(), desk.keep());
}

impl Desk {
    /// Hears what is revoked, for ever.
    async fn hear(&self) {
        let mut retry = Backoff::new(RETRY);
        let mut damage = self.entry.store().watch_damage();
        loop {
            let options = WatchOptions { from: WatchFrom::Latest, bookmarks: true, send_initial_events: Some(true) };
            if let Ok(events) = self.entry.store().watch(None, options, None).await {
                let mut batches = events.ready_chunks(BATCH);
                loop {
                    tokio::select! {
                        batch = batches.next() => match batch {
                            Some(batch) => self.see(&batch),
                            None => break,
                        },
                        Ok(()) = damage.changed() => self.see_damage(),
                    }
                    retry.succeeded();
                }
            }
            retry.pause().await;
        }
    }

    fn see(&self, events: &[WatchEvent]) {
        let revoked = self.api.authn.revoked();
        let now = Timestamp::now().as_second();
        let (mut more, mut lacking, mut complete) = (Vec::new(), false, false);
        for event in events {
            let Some(stored) = event.object() else {
                // All there is was sent; what is known besides is missing.
                complete |= event.kind() == EventKind::Bookmark;
                continue;
            };
            let object = stored.readable(credential::PLURAL);
            match (event.kind(), object) {
                (EventKind::Added | EventKind::Modified, Some(object)) if kept_until(&object).is_some_and(|until| now > until) => {}
                (EventKind::Added | EventKind::Modified, Some(object)) if object["status"]["revoked"].is_object() => {
                    more.push((object["spec"]["user"].clone(), known(&object)));
                }
                // Nobody can say whether it was revoked.
                (EventKind::Added | EventKind::Modified, None) => more.push((Value::Null, unreadable(stored.head.name()))),
                _ => lacking |= revoked.has(stored.head.name()),
            }
        }
        let users: HashMap<Arc<str>, Value> = more.iter().map(|(user, (name, _))| (Arc::clone(name), user.clone())).collect();
        let news = revoked.put(more.into_iter().map(|(_, known)| known).collect());
        for name in &news {
            let user = users.get(name).and_then(Value::as_str);
            tracing::info!(name = &**name, user, "credential revoked");
        }
        if complete {
            self.see_damage();
            lacking |= !revoked.all().is_empty();
            revoked.complete();
        }
        self.unwritten.fetch_or(!news.is_empty(), Ordering::AcqRel);
        self.lacking.fetch_or(lacking, Ordering::AcqRel);
        if lacking || !news.is_empty() {
            self.work.notify_one();
        }
    }

    /// Of what cannot be read no watch tells.
    fn see_damage(&self) {
        let damaged = self.entry.store().damaged();
        let news = self.api.authn.revoked().put(damaged.iter().map(|(name, _)| unreadable(name)).collect());
        for name in &news {
            tracing::error!(name = &**name, "this credential counts as revoked, for its object cannot be read");
        }
    }

    /// Writes the file and what the store lacks, for ever.
    async fn keep(&self) {
        let (of_file, of_store) = (Said::default(), Said::default());
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.work.notified() => {}
                _ = ticks.tick() => {}
            }
            self.write(&of_file).await;
            if self.lacking.swap(false, Ordering::AcqRel) {
                self.put_all_back(&of_store).await;
            }
        }
    }

    async fn write(&self, said: &Said) {
        let Some(path) = self.path.clone() else { return };
        if !self.unwritten.swap(false, Ordering::AcqRel) {
            return;
        }
        let all = self.api.authn.revoked().all();
        let written = tokio::task::spawn_blocking(move || file::write(&path, all.values().map(|known| &*known.object))).await;
        match written.map_err(std::io::Error::other).and_then(|written| written) {
            Ok(()) => drop(said.recovers()),
            Err(e) => {
                self.unwritten.store(true, Ordering::Release);
                if said.changes(&e.to_string()) {
                    tracing::error!("what was revoked is not written to its file, trying again: {e}");
                }
            }
        }
    }

    async fn put_all_back(&self, said: &Said) {
        let mut trouble = None;
        // What has expired nobody puts back: the replicas that deleted it would do so again, and so on.
        self.api.authn.revoked().forget(Timestamp::now().as_second());
        for (name, known) in &*self.api.authn.revoked().all() {
            match self.put_back(name, &known.object).await {
                Ok(()) => {}
                // What another replica put back first is there the next time.
                Err(StorageError::Conflict { .. }) => self.lacking.store(true, Ordering::Release),
                Err(e) => trouble = Some(e),
            }
        }
        match trouble {
            None => drop(said.recovers()),
            Some(e) => {
                self.lacking.store(true, Ordering::Release);
                if said.changes(&e.to_string()) {
                    tracing::error!("what was revoked is not all in the store, trying again: {e}");
                }
            }
        }
    }

    async fn put_back(&self, name: &str, known: &str) -> Result<(), StorageError> {
        let store = self.entry.store();
        let found = store.get(None, name, ReadAt::Any).await?;
        let current = found.as_ref().map(|found| found.readable(credential::PLURAL));
        // Most are there, or cannot be read.
        if current.as_ref().is_some_and(|current| current.as_ref().is_none_or(|object| object["status"]["revoked"].is_object())) {
            return Ok(());
        }
        let Ok(known) = serde_json::from_str::<Value>(known) else { return Ok(()) };
        match (found, current.flatten()) {
            (Some(found), Some(mut object)) => {
                object["status"]["revoked"] = known["status"]["revoked"].clone();
                store.update(None, name, &object, found.revision).await?;
            }
            _ => drop(store.create(None, name, &known).await?),
        }
        tracing::warn!(name, "the store did not know any more that this credential was revoked; it does again");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StorageConfig;
    use crate::server::Server;
    use crate::storage::embedded::Embedded;
    use crate::storage::{Backend as _, Expect};
    use crate::{Config, Profile};

    /// Nobody can say that it was not.
    #[tokio::test]
    async fn issue10_a_credential_that_cannot_be_read_counts_as_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let deep = format!("{}{}", "[".repeat(140), "]".repeat(140));
        let object = format!(
            r#"{{"apiVersion":"federation/v1beta1","kind":"Credential","metadata":{{"name":"certificate-abc","uid":"1"}},"spec":{{"type":"Certificate","groups":{deep}}}}}"#
        );
        {
            let stored = Embedded::open(dir.path()).unwrap();
            stored.put("/registry/federation/credentials/certificate-abc", object.into(), Expect::Absent, None).await.unwrap();
        }
        let storage = StorageConfig::Embedded { dir: dir.path().to_owned() };
        let server = Server::start(Config { storage, ..Config::in_memory(Profile::Federation) }).await.unwrap();
        server.wait_ready(Duration::from_secs(60)).await.unwrap();
        let revoked = server.api().authn.revoked();
        assert!(revoked.has("certificate-abc") && !revoked.has("certificate-abd"));
    }

    #[tokio::test]
    async fn issue10_what_has_expired_is_not_put_back() {
        let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
        server.wait_ready(Duration::from_secs(60)).await.unwrap();
        let api = Arc::clone(server.api());
        let entry = api.registry.find(keys::GROUP, keys::VERSION, credential::PLURAL).unwrap();
        for (name, until) in [("certificate-1", "2020-01-01T00:00:00Z"), ("certificate-2", "3000-01-01T00:00:00Z")] {
            let object = json!({"apiVersion": "federation/v1beta1", "kind": "Credential", "metadata": {"name": name, "uid": name},
                "spec": {"type": "Certificate", "notAfter": until}, "status": {"revoked": {"reason": "lost"}}});
            api.authn.revoked().put(vec![known(&object)]);
        }
        let (unwritten, lacking) = (AtomicBool::new(false), AtomicBool::new(false));
        let desk = Desk { api, entry: Arc::clone(&entry), path: None, unwritten, lacking, work: Notify::new() };
        desk.put_all_back(&Said::default()).await;
        let found = async |name: &str| entry.store().get(None, name, ReadAt::Any).await.unwrap().is_some();
        assert_eq!((found("certificate-1").await, found("certificate-2").await), (false, true));
    }

    #[test]
    fn issue10_what_has_expired_is_not_read_from_the_file_and_labels_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("revoked.json");
        let object = |name: &str, until: &str| {
            json!({"apiVersion": "federation/v1beta1", "kind": "Credential",
            "metadata": {"name": name, "uid": "1", "labels": {"a": "b"}}, "spec": {"type": "Certificate", "notAfter": until},
            "status": {"revoked": {"reason": "lost"}}})
        };
        let all = [object("certificate-1", "2020-01-01T00:00:00Z"), object("certificate-2", "3000-01-01T00:00:00Z")];
        std::fs::write(&path, Value::from(all.to_vec()).to_string()).unwrap();
        let revoked = Revoked::new(false);
        load(&revoked, &path).unwrap();
        assert!(!revoked.has("certificate-1") && revoked.has("certificate-2"));
        let kept = revoked.all()["certificate-2"].object.clone();
        assert!(kept.contains("lost") && !kept.contains("labels"), "{kept}");
        std::fs::write(&path, "{").unwrap();
        assert!(load(&revoked, &path).is_err());
    }
}
