//! Writing one object to a member so that nothing anybody else made is taken over by accident.

use bytes::Bytes;
use http::{Method, StatusCode};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    exchange::{Exchange, failed, parsed},
    job::{Known, Outcome},
};
use crate::{
    compact::Uid,
    kinds::ObjectKey,
    request::{APPLY, Call, Reply},
};
use federation_api::keys;

/// How often it is tried, and a name that changes hands looked at, before the job is tried again later.
const LOOKS: usize = 4;
/// A version that no object has. kube-apiserver makes what is applied with it where nothing is, because who makes an
/// object names no version, and refuses it where something is, also when nothing would change (seen with 1.36, for
/// built-in kinds and custom resources).
const NOT_THERE: &str = "9223372036854775807";
/// How often it is tried to take back what was merged into somebody's object.
const TAKE_BACKS: usize = 3;

impl Exchange {
    /// Makes the object be as `body` says.
    ///
    /// What is believed absent is applied at once, under the condition that nothing is there, and looked at only when
    /// that does not hold. Only an object that was looked at is overwritten, and its uid goes along: one that was
    /// deleted and made again by somebody else is looked at anew. A POST would be refused where something is, too, but
    /// be recorded as an update, and fields that are dropped later would stay.
    pub(super) async fn apply(
        &mut self,
        key: &ObjectKey,
        body: &Bytes,
        source: &Uid,
        Known { mut ours, mut absent }: Known,
        adopt: bool,
    ) -> Result<Outcome, Outcome> {
        let mut refused = None;
        for _ in 0..LOOKS {
            let there = match ours.take() {
                Some(uid) => Some(uid),
                None if std::mem::take(&mut absent) => None,
                None => match self.look(key).await? {
                    None => None,
                    Some(found) if found.is_ours(source) || adopt => Some(found.uid),
                    Some(_) => return Ok(Outcome::Conflict),
                },
            };
            let reply = match &there {
                Some(uid) => self.patch(key, with(body, "uid", &uid.to_string())?, true).await?,
                None => self.patch(key, with(body, "resourceVersion", NOT_THERE)?, false).await?,
            };
            match (reply.status, there) {
                (StatusCode::CREATED, _) | (StatusCode::OK, Some(_)) => return self.applied(key, &reply),
                (StatusCode::OK, None) => {
                    // A server that does not keep the condition has merged our fields into somebody's object, or this
                    // is an earlier try of ours whose answer was lost.
                    let object: DynamicObject = parsed(&reply)?;
                    if !has_other_writers(&object) {
                        return self.applied(key, &reply);
                    }
                    self.take_back(key, &object).await?;
                    return Ok(Outcome::Conflict);
                }
                // Something is there: it is looked at.
                (StatusCode::CONFLICT, None) => refused = Some(failed(&reply)),
                // Kubernetes calls another uid a conflict where nothing is, and invalid where something is.
                (StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY, Some(uid)) => {
                    if self.look(key).await?.is_some_and(|found| found.uid == uid) {
                        return Err(failed(&reply));
                    }
                }
                _ => return Err(failed(&reply)),
            }
        }
        let changed = || Outcome::Failed { reason: "the name changed hands at each look".into(), retry_after: None };
        Err(refused.unwrap_or_else(changed))
    }

    fn applied(&self, key: &ObjectKey, reply: &Reply) -> Result<Outcome, Outcome> {
        let seen = Box::new(self.seen(key, &parsed(reply)?));
        Ok(Outcome::Applied { seen, created: reply.status == StatusCode::CREATED })
    }

    async fn patch(&mut self, key: &ObjectKey, body: Bytes, force: bool) -> Result<Reply, Outcome> {
        let path = format!("{}?fieldManager={}&force={force}", key.path(), keys::FIELD_MANAGER);
        self.send(Call { method: Method::PATCH, path: &path, content_type: APPLY, body }).await
    }

    /// Takes our fields out of an object that appeared between look and write: a configuration without them is
    /// applied, so what its owner set is as it was.
    async fn take_back(&mut self, key: &ObjectKey, object: &DynamicObject) -> Result<(), Outcome> {
        let metadata = &object.metadata;
        let bare = json!({
            "apiVersion": key.kind().api_version(), "kind": key.kind().kind,
            "metadata": {"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid},
        });
        let mut refused = None;
        for _ in 0..TAKE_BACKS {
            let reply = self.patch(key, bare.to_string().into(), true).await?;
            if reply.status == StatusCode::OK
                || self.look(key).await?.is_none_or(|found| found.uid != *metadata.uid.as_deref().unwrap_or_default())
            {
                return Ok(());
            }
            refused = Some(failed(&reply));
        }
        refused.map_or(Ok(()), Err)
    }
}

/// Whether anybody but us wrote the object itself. Whoever created it did.
fn has_other_writers(object: &DynamicObject) -> bool {
    let itself = |subresource: &Option<String>| subresource.as_deref().unwrap_or_default().is_empty();
    let entries = object.metadata.managed_fields.iter().flatten();
    entries.filter(|e| itself(&e.subresource)).any(|e| e.manager.as_deref() != Some(keys::FIELD_MANAGER))
}

/// The body with what the object it is meant for has as `field` of its metadata; uid and version are nobody's fields.
fn with(body: &Bytes, field: &str, value: &str) -> Result<Bytes, Outcome> {
    let mut object: Value = serde_json::from_slice(body)
        .map_err(|e| Outcome::Failed { reason: format!("the body for the member cannot be read: {e}"), retry_after: None })?;
    object["metadata"][field] = value.into();
    Ok(object.to_string().into())
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
