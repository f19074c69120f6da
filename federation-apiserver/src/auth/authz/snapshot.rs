//! Compiled roles and bindings: what a decision looks at.

use std::collections::HashMap;
use std::sync::Arc;

use super::decision::Decision;
use super::object::GROUP;
use super::rule::{Rule, distinct};
use crate::auth::{Attributes, UserInfo};

/// Why a binding grants nothing, in kube-apiserver's words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Ungranted {
    /// It names something that is no role.
    #[error("unsupported role reference kind: {0:?}")]
    Kind(String),
    /// Its role is not there.
    #[error("{kind}.{GROUP} {name:?} not found")]
    Missing {
        /// Kind of the role, in small letters.
        kind: String,
        /// Its name.
        name: String,
    },
}

/// Rules one binding grants to its subjects.
#[derive(Debug)]
pub(super) struct Grant {
    /// Rules of the role; an error when it is missing.
    pub rules: Result<Arc<[Rule]>, Ungranted>,
    /// Which binding of which role, for reasons.
    pub source: String,
}

/// Grants by subject.
#[derive(Debug, Default)]
pub(super) struct Index {
    users: HashMap<String, Vec<(Arc<Grant>, String)>>,
    groups: HashMap<String, Vec<(Arc<Grant>, String)>>,
}

impl Index {
    pub(super) fn add_user(&mut self, name: String, grant: Arc<Grant>, subject: String) {
        self.users.entry(name).or_default().push((grant, subject));
    }

    pub(super) fn add_group(&mut self, name: String, grant: Arc<Grant>, subject: String) {
        self.groups.entry(name).or_default().push((grant, subject));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    fn grants<'a>(&'a self, user: &'a UserInfo) -> impl Iterator<Item = &'a (Arc<Grant>, String)> {
        let by_group = user.groups.iter().filter_map(|g| self.groups.get(g));
        self.users.get(&user.name).into_iter().chain(by_group).flatten()
    }
}

/// Rules by namespace and role.
pub(super) type RoleRules = HashMap<(String, String), Arc<[Rule]>>;

/// All roles and bindings at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Granted everywhere.
    pub cluster: Arc<Index>,
    /// Granted in one namespace.
    pub namespaces: HashMap<String, Arc<Index>>,
    /// Rules by cluster role, aggregation resolved.
    pub cluster_roles: Arc<HashMap<String, Arc<[Rule]>>>,
    /// Rules of namespaced roles.
    pub roles: Arc<RoleRules>,
}

impl Snapshot {
    fn grants<'a>(&'a self, user: &'a UserInfo, namespace: &str) -> impl Iterator<Item = &'a (Arc<Grant>, String)> {
        let local = if namespace.is_empty() { None } else { self.namespaces.get(namespace) };
        self.cluster.grants(user).chain(local.into_iter().flat_map(|index| index.grants(user)))
    }

    pub(super) fn allows(&self, user: &UserInfo, a: &Attributes) -> bool {
        self.grants(user, &a.namespace).any(|(grant, _)| matches!(&grant.rules, Ok(rules) if rules.iter().any(|r| r.allows(a))))
    }

    pub(super) fn decide(&self, user: &UserInfo, a: &Attributes) -> Decision {
        let mut problems: Vec<&Ungranted> = Vec::new();
        for (grant, subject) in self.grants(user, &a.namespace) {
            match &grant.rules {
                Ok(rules) if rules.iter().any(|r| r.allows(a)) => {
                    return Decision { allowed: true, reason: format!("RBAC: allowed by {} to {subject}", grant.source) };
                }
                Ok(_) => {}
                Err(problem) if problems.contains(&problem) => {}
                Err(problem) => problems.push(problem),
            }
        }
        let reason = match problems.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        Decision { allowed: false, reason }
    }

    pub(super) fn rules_for(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        distinct(self.grants(user, namespace).filter_map(|(g, _)| g.rules.as_ref().ok()).flat_map(|r| r.iter().cloned()))
    }

    /// Rules of the role a binding in `namespace` (empty: cluster-wide) refers to.
    pub(super) fn role(&self, kind: &str, name: &str, namespace: &str) -> Option<Arc<[Rule]>> {
        match kind {
            "ClusterRole" => self.cluster_roles.get(name).cloned(),
            "Role" => self.roles.get(&(namespace.to_owned(), name.to_owned())).cloned(),
            _ => None,
        }
    }
}
