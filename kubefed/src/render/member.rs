//! What a member cluster gets: an account for the federation, and no more rights than it needs.

use std::collections::BTreeMap;

use federation_api::keys;
use federation_api::kinds::{self, MEMBER_VERBS};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::render::access::Access;
use crate::render::names::{Federation, MANAGED_BY_LABEL, MANAGER, map, member_account, member_role};
use crate::render::object::Object;

/// One member as `join` and `unjoin` see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// The federation and the namespace its objects live in, in host and member alike.
    pub federation: Federation,
    /// Name of the cluster in the federation.
    pub cluster: String,
    /// Context of the host cluster; part of the account's name, as in v1.
    pub host_context: String,
    /// Secret in the host cluster with the member's credentials.
    pub secret: String,
}

impl Member {
    /// Service account in the member.
    pub fn account(&self) -> String {
        member_account(&self.cluster, &self.host_context)
    }

    /// Secret in the member that holds the account's token without an end, where it has one; and the name of the role by which
    /// the account makes its next tokens.
    pub fn token_secret(&self) -> String {
        format!("{}-token", self.account())
    }

    /// Secret in the member that tokens with an end hang on. There are two names, so that a token that hangs on one goes on until
    /// another that hangs on the other was proven.
    pub fn bound_secret(&self, now: Option<&str>, other: bool) -> String {
        let [first, second] = [1, 2].map(|n| format!("{}-{n}", self.token_secret()));
        if (now == Some(second.as_str())) == other { first } else { second }
    }

    /// Every secret in the member that a token of the account may hang on.
    pub fn token_secrets(&self) -> [String; 3] {
        [self.token_secret(), self.bound_secret(None, false), self.bound_secret(None, true)]
    }

    /// Cluster role and its binding.
    pub fn role(&self) -> String {
        member_role(&self.federation.name, &self.cluster, &self.host_context)
    }

    /// Annotations of everything made for this member.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        map([(keys::FEDERATION_NAME, &self.federation.name), (keys::CLUSTER_NAME, &self.cluster)])
    }

    fn meta(&self, name: String, namespaced: bool) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: namespaced.then(|| self.federation.namespace.clone()),
            labels: Some(map([(MANAGED_BY_LABEL, MANAGER)])),
            annotations: Some(self.annotations()),
            ..ObjectMeta::default()
        }
    }

    /// The namespace, made only where it is missing.
    pub fn namespace(&self) -> Object {
        let metadata =
            ObjectMeta { name: Some(self.federation.namespace.clone()), annotations: Some(self.annotations()), ..ObjectMeta::default() };
        Object::new(&Namespace { metadata, ..Namespace::default() })
    }

    /// As [`Member::meta`] for what belongs to the account's tokens, which is told from what a host has for its members: a host
    /// may be its own member.
    fn token_meta(&self, name: String) -> ObjectMeta {
        let mut metadata = self.meta(name, true);
        metadata.annotations.get_or_insert_default().insert("kubernetes.io/service-account.name".to_owned(), self.account());
        metadata
    }

    /// A secret for tokens to hang on: while it is there they hold. Nothing is in it.
    pub fn bound(&self, name: &str) -> Object {
        Object::new(&Secret { metadata: self.token_meta(name.to_owned()), type_: Some("Opaque".to_owned()), ..Secret::default() })
    }

    /// A secret that the member fills with a token without an end: for members that make no others.
    pub fn endless_token(&self) -> Object {
        let type_ = Some("kubernetes.io/service-account-token".to_owned());
        Object::new(&Secret { metadata: self.token_meta(self.token_secret()), type_, ..Secret::default() })
    }

    /// Account and rights, in order.
    pub fn objects(&self) -> Vec<Object> {
        let renewal = PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["serviceaccounts/token".to_owned()]),
            resource_names: Some(vec![self.account()]),
            verbs: vec!["create".to_owned()],
            ..PolicyRule::default()
        };
        vec![
            Object::new(&ServiceAccount { metadata: self.meta(self.account(), true), ..ServiceAccount::default() }),
            Object::new(&ClusterRole { metadata: self.meta(self.role(), false), rules: Some(rules()), aggregation_rule: None }),
            Object::new(&ClusterRoleBinding {
                metadata: self.meta(self.role(), false),
                role_ref: role_ref("ClusterRole", self.role()),
                subjects: Some(vec![self.subject(self.account())]),
            }),
            Object::new(&Role { metadata: self.token_meta(self.token_secret()), rules: Some(vec![renewal]) }),
            Object::new(&RoleBinding {
                metadata: self.token_meta(self.token_secret()),
                role_ref: role_ref("Role", self.token_secret()),
                subjects: Some(vec![self.subject(self.account())]),
            }),
        ]
    }

    fn subject(&self, account: String) -> Subject {
        let namespace = Some(self.federation.namespace.clone());
        Subject { kind: "ServiceAccount".to_owned(), name: account, namespace, api_group: None }
    }

    /// Role and binding in the host cluster: the controller manager may read this member's secret, by name, and put the next token
    /// into it.
    /// One pair a member, so that joins do not write to one list, and `init` has none to reset.
    pub fn host_reader(&self) -> [Object; 2] {
        let name = self.federation.member_reader(&self.cluster);
        let rule = PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".to_owned()]),
            resource_names: Some(vec![self.secret.clone()]),
            verbs: vec!["get".to_owned(), "patch".to_owned()],
            ..PolicyRule::default()
        };
        [
            Object::new(&Role { metadata: self.meta(name.clone(), true), rules: Some(vec![rule]) }),
            Object::new(&RoleBinding {
                metadata: self.meta(name.clone(), true),
                role_ref: role_ref("Role", name),
                subjects: Some(vec![self.subject(self.federation.controller_manager())]),
            }),
        ]
    }

    /// The secret in the host cluster the controller manager reads; `uid` is the member's.
    pub fn host_secret(&self, access: &Access, uid: Option<&str>) -> Object {
        let mut data = access.data();
        data.insert("namespace".to_owned(), ByteString(self.federation.namespace.clone().into_bytes()));
        let mut metadata = self.meta(self.secret.clone(), true);
        if let Some(uid) = uid {
            metadata.annotations.get_or_insert_default().insert(keys::CLUSTER_UID.to_owned(), uid.to_owned());
        }
        Object::new(&Secret { metadata, type_: Some("Opaque".to_owned()), data: Some(data), ..Secret::default() })
    }
}

fn role_ref(kind: &str, name: String) -> RoleRef {
    RoleRef { api_group: Some("rbac.authorization.k8s.io".to_owned()), kind: kind.to_owned(), name }
}

/// What the federation may do in a member: write the kinds it propagates, read what tells it how they fare.
fn rules() -> Vec<PolicyRule> {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| PolicyRule {
        api_groups: Some(strings(&[group])),
        resources: Some(strings(resources)),
        verbs: strings(verbs),
        ..PolicyRule::default()
    };
    let kinds = kinds::groups().into_iter().map(|group| {
        let resources: Vec<&str> = kinds::of_group(group).map(|kind| kind.resource).collect();
        rule(group, &resources, MEMBER_VERBS)
    });
    let rest = [
        rule("discovery.k8s.io", &["endpointslices"], &["list", "watch"]),
        // Nodes tell region and zone, pods why they do not run; and before a namespace is deleted it is looked
        // through for whatever the federation did not make, custom resources too.
        rule("*", &["*"], &["list"]),
        PolicyRule {
            non_resource_urls: Some(strings(&[
                "/healthz",
                "/livez",
                "/readyz",
                "/version",
                "/version/",
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
            ])),
            verbs: strings(&["get"]),
            ..PolicyRule::default()
        },
    ];
    kinds.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::object::to_yaml;

    #[test]
    fn the_federation_gets_no_more_than_this_in_member_and_host() {
        let federation = Federation { name: "fellowship".into(), namespace: "federation-system".into() };
        let member = Member { federation, cluster: "gondor".into(), host_context: "rivendell".into(), secret: "gondor-key".into() };
        let mut all = member.objects();
        all.push(member.bound(&member.bound_secret(None, false)));
        all.extend(member.host_reader());
        insta::assert_snapshot!(to_yaml(&all).unwrap());
    }

    #[test]
    fn issue10_tokens_move_between_two_secrets() {
        let federation = Federation { name: "fellowship".into(), namespace: "federation-system".into() };
        let member = Member { federation, cluster: "gondor".into(), host_context: "rivendell".into(), secret: "gondor".into() };
        let (first, second) = ("gondor-rivendell-token-1", "gondor-rivendell-token-2");
        assert_eq!(
            [(None, false), (Some(first), false), (Some(second), false)].map(|(now, other)| member.bound_secret(now, other)),
            [first, first, second]
        );
        assert_eq!(
            [(None, true), (Some(first), true), (Some(second), true)].map(|(now, other)| member.bound_secret(now, other)),
            [second, second, first]
        );
        assert_eq!(member.token_secrets(), ["gondor-rivendell-token", first, second]);
    }
}
