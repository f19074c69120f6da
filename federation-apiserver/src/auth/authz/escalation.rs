//! Nobody grants more than they have: the check on writing roles and bindings.

use machinery::status::ApiError;
use serde_json::Value;

use super::Authorization;
use super::object::{Binding, GROUP, RbacKind, Role, read};
use super::rule::{Rule, missing};
use crate::auth::{Attributes, UserInfo};

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
    let role: Role = read(new);
    let before: Role = old.map(read).unwrap_or_default();
    let unchanged = old.is_some() && role.rules == before.rules && role.aggregation_rule == before.aggregation_rule;
    let (name, namespace) = (&role.metadata.name, &role.metadata.namespace);
    if unchanged || authz.allows(user, &asks("escalate", kind, namespace, name)) {
        return Ok(());
    }
    // What will match the selectors later cannot be known now, so only who has everything may write them.
    let mut wanted = role.rules.unwrap_or_default();
    if role.aggregation_rule.is_some() && role.aggregation_rule != before.aggregation_rule {
        wanted.extend([Rule::all_resources(), Rule::all_urls()]);
    }
    confirm(authz, user, kind, namespace, name, &wanted)
}

fn check_binding(authz: &Authorization, user: &UserInfo, kind: RbacKind, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let binding: Binding = read(new);
    let before: Binding = old.map(read).unwrap_or_default();
    let namespace = &binding.metadata.namespace;
    let unchanged = old.is_some() && binding.subjects == before.subjects && binding.role_ref == before.role_ref;
    let role = &binding.role_ref;
    let role_kind = if role.kind == "Role" { RbacKind::Role } else { RbacKind::ClusterRole };
    if unchanged || authz.allows(user, &asks("bind", role_kind, namespace, &role.name)) {
        return Ok(());
    }
    let rules = authz.rbac().role_rules(&role.kind, &role.name, namespace);
    let rules = rules.ok_or_else(|| ApiError::not_found(GROUP, role_kind.plural(), &role.name))?;
    confirm(authz, user, kind, namespace, &binding.metadata.name, &rules)
}

fn confirm(auth: &Authorization, user: &UserInfo, kind: RbacKind, namespace: &str, name: &str, wanted: &[Rule]) -> Result<(), ApiError> {
    let lacking = missing(&auth.rules_for(user, namespace), wanted);
    if lacking.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = lacking.iter().map(Rule::compact).collect();
    lines.sort();
    lines.dedup();
    let groups = user.groups.iter().map(|g| format!("{g:?}")).collect::<Vec<_>>().join(" ");
    let lines = lines.join("\n");
    let action = format!("user {:?} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{lines}", user.name);
    Err(ApiError::forbidden(GROUP, kind.plural(), name, &action))
}

fn asks(verb: &str, kind: RbacKind, namespace: &str, name: &str) -> Attributes {
    Attributes {
        verb: verb.to_owned(),
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        resource: kind.plural().to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}
