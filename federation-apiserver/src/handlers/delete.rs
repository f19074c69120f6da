//! DELETE and DELETECOLLECTION with preconditions, finalizers and propagation policies.
//!
//! The `orphan` finalizer follows Federation v1: it stays unless the caller asks for the member
//! copies to be deleted too; the server itself collects no garbage.

use std::sync::Arc;

use bytes::Bytes;
use federation_api::keys;
use http::{Response, StatusCode};
use machinery::status::{ApiError, FieldError, FieldErrorKind};
use serde_json::{Value, json};

use super::call::Call;
use super::prepare::{self, Write};
use super::projection::whole;
use super::write::TRIES;
use super::{encode, options};
use crate::admission;
use crate::http::query::Query;
use crate::http::response::{self, Body};
use crate::registry::Entry;
use crate::registry::resource::Resource;
use crate::storage::StorageError;
use crate::storage::object::Object;
use crate::storage::store::ReadAt;

/// What a DELETE asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    uid: Option<String>,
    resource_version: Option<String>,
    /// `Some(true)`: keep dependents, `Some(false)`: delete them, `None`: not said.
    orphan: Option<bool>,
    /// `orphanDependents: false`, answered 202 while the deletion is pending.
    cascade: bool,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// Deletes the copies in members too; what the server's own cleaning uses.
    pub(crate) fn background() -> Self {
        Self { orphan: Some(false), ..Self::default() }
    }

    /// The same for one particular object, not for another of its name.
    pub(crate) fn of_uid(&self, uid: &str) -> Self {
        Self { uid: Some(uid.to_owned()), ..self.clone() }
    }

    /// The same for an object as it was read, and not as it may be by now.
    pub(crate) fn as_read(&self, object: &Object) -> Self {
        Self { resource_version: Some(object.revision.to_string()), ..self.of_uid(object.head.uid()) }
    }

    /// From the body, or else the query.
    pub(super) fn parse(body: &Value, query: &Query) -> Result<Self, ApiError> {
        let text = |v: &Value| v.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
        let policy = text(&body["propagationPolicy"]).or_else(|| query.get("propagationPolicy").map(str::to_owned));
        let orphan_dependents =
            body["orphanDependents"].as_bool().or_else(|| query.get("orphanDependents").map(|_| query.flag("orphanDependents")));
        let invalid = |e: FieldError| Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &[e]));
        if policy.is_some() && orphan_dependents.is_some() {
            let rule = "orphanDependents and deletionPropagation cannot be both set";
            return invalid(FieldError::invalid("propagationPolicy", policy.unwrap_or_default(), rule));
        }
        let orphan = match policy.as_deref() {
            None => orphan_dependents,
            Some("Orphan") => Some(true),
            Some("Background" | "Foreground") => Some(false),
            Some(other) => {
                let rule = "supported values: \"Background\", \"Foreground\", \"Orphan\"";
                let kind = FieldErrorKind::NotSupported;
                return invalid(FieldError { kind, ..FieldError::invalid("propagationPolicy", other, rule) });
            }
        };
        let in_body = body["dryRun"].as_array().map(Vec::as_slice).unwrap_or_default();
        if in_body.iter().any(|v| *v != "All") {
            let rule = "supported values: \"All\"";
            let kind = FieldErrorKind::NotSupported;
            return invalid(FieldError { kind, ..FieldError::invalid("dryRun", body["dryRun"].clone(), rule) });
        }
        Ok(Self {
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            orphan,
            cascade: orphan_dependents == Some(false),
            dry_run: !in_body.is_empty() || prepare::dry_run(query, "DeleteOptions")?,
        })
    }

    /// Whether it asks for more than that the name is free afterwards.
    fn conditional(&self) -> bool {
        self.dry_run || self.uid.is_some() || self.resource_version.is_some()
    }

    fn check(&self, resource: &Resource, object: &Object) -> Result<(), ApiError> {
        let conflict = |why: String| Err(ApiError::conflict(&resource.group, &resource.plural, object.head.name(), &why));
        if let Some(uid) = self.uid.as_deref().filter(|u| *u != object.head.uid()) {
            return conflict(format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object.head.uid()));
        }
        match self.resource_version.as_deref() {
            Some(wanted) if wanted != object.revision.to_string() => {
                let is = object.revision;
                conflict(format!("Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {is}"))
            }
            _ => Ok(()),
        }
    }
}

/// How a deletion ended.
pub(crate) enum Deleted {
    /// It is gone; the last state.
    Gone(Arc<Object>),
    /// It waits for its finalizers.
    Pending(Arc<Object>),
    /// It could not be read, and is gone.
    Unreadable,
    /// Nothing was stored; what would be left.
    DryRun(Value),
}

pub(super) async fn delete(call: Call<'_>, wanted: &DeleteOptions) -> Result<Response<Body>, ApiError> {
    let resource = call.resource();
    admission::delete(resource, &call.info.name)?;
    if admission::credentials::concerns(resource)
        && let Some(object) = call.current().await?
    {
        admission::credentials::delete(&object.value()?)?;
    }
    let pending = if wanted.cascade { StatusCode::ACCEPTED } else { StatusCode::OK };
    match delete_object(call.entry, call.namespace(), &call.info.name, wanted).await? {
        Deleted::Gone(object) if resource.strategy.returns_deleted() => encode::object(call, StatusCode::OK, &object).await,
        Deleted::Gone(object) => {
            let mut details = json!({"name": object.head.name(), "kind": resource.plural, "uid": object.head.uid()});
            if !resource.group.is_empty() {
                details["group"] = resource.group.as_str().into();
            }
            Ok(encode::noted(response::success(&details), &object))
        }
        Deleted::Unreadable => Ok(response::success(&json!({"name": call.info.name, "kind": resource.plural}))),
        Deleted::Pending(object) => encode::object(call, pending, &object).await,
        Deleted::DryRun(value) => encode::value(call, StatusCode::OK, &value),
    }
}

/// Deletes one object, or marks it so that its finalizers can do their work.
pub(crate) async fn delete_object(entry: &Entry, namespace: Option<&str>, name: &str, wanted: &DeleteOptions) -> Result<Deleted, ApiError> {
    let resource = &entry.resource;
    let store = entry.store();
    let write = Write::internal();
    for attempt in 1.. {
        let found = store.get(namespace, name, ReadAt::Latest).await;
        let found = found.and_then(|found| found.map(|object| object.value().map(|value| (object, value))).transpose());
        let found = match found {
            // The way out of what cannot be read back: there is nobody left to wait for, and nothing to compare with.
            Err(StorageError::Corrupt(_)) if !wanted.conditional() => match store.delete_unreadable(namespace, name).await {
                Ok(()) => return Ok(Deleted::Unreadable),
                Err(StorageError::Conflict { .. }) if attempt < TRIES => continue,
                Err(e) => return Err(e.into()),
            },
            found => found?,
        };
        let (current, old) = found.ok_or_else(|| ApiError::not_found(&resource.group, &resource.plural, name))?;
        wanted.check(resource, &current)?;
        let mut new = marked(&old, wanted, &write.now);
        if entry.federated && old["kind"] == "Namespace" {
            remember_copies(&mut new, wanted);
        }
        let waits = prepare::waits(&new);
        if wanted.dry_run {
            return Ok(Deleted::DryRun(new));
        }
        let outcome = if !waits {
            store.delete(namespace, name, current.revision).await.map(Deleted::Gone)
        } else if new == old {
            return Ok(Deleted::Pending(current));
        } else {
            store.update(namespace, name, &new, current.revision).await.map(Deleted::Pending)
        };
        match outcome {
            Ok(deleted) => return Ok(deleted),
            Err(StorageError::Conflict { .. }) if attempt < TRIES => {}
            Err(StorageError::Conflict { .. }) => {
                return Err(ApiError::conflict(&resource.group, &resource.plural, name, "the object keeps changing; try again"));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Err(ApiError::not_found(&resource.group, &resource.plural, name))
}

/// The object as it is while it is being deleted. Pure.
fn marked(old: &Value, wanted: &DeleteOptions, now: &str) -> Value {
    let mut new = old.clone();
    if let Some(finalizers) = new["metadata"].get_mut("finalizers").and_then(Value::as_array_mut) {
        // Nobody collects garbage here, who would take it off.
        finalizers.retain(|f| f != keys::FOREGROUND && (f != keys::ORPHAN || wanted.orphan != Some(false)));
        let has = |ours: &str| finalizers.iter().any(|f| f == ours);
        if wanted.orphan == Some(true) && has(keys::DELETE_FROM_CLUSTERS) && !has(keys::ORPHAN) {
            finalizers.push(keys::ORPHAN.into());
        }
        if finalizers.is_empty()
            && let Some(meta) = new["metadata"].as_object_mut()
        {
            meta.remove("finalizers");
        }
    }
    if !old["metadata"]["deletionTimestamp"].is_string() {
        new["metadata"]["deletionTimestamp"] = now.into();
        new["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        if let Some(generation) = old["metadata"]["generation"].as_i64().filter(|g| *g > 0) {
            new["metadata"]["generation"] = (generation + 1).into();
        }
        if old["kind"] == "Namespace" {
            new["status"]["phase"] = "Terminating".into();
        }
    }
    new
}

/// Annotation on a namespace that is being deleted: the copies of its contents in members stay.
const KEEP_COPIES: &str = "federation.kubernetes.io/orphan-contents";

/// Notes on the namespace itself what its deletion asked for, so that whoever empties it later
/// knows even after a restart. A later DELETE that says so includes the copies.
fn remember_copies(namespace: &mut Value, wanted: &DeleteOptions) {
    match wanted.orphan {
        Some(false) => {
            if let Some(annotations) = namespace["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove(KEEP_COPIES);
            }
        }
        Some(true) | None => namespace["metadata"]["annotations"][KEEP_COPIES] = "true".into(),
    }
}

/// Whether the contents of a namespace that is being deleted stay in the members.
pub(crate) fn keeps_copies(namespace: &Value) -> bool {
    namespace["metadata"]["annotations"][KEEP_COPIES] == "true"
}

pub(super) async fn delete_collection(call: Call<'_>, wanted: &DeleteOptions) -> Result<Response<Body>, ApiError> {
    let filter = options::filter(call)?;
    let list_options = options::list_options(call.query)?;
    let listing = call.store().list(call.namespace(), &list_options, filter.as_deref().map(|f| f as _)).await?;
    let resource = call.resource();
    let mut items: Vec<Bytes> = Vec::with_capacity(listing.items.len());
    for object in &listing.items {
        let namespace = resource.namespaced.then(|| object.head.namespace());
        admission::delete(resource, object.head.name())?;
        match delete_object(call.entry, namespace, object.head.name(), wanted).await {
            Ok(Deleted::Gone(object) | Deleted::Pending(object)) => items.extend(whole(call.entry, &object)),
            Ok(Deleted::DryRun(value)) => items.push(call.entry.shown(&value).to_string().into()),
            Ok(Deleted::Unreadable) => {}
            Err(e) if e.code == 404 => {}
            Err(e) => return Err(e),
        }
    }
    let metadata = json!({"resourceVersion": listing.revision.to_string()});
    Ok(response::json_bytes(StatusCode::OK, Body::chunks(encode::list_parts(resource, &metadata, items))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value, query: &str) -> Result<DeleteOptions, u16> {
        DeleteOptions::parse(body, &Query::parse(query)).map_err(|e| e.code)
    }

    #[test]
    fn the_orphan_finalizer_goes_only_when_dependents_go() {
        let old = json!({"kind": "ConfigMap", "metadata": {"finalizers": ["orphan", "x/y"], "generation": 1}});
        for (body, left) in [
            (json!({}), json!(["orphan", "x/y"])),
            (json!({"propagationPolicy": "Orphan"}), json!(["orphan", "x/y"])),
            (json!({"orphanDependents": true}), json!(["orphan", "x/y"])),
            (json!({"propagationPolicy": "Background"}), json!(["x/y"])),
            (json!({"propagationPolicy": "Foreground"}), json!(["x/y"])),
            (json!({"orphanDependents": false}), json!(["x/y"])),
        ] {
            let new = marked(&old, &read(&body, "").unwrap(), "2026-01-01T00:00:00Z");
            assert_eq!(new["metadata"]["finalizers"], left, "{body}");
            assert_eq!(new["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
            assert_eq!(new["metadata"]["generation"], 2);
        }
    }

    #[test]
    fn issue8_who_asks_for_copies_to_stay_keeps_them() {
        let old = json!({"kind": "ConfigMap", "metadata": {"finalizers": [keys::FOREGROUND, keys::DELETE_FROM_CLUSTERS]}});
        let left = |wanted: &DeleteOptions| marked(&old, wanted, "now")["metadata"]["finalizers"].take();
        let orphan = DeleteOptions { orphan: Some(true), ..DeleteOptions::default() };
        assert_eq!(left(&orphan), json!([keys::DELETE_FROM_CLUSTERS, keys::ORPHAN]));
        assert_eq!(left(&DeleteOptions::default()), json!([keys::DELETE_FROM_CLUSTERS]));
    }

    #[test]
    fn an_object_with_only_orphan_goes_at_once_when_dependents_go() {
        let old = json!({"kind": "ConfigMap", "metadata": {"finalizers": ["orphan"]}});
        assert!(!prepare::waits(&marked(&old, &DeleteOptions::background(), "now")));
        assert!(prepare::waits(&marked(&old, &DeleteOptions::default(), "now")));
    }

    #[test]
    fn issue7_nobody_is_waited_for_who_collects_garbage() {
        let old = json!({"kind": "ConfigMap", "metadata": {"finalizers": ["foregroundDeletion"]}});
        assert!(!prepare::waits(&marked(&old, &DeleteOptions::default(), "now")));
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(read(&json!({"propagationPolicy": "Orphan", "orphanDependents": true}), "").unwrap_err(), 422);
        assert_eq!(read(&json!({"propagationPolicy": "Never"}), "").unwrap_err(), 422);
        assert_eq!(read(&Value::Null, "propagationPolicy=Background").unwrap().orphan, Some(false));
        assert!(read(&json!({"dryRun": ["All"]}), "").unwrap().dry_run);
    }
}
