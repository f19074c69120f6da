//! `unjoin`: the leaving member's side.

use federation_api::{cluster::ClusterSpec, keys};
use federation_client::Kubeconfig;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::DynamicObject;
use kube::core::ApiResource;
use serde_json::json;

use super::fate::{Fate, managed};
use super::objects::{self, Left, Way};
use crate::commands::join::dns;
use crate::commands::leaving::{is_of, remove_namespace};
use crate::commands::session::Installed;
use crate::commands::{Session, identity, join};
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::access::{Access, STORED};
use crate::render::object::Object;
use crate::wait::Patience;

/// Names of what `join` made in the member.
pub(super) struct Leaving {
    federation: String,
    cluster: String,
    namespace: String,
    account: String,
    token: String,
    /// Secrets that tokens hang on.
    tokens: [String; 3],
    role: String,
}

/// Reaches the member: by its context, else by the credentials the federation had.
///
/// # Errors
/// v1's sentence with both reasons.
pub(super) async fn connect(
    session: &Session,
    kubeconfig: &Kubeconfig,
    context: &str,
    secret: Option<&DynamicObject>,
    cluster: Option<&DynamicObject>,
) -> Result<Way, Failure> {
    let by_context = async {
        let connection = Connection::open(kubeconfig, &session.target(Some(context))).await?;
        connection.client.apiserver_version().await.map_err(|e| connection.failed("asking for its version", &e))?;
        Ok(Way { connection, as_federation: false })
    };
    let first: Failure = match by_context.await {
        Ok(way) => return Ok(way),
        Err(failure) => failure,
    };
    let by_secret = async {
        let connection = stored(session, secret, cluster).await?;
        connection.client.apiserver_version().await.map_err(|e| connection.failed("asking for its version", &e))?;
        Ok(Way { connection, as_federation: true })
    };
    by_secret
        .await
        .map_err(|second: Failure| Failure::new(format!("unable to get clientset from kubeconfig or cluster: {first}, {second}")))
}

async fn stored(session: &Session, secret: Option<&DynamicObject>, cluster: Option<&DynamicObject>) -> Result<Connection, Failure> {
    Connection::open(&stored_access(secret, cluster)?.kubeconfig(), &session.target(Some(STORED))).await
}

/// The way of the host secret; the address of the Cluster, where there still is one, is newer.
fn stored_access(secret: Option<&DynamicObject>, cluster: Option<&DynamicObject>) -> Result<Access, Failure> {
    let none = |what: &str| Failure::new(format!("there are no stored credentials: {what}"));
    let mut access = Access::from_secret(secret.ok_or_else(|| none("no secret"))?);
    let spec: ClusterSpec = cluster.and_then(|c| serde_json::from_value(c.data["spec"].clone()).ok()).unwrap_or_default();
    if let Some(named) = spec.server_address_by_client_cidrs.first() {
        access.server.clone_from(&named.server_address);
    }
    match (&access.token, access.server.is_empty()) {
        (None, _) => Err(none("no token")),
        (_, true) => Err(none("no server")),
        _ => Ok(access),
    }
}

/// Why a way does not lead to the cluster that was joined, as half a sentence; none if it does.
///
/// The uid noted at join decides. Where an older version noted none, the account it made for this name does; the
/// federation's own token is taken by no cluster but the one that made it.
///
/// # Errors
/// Anything the member says that leaves it open.
pub(super) async fn stranger(way: &Way, leaving: &Leaving, noted: Option<&str>) -> Result<Option<String>, Failure> {
    let member = &way.connection;
    let uid = identity::uid(member).await;
    match (uid, noted) {
        (Ok(uid), Some(noted)) if uid == noted => return Ok(None),
        (Ok(uid), Some(noted)) => return Ok(Some(format!("its uid is {uid} and not {noted}"))),
        (Ok(_), None) if way.as_federation => return Ok(None),
        (Err(failure), _) if way.as_federation => return Err(failure),
        _ => {}
    }
    if leaving.account_in(member).await? {
        return Ok(None);
    }
    Ok(Some(format!("it has no ServiceAccount {}/{} of this federation and cluster", leaving.namespace, leaving.account)))
}

impl Leaving {
    /// The names the Cluster's annotations tell, else those `join` would choose.
    pub(super) fn new(installed: &Installed, name: &str, host_context: &str, cluster: Option<&DynamicObject>) -> Self {
        let member = join::member(installed.federation.clone(), name, host_context, name);
        let annotation = |key: &str| cluster.and_then(|c| c.metadata.annotations.as_ref()?.get(key).cloned());
        let account = annotation(keys::SERVICE_ACCOUNT_NAME).unwrap_or_else(|| member.account());
        Self {
            federation: installed.federation.name.clone(),
            cluster: name.to_owned(),
            namespace: installed.federation.namespace.clone(),
            token: format!("{account}-token"),
            tokens: ["", "-1", "-2"].map(|n| format!("{account}-token{n}")),
            account,
            role: annotation(keys::CLUSTER_ROLE_NAME).unwrap_or_else(|| member.role()),
        }
    }

    /// Whether the member has the account that `join` made for this name.
    pub(super) async fn account_in(&self, member: &Connection) -> Result<bool, Failure> {
        let account = member.get(&ApiResource::erase::<ServiceAccount>(&()), Some(&self.namespace), &self.account).await?;
        Ok(account.is_some_and(|a| is_of(&a, &self.federation, Some(&self.cluster))))
    }

    /// What remains in a member that cannot be reached.
    fn everything(&self, fate: Fate) -> Vec<String> {
        let ns = &self.namespace;
        let mut all = vec![
            format!("clusterrolebinding and clusterrole {}", self.role),
            format!("serviceaccount {ns}/{} and its role, rolebinding and secrets {ns}/{}*", self.account, self.token),
        ];
        if fate != Fate::Orphan {
            all.push(format!("objects with label {}", managed(&self.federation)));
        }
        all
    }

    /// What is left of a member nobody reached.
    pub(super) fn untouched(&self, fate: Fate) -> Left {
        Left { settled: fate == Fate::Orphan, remains: self.everything(fate) }
    }

    /// Removes what `join` made and settles the federation's objects. Never fails: what remains is returned.
    pub(super) async fn clean(&self, session: &Session, way: &Way, installed: &Installed, fate: Fate, patience: Patience) -> Left {
        let member = &way.connection;
        session.printer.begin(&format!("Cleaning up in {}", self.cluster));
        // A controller manager that has not noticed yet would make again what is deleted here: it may not any more.
        let fence = match fate {
            Fate::Orphan => Ok(None),
            Fate::Delete | Fate::Handover if way.as_federation => Ok(None),
            Fate::Delete | Fate::Handover => self.revoke(member).await,
        };
        let fence = match fence {
            Ok(fence) => fence,
            Err(failure) => {
                session.printer.end("failed");
                let mut left = self.untouched(fate);
                left.remains.push(failure.message);
                return left;
            }
        };
        let left = objects::settle(session, way, &self.federation, fate, patience).await;
        let Left { settled, mut remains } = left.unwrap_or_else(|failure| {
            let remains = vec![format!("objects with label {} ({failure})", managed(&self.federation))];
            Left { settled: fate == Fate::Orphan, remains }
        });
        if let Err(failure) = dns::leave(session, member, installed).await {
            remains.push(format!("entries of the federation in ConfigMap kube-system/kube-dns ({failure})"));
        }
        // As long as the objects are not settled the account is needed, by the secret that stays for it.
        if way.as_federation || !settled {
            if let Some(binding) = fence
                && let Err(failure) = member.apply(&binding).await
            {
                remains.push(format!("the account without its clusterrolebinding ({failure})"));
            }
            remains.extend(self.everything(Fate::Orphan));
        } else {
            remains.extend(self.remove_account(member).await);
        }
        session.printer.end("done");
        Left { settled, remains }
    }

    /// Takes the account's rights away and answers with what would give them back. Members see that at once, while a token
    /// that is taken away may be good for some seconds more.
    async fn revoke(&self, member: &Connection) -> Result<Option<Object>, Failure> {
        let resource = ApiResource::erase::<ClusterRoleBinding>(&());
        let Some(found) = member.get(&resource, None, &self.role).await? else { return Ok(None) };
        if !is_of(&found, &self.federation, Some(&self.cluster)) {
            return Ok(None);
        }
        member.delete(&resource, &found).await?;
        let value = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": self.role, "labels": found.metadata.labels, "annotations": found.metadata.annotations},
            "roleRef": found.data["roleRef"], "subjects": found.data["subjects"],
        });
        Ok(Some(Object::of(resource, None, self.role.clone(), value)))
    }

    async fn remove_account(&self, member: &Connection) -> Vec<String> {
        let mut remains = Vec::new();
        let ns = Some(self.namespace.as_str());
        let all = [
            (ApiResource::erase::<ClusterRoleBinding>(&()), None, &self.role),
            (ApiResource::erase::<ClusterRole>(&()), None, &self.role),
            (ApiResource::erase::<RoleBinding>(&()), ns, &self.token),
            (ApiResource::erase::<Role>(&()), ns, &self.token),
            (ApiResource::erase::<ServiceAccount>(&()), ns, &self.account),
        ];
        let tokens = self.tokens.iter().map(|name| (ApiResource::erase::<Secret>(&()), ns, name));
        for (resource, namespace, name) in all.into_iter().chain(tokens) {
            let removed = async {
                match member.get(&resource, namespace, name).await? {
                    Some(object) if is_of(&object, &self.federation, Some(&self.cluster)) => member.delete(&resource, &object).await,
                    _ => Ok(false),
                }
            };
            if let Err(failure) = removed.await {
                remains.push(format!("{}/{name} ({failure})", resource.plural));
            }
        }
        match remove_namespace(member, &self.namespace, &self.federation, Some(&self.cluster)).await {
            Ok(stays) => remains.extend(stays),
            Err(failure) => remains.push(format!("{}/{} ({failure})", ApiResource::erase::<Namespace>(&()).plural, self.namespace)),
        }
        remains
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::names::Federation;

    #[test]
    fn the_credentials_of_a_member_that_is_away_are_kept_for_what_was_asked() {
        let federation = Federation { name: "fellowship".into(), namespace: "federation-system".into() };
        let member = join::member(federation, "gondor", "rivendell", "gondor");
        let leaving = Leaving {
            federation: "fellowship".into(),
            cluster: "gondor".into(),
            namespace: "federation-system".into(),
            token: member.token_secret(),
            tokens: member.token_secrets(),
            account: member.account(),
            role: member.role(),
        };
        for (fate, settled) in [(Fate::Orphan, true), (Fate::Delete, false), (Fate::Handover, false)] {
            let left = leaving.untouched(fate);
            assert_eq!(left.settled, settled, "{fate:?}");
            assert_eq!(left.remains.iter().any(|r| r.starts_with("objects with label")), !settled);
        }
    }

    #[test]
    fn a_repeated_unjoin_reaches_the_member_by_the_kept_secret_alone() {
        let secret: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gondor"},
            "data": {"token": "dA==", "server": "aHR0cDovLzEyNy4wLjAuMTox"}
        }))
        .unwrap();
        assert_eq!(stored_access(Some(&secret), None).unwrap().server, "http://127.0.0.1:1");
        assert!(stored_access(None, None).is_err());
    }
}
