//! Aggregated cluster roles: their rules are the union of the roles their selectors match.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::object::{Role, read};
use super::rule::Rule;

/// Rules of every cluster role. Roles match by label, so an aggregated one may be part of another;
/// `edit` is made of parts that aggregate into `admin`. A cycle contributes each role once.
pub(super) fn resolve(roles: &BTreeMap<String, Role>) -> HashMap<String, Arc<[Rule]>> {
    roles.keys().map(|name| (name.clone(), rules_of(name, roles, &mut Vec::new()).into())).collect()
}

fn rules_of<'a>(name: &'a str, roles: &'a BTreeMap<String, Role>, on_the_way: &mut Vec<&'a str>) -> Vec<Rule> {
    let Some(role) = roles.get(name) else { return Vec::new() };
    let Some(aggregation) = &role.aggregation_rule else { return role.rules.clone().unwrap_or_default() };
    on_the_way.push(name);
    let mut out: Vec<Rule> = Vec::new();
    for (part, candidate) in roles {
        let wanted = aggregation.cluster_role_selectors.iter().any(|s| s.matches(&candidate.metadata.labels));
        if wanted && !on_the_way.contains(&part.as_str()) {
            for rule in rules_of(part, roles, on_the_way) {
                if !out.contains(&rule) {
                    out.push(rule);
                }
            }
        }
    }
    on_the_way.pop();
    out
}

/// Aggregated cluster roles whose stored rules are not what they should be, with those rules set:
/// write them back so that readers see what is granted. Decisions do not depend on it.
pub fn outdated(cluster_roles: &[Value]) -> Vec<Value> {
    let parsed: BTreeMap<String, Role> = cluster_roles
        .iter()
        .map(|object| {
            let role: Role = read(object);
            (role.metadata.name.clone(), role)
        })
        .collect();
    let resolved = resolve(&parsed);
    let mut out = Vec::new();
    for object in cluster_roles {
        let role: Role = read(object);
        let Some(rules) = resolved.get(&role.metadata.name).filter(|_| role.aggregation_rule.is_some()) else { continue };
        if role.rules.as_deref().unwrap_or_default() != &rules[..] {
            let mut fresh = object.clone();
            fresh["rules"] = serde_json::json!(&rules[..]);
            out.push(fresh);
        }
    }
    out
}
