//! Aggregated cluster roles: their rules are the union of the roles their selectors match.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::object::{Role, read};
use super::rule::{Rule, distinct};

/// Rules of every cluster role. Roles match by label, so an aggregated one may be part of another;
/// `edit` is made of parts that aggregate into `admin`. However they are entangled, each is part of another once.
pub(super) fn resolve(roles: &BTreeMap<String, Role>) -> HashMap<String, Arc<[Rule]>> {
    roles.keys().map(|name| (name.clone(), rules_of(name, roles).into())).collect()
}

fn rules_of(name: &str, roles: &BTreeMap<String, Role>) -> Vec<Rule> {
    let mut out = Vec::new();
    collect(name, roles, &mut BTreeSet::new(), &mut out);
    distinct(out)
}

fn collect<'a>(name: &'a str, roles: &'a BTreeMap<String, Role>, seen: &mut BTreeSet<&'a str>, out: &mut Vec<Rule>) {
    let Some(role) = roles.get(name).filter(|_| seen.insert(name)) else { return };
    let Some(aggregation) = &role.aggregation_rule else { return out.extend(role.rules.iter().flatten().cloned()) };
    for (part, candidate) in roles {
        if aggregation.cluster_role_selectors.iter().any(|s| s.matches(&candidate.metadata.labels)) {
            collect(part, roles, seen, out);
        }
    }
}

/// Aggregated cluster roles whose stored rules are not what they should be, with those rules set:
/// write them back so that readers see what is granted. Decisions do not depend on it.
pub fn outdated(cluster_roles: &[Value]) -> Vec<Value> {
    let parsed: BTreeMap<String, Role> =
        cluster_roles.iter().filter_map(|object| read(object).ok()).map(|role: Role| (role.metadata.name.clone(), role)).collect();
    let resolved = resolve(&parsed);
    let mut out = Vec::new();
    for object in cluster_roles {
        let Ok(role) = read::<Role>(object) else { continue };
        let Some(rules) = resolved.get(&role.metadata.name).filter(|_| role.aggregation_rule.is_some()) else { continue };
        if role.rules.as_deref().unwrap_or_default() != &rules[..] {
            let mut fresh = object.clone();
            fresh["rules"] = serde_json::json!(&rules[..]);
            out.push(fresh);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn d5_roles_that_are_all_part_of_each_other_are_resolved_soon() {
        let role = |n: usize| {
            let rule = json!({"verbs": ["get"], "apiGroups": [""], "resources": [format!("r{n}")]});
            let aggregation = n.is_multiple_of(2).then(|| json!({"clusterRoleSelectors": [{"matchLabels": {"all": "yes"}}]}));
            let role: Role = read(
                &json!({"metadata": {"name": n.to_string(), "labels": {"all": "yes"}}, "rules": [rule], "aggregationRule": aggregation}),
            )
            .unwrap();
            (n.to_string(), role)
        };
        let roles: BTreeMap<String, Role> = (0..60).map(role).collect();
        let resolved = resolve(&roles);
        assert_eq!((resolved["0"].len(), resolved["1"].len()), (30, 1));
    }
}
