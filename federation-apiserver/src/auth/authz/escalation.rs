//! Nobody grants more than they have: the check on writing roles and bindings.

use machinery::status::ApiError;
use serde_json::Value;

use super::Authorization;
use super::cover::{TooMuch, divided, missing};
use super::object::{Binding, GROUP, RbacKind, Role, read};
use super::rule::Rule;
use crate::auth::{Attributes, UserInfo, Verb};

/// Most missing rules that are told.
const MAX_TOLD: usize = 100;

/// Whether `user` may write this role or binding. To be asked for create and update of the four
/// RBAC resources, after authorization and before storing; `old` is the stored object on update.
///
/// A role may hold only rules its author holds, unless they have the verb `escalate`; a binding may
/// refer only to a role its author holds, unless they have the verb `bind` on that role.
///
/// # Errors
/// 403 naming the rules that are missing; 404 when a binding refers to a role that is not there.
pub fn check(authz: &Authorization, user: &UserInfo, kind: RbacKind, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if !authz.uses_rbac() {
        return Ok(());
    }
    match kind {
        RbacKind::Role | RbacKind::ClusterRole => check_role(authz, user, kind, new, old),
        RbacKind::RoleBinding | RbacKind::ClusterRoleBinding => check_binding(authz, user, kind, new, old),
    }
}

fn check_role(authz: &Authorization, user: &UserInfo, kind: RbacKind, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let role: Role = read(new).map_err(|e| unfit(kind, &e))?;
    let (name, namespace) = (&role.metadata.name, &role.metadata.namespace);
    if old.is_some_and(|old| only_collects_garbage(new, old)) || authz.allows(user, &asks(Verb::Escalate, kind, namespace, name)) {
        return Ok(());
    }
    // What will match the selectors later cannot be known now, so only who has everything may write them, or take away
    // what they gather.
    let mut wanted = role.rules.unwrap_or_default();
    let aggregates = |role: &Value| role["aggregationRule"]["clusterRoleSelectors"].as_array().is_some_and(|list| !list.is_empty());
    if aggregates(new) || old.is_some_and(aggregates) {
        wanted.extend([Rule::all_resources(), Rule::all_urls()]);
    }
    confirm(authz, user, kind, namespace, name, &wanted)
}

fn check_binding(authz: &Authorization, user: &UserInfo, kind: RbacKind, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let binding: Binding = read(new).map_err(|e| unfit(kind, &e))?;
    let namespace = &binding.metadata.namespace;
    let role = &binding.role_ref;
    let role_kind = if role.kind == "Role" { RbacKind::Role } else { RbacKind::ClusterRole };
    if old.is_some_and(|old| only_collects_garbage(new, old)) || authz.allows(user, &asks(Verb::Bind, role_kind, namespace, &role.name)) {
        return Ok(());
    }
    let rules = authz.rbac().role_rules(&role.kind, &role.name, namespace);
    let rules = rules.ok_or_else(|| ApiError::not_found(GROUP, role_kind.plural(), &role.name))?;
    confirm(authz, user, kind, namespace, &binding.metadata.name, &rules)
}

/// Whether nothing changes but what garbage collection needs. Everything else may matter: the labels of a role decide
/// which others it becomes a part of. The rule is kube-apiserver's.
fn only_collects_garbage(new: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut rest = object.clone();
        if let Some(metadata) = rest["metadata"].as_object_mut() {
            metadata.retain(|field, _| !matches!(field.as_str(), "ownerReferences" | "finalizers" | "managedFields" | "resourceVersion"));
        }
        rest
    };
    rest(new) == rest(old)
}

fn unfit(kind: RbacKind, problem: &serde_json::Error) -> ApiError {
    ApiError::bad_request(format!("the object does not fit the type {}: {problem}", kind.kind()))
}

fn confirm(auth: &Authorization, user: &UserInfo, kind: RbacKind, namespace: &str, name: &str, wanted: &[Rule]) -> Result<(), ApiError> {
    let held = auth.rules_for(user, namespace);
    let lacking = missing(&held, wanted);
    if lacking.as_ref().is_ok_and(Vec::is_empty) {
        return Ok(());
    }
    let mut lines: Vec<String> = match lacking.and_then(|lacking| divided(&lacking, MAX_TOLD)) {
        Ok(told) => told.iter().map(Rule::compact).collect(),
        Err(TooMuch) => {
            let action =
                format!("these rules are too many to compare with those user {:?} holds; divide them over several roles", user.name);
            return Err(ApiError::forbidden(GROUP, kind.plural(), name, &action));
        }
    };
    lines.sort();
    lines.dedup();
    if lines.len() == MAX_TOLD {
        lines.push("and perhaps more".to_owned());
    }
    let groups = user.groups.iter().map(|g| format!("{g:?}")).collect::<Vec<_>>().join(" ");
    let lines = lines.join("\n");
    let action = format!("user {:?} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{lines}", user.name);
    Err(ApiError::forbidden(GROUP, kind.plural(), name, &action))
}

fn asks(verb: Verb, kind: RbacKind, namespace: &str, name: &str) -> Attributes {
    Attributes {
        verb,
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        resource: kind.plural().to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}
