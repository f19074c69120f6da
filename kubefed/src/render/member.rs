//! What a member cluster gets: an account for the federation, and no more rights than it needs.

use std::collections::BTreeMap;

use federation_api::keys;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

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

/// What a member answered about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// URL of its API server.
    pub server: String,
    /// Authority of its serving certificate, PEM.
    pub ca: Option<Vec<u8>>,
    /// Token of the account.
    pub token: Option<Vec<u8>>,
}

impl Member {
    /// Service account in the member.
    pub fn account(&self) -> String {
        member_account(&self.cluster, &self.host_context)
    }

    /// Secret in the member that holds the account's token.
    pub fn token_secret(&self) -> String {
        format!("{}-token", self.account())
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

    /// Account, rights and token, in order.
    pub fn objects(&self) -> Vec<Object> {
        let mut token = self.meta(self.token_secret(), true);
        token.annotations.get_or_insert_default().insert("kubernetes.io/service-account.name".to_owned(), self.account());
        vec![
            Object::new(&ServiceAccount { metadata: self.meta(self.account(), true), ..ServiceAccount::default() }),
            Object::new(&ClusterRole { metadata: self.meta(self.role(), false), rules: Some(rules()), aggregation_rule: None }),
            Object::new(&ClusterRoleBinding {
                metadata: self.meta(self.role(), false),
                role_ref: RoleRef {
                    api_group: Some("rbac.authorization.k8s.io".to_owned()),
                    kind: "ClusterRole".to_owned(),
                    name: self.role(),
                },
                subjects: Some(vec![Subject {
                    kind: "ServiceAccount".to_owned(),
                    name: self.account(),
                    namespace: Some(self.federation.namespace.clone()),
                    api_group: None,
                }]),
            }),
            Object::new(&Secret { metadata: token, type_: Some("kubernetes.io/service-account-token".to_owned()), ..Secret::default() }),
        ]
    }

    /// The secret in the host cluster the controller manager reads.
    pub fn host_secret(&self, access: &Access) -> Object {
        let bytes = |v: &[u8]| Some(ByteString(v.to_vec()));
        let data = [
            ("token", access.token.as_deref().and_then(bytes)),
            ("ca.crt", access.ca.as_deref().and_then(bytes)),
            ("namespace", bytes(self.federation.namespace.as_bytes())),
            ("server", bytes(access.server.as_bytes())),
        ];
        Object::new(&Secret {
            metadata: self.meta(self.secret.clone(), true),
            type_: Some("Opaque".to_owned()),
            data: Some(data.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect()),
            ..Secret::default()
        })
    }
}

/// What the federation may do in a member: write the kinds it propagates, read what tells it how they fare.
fn rules() -> Vec<PolicyRule> {
    const WRITE: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
    const READ: [&str; 3] = ["get", "list", "watch"];
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| PolicyRule {
        api_groups: Some(strings(&[group])),
        resources: Some(strings(resources)),
        verbs: strings(verbs),
        ..PolicyRule::default()
    };
    vec![
        rule("", &["namespaces", "configmaps", "secrets", "services"], &WRITE),
        rule("apps", &["deployments", "replicasets", "daemonsets"], &WRITE),
        rule("batch", &["jobs"], &WRITE),
        rule("", &["nodes", "pods", "endpoints", "events"], &READ),
        rule("discovery.k8s.io", &["endpointslices"], &READ),
        // Before a namespace is deleted it is looked through for what the federation did not make.
        rule("", &["persistentvolumeclaims", "replicationcontrollers"], &["list"]),
        rule("apps", &["statefulsets"], &["list"]),
        rule("batch", &["cronjobs"], &["list"]),
        rule("networking.k8s.io", &["ingresses"], &["list"]),
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
    ]
}
