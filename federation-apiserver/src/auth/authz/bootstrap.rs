//! Bringing the bootstrap roles and bindings into the store: created when missing, completed when
//! something was taken out, otherwise left as people made them.

use serde_json::{Value, json};

use super::cover::{TooMuch, divided, missing};
use super::object::{AUTO_UPDATE, RbacKind, Role, read};
use super::rule::Rule;
use super::{aggregate, roles};

/// One write that is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The object is missing.
    Create(RbacKind, Value),
    /// The object lacks something; its `metadata.resourceVersion` is the one it was read at.
    Update(RbacKind, Value),
    /// A binding refers to another role than it should; that cannot be changed in place.
    Replace(RbacKind, Value),
}

/// The writes that bring the stored cluster roles and bindings up to date. Pure; empty when all is
/// well. To be planned again after a conflict.
pub fn plan(cluster_roles: &[Value], cluster_role_bindings: &[Value]) -> Vec<Write> {
    let mut out = Vec::new();
    let mut after: Vec<Value> = cluster_roles.to_vec();
    for wanted in roles::cluster_roles() {
        match after.iter_mut().find(|r| name(r) == name(&wanted)) {
            None => after.push(wanted),
            Some(stored) => {
                if let Some(fresh) = complete(stored, &wanted, complete_role) {
                    *stored = fresh;
                }
            }
        }
    }
    for fresh in aggregate::outdated(&after) {
        if let Some(stored) = after.iter_mut().find(|r| name(r) == name(&fresh)) {
            *stored = fresh;
        }
    }
    for role in after {
        match cluster_roles.iter().find(|r| name(r) == name(&role)) {
            None => out.push(Write::Create(RbacKind::ClusterRole, role)),
            Some(stored) if *stored != role => out.push(Write::Update(RbacKind::ClusterRole, role)),
            Some(_) => {}
        }
    }
    for wanted in roles::cluster_role_bindings() {
        let kind = RbacKind::ClusterRoleBinding;
        match cluster_role_bindings.iter().find(|b| name(b) == name(&wanted)) {
            None => out.push(Write::Create(kind, wanted)),
            Some(stored) if protected(stored) => {}
            Some(stored) if stored["roleRef"] != wanted["roleRef"] => out.push(Write::Replace(kind, wanted)),
            Some(stored) => out.extend(complete(stored, &wanted, complete_binding).map(|b| Write::Update(kind, b))),
        }
    }
    out
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn protected(stored: &Value) -> bool {
    stored["metadata"]["annotations"][AUTO_UPDATE] == "false"
}

/// The stored object with what is missing from the wanted one; `None` when nothing is.
fn complete(stored: &Value, wanted: &Value, parts: fn(&mut Value, &Value)) -> Option<Value> {
    if protected(stored) {
        return None;
    }
    let mut fresh = stored.clone();
    for field in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][field].as_object().into_iter().flatten() {
            fresh["metadata"][field][key] = value.clone();
        }
    }
    parts(&mut fresh, wanted);
    (fresh != *stored).then_some(fresh)
}

fn complete_role(fresh: &mut Value, wanted: &Value) {
    if let Some(rule) = wanted.get("aggregationRule") {
        // Selectors of others stay; ours is put back.
        let ours = &rule["clusterRoleSelectors"][0];
        let selectors = &mut fresh["aggregationRule"]["clusterRoleSelectors"];
        match selectors.as_array_mut() {
            Some(list) if list.contains(ours) => {}
            Some(list) => list.push(ours.clone()),
            None => *selectors = json!([ours]),
        }
        return;
    }
    // Rules that cannot be read grant nothing and are replaced.
    let rules = |object: &Value| -> Vec<Rule> { read::<Role>(object).ok().and_then(|role| role.rules).unwrap_or_default() };
    let (held, wanted) = (rules(fresh), rules(wanted));
    let lacking = match missing(&held, &wanted).and_then(|lacking| divided(&lacking, usize::MAX)) {
        Ok(lacking) => lacking,
        Err(TooMuch) => wanted.into_iter().filter(|rule| !held.contains(rule)).collect(),
    };
    if !lacking.is_empty() {
        fresh["rules"] = json!(held.into_iter().chain(lacking).collect::<Vec<_>>());
    }
}

fn complete_binding(fresh: &mut Value, wanted: &Value) {
    let same = |a: &Value, b: &Value| ["kind", "name", "namespace"].iter().all(|k| a.get(*k) == b.get(*k));
    for subject in wanted["subjects"].as_array().into_iter().flatten() {
        let subjects = &mut fresh["subjects"];
        match subjects.as_array_mut() {
            Some(list) if list.iter().any(|s| same(s, subject)) => {}
            Some(list) => list.push(subject.clone()),
            None => *subjects = json!([subject]),
        }
    }
}
