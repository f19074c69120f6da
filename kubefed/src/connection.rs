//! One API server: reads, server-side apply and deletes, each bounded and with errors people understand.

use federation_api::keys;
use federation_client::{Access, Environment, Kubeconfig, Target, Trouble};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::ApiResource;
use kube::{Client, Error as KubeError, ResourceExt};

use crate::error::{Failure, chain};
use crate::render::names::MANAGER;
use crate::render::object::Object;

/// Objects in a part of a list.
const PAGE: u32 = 500;

/// What an apply did.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Change {
    /// It was so already.
    Unchanged,
    /// Something differed.
    Configured,
    /// It was not there.
    Created,
}

impl Change {
    /// kubectl's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Change::Unchanged => "unchanged",
            Change::Configured => "configured",
            Change::Created => "created",
        }
    }

    /// What to say at the end of a progress line.
    pub fn progress(self) -> &'static str {
        if self == Change::Unchanged { "unchanged" } else { "done" }
    }
}

/// An API server and the context it was reached by.
#[derive(Clone)]
pub struct Connection {
    /// Name of the context, for messages.
    pub context: String,
    /// URL of the server, for messages.
    pub server: String,
    /// The client.
    pub client: Client,
}

impl Connection {
    /// Connects as `target` says. Nothing is sent yet.
    ///
    /// # Errors
    /// What in the kubeconfig is missing or unusable.
    pub async fn open(kubeconfig: &Kubeconfig, target: &Target) -> Result<Self, Failure> {
        Self::to(&Access::resolve(kubeconfig, target, &Environment::of_process())?).await
    }

    /// Connects by an access that was resolved. Nothing is sent yet, but a credential plugin may run.
    ///
    /// # Errors
    /// A plugin that fails; certificates that TLS does not take.
    pub async fn to(access: &Access) -> Result<Self, Failure> {
        Ok(Self { context: access.context.clone(), server: access.url(), client: access.client().await? })
    }

    /// The same, if it is the API server of a federation.
    ///
    /// # Errors
    /// It is another, or does not answer.
    pub async fn of_federation(self) -> Result<Self, Failure> {
        match self.client.list_api_group_resources(keys::API_VERSION).await {
            Ok(_) => Ok(self),
            Err(KubeError::Api(status)) if status.code == 404 => {
                Err(Failure::new(format!("context {} ({}) is not a federation API server", self.context, self.server))
                    .hint("name the federation's context with --context"))
            }
            Err(e) => Err(self.failed("asking the federation API server", &e)),
        }
    }

    /// The API of a resource, in a namespace if one is given.
    pub fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(ns) => Api::namespaced_with(self.client.clone(), ns, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// The API of a built-in kind in a namespace.
    pub fn typed<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Reads one object; none if it is not there.
    ///
    /// # Errors
    /// Anything else the server or the network says.
    pub async fn get(&self, resource: &ApiResource, namespace: Option<&str>, name: &str) -> Result<Option<DynamicObject>, Failure> {
        let doing = format!("reading {}/{name}", resource.plural);
        federation_client::if_there(self.api(resource, namespace).get(name).await).map_err(|e| self.failed(&doing, &e))
    }

    /// As [`Connection::get`] for a built-in namespaced kind.
    ///
    /// # Errors
    /// As [`Connection::get`].
    pub async fn get_typed<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Failure>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let doing = format!("reading {}/{name}", K::plural(&()));
        federation_client::if_there(self.typed::<K>(namespace).get(name).await).map_err(|e| self.failed(&doing, &e))
    }

    /// Lists the objects of a resource that have the labels.
    ///
    /// # Errors
    /// Anything the server or the network says.
    pub async fn list(&self, resource: &ApiResource, namespace: Option<&str>, labels: &str) -> Result<Vec<DynamicObject>, Failure> {
        let doing = format!("listing {}", resource.plural);
        let list = self.api(resource, namespace).list(&ListParams::default().labels(labels)).await;
        list.map(|l| l.items).map_err(|e| self.failed(&doing, &e))
    }

    /// Gives each object of a list, which is asked for in parts.
    ///
    /// # Errors
    /// Anything the server or the network says; what was given before is not all.
    pub async fn pages<K>(&self, api: &Api<K>, doing: &str, params: &ListParams, mut each: impl FnMut(K)) -> Result<(), Failure>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let mut params = params.clone().limit(PAGE);
        loop {
            let page = api.list(&params).await.map_err(|e| self.failed(doing, &e))?;
            page.items.into_iter().for_each(&mut each);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// Applies an object on the server. An object of the same name that belongs to somebody else is left alone.
    ///
    /// # Errors
    /// That it belongs to somebody else, and anything the server or the network says.
    pub async fn apply(&self, object: &Object) -> Result<Change, Failure> {
        let namespace = object.namespace.as_deref();
        let existing = self.get(&object.resource, namespace, &object.name).await?;
        if let Some(existing) = &existing {
            self.check_owner(object, existing)?;
        }
        let doing = format!("applying {}", object.label());
        let params = PatchParams::apply(MANAGER).force();
        let patched = self.api(&object.resource, namespace).patch(&object.name, &params, &Patch::Apply(object.dynamic()?)).await;
        let applied = patched.map_err(|e| self.failed(&doing, &e))?;
        Ok(match existing {
            None => Change::Created,
            Some(before) if before.resource_version() == applied.resource_version() => Change::Unchanged,
            Some(_) => Change::Configured,
        })
    }

    /// Applies several objects in order; the greatest change of all.
    ///
    /// # Errors
    /// As [`Connection::apply`]; objects before the failing one are applied.
    pub async fn apply_all(&self, objects: &[Object]) -> Result<Change, Failure> {
        let mut greatest = Change::Unchanged;
        for object in objects {
            let change = self.apply(object).await?;
            tracing::debug!(object = object.label(), change = change.word(), "applied");
            greatest = greatest.max(change);
        }
        Ok(greatest)
    }

    /// Makes a cluster-scoped object unless there is one; an existing one is accepted as it is.
    ///
    /// # Errors
    /// Anything the server or the network says.
    pub async fn ensure(&self, object: &Object) -> Result<Change, Failure> {
        match self.get(&object.resource, None, &object.name).await? {
            Some(_) => Ok(Change::Unchanged),
            None => self.apply(object).await,
        }
    }

    /// Deletes exactly the object that was read. Whether there was one.
    ///
    /// # Errors
    /// Anything but that it is not there.
    pub async fn delete(&self, resource: &ApiResource, object: &DynamicObject) -> Result<bool, Failure> {
        let name = object.name_any();
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let deleted = self.api(resource, object.namespace().as_deref()).delete(&name, &params).await;
        match federation_client::if_there(deleted) {
            Ok(deleted) => Ok(deleted.is_some()),
            Err(e) => Err(self.failed(&format!("deleting {}/{name}", resource.plural), &e)),
        }
    }

    fn check_owner(&self, wanted: &Object, existing: &DynamicObject) -> Result<(), Failure> {
        for key in [keys::FEDERATION_NAME, keys::CLUSTER_NAME] {
            let Some(ours) = wanted.value()["metadata"]["annotations"][key].as_str() else { continue };
            let theirs = existing.annotations().get(key).map(String::as_str);
            if theirs != Some(ours) {
                let whose = theirs.map_or("was not made by kubefed".to_owned(), |name| format!("belongs to \"{name}\", not to \"{ours}\""));
                return Err(Failure::new(format!("{} exists in context {} and {whose}", wanted.label(), self.context))
                    .hint("it was left alone; choose another name or namespace, or remove it"));
            }
        }
        Ok(())
    }

    /// An error of the client in one line, with a next step.
    pub fn failed(&self, doing: &str, error: &KubeError) -> Failure {
        explain(&self.context, &self.server, error).during(doing)
    }
}

fn explain(context: &str, server: &str, error: &KubeError) -> Failure {
    if let KubeError::Api(status) = error {
        let reason = if status.reason.is_empty() { format!("HTTP {}", status.code) } else { status.reason.clone() };
        let failure = Failure::new(format!("Error from server ({reason}): {}", status.message));
        return match status.code {
            401 => failure.hint(format!("the server {server} does not accept the credentials of context {context}; renew them")),
            403 => failure.hint(format!(
                "the user of context {context} lacks this right; grant it or use a context that has it, then repeat the command"
            )),
            404 => failure.hint(format!("context {context} ({server}) may be the wrong cluster, or too old")),
            409 => failure.hint("somebody changed it at the same time; repeat the command"),
            429 | 500.. => failure.hint(format!("the server {server} is in trouble; repeat the command when it is well")),
            _ => failure.hint(format!("the server {server} of context {context} refused it; mend what it says, then repeat the command")),
        };
    }
    let cause = chain(error);
    let host = server.split("://").last().unwrap_or(server);
    let again = format!("check that the API server of context {context} runs and can be reached from here, then repeat the command");
    match Trouble::of(error) {
        Trouble::Refused => {
            Failure::new(format!("The connection to the server {host} was refused - did you specify the right host or port?")).hint(again)
        }
        trouble if trouble.is_tls() => Failure::new(format!("no secure connection to the server {host}: {cause}"))
            .hint(format!("check certificate-authority-data and the server's address in context {context}")),
        Trouble::Timeout => Failure::new(format!("the server {host} did not answer: {cause}")).hint(again),
        _ => Failure::new(format!("cannot talk to the server {host}: {cause}")).hint(again),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_status_is_told_as_kubectl_tells_it() {
        let status = Status { code: 403, message: "secrets is forbidden".into(), reason: "Forbidden".into(), ..Status::default() };
        let f = explain("gondor", "https://gondor:6443", &KubeError::Api(status.boxed()));
        assert_eq!(f.message, "Error from server (Forbidden): secrets is forbidden");
        assert!(f.hint.unwrap().contains("the user of context gondor lacks this right"));
    }

    #[test]
    fn issue8_what_is_advised_follows_from_the_error_and_not_from_its_words() {
        use std::io;
        let told = |error: io::Error| {
            let failure = explain("gondor", "https://gondor:6443", &KubeError::Service(Box::new(error)));
            (failure.message.split(':').next().unwrap_or_default().to_owned(), failure.hint.unwrap_or_default())
        };
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let (message, hint) = told(io::Error::new(io::ErrorKind::InvalidData, untrusted));
        assert_eq!(message, "no secure connection to the server gondor");
        assert!(hint.starts_with("check certificate-authority-data"), "{hint}");
        assert_eq!(told(io::ErrorKind::TimedOut.into()).0, "the server gondor");
        // Words that speak of another cause, as those of a proxy may.
        assert_eq!(told(io::Error::other("certificate of a proxy, connection refused, timed out")).0, "cannot talk to the server gondor");
    }

    #[tokio::test]
    async fn a_closed_port_is_a_refused_connection() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let yaml = format!(
            "clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
             users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: gondor, context: {{cluster: c, user: u}}}}]\n"
        );
        let config = Kubeconfig::read(yaml.as_bytes(), federation_client::Source::Secret("test")).unwrap();
        let connection = Connection::open(&config, &Target::context(Some("gondor"))).await.unwrap();
        let f = connection.get(&crate::render::federated::resource(), None, "x").await.unwrap_err();
        assert_eq!(
            f.message,
            format!(
                "reading clusters/x: The connection to the server 127.0.0.1:{port} was refused - did you specify the right host or port?"
            )
        );
        assert!(f.hint.unwrap().contains("context gondor"));
    }
}
