//! A write, from what it makes of the stored object to the object that is stored then: the one way of creates, updates
//! and patches.

use std::sync::Arc;

use machinery::schema::metadata::generated_prefix;
use machinery::status::ApiError;
use serde_json::Value;

use super::call::{Call, Owned};
use super::decode::Input;
use super::options;
use super::patch::Made;
use super::prepare::{self, Change, Write};
use super::transform::Transform;
use crate::admission;
use crate::auth::{Attributes, Verb};
use crate::registry::resource::Subresource;
use crate::storage::StorageError;
use crate::storage::object::Object;
use crate::storage::store::ReadAt;

/// Attempts of a write that names no resourceVersion.
pub(super) const TRIES: usize = 5;
/// Names generated anew after a collision, at most.
const GENERATE_TRIES: usize = 8;
/// No vowels and nothing that looks like something else: no words come up by chance.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// What was written.
pub(super) struct Outcome {
    pub(super) stored: Stored,
    /// Whether there was none before.
    pub(super) created: bool,
    pub(super) warnings: Vec<String>,
}

/// What was stored, or would have been.
pub(super) enum Stored {
    /// The stored object.
    Object(Arc<Object>),
    /// A dry run's result, or the last state of an object that is gone.
    Value(Value),
}

/// What is to be done to the store.
enum Plan {
    /// In a namespace as it was read.
    Create(Value, Option<Arc<Object>>),
    /// Nothing differs.
    Keep(Arc<Object>),
    /// Instead of what was written at a revision.
    Replace(Value, u64),
    /// What is left of what was written at a revision; its last finalizer went.
    Remove(Value, u64),
}

/// Reads, changes, defaults, admits, validates, owns and stores; again when somebody else wrote in between and the write
/// names no resourceVersion.
pub(super) async fn write(call: Call<'_>, part: Option<Subresource>, input: Input) -> Result<Outcome, ApiError> {
    let Input { transform, how, weight, mut warnings } = input;
    let about = call.owned();
    let (transform, how) = (Arc::new(transform), Arc::new(how));
    let tries = tries(&transform);
    for attempt in 1.. {
        let current = if transform.looks() { call.current().await? } else { None };
        let created = current.is_none();
        let home = if created { home(call, &transform).await? } else { Ok(None) };
        let weight = weight + current.as_ref().map_or(0, |object| object.bytes.len());
        let (about, transform, manner) = (about.clone(), Arc::clone(&transform), Arc::clone(&how));
        let planned = call.work(weight, move || match current {
            None => {
                let Made { object, warnings } = transform.make(&about, None)?;
                let home = home?;
                Ok::<_, ApiError>((Plan::Create(create(&about, object, &manner, transform.owns())?, home), warnings))
            }
            Some(current) => {
                let old = current.value()?;
                let Made { object, warnings } = transform.make(&about, Some(&about.entry.shown(&old)))?;
                Ok((change(&about, part, object, (current, &old), &manner, transform.owns())?, warnings))
            }
        });
        let (plan, told) = planned.await??;
        match store(call, plan, how.dry_run).await? {
            Ok(stored) => {
                warnings.extend(told);
                return Ok(Outcome { stored, created, warnings });
            }
            Err(lost) if attempt == tries => return Err(lost),
            Err(_) => {}
        }
    }
    Err(call.not_found())
}

/// How often it is tried when others write, too.
fn tries(transform: &Transform) -> usize {
    match transform {
        Transform::Create(object) if generates(object) => GENERATE_TRIES,
        Transform::Create(_) => 1,
        _ => TRIES,
    }
}

fn generates(object: &Value) -> bool {
    let said = |field: &str| object["metadata"][field].as_str().is_some_and(|text| !text.is_empty());
    said("generateName") && !said("name")
}

/// The namespace of a new object, if there may be one: of what is created otherwise than by POST that is said at once, and
/// of its namespace when it is known what would be created.
async fn home(call: Call<'_>, transform: &Transform) -> Result<Result<Option<Arc<Object>>, ApiError>, ApiError> {
    transform.may_create(&call.owned())?;
    if call.info.verb != Verb::Create {
        // As in kube-apiserver, who makes an object by applying it needs the right to create it too.
        call.api.authz.authorize(call.user, &Attributes { verb: Verb::Create, ..call.info.clone() })?;
    }
    Ok(admission::create(&call.api.registry, call.resource(), &call.info.namespace).await)
}

fn create(about: &Owned, mut object: Value, how: &Write, owned: bool) -> Result<Value, ApiError> {
    if generates(&object) {
        let name = generate_name(object["metadata"]["generateName"].as_str().unwrap_or_default());
        prepare::metadata(&mut object)?.insert("name".into(), name.into());
    }
    prepare::create(&about.entry, &mut object, &about.user, how, owned)?;
    about.check(&object, None, None)?;
    if about.finalizers {
        let resource = &about.entry.resource;
        admission::finalize(&resource.group, &resource.plural, &mut object);
    }
    Ok(object)
}

fn change(
    about: &Owned,
    part: Option<Subresource>,
    new: Value,
    (current, old): (Arc<Object>, &Value),
    how: &Write,
    owned: bool,
) -> Result<Plan, ApiError> {
    // A patched object carries the version it was read at, which is no condition of the caller.
    let wanted = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !wanted.is_empty() && old["metadata"]["resourceVersion"] != wanted {
        options::parse_revision(wanted)?;
        return Err(about.conflict(MODIFIED));
    }
    Ok(match prepare::update(&about.entry, new, old, part, how, owned)? {
        Change::None => Plan::Keep(current),
        Change::Remove(new) => Plan::Remove(new, current.revision),
        Change::Replace(new) => {
            about.check(&new, Some(old), part)?;
            Plan::Replace(new, current.revision)
        }
    })
}

/// Stores a new object while its namespace is as it was read. What was admitted long ago is not stored when its namespace
/// is gone meanwhile, where nobody would ever remove it; and the namespace need not be asked for again.
async fn create_in(
    call: Call<'_>,
    mut home: Option<Arc<Object>>,
    name: &str,
    new: &Value,
) -> Result<Result<Arc<Object>, StorageError>, ApiError> {
    let (registry, store, namespace) = (&call.api.registry, call.store(), call.namespace());
    for _ in 0..TRIES {
        let Some(as_read) = &home else { return Ok(store.create(namespace, name, new).await) };
        match store.create_while(namespace, name, new, (registry.namespaces().store(), as_read)).await {
            Err(StorageError::Changed) => home = admission::create_anew(registry, call.resource(), &call.info.namespace).await?,
            stored => return Ok(stored),
        }
    }
    Err(call.owned().conflict("its namespace keeps changing; try again"))
}

/// Carries out a plan, or says to whom it lost.
async fn store(call: Call<'_>, plan: Plan, dry_run: bool) -> Result<Result<Stored, ApiError>, ApiError> {
    let (store, namespace, name) = (call.store(), call.namespace(), call.info.name.as_str());
    let (stored, lost) = match plan {
        Plan::Keep(current) => return Ok(Ok(Stored::Object(current))),
        Plan::Replace(new, _) | Plan::Remove(new, _) if dry_run => return Ok(Ok(Stored::Value(new))),
        Plan::Create(new, home) => {
            let name = new["metadata"]["name"].as_str().unwrap_or_default();
            let exists = ApiError::already_exists(&call.resource().group, &call.resource().plural, name);
            if dry_run {
                let current = store.get(namespace, name, ReadAt::Latest).await?;
                return Ok(if current.is_some() { Err(exists) } else { Ok(Stored::Value(new)) });
            }
            (create_in(call, home, name, &new).await?.map(Stored::Object), exists)
        }
        Plan::Replace(new, expected) => {
            (store.update(namespace, name, &new, expected).await.map(Stored::Object), call.owned().conflict(MODIFIED))
        }
        Plan::Remove(mut last, expected) => {
            let gone = store.delete(namespace, name, expected).await;
            let gone = gone.map(|gone| {
                last["metadata"]["resourceVersion"] = gone.revision.to_string().into();
                Stored::Value(last)
            });
            (gone, call.owned().conflict(MODIFIED))
        }
    };
    match stored {
        Ok(stored) => Ok(Ok(stored)),
        Err(StorageError::Conflict { .. }) => Ok(Err(lost)),
        Err(e) => Err(e.into()),
    }
}

fn generate_name(prefix: &str) -> String {
    let random = uuid::Uuid::new_v4();
    let suffix = random.as_bytes().iter().take(5).map(|b| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()]));
    generated_prefix(prefix).chars().chain(suffix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_into_a_label() {
        let name = generate_name(&"a".repeat(100));
        assert_eq!(name.len(), 63);
        assert!(generate_name("web-").starts_with("web-") && generate_name("web-").len() == 9);
    }
}
