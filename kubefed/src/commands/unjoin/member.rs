//! `unjoin`: the leaving member's side.

use federation_api::{cluster::ClusterSpec, keys};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::DynamicObject;
use kube::config::Kubeconfig;
use kube::core::ApiResource;
use serde_json::json;

use super::{Fate, managed, objects};
use crate::commands::join::dns;
use crate::commands::leaving::{is_of, remove_namespace};
use crate::commands::session::Installed;
use crate::commands::{Session, join};
use crate::connection::Connection;
use crate::error::Failure;
use crate::wait::Patience;

/// Name of the context made of the host secret.
const STORED: &str = "the federation's own account";

/// Names of what `join` made in the member.
pub(super) struct Leaving {
    federation: String,
    cluster: String,
    namespace: String,
    account: String,
    token: String,
    role: String,
}

/// What is left in a member.
pub(super) struct Left {
    /// The federation's objects met their fate: the stored credentials have nothing left to do.
    pub(super) settled: bool,
    /// What is still there, as half sentences; of the objects, only those handed over where they are settled.
    pub(super) remains: Vec<String>,
}

/// A way into the member.
pub(super) struct Way {
    pub(super) connection: Connection,
    /// By the federation's own account, which may neither remove itself nor look at everything.
    pub(super) as_federation: bool,
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
    Connection::open(&stored_config(secret, cluster)?, &session.target(Some(STORED))).await
}

/// Address and token from the host secret; the address of the Cluster, where there still is one, is newer.
fn stored_config(secret: Option<&DynamicObject>, cluster: Option<&DynamicObject>) -> Result<Kubeconfig, Failure> {
    let none = |what: &str| Failure::new(format!("there are no stored credentials: {what}"));
    let secret = secret.ok_or_else(|| none("no secret"))?;
    let data = |key: &str| secret.data["data"][key].as_str().map(str::to_owned);
    let spec: ClusterSpec = cluster.and_then(|c| serde_json::from_value(c.data["spec"].clone()).ok()).unwrap_or_default();
    let decode = |text: String| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(text).ok().and_then(|b| String::from_utf8(b).ok())
    };
    let named = spec.server_address_by_client_cidrs.first().map(|a| a.server_address.clone());
    let server = named.or_else(|| data("server").and_then(decode)).ok_or_else(|| none("no server"))?;
    let token = data("token").and_then(decode).ok_or_else(|| none("no token"))?;
    let mut entry = json!({"server": server});
    if let Some(ca) = data("ca.crt") {
        entry["certificate-authority-data"] = json!(ca);
    }
    let config = json!({
        "clusters": [{"name": "c", "cluster": entry}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": STORED, "context": {"cluster": "c", "user": "u"}}],
    });
    serde_json::from_value(config).map_err(|e| Failure::new(e.to_string()))
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
            account,
            role: annotation(keys::CLUSTER_ROLE_NAME).unwrap_or_else(|| member.role()),
        }
    }

    /// What remains in a member that cannot be reached.
    fn everything(&self, fate: Fate) -> Vec<String> {
        let ns = &self.namespace;
        let mut all = vec![
            format!("clusterrolebinding and clusterrole {}", self.role),
            format!("serviceaccount {ns}/{} and its secret {ns}/{}", self.account, self.token),
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
            remains.extend(self.everything(Fate::Orphan));
        } else {
            remains.extend(self.remove_account(member).await);
        }
        session.printer.end("done");
        Left { settled, remains }
    }

    async fn remove_account(&self, member: &Connection) -> Vec<String> {
        let mut remains = Vec::new();
        let ns = Some(self.namespace.as_str());
        let all = [
            (ApiResource::erase::<ClusterRoleBinding>(&()), None, &self.role),
            (ApiResource::erase::<ClusterRole>(&()), None, &self.role),
            (ApiResource::erase::<Secret>(&()), ns, &self.token),
            (ApiResource::erase::<ServiceAccount>(&()), ns, &self.account),
        ];
        for (resource, namespace, name) in all {
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
        let entry = stored_config(Some(&secret), None).unwrap();
        assert_eq!(entry.clusters[0].cluster.as_ref().unwrap().server.as_deref(), Some("http://127.0.0.1:1"));
        assert!(stored_config(None, None).is_err());
    }
}
