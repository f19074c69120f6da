//! From a decoded object to one that may be stored: default, prune, admit, validate. Creates,
//! updates, patches and the server's own writes take the same way.

use machinery::patch::apply::{self, Writer};
use machinery::schema;
use machinery::status::{ApiError, FieldError, FieldErrorKind};
use serde_json::{Map, Value, json};

use super::call::Call;
use crate::auth::Verb;
use crate::http::query::Query;
use crate::registry::Entry;
use crate::registry::resource::{self, Subresource};

/// How a write is made.
#[derive(Clone)]
pub(crate) struct Write {
    /// Field manager.
    pub(crate) manager: String,
    /// Nothing is stored (`dryRun=All`).
    pub(crate) dry_run: bool,
    /// Current time, RFC 3339 with seconds.
    pub(crate) now: String,
}

impl Write {
    /// From the query and the user agent.
    pub(super) fn new(call: Call<'_>) -> Result<Self, ApiError> {
        let agent = call.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let named = call.query.get("fieldManager");
        if named.is_some_and(|m| m.len() > 128 || !m.chars().all(|c| !c.is_control())) {
            let e = FieldError::invalid("fieldManager", named.unwrap_or_default(), "must be at most 128 printable characters");
            return Err(unfit_options(call, e));
        }
        let manager = named.unwrap_or_else(|| agent.split(['/', ' ']).next().unwrap_or_default()).to_owned();
        Ok(Self { manager, dry_run: dry_run(call.query, options_of(&call.info.verb))?, now: now() })
    }

    /// Of the server itself.
    pub(crate) fn internal() -> Self {
        Self { manager: "federation-apiserver".into(), dry_run: false, now: now() }
    }
}

/// Current time as `metav1.Time`.
pub(crate) fn now() -> String {
    let second = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(second).map(|t| t.to_string()).unwrap_or_default()
}

/// The answer to a write whose options are wrong.
pub(super) fn unfit_options(call: Call<'_>, wrong: FieldError) -> ApiError {
    ApiError::invalid("meta.k8s.io", options_of(&call.info.verb), "", &[wrong])
}

/// The kind of a write's options, as errors name it.
fn options_of(verb: &Verb) -> &'static str {
    match verb {
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        _ => "PatchOptions",
    }
}

/// `dryRun=All`, the only value there is; an error is one of the `options`.
pub(super) fn dry_run(query: &Query, options: &str) -> Result<bool, ApiError> {
    let said: Vec<&str> = query.all("dryRun").collect();
    if said.iter().all(|value| *value == "All") {
        return Ok(!said.is_empty());
    }
    let e = FieldError { kind: FieldErrorKind::NotSupported, ..FieldError::invalid("dryRun", json!(said), "supported values: \"All\"") };
    Err(ApiError::invalid("meta.k8s.io", options, "", &[e]))
}

/// What an update ends in.
#[derive(Debug)]
pub(crate) enum Change {
    /// Nothing differs: the stored object stays as it is.
    None,
    /// The new object replaces the old one.
    Replace(Value),
    /// The last finalizer went from an object that is being deleted: it goes now.
    Remove(Value),
}

/// Metadata the server owns; what clients say about it on creation is dropped. A generation that is not counted is theirs, as
/// in kube-apiserver.
const SERVER_OWNED: [&str; 5] = ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"];

/// The metadata of an object, made when missing.
pub(super) fn metadata(object: &mut Value) -> Result<&mut Map<String, Value>, ApiError> {
    let root = object.as_object_mut().ok_or_else(|| ApiError::bad_request("the body is not an object"))?;
    let meta = root.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if meta.is_null() {
        *meta = Value::Object(Map::new());
    }
    meta.as_object_mut().ok_or_else(|| ApiError::bad_request("metadata is not an object"))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// The namespace of an object must be that of the request; an empty one is filled in.
pub(super) fn settle_namespace(object: &mut Value, namespaced: bool, namespace: &str) -> Result<(), ApiError> {
    let given = text(object, "namespace").to_owned();
    let meta = metadata(object)?;
    match (namespaced, given.as_str()) {
        (true, "") => {
            meta.insert("namespace".into(), namespace.into());
        }
        (true, other) if other != namespace => {
            return Err(ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
        }
        (true, _) => {}
        (false, _) => {
            meta.remove("namespace");
        }
    }
    Ok(())
}

/// Makes a decoded object ready to be created, in the version it is stored in. Its name and namespace are settled already.
/// `applied`: the managed fields are already settled by server-side apply.
pub(crate) fn create(
    entry: &Entry,
    object: &mut Value,
    user: &crate::auth::UserInfo,
    write: &Write,
    applied: bool,
) -> Result<(), ApiError> {
    let resource = &entry.resource;
    let strategy = resource.strategy;
    if !text(object, "resourceVersion").is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    entry.take_in(object);
    let meta = metadata(object)?;
    for field in SERVER_OWNED {
        meta.remove(field);
    }
    meta.remove("resourceVersion");
    meta.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    meta.insert("creationTimestamp".into(), write.now.as_str().into());
    if strategy.counts_generations() {
        meta.insert("generation".into(), 1.into());
    }
    if strategy.has_status()
        && !strategy.keeps_status_on_create()
        && let Some(root) = object.as_object_mut()
    {
        root.remove("status");
    }
    schema::default(&entry.types, entry.stored_gvk(), object);
    strategy.prepare_create(object, user);
    validate(entry, object, None, None)?;
    if !applied {
        own(entry, None, object, write, "");
    }
    Ok(())
}

/// Makes a decoded object ready to replace the stored one, through a subresource or not.
/// `applied`: the managed fields are already settled by server-side apply.
pub(crate) fn update(
    entry: &Entry,
    mut new: Value,
    old: &Value,
    part: Option<Subresource>,
    write: &Write,
    applied: bool,
) -> Result<Change, ApiError> {
    entry.take_in(&mut new);
    let resource = &entry.resource;
    let strategy = resource.strategy;
    let mut new = only(part, new, old, strategy.has_status());
    carry_over(&resource.group, &resource.plural, &mut new, old)?;
    // Finalizing takes off what defaults and the strategy put there.
    if part != Some(Subresource::Finalize) {
        schema::default(&entry.types, entry.stored_gvk(), &mut new);
        strategy.prepare_update(&mut new, old, resource::Change { part, now: &write.now });
    }
    if strategy.counts_generations() {
        let counted = |v: &Value| -> Map<String, Value> {
            let root = v.as_object().into_iter().flatten();
            root.filter(|(k, _)| !matches!(k.as_str(), "metadata" | "status" | "kind" | "apiVersion"))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        new["metadata"]["generation"] = (generation + i64::from(counted(&new) != counted(old))).into();
    }
    if !applied {
        own(entry, Some(old), &mut new, write, part.map(Subresource::name).unwrap_or_default());
    }
    apply::keep_times(old, &mut new);
    if new == *old {
        return Ok(if finished(&new) { Change::Remove(new) } else { Change::None });
    }
    validate(entry, &new, Some(old), part)?;
    Ok(if finished(&new) { Change::Remove(new) } else { Change::Replace(new) })
}

/// Whether an object that is being deleted has nobody left to wait for.
pub(crate) fn finished(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string() && !waits(object)
}

/// Whether somebody has to finish before the object can go.
pub(crate) fn waits(object: &Value) -> bool {
    let some = |list: &Value| list.as_array().is_some_and(|l| !l.is_empty());
    some(&object["metadata"]["finalizers"]) || (object["kind"] == "Namespace" && some(&object["spec"]["finalizers"]))
}

/// What a subresource may change; everything else stays as it was.
fn only(part: Option<Subresource>, mut new: Value, old: &Value, has_status: bool) -> Value {
    match part {
        Some(Subresource::Status) => {
            let mut out = old.clone();
            out["metadata"] = new["metadata"].take();
            put(&mut out, "status", new.get_mut("status").map(Value::take));
            if out["kind"] == "Deployment" {
                // As in Kubernetes, of this kind alone.
                let labels = old["metadata"].get("labels").cloned();
                put(&mut out["metadata"], "labels", labels);
            }
            out
        }
        Some(Subresource::Approval) => {
            let mut out = old.clone();
            out["metadata"] = new["metadata"].take();
            put(&mut out["status"], "conditions", new["status"].get_mut("conditions").map(Value::take));
            out
        }
        Some(Subresource::Finalize) => {
            let mut out = old.clone();
            out["spec"]["finalizers"] = new["spec"]["finalizers"].take();
            out["metadata"]["resourceVersion"] = new["metadata"]["resourceVersion"].take();
            out
        }
        Some(Subresource::Scale | Subresource::Token) | None => {
            if has_status {
                put(&mut new, "status", old.get("status").cloned());
            }
            new
        }
    }
}

fn put(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(root) = object.as_object_mut() else { return };
    match value {
        Some(value) if !value.is_null() => drop(root.insert(field.into(), value)),
        _ => drop(root.remove(field)),
    }
}

/// Server-owned metadata comes from the old object; identity may be left out but not changed.
fn carry_over(group: &str, plural: &str, new: &mut Value, old: &Value) -> Result<(), ApiError> {
    let name = text(old, "name").to_owned();
    let uid = text(new, "uid");
    if !uid.is_empty() && uid != text(old, "uid") {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", text(old, "uid"));
        return Err(ApiError::conflict(group, plural, &name, &why));
    }
    let meta = metadata(new)?;
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "name",
        "namespace",
        "resourceVersion",
    ] {
        match &old["metadata"][field] {
            Value::Null => drop(meta.remove(field)),
            value => drop(meta.insert(field.into(), value.clone())),
        }
    }
    meta.remove("selfLink");
    Ok(())
}

fn validate(entry: &Entry, new: &Value, old: Option<&Value>, part: Option<Subresource>) -> Result<(), ApiError> {
    let resource = &entry.resource;
    let rule = resource.strategy.name_rule().unwrap_or(schema::metadata::dns_subdomain);
    let mut errors = schema::validate_metadata(new, resource.namespaced, rule);
    errors.extend(schema::validate(&entry.types, entry.stored_gvk(), new));
    errors.extend(resource.strategy.validate(new));
    if let Some(old) = old {
        errors.extend(resource.strategy.validate_update(new, old, part));
        errors.extend(crate::registry::meta::validate_update(new, old));
        errors.extend(schema::validate_update(entry.stored_gvk(), new, old));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = Some(text(new, "name")).filter(|n| !n.is_empty()).unwrap_or(text(new, "generateName"));
    Err(ApiError::invalid(&resource.group, &resource.kind, name, &errors))
}

/// Tracks who wrote which field.
fn own(entry: &Entry, old: Option<&Value>, new: &mut Value, write: &Write, subresource: &str) {
    let api_version = entry.resource.api_version();
    let writer =
        Writer { manager: &write.manager, subresource, api_version: &api_version, now: &write.now, ignored: ignored(entry, subresource) };
    let old = old.map(|old| entry.shown(old));
    if !entry.converts() {
        return apply::update(&entry.types, &entry.gvk, old.as_deref(), new, &writer);
    }
    // Fields are owned in the version they are written in.
    let mut shown = entry.shown(new).into_owned();
    apply::update(&entry.types, &entry.gvk, old.as_deref(), &mut shown, &writer);
    match shown["metadata"].get_mut("managedFields").map(Value::take) {
        Some(owned) => new["metadata"]["managedFields"] = owned,
        None => drop(new["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"))),
    }
}

/// Fields a way of writing cannot change, so that it never owns them.
pub(super) fn ignored(entry: &Entry, subresource: &str) -> &'static [&'static str] {
    match subresource {
        "status" | "approval" => &["spec"],
        "" if entry.resource.strategy.keeps_spec() => &["spec", "status"],
        "" if entry.resource.strategy.has_status() => &["status"],
        _ => &[],
    }
}
