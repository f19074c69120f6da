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

/// Names of what `join` made in the member.
pub(super) struct Leaving {
    federation: String,
    cluster: String,
    namespace: String,
    account: String,
    token: String,
    role: String,
}

/// A way into the member.
pub(super) struct Way {
    connection: Connection,
    /// By the federation's own account, which may not remove itself.
    as_federation: bool,
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
    let context = "the federation's own account";
    let mut entry = json!({"server": server});
    if let Some(ca) = data("ca.crt") {
        entry["certificate-authority-data"] = json!(ca);
    }
    let config = json!({
        "clusters": [{"name": "c", "cluster": entry}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
    });
    let kubeconfig: Kubeconfig = serde_json::from_value(config).map_err(|e| Failure::new(e.to_string()))?;
    Connection::open(&kubeconfig, &session.target(Some(context))).await
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
    pub(super) fn everything(&self, fate: Fate) -> Vec<String> {
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

    /// Removes what `join` made and settles the federation's objects. Never fails: what remains is returned.
    pub(super) async fn clean(&self, session: &Session, way: &Way, installed: &Installed, fate: Fate, patience: Patience) -> Vec<String> {
        let member = &way.connection;
        session.printer.begin(&format!("Cleaning up in {}", self.cluster));
        let mut remains = Vec::new();
        match objects::settle(session, member, &self.federation, fate, patience).await {
            Ok(rest) => remains.extend(rest),
            Err(failure) => remains.push(format!("objects with label {} ({failure})", managed(&self.federation))),
        }
        if let Err(failure) = dns::leave(session, member, installed).await {
            remains.push(format!("entries of the federation in ConfigMap kube-system/kube-dns ({failure})"));
        }
        if way.as_federation {
            remains.extend(self.everything(Fate::Orphan));
        } else {
            remains.extend(self.remove_account(member).await);
        }
        session.printer.end("done");
        remains
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
