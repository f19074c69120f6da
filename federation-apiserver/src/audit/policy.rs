//! Which requests are recorded and how fully: `Policy` of `audit.k8s.io/v1`, read from a file.
//!
//! The first rule that fits decides, as in kube-apiserver. One thing is stricter: bodies of secrets are
//! recorded only by a rule that names the resource.

use std::path::Path;

use serde::Deserialize;

use crate::auth::{Attributes, UserInfo};
use crate::error::ConfigError;

/// How much of a request is recorded.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Who, what, when and with what result.
    Metadata,
    /// And the request's body.
    Request,
    /// And the answer's body.
    RequestResponse,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// When an event is recorded.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub enum Stage {
    /// Before anything is done.
    RequestReceived,
    /// A watch has begun.
    ResponseStarted,
    /// All is done.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

impl Stage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// The rules, in order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde::de::IgnoredAny,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

/// What the policy says of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    /// How much is recorded.
    pub level: Level,
    /// When it is not.
    pub omit_stages: Vec<Stage>,
    /// Whether `managedFields` are left out of bodies.
    pub omit_managed_fields: bool,
}

impl Policy {
    /// Reads the file.
    ///
    /// # Errors
    /// A file that cannot be read or is no policy; the message says where.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let at = format!("--audit-policy-file {}", path.display());
        let bad = |why: String| ConfigError::new(format!("{at}: {why}"), "it is a Policy of audit.k8s.io/v1, as kube-apiserver takes it");
        let text = std::fs::read_to_string(path).map_err(|e| bad(format!("cannot read it: {e}")))?;
        Self::parse(&text).map_err(bad)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let policy: Self = serde_saphyr::from_str(text).map_err(|e| machinery::yaml::complaint("the policy", &e))?;
        if policy.api_version != "audit.k8s.io/v1" || policy.kind != "Policy" {
            return Err(format!("it is {} of {}", policy.kind, policy.api_version));
        }
        if policy.rules.is_empty() {
            return Err("it has no rules".to_owned());
        }
        for (nth, rule) in policy.rules.iter().enumerate() {
            rule.check().map_err(|why| format!("rules[{nth}]: {why}"))?;
        }
        Ok(policy)
    }

    /// What is to be recorded of a request of `user`, who is the one who sent it, not the one he acts as.
    pub fn verdict(&self, user: &UserInfo, wants: &Attributes) -> Verdict {
        let Some(rule) = self.rules.iter().find(|rule| rule.fits(user, wants)) else { return Verdict::default() };
        let secret = wants.group.is_empty() && wants.resource == "secrets" && !rule.names("secrets");
        Verdict {
            level: if secret { rule.level.min(Level::Metadata) } else { rule.level },
            omit_stages: self.omit_stages.iter().chain(&rule.omit_stages).copied().collect(),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let of_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if of_resources && !self.non_resource_urls.is_empty() {
            return Err("nonResourceURLs go with neither resources nor namespaces".to_owned());
        }
        for url in &self.non_resource_urls {
            let star = url.find('*').is_none_or(|at| at + 1 == url.len());
            if url != "*" && !(url.starts_with('/') && star) {
                return Err(format!("nonResourceURLs: {url:?} begins with / and has a * at its end only"));
            }
        }
        if self.resources.iter().any(|r| !r.resource_names.is_empty() && r.resources.is_empty()) {
            return Err("resourceNames need resources".to_owned());
        }
        if let Some(group) = self.resources.iter().map(|r| &r.group).find(|g| g.contains('/') || g.contains('*')) {
            return Err(format!("resources: {group:?} is no API group; write it without version"));
        }
        Ok(())
    }

    fn fits(&self, user: &UserInfo, wants: &Attributes) -> bool {
        let among = |list: &[String], item: &str| list.iter().any(|i| i == item);
        if !self.users.is_empty() && !among(&self.users, &user.name)
            || !self.user_groups.is_empty() && !self.user_groups.iter().any(|g| user.in_group(g))
            || !self.verbs.is_empty() && !among(&self.verbs, wants.verb.as_str())
        {
            return false;
        }
        let resource = !wants.resource.is_empty();
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return resource
                && (self.namespaces.is_empty() || among(&self.namespaces, &wants.namespace))
                && (self.resources.is_empty() || self.resources.iter().any(|r| r.fits(wants)));
        }
        self.non_resource_urls.is_empty() || !resource && self.non_resource_urls.iter().any(|url| url_fits(url, &wants.path))
    }

    /// Whether it names this resource of the core group.
    fn names(&self, resource: &str) -> bool {
        self.resources.iter().any(|r| r.group.is_empty() && r.resources.iter().any(|named| named == resource))
    }
}

impl GroupResources {
    fn fits(&self, wants: &Attributes) -> bool {
        if self.group != wants.group || !self.resource_names.is_empty() && !self.resource_names.contains(&wants.name) {
            return false;
        }
        self.resources.is_empty() || self.resources.iter().any(|pattern| resource_fits(pattern, wants))
    }
}

/// `*` is everything, `pods` only the resource itself, `pods/log` one subresource, `pods/*` it and all of
/// them, `*/scale` that of every resource.
fn resource_fits(pattern: &str, wants: &Attributes) -> bool {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    pattern == "*"
        || subresource == "*" && resource == wants.resource
        || !wants.subresource.is_empty() && resource == "*" && subresource == wants.subresource
        || resource == wants.resource && subresource == wants.subresource
}

fn url_fits(pattern: &str, path: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == path, |start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver"]
- level: None
  nonResourceURLs: ["/healthz*", /version]
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources:
  - group: apps
    resources: ["deployments/*", "*/status"]
    resourceNames: [web]
- level: Request
  namespaces: [shire]
  userGroups: [hobbits]
  omitStages: [ResponseStarted]
- level: Metadata
"#;

    fn wants(verb: &str, group: &str, resource: &str, namespace: &str) -> Attributes {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Attributes {
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            name: "web".into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn d22_the_first_rule_that_fits_decides() {
        let policy = Policy::parse(POLICY).unwrap();
        let sam = UserInfo { name: "sam".into(), groups: vec!["hobbits".into()], ..UserInfo::default() };
        let level = |user: &UserInfo, wants: &Attributes| policy.verdict(user, wants).level;
        let system = UserInfo { name: "system:apiserver".into(), ..UserInfo::default() };
        assert_eq!(level(&system, &wants("create", "", "secrets", "shire")), Level::None);
        let url = |path: &str| Attributes { verb: "get".into(), path: path.into(), ..Attributes::default() };
        assert_eq!([level(&sam, &url("/healthz/etcd")), level(&sam, &url("/metrics"))], [Level::None, Level::Metadata]);
        let deployment = |verb, resource| level(&UserInfo::default(), &wants(verb, "apps", resource, "shire"));
        assert_eq!(deployment("patch", "deployments/scale"), Level::RequestResponse);
        assert_eq!(deployment("patch", "deployments"), Level::RequestResponse, "a star takes the resource itself too");
        assert_eq!(deployment("patch", "replicasets/status"), Level::RequestResponse);
        assert_eq!([deployment("get", "deployments/scale"), deployment("patch", "replicasets")], [Level::Metadata; 2]);
        let verdict = policy.verdict(&sam, &wants("create", "", "configmaps", "shire"));
        assert_eq!((verdict.level, verdict.omit_stages), (Level::Request, vec![Stage::RequestReceived, Stage::ResponseStarted]));
        assert_eq!(level(&sam, &wants("create", "", "configmaps", "mordor")), Level::Metadata);
    }

    #[test]
    fn bodies_of_secrets_want_a_rule_that_names_them() {
        let level = |resources: &str| {
            let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n{resources}");
            Policy::parse(&text).unwrap().verdict(&UserInfo::default(), &wants("get", "", "secrets", "shire")).level
        };
        assert_eq!(level(""), Level::Metadata);
        assert_eq!(level("  resources: [{group: \"\", resources: [\"*\"]}]"), Level::Metadata);
        assert_eq!(level("  resources: [{group: \"\", resources: [secrets]}]"), Level::RequestResponse);
    }

    #[test]
    fn what_is_no_policy_is_refused_and_where() {
        for (text, want) in [
            ("rules: [{level: Metadata}]", "apiVersion"),
            ("{apiVersion: audit.k8s.io/v1, kind: Policy}", "no rules"),
            ("{apiVersion: audit.k8s.io/v1beta1, kind: Policy, rules: [{level: None}]}", "v1beta1"),
            ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Loud}]}", "Loud"),
            ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, user: [x]}]}", "user"),
            ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None}, {level: None, nonResourceURLs: [a]}]}", "rules[1]"),
        ] {
            let refused = Policy::parse(text).unwrap_err();
            assert!(refused.contains(want), "{text}: {refused}");
        }
    }
}
