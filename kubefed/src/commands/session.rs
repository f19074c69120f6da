//! What every command has: the printer, the global flags, and from them connections.

use std::time::Duration;

use federation_api::keys;
use federation_client::connect::Timeouts;
use federation_client::{Files, Kubeconfig, Target};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::cli::{Global, HostArgs};
use crate::connection::{Change, Connection};
use crate::error::Failure;
use crate::printer::Printer;
use crate::render::names::Federation;
use crate::render::object::Object;
use crate::wait::{Look, Patience, until};

/// One run of `kubefed`.
pub struct Session {
    /// The way out.
    pub printer: Printer,
    /// Flags of every command.
    pub global: Global,
}

/// Between two looks at something awaited.
const PAUSE: Duration = Duration::from_secs(1);

/// A host that is away is noticed after this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that stopped answering is noticed after this long.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one request waits, `--request-timeout` given; zero is none given.
pub(super) fn timeouts(flag: Duration) -> Timeouts {
    let limit = (!flag.is_zero()).then_some(flag);
    let connect = limit.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT);
    Timeouts { connect, read: Some(limit.unwrap_or(READ_TIMEOUT)), ..Timeouts::default() }
}

/// A control plane found in a host cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    /// Its federation.
    pub federation: Federation,
    /// Annotations of the controller manager's Deployment, where `init` left what `join` needs.
    pub annotations: std::collections::BTreeMap<String, String>,
}

impl Session {
    /// The kubeconfig files of this run.
    pub fn files(&self) -> Files {
        Files::choose(self.global.kubeconfig.as_deref())
    }

    /// The kubeconfig host and members are found in.
    ///
    /// # Errors
    /// That there is none, or it cannot be read.
    pub fn credentials(&self, host: &HostArgs) -> Result<Kubeconfig, Failure> {
        match &host.credentials_kubeconfig {
            Some(file) => Ok(Files::choose(Some(file)).load()?),
            None => Ok(self.files().load()?),
        }
    }

    /// How long to wait for one thing.
    pub fn patience(&self, host: &HostArgs) -> Patience {
        Patience { limit: host.timeout, pause: PAUSE.min(host.timeout) }
    }

    /// A context as host or member: nothing of the flags for the federation applies.
    pub fn target(&self, context: Option<&str>) -> Target {
        Target {
            impersonate: self.global.impersonate.clone(),
            impersonate_groups: self.global.impersonate_groups.clone(),
            timeouts: timeouts(self.global.request_timeout),
            ..Target::context(context)
        }
    }

    /// A context as federation: what the flags say about its API server counts more.
    ///
    /// # Errors
    /// Flags that do not go together.
    pub fn federation_target(&self, context: Option<&str>) -> Result<Target, Failure> {
        let access = &self.global.access;
        Ok(Target {
            cluster: access.cluster.clone(),
            user: access.user.clone(),
            server: access.server.clone(),
            authority: access.certificate_authority.clone(),
            insecure: access.insecure_skip_tls_verify.unwrap_or_default(),
            credentials: access.credentials()?,
            ..self.target(context)
        })
    }

    /// Connects to the host cluster.
    ///
    /// # Errors
    /// What in the kubeconfig is missing or unusable.
    pub async fn host(&self, kubeconfig: &Kubeconfig, host: &HostArgs) -> Result<Connection, Failure> {
        Connection::open(kubeconfig, &self.target(host.host_cluster_context.as_deref())).await
    }

    /// Connects to the API server of the federation of `--context`, or of the current context, and makes sure it is one.
    ///
    /// # Errors
    /// That there is no such context, the server is away or no federation API server.
    pub async fn here(&self) -> Result<Connection, Failure> {
        let target = self.federation_target(self.global.context.as_deref())?;
        Connection::open(&self.files().load()?, &target).await?.of_federation().await
    }

    /// Connects to the API server of a federation and makes sure it is one.
    ///
    /// # Errors
    /// That the context is missing, the server away or no federation API server.
    pub async fn federation(&self, name: &str) -> Result<Connection, Failure> {
        let context = self.global.context.clone().unwrap_or_else(|| name.to_owned());
        let target = self.federation_target(Some(&context))?;
        let kubeconfig = self.files().load()?;
        if !kubeconfig.contexts.contains_key(&context) {
            return Err(Failure::new(format!("context \"{context}\" does not exist")).hint(
                "name the federation's context with --context, or run kubefed init again: it writes the entry into this kubeconfig",
            ));
        }
        Connection::open(&kubeconfig, &target).await?.of_federation().await
    }

    /// Makes a namespace, or accepts the one there is. One that is going is waited for and made anew.
    ///
    /// # Errors
    /// That it does not go, and anything the server says.
    pub async fn namespace(&self, at: &Connection, namespace: &Object, patience: Patience) -> Result<Change, Failure> {
        until(&self.printer, &format!("namespace {} of context {}", namespace.name, at.context), patience, async || {
            let existing = at.get(&namespace.resource, None, &namespace.name).await?;
            if existing.is_some_and(|ns| ns.metadata.deletion_timestamp.is_some()) {
                let hint = format!(
                    "kubectl --context={} describe namespace {} says what holds it; then repeat the command",
                    at.context, namespace.name
                );
                return Ok(Look::missing("the old one is still being deleted", hint));
            }
            at.ensure(namespace).await.map(Look::Done)
        })
        .await
    }

    /// Finds the control plane in the host: the only one, or the one `--context` names.
    ///
    /// # Errors
    /// That there is none, or several and none is named.
    pub async fn installed(&self, host: &Connection, namespace: &str) -> Result<Installed, Failure> {
        let labels = format!("app={}", keys::APP);
        let list = host.typed::<Deployment>(namespace).list(&ListParams::default().labels(&labels)).await;
        let list = list.map_err(|e| host.failed("listing deployments", &e))?;
        let managers: Vec<Deployment> = list.items.into_iter().filter(|d| d.name_any().ends_with("controller-manager")).collect();
        pick(&managers, namespace, self.global.context.as_deref())
            .map_err(|f| f.or_hint(format!("looked in namespace {namespace} of context {}; kubefed init makes one there", host.context)))
    }
}

fn pick(managers: &[Deployment], namespace: &str, context: Option<&str>) -> Result<Installed, Failure> {
    if managers.is_empty() {
        return Err(Failure::new("could not find the deployment for controller manager in host cluster"));
    }
    let named: Vec<Installed> = managers
        .iter()
        .filter_map(|d| {
            let name = d.annotations().get(keys::FEDERATION_NAME)?.clone();
            Some(Installed { federation: Federation { name, namespace: namespace.to_owned() }, annotations: d.annotations().clone() })
        })
        .collect();
    match named.as_slice() {
        [] => Err(Failure::new(format!("the controller manager in namespace {namespace} does not say which federation it belongs to"))
            .hint(format!("its Deployment lacks annotation {}; run kubefed init again", keys::FEDERATION_NAME))),
        [one] => Ok(one.clone()),
        several => several.iter().find(|i| Some(i.federation.name.as_str()) == context).cloned().ok_or_else(|| {
            let names: Vec<&str> = several.iter().map(|i| i.federation.name.as_str()).collect();
            Failure::new(format!("namespace {namespace} has several federations: {}", names.join(", ")))
                .hint("name one with --context, or use another --federation-system-namespace")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(federation: Option<&str>) -> Deployment {
        let mut d = Deployment::default();
        if let Some(name) = federation {
            d.metadata.annotations = Some([(keys::FEDERATION_NAME.to_owned(), name.to_owned())].into());
        }
        d
    }

    #[test]
    fn the_federation_is_found_by_its_controller_manager() {
        let found = |list: &[Deployment], context| pick(list, "ns", context).map(|i| i.federation.name).map_err(|f| f.message);
        let (one, other) = (manager(Some("one")), manager(Some("other")));
        assert_eq!(found(&[], None), Err("could not find the deployment for controller manager in host cluster".into()));
        assert!(found(&[manager(None)], None).unwrap_err().contains("does not say which federation"));
        assert_eq!(found(std::slice::from_ref(&one), None), Ok("one".into()));
        assert_eq!(found(&[one.clone(), other.clone()], Some("other")), Ok("other".into()));
        assert_eq!(found(&[one, other], Some("third")), Err("namespace ns has several federations: one, other".into()));
    }
}
