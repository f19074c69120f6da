//! One policy rule: what it matches and what it covers.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::auth::Attributes;

/// `rbac.authorization.k8s.io/v1` PolicyRule.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Verbs; `*` is any.
    #[serde(deserialize_with = "null_is_empty")]
    pub verbs: Vec<String>,
    /// API groups; empty text is the core group, `*` any.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// `resource`, `resource/subresource`, `*/subresource` or `*`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names the rule is limited to; empty is no limit.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resources; a trailing `*` stands for any rest.
    #[serde(rename = "nonResourceURLs", deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// Clients in Go write empty lists as `null`.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(d)?.unwrap_or_default())
}

fn owned(items: &[&str]) -> Vec<String> {
    items.iter().map(|s| (*s).to_owned()).collect()
}

fn has(set: &[String], item: &str) -> bool {
    set.iter().any(|s| s == item)
}

fn has_or_any(set: &[String], item: &str) -> bool {
    set.iter().any(|s| s == "*" || s == item)
}

/// Whether a rule's path matches a requested one.
pub(super) fn url_covers(pattern: &str, path: &str) -> bool {
    pattern == path || (pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*')))
}

impl Rule {
    /// Verbs on resources of groups.
    pub fn on(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Self {
        Self { verbs: owned(verbs), api_groups: owned(groups), resources: owned(resources), ..Self::default() }
    }

    /// Verbs on paths.
    pub fn urls(urls: &[&str], verbs: &[&str]) -> Self {
        Self { verbs: owned(verbs), non_resource_urls: owned(urls), ..Self::default() }
    }

    /// Every verb on every resource.
    pub fn all_resources() -> Self {
        Self::on(&["*"], &["*"], &["*"])
    }

    /// Every verb on every path.
    pub fn all_urls() -> Self {
        Self::urls(&["*"], &["*"])
    }

    /// The same rule for these names only.
    #[must_use]
    pub fn named(mut self, names: &[&str]) -> Self {
        self.resource_names = owned(names);
        self
    }

    /// Whether the rule allows a request.
    pub fn allows(&self, a: &Attributes) -> bool {
        if !has_or_any(&self.verbs, a.verb.as_str()) {
            return false;
        }
        if a.resource.is_empty() {
            return self.non_resource_urls.iter().any(|u| url_covers(u, &a.path));
        }
        has_or_any(&self.api_groups, &a.group)
            && self.resources.iter().any(|r| resource_matches(r, &a.resource, &a.subresource))
            && (self.resource_names.is_empty() || has(&self.resource_names, &a.name))
    }

    /// The rule in one line, as escalation errors show it.
    pub fn compact(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ]
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:[{}]", list.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(" ")))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    match pattern.split_once('/') {
        None => subresource.is_empty() && pattern == resource,
        Some((r, s)) => !subresource.is_empty() && s == subresource && (r == "*" || r == resource),
    }
}

/// The rules, each once, in order of first appearance.
pub(super) fn distinct(rules: impl IntoIterator<Item = Rule>) -> Vec<Rule> {
    let mut seen = HashSet::new();
    rules.into_iter().filter(|rule| seen.insert(rule.clone())).collect()
}
