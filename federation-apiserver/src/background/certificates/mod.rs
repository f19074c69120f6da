//! Requests for certificates, after they were made: those of kubelets are approved by the rights of their creators, what
//! was approved is signed, and old ones go (`old`). In Kubernetes three controllers do that.
//!
//! Every replica does it. A request is written only as it was read, so one of them comes first and the others find it
//! done.

pub(crate) mod authority;
mod leaf;
mod life;
pub(crate) mod old;
pub(crate) mod own;
mod signers;
mod step;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use daemon::backoff::{Backoff, Policy};
use daemon::logs::Said;
use federation_api::credential::{self, CredentialSpec, Type};
use federation_api::keys;
use futures::StreamExt as _;
use machinery::status::ApiError;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, MissedTickBehavior};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::auth::{Attributes, UserInfo, Verb};
use crate::handlers::{self, Api, DeleteOptions, Write};
use crate::registry::Entry;
use crate::registry::certificates::request::{Subject, alternative_names, der, parse};
use crate::registry::certificates::{GROUP, PLURAL};
use crate::registry::resource::Subresource;
use crate::storage::StorageError;
use crate::storage::event::EventKind;
use crate::storage::object::Object;
use crate::storage::store::{ReadAt, WatchFrom, WatchOptions};
use authority::Authority;
use own::Own;
use signers::{Refusal, Side};
use step::Step;
use waiting::Waiting;

/// How often is looked whether something that waits is due; and at the authority's files.
const EVERY: Duration = Duration::from_secs(2);
/// Pauses after storage failed.
const RETRY: Policy = Policy::doubling(Duration::from_millis(250), Duration::from_secs(5));

/// Who signs, and what waits for it.
struct Desk {
    api: Arc<Api>,
    entry: Arc<Entry>,
    authority: Option<Arc<Authority>>,
    own: Own,
    /// Requests that are looked at again.
    waiting: Waiting,
    /// What was said of requests.
    said: Said,
    /// What was said of the authority's files.
    of_files: Said,
}

/// Runs for ever.
pub(crate) async fn run(api: Arc<Api>, authority: Option<Arc<Authority>>, own: Own) {
    let Some(entry) = api.registry.find(GROUP, "v1", PLURAL) else { return std::future::pending().await };
    let mut desk = Desk { api, entry, authority, own, waiting: Waiting::default(), said: Said::default(), of_files: Said::default() };
    let mut retry = Backoff::new(RETRY);
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let options = WatchOptions { from: WatchFrom::Latest, bookmarks: false, send_initial_events: Some(true) };
        let Ok(mut events) = desk.entry.store().watch(None, options, None).await else {
            retry.pause().await;
            continue;
        };
        desk.waiting.clear();
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { break };
                    let Some(object) = event.object() else { continue };
                    if event.kind() == EventKind::Deleted {
                        desk.waiting.remove(object.head.name());
                    } else {
                        desk.handle(object).await;
                    }
                }
                _ = ticks.tick() => desk.look_again().await,
            }
        }
    }
}

impl Desk {
    async fn look_again(&mut self) {
        if let Some(authority) = &self.authority {
            match authority.reload() {
                Ok(()) => drop(self.of_files.recovers()),
                Err(e) if self.of_files.changes(&e.to_string()) => {
                    tracing::error!("the authority that signs certificates is not reloaded, the last good one stays: {e}");
                }
                Err(_) => {}
            }
        }
        for name in self.waiting.due(Instant::now()) {
            match self.entry.store().get(None, &name, ReadAt::Any).await {
                Ok(Some(object)) => self.handle(&object).await,
                Ok(None) => drop(self.waiting.remove(&name)),
                Err(_) => self.waiting.put(&name, Instant::now()),
            }
        }
    }

    /// Does what comes next for a request.
    async fn handle(&mut self, object: &Object) {
        let name = object.head.name();
        let waits = match self.advance(object).await {
            Ok(waits) => waits,
            Err(e) => {
                if self.said.changes(&e.message) {
                    tracing::warn!("certificate request {name}: {e}; trying again");
                }
                true
            }
        };
        if waits {
            self.waiting.put(name, Instant::now());
        } else {
            self.waiting.remove(name);
        }
    }

    /// Whether it has to be looked at again though it does not change.
    async fn advance(&self, object: &Object) -> Result<bool, ApiError> {
        let Some(old) = object.readable(PLURAL) else { return Ok(false) };
        let Ok(der) = der(&old) else { return Ok(false) };
        let Ok(request) = parse(&der) else { return Ok(false) };
        let (Ok(subject), Ok(names)) = (Subject::of(&request), alternative_names(&request)) else { return Ok(false) };
        let may = |user: &UserInfo, part: &str| self.api.authz.allows(user, &creating(part));
        let next = match step::step(&old, &subject, &names, self.authority.is_some(), may) {
            Step::Sign(uses) if uses.side == Side::Server => {
                self.own.among(&names).map_or(Step::Sign(uses), |n| Step::Fail(Refusal::Own(n)))
            }
            next => next,
        };
        match (next, &self.authority) {
            (Step::Wait, _) => Ok(true),
            (Step::Approve(right), _) => {
                let message = format!("Approved by itself: the creator may create {PLURAL}/{right}.");
                let new = with_condition(&old, "Approved", "AutoApproved", &message);
                self.store(object, &old, new, Subresource::Approval).await.map(|_| false)
            }
            (Step::Fail(why), _) => {
                let new = with_condition(&old, "Failed", "SignerValidationFailure", &why.to_string());
                self.store(object, &old, new, Subresource::Status).await.map(|_| false)
            }
            (Step::Sign(uses), Some(authority)) => {
                let seconds = old["spec"]["expirationSeconds"].as_i64();
                let signed = authority.sign(&request, &names, uses, seconds, jiff::Timestamp::now().as_second());
                let certificate = signed.map_err(|e| ApiError::internal(format!("it cannot be signed: {e}")))?;
                let recorded = match uses.side {
                    Side::Client => Some(self.record(&certificate, &old, &subject).await?),
                    Side::Server => None,
                };
                let mut new = old.clone();
                new["status"]["certificate"] = STANDARD.encode(certificate).into();
                let stored = self.store(object, &old, new.clone(), Subresource::Status).await?;
                if let (Stored::Overtaken, Some(name)) = (stored, recorded) {
                    self.strike(object, &new["status"]["certificate"], &name).await;
                }
                Ok(false)
            }
            (Step::Nothing | Step::Sign(_), _) => Ok(false),
        }
    }

    /// Writes down what was signed, and says under which name.
    async fn record(&self, certificate: &str, old: &Value, subject: &Subject) -> Result<String, ApiError> {
        let unreadable = || ApiError::internal("the certificate that was made cannot be read");
        let pem = pem::parse(certificate).map_err(|_| unreadable())?;
        let (_, cert) = X509Certificate::from_der(pem.contents()).map_err(|_| unreadable())?;
        let fingerprint = Sha256::digest(pem.contents());
        let spec = CredentialSpec {
            type_: Type::Certificate,
            user: subject.name.clone(),
            groups: subject.groups.clone(),
            fingerprint: fingerprint.iter().map(|byte| format!("{byte:02x}")).collect(),
            issued_by: old["spec"]["username"].as_str().unwrap_or_default().to_owned(),
            not_before: handlers::time(cert.validity().not_before.timestamp()),
            not_after: handlers::time(cert.validity().not_after.timestamp()),
        };
        let name = credential::of_serial(cert.raw_serial());
        handlers::record(&self.api, &name, &spec).await?;
        Ok(name)
    }

    /// Another replica came first, and nobody ever has the certificate that was written down. Where that stays written down, it
    /// does no harm; so it does unless the request is there with another certificate, or with none.
    async fn strike(&self, request: &Object, certificate: &Value, name: &str) {
        let Ok(Some(now)) = self.entry.store().get(None, request.head.name(), ReadAt::Latest).await else { return };
        let other = now.readable(PLURAL).is_some_and(|now| now["status"]["certificate"] != *certificate);
        if now.head.uid() != request.head.uid() || !other {
            return;
        }
        let Some(entry) = self.api.registry.find(keys::GROUP, keys::VERSION, credential::PLURAL) else { return };
        if let Err(e) = handlers::delete_object(&entry, None, name, &DeleteOptions::default()).await {
            tracing::debug!(name, "a certificate that nobody has stays written down: {e}");
        }
    }

    /// Writes a request as it was read. Who else wrote meanwhile is seen in an event of his.
    async fn store(&self, object: &Object, old: &Value, new: Value, part: Subresource) -> Result<Stored, ApiError> {
        let Some(new) = handlers::prepare_update(&self.entry, new, old, part, &Write::internal())? else { return Ok(Stored::Written) };
        match self.entry.store().update(None, object.head.name(), &new, object.revision).await {
            Ok(_) => {
                let by = old["spec"]["username"].as_str().unwrap_or_default();
                tracing::info!(name = object.head.name(), by, part = part.name(), "certificate request advanced");
                Ok(Stored::Written)
            }
            Err(StorageError::Conflict { .. }) => Ok(Stored::Overtaken),
            Err(e) => Err(e.into()),
        }
    }
}

/// What became of a write.
enum Stored {
    Written,
    /// Somebody else wrote meanwhile.
    Overtaken,
}

/// The right that lets a request be approved by itself.
fn creating(part: &str) -> Attributes {
    Attributes {
        verb: Verb::Create,
        group: GROUP.to_owned(),
        version: "*".to_owned(),
        resource: PLURAL.to_owned(),
        subresource: part.to_owned(),
        ..Attributes::default()
    }
}

fn with_condition(old: &Value, kind: &str, reason: &str, message: &str) -> Value {
    let mut new = old.clone();
    let condition = json!({"type": kind, "status": "True", "reason": reason, "message": message});
    match new["status"].get_mut("conditions").and_then(Value::as_array_mut) {
        Some(list) => list.push(condition),
        None => new["status"]["conditions"] = json!([condition]),
    }
    new
}
