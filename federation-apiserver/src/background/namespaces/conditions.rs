//! What the status of a namespace says while it is emptied: what is still in it, and which finalizers that waits for. Types
//! and reasons are Kubernetes'.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::registry::resource::Resource;

/// Finalizers that are told at most: everybody who may write an object may make up others.
const MAX_TOLD: usize = 20;

/// What a look into a namespace found that does not go yet.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    /// Objects by resource.
    objects: BTreeMap<String, usize>,
    /// Objects by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Why one could not be deleted.
    failure: Option<String>,
}

impl Remaining {
    /// One object more.
    pub(super) fn add(&mut self, resource: &Resource) {
        let (plural, group) = (&resource.plural, &resource.group);
        let name = if group.is_empty() { plural.to_string() } else { format!("{plural}.{group}") };
        *self.objects.entry(name).or_default() += 1;
    }

    /// What an object waits for.
    pub(super) fn waits_for(&mut self, object: &Value) {
        let finalizers = object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for finalizer in finalizers {
            *self.finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }

    /// The first failure is told.
    pub(super) fn fails(&mut self, why: &str) {
        self.failure.get_or_insert_with(|| why.to_owned());
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.failure.is_none()
    }

    /// Puts it into the status of a namespace; says whether that says something else now. A namespace that is empty at the
    /// first look needs no conditions.
    pub(super) fn tell(&self, namespace: &mut Value, now: &str) -> bool {
        let old = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if self.is_empty() && old.is_empty() {
            return false;
        }
        let mut new: Vec<Value> = old.iter().filter(|c| !ours(c)).cloned().collect();
        for (kind, holds, reason, message) in self.conditions() {
            let status = if holds { "True" } else { "False" };
            let before = old.iter().find(|c| c["type"] == kind && c["status"] == status);
            let since = before.and_then(|c| c["lastTransitionTime"].as_str()).unwrap_or(now);
            new.push(json!({"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}));
        }
        let changed = new != old;
        namespace["status"]["conditions"] = new.into();
        changed
    }

    fn conditions(&self) -> [(&'static str, bool, &'static str, String); 3] {
        let (failed, objects, finalizers) = (&self.failure, &self.objects, &self.finalizers);
        let text = |holds: bool, told: String, otherwise: &str| if holds { told } else { otherwise.to_owned() };
        let failure = text(
            failed.is_some(),
            format!("not everything could be deleted: {}", failed.as_deref().unwrap_or_default()),
            "everything was deleted, or waits for its finalizers",
        );
        let left =
            text(!objects.is_empty(), format!("still there: {}", counted(objects, |n, name| format!("{n} {name}"))), "nothing is left");
        let waiting = counted(finalizers, |n, name| format!("{name} (of {n})"));
        let waiting = text(!finalizers.is_empty(), format!("finalizers that are waited for: {waiting}"), "no finalizer is waited for");
        let reason = |holds, yes, no| if holds { yes } else { no };
        [
            (FAILURE, failed.is_some(), reason(failed.is_some(), "ContentDeletionFailed", "ContentDeleted"), failure),
            (CONTENT, !objects.is_empty(), reason(!objects.is_empty(), "SomeResourcesRemain", "ContentRemoved"), left),
            (FINALIZERS, !finalizers.is_empty(), reason(!finalizers.is_empty(), "SomeFinalizersRemain", "ContentHasNoFinalizers"), waiting),
        ]
    }
}

const FAILURE: &str = "NamespaceDeletionContentFailure";
const CONTENT: &str = "NamespaceContentRemaining";
const FINALIZERS: &str = "NamespaceFinalizersRemaining";

fn ours(condition: &Value) -> bool {
    [FAILURE, CONTENT, FINALIZERS].iter().any(|kind| condition["type"] == *kind)
}

fn counted(of: &BTreeMap<String, usize>, show: impl Fn(usize, &str) -> String) -> String {
    let mut told: Vec<String> = of.iter().take(MAX_TOLD).map(|(name, n)| show(*n, name)).collect();
    if let Some(more) = of.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        told.push(format!("and {more} more"));
    }
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_move_only_when_a_condition_turns() {
        let mut namespace = json!({"status": {"phase": "Terminating"}});
        assert!(!Remaining::default().tell(&mut namespace, "1"));
        assert_eq!(namespace["status"].get("conditions"), None);
        let resource = Resource::namespaced("batch", "v1", "Job", "jobs", "job");
        let mut one = Remaining::default();
        one.add(&resource);
        one.waits_for(&json!({"metadata": {"finalizers": ["a/b", "orphan"]}}));
        assert!(one.tell(&mut namespace, "1") && !one.tell(&mut namespace, "2"));
        one.add(&resource);
        one.waits_for(&json!({"metadata": {"finalizers": ["orphan"]}}));
        assert!(one.tell(&mut namespace, "3"));
        let condition = |namespace: &Value, kind: &str| {
            let conditions = namespace["status"]["conditions"].as_array().unwrap();
            let found = conditions.iter().find(|c| c["type"] == kind).unwrap();
            ["status", "reason", "lastTransitionTime", "message"].map(|field| found[field].as_str().unwrap().to_owned())
        };
        assert_eq!(condition(&namespace, CONTENT), ["True", "SomeResourcesRemain", "1", "still there: 2 jobs.batch"]);
        let waiting = "finalizers that are waited for: a/b (of 1), orphan (of 2)";
        assert_eq!(condition(&namespace, FINALIZERS), ["True", "SomeFinalizersRemain", "1", waiting]);
        assert_eq!(condition(&namespace, FAILURE)[..2], ["False", "ContentDeleted"]);
        // What others keep the namespace for is not in it.
        assert!(Remaining::default().tell(&mut namespace, "4"));
        assert_eq!(condition(&namespace, CONTENT), ["False", "ContentRemoved", "4", "nothing is left"]);
        assert_eq!(condition(&namespace, FAILURE)[2], "1");
    }
}
