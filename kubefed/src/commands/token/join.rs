//! What a token's holder needs to know of the server, made public and signed; and the command he runs.

use std::time::Duration;

use federation_api::bootstrap::{self, Token};
use federation_client::Access;
use federation_client::yaml::to_yaml;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::ResourceExt as _;
use kube::api::{ListParams, ObjectMeta, PostParams};
use serde_json::json;

use super::known::{Known, MOST};
use crate::commands::Session;
use crate::commands::stranger::{self, Hidden};
use crate::connection::Connection;
use crate::discovery::{self, Document, KUBECONFIG, Pin, SIGNATURE_PREFIX};
use crate::error::Failure;
use crate::wait::{Look, Patience, until};

/// Tries to write what others write at the same time.
const TRIES: usize = 5;
/// Until rights that were just given count.
const SOON: Patience = Patience { limit: Duration::from_secs(10), pause: Duration::from_millis(100) };
/// The role that lets strangers read the document, as kubeadm calls it.
const ROLE: &str = "kubeadm:bootstrap-signer-clusterinfo";
const USER: &str = "system:anonymous";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Where holders of tokens are sent, and how they know it.
pub(super) struct Server {
    url: String,
    authorities: String,
    pins: Vec<Pin>,
}

impl Server {
    /// The server of an access.
    ///
    /// # Errors
    /// Its authority is not known, so that nobody else could be told of it.
    pub(super) fn of(access: &Access) -> Result<Self, Failure> {
        let unknown = |what: &str| {
            Failure::usage(format!("--print-join-command: {what}, so there is no hash to tell"))
                .hint("name the authority of the server's certificate with --certificate-authority")
        };
        if access.insecure {
            return Err(unknown("the server's certificate is not checked by this kubeconfig"));
        }
        let authorities = access.authorities.as_deref().ok_or_else(|| unknown("this kubeconfig trusts the system's authorities"))?;
        let authorities = String::from_utf8(authorities.to_vec()).map_err(|_| unknown("the authority cannot be read"))?;
        let pins = discovery::pins(authorities.as_bytes()).map_err(|_| unknown("the authority cannot be read"))?;
        Ok(Self { url: access.url(), authorities, pins })
    }

    /// What the holder of a token runs. Secret.
    pub(super) fn command(&self, token: &Token) -> String {
        let pins: String = self.pins.iter().map(|pin| format!(" --discovery-token-ca-cert-hash {pin}")).collect();
        format!("kubefed kubeconfig bootstrap --server {} --token {}{pins}", self.url, token.reveal())
    }

    fn kubeconfig(&self) -> String {
        to_yaml(&json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "", "cluster": {"certificate-authority-data": ByteString(self.authorities.clone().into_bytes()), "server": self.url}}],
            "contexts": [],
            "current-context": "",
            "users": [],
        }))
    }

    /// Makes the document, signs it with every token that may sign, and lets strangers read it.
    ///
    /// # Errors
    /// What the caller may not do; anything the server or the network says.
    pub(super) async fn publish(&self, session: &Session, at: &Connection) -> Result<(), Failure> {
        self.write(at).await?;
        open(at).await?;
        let as_stranger = stranger::connection(session, &self.url, Some(&self.authorities), None).await?;
        until(&session.printer, "cluster-info to be seen by strangers", SOON, async || match stranger::document(&as_stranger).await {
            Ok(_) => Ok(Look::Done(())),
            Err(Hidden::Failed(failure)) => Err(failure),
            Err(Hidden::Status(code)) => Ok(Look::missing(
                format!("the server answers {code}"),
                "the API server shows it where it runs with --enable-bootstrap-token-auth, which kubefed init sets; the token is stored and good",
            )),
        })
        .await
    }

    async fn write(&self, at: &Connection) -> Result<(), Failure> {
        let api = at.typed::<ConfigMap>(bootstrap::PUBLIC_NAMESPACE);
        let failed = |e: &kube::Error| at.failed("publishing the authority of the server", e);
        let mut last = None;
        for _ in 0..TRIES {
            let there = federation_client::if_there(api.get(bootstrap::CLUSTER_INFO).await).map_err(|e| failed(&e))?;
            let kept = there.iter().filter_map(|map| map.data.clone()).flatten();
            let mut data: Document = kept.filter(|(key, _)| key != KUBECONFIG && !key.starts_with(SIGNATURE_PREFIX)).collect();
            data.extend(self.signed(at).await?);
            let written = if let Some(mut map) = there {
                if map.data.as_ref() == Some(&data) {
                    return Ok(());
                }
                map.data = Some(data);
                api.replace(bootstrap::CLUSTER_INFO, &PostParams::default(), &map).await
            } else {
                let map = ConfigMap { metadata: named(bootstrap::CLUSTER_INFO), data: Some(data), ..ConfigMap::default() };
                api.create(&PostParams::default(), &map).await
            };
            match written {
                Ok(_) => return Ok(()),
                // Somebody else makes a token.
                Err(kube::Error::Api(status)) if status.code == 409 => last = Some(kube::Error::Api(status)),
                Err(e) => return Err(failed(&e)),
            }
        }
        Err(last.map_or_else(|| Failure::new("publishing the authority of the server"), |e| failed(&e)))
    }

    /// The document with a signature of each token that may sign; those of tokens that are gone go.
    async fn signed(&self, at: &Connection) -> Result<Document, Failure> {
        let wanted = ListParams::default().fields(&format!("type={}", bootstrap::SECRET_TYPE)).limit(MOST);
        let secrets = at.typed::<Secret>(bootstrap::NAMESPACE).list(&wanted).await.map_err(|e| at.failed("listing tokens", &e))?;
        let kubeconfig = self.kubeconfig();
        let mut document = Document::new();
        for token in secrets.items.iter().filter_map(|secret| signing(secret, Timestamp::now())) {
            let signature = discovery::sign(&kubeconfig, &token).map_err(|e| Failure::new(format!("signing: {e}")))?;
            document.insert(format!("{SIGNATURE_PREFIX}{}", token.id()), signature);
        }
        document.insert(KUBECONFIG.to_owned(), kubeconfig);
        Ok(document)
    }
}

/// The token of a secret, where it may sign and has not ended.
fn signing(secret: &Secret, now: Timestamp) -> Option<Token> {
    let known = Known::of(secret);
    let living = known.expires.is_none_or(|end| end.parse::<Timestamp>().is_ok_and(|end| end > now));
    let text = |key: &str| std::str::from_utf8(&secret.data.as_ref()?.get(key)?.0).ok();
    let token = Token::new(text(bootstrap::ID)?, text(bootstrap::SECRET)?).ok()?;
    let named = secret.name_any() == bootstrap::secret_name(token.id());
    (living && named && known.usages.iter().any(|usage| usage == bootstrap::SIGNING)).then_some(token)
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// Lets strangers read the document, and nothing else. Roles that are there already stay as somebody made them.
async fn open(at: &Connection) -> Result<(), Failure> {
    let rule = PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["configmaps".to_owned()]),
        resource_names: Some(vec![bootstrap::CLUSTER_INFO.to_owned()]),
        verbs: vec!["get".to_owned()],
        ..PolicyRule::default()
    };
    let role = Role { metadata: named(ROLE), rules: Some(vec![rule]) };
    let binding = RoleBinding {
        metadata: named(ROLE),
        role_ref: RoleRef { api_group: Some(RBAC.to_owned()), kind: "Role".to_owned(), name: ROLE.to_owned() },
        subjects: Some(vec![Subject { api_group: Some(RBAC.to_owned()), kind: "User".to_owned(), name: USER.to_owned(), namespace: None }]),
    };
    let namespace = bootstrap::PUBLIC_NAMESPACE;
    let made = at.typed::<Role>(namespace).create(&PostParams::default(), &role).await.map(|_| ());
    there(made).map_err(|e| at.failed("letting strangers read cluster-info", &e))?;
    let made = at.typed::<RoleBinding>(namespace).create(&PostParams::default(), &binding).await.map(|_| ());
    there(made).map_err(|e| at.failed("letting strangers read cluster-info", &e))
}

fn there(made: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match made {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        made => made,
    }
}
