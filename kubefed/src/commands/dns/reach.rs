//! Finds a federation's DNS provider: as the control plane in a host has it, or as flags name it.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dns_providers::{DnsName, Driver, Error};
use federation_api::names;
use federation_controller_manager as manager;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::ResourceExt;
use manager::HostCredentials;
use manager::dns::{OpenError, Opened, TTL, Tree};
use tempfile::TempDir;

use crate::cli::ZoneArgs;
use crate::commands::Session;
use crate::commands::init::resolve::federation;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::controller_manager::{NAMESERVER, POD};
use crate::render::credentials::DNS_PROVIDER_CONF;
use crate::render::names::Federation;

/// A federation, and where it publishes.
pub(super) struct Publisher {
    /// Its name, which is in the marks of its records.
    pub(super) federation: String,
    /// The provider's settings, as the controller manager has them.
    config: manager::Config,
    driver: &'static Driver,
    /// A controller manager runs in this host, by its Deployment, whose name and namespace these are.
    pub(super) at_work: Option<AtWork>,
    /// Name servers that members forward the zone to, and where a provider that answers itself is reached.
    pub(super) nameservers: Vec<String>,
    /// The host, where the control plane is in one: it has the credentials of members.
    pub(super) host: Option<HostCredentials>,
    /// Holds the provider's configuration while it is open.
    _files: Option<TempDir>,
}

/// A controller manager that publishes.
pub(super) struct AtWork {
    pub(super) context: String,
    pub(super) namespace: String,
    pub(super) deployment: String,
}

impl Publisher {
    /// Finds it. Of the provider nothing is asked yet.
    ///
    /// # Errors
    /// There is none, or no such provider, and anything the host says.
    pub(super) async fn find(session: &Session, args: &ZoneArgs) -> Result<Self, Failure> {
        match (&args.dns_provider, &args.federation_name) {
            (Some(_), Some(_)) if args.host.host_cluster_context.is_some() => {
                Err(Failure::usage("--host-cluster-context and --dns-provider exclude each other")
                    .hint("with --dns-provider the host is not asked; without it the provider is the one that the host names"))
            }
            (Some(provider), Some(name)) => Self::by_flags(provider, name, args),
            _ => Self::in_host(session, args).await,
        }
    }

    fn by_flags(provider: &str, name: &str, args: &ZoneArgs) -> Result<Self, Failure> {
        names::federation_name(name)?;
        let driver = driver(provider)?;
        if args.dns_zone_name.is_empty() {
            return Err(Failure::usage("--dns-zone-name is mandatory with --dns-provider")
                .hint("the zone federated names are published in, for example example.com."));
        }
        names::zone_name(&args.dns_zone_name)?;
        let path = args.dns_provider_config.as_deref().map(Path::to_string_lossy).unwrap_or_default();
        let config = manager::Config {
            federation_name: name.to_owned(),
            zone_name: args.dns_zone_name.clone(),
            zone_id: args.dns_zone_id.clone(),
            service_dns_suffix: args.service_dns_suffix.clone(),
            dns_provider: driver.name.to_owned(),
            dns_provider_config: path.into_owned(),
            ..manager::Config::default()
        };
        Ok(Self { federation: name.to_owned(), config, driver, at_work: None, nameservers: Vec::new(), host: None, _files: None })
    }

    async fn in_host(session: &Session, args: &ZoneArgs) -> Result<Self, Failure> {
        let namespace = &args.host.federation_system_namespace;
        let other = "name the host with --host-cluster-context; where there is no control plane any more, name --federation-name, \
                     --dns-provider, --dns-provider-config and --dns-zone-name";
        let host = session.host(&session.credentials(&args.host)?, &args.host).await?;
        let federation = match &args.federation_name {
            Some(name) => federation(name, namespace)?,
            None => {
                let found = session.installed(&host, namespace).await;
                found.map_err(|failure| Failure { hint: None, ..failure }.hint(other))?.federation
            }
        };
        let Some(deployment) = host.get_typed::<Deployment>(namespace, &federation.controller_manager()).await? else {
            let (name, context) = (&federation.name, &host.context);
            return Err(Failure::new(format!(
                "there is no controller manager of federation \"{name}\" in namespace {namespace} of context {context}"
            ))
            .hint(other));
        };
        let mut flags = flags(&deployment);
        let mut flag = |name: &str| flags.remove(name).unwrap_or_default();
        let provider = flag("dns-provider");
        if provider.is_empty() {
            return Err(Failure::new(format!(
                "federation \"{}\" publishes no names: its controller manager has no --dns-provider",
                federation.name
            ))
            .hint("kubefed init with --dns-provider makes it publish"));
        }
        let driver = driver(&provider)?;
        let files = match flag("dns-provider-config") {
            path if path.is_empty() || !driver.shared => None,
            _ => Some(files(&host, &federation).await?),
        };
        let config = manager::Config {
            federation_name: federation.name.clone(),
            zone_name: flag("zone-name"),
            zone_id: flag("zone-id"),
            service_dns_suffix: flag("service-dns-suffix"),
            dns_provider: provider,
            dns_provider_config: files.as_ref().map(|dir| conf(dir).display().to_string()).unwrap_or_default(),
            ..manager::Config::default()
        };
        let runs = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1) > 0;
        let nameservers = nameservers(&host, &federation, &deployment, driver).await?;
        let members = HostCredentials { client: host.client.clone(), namespace: namespace.clone() };
        let (context, name) = (host.context, federation.controller_manager());
        let at_work = runs.then_some(AtWork { context, namespace: federation.namespace, deployment: name });
        Ok(Self { federation: federation.name, config, driver, at_work, nameservers, host: Some(members), _files: files })
    }

    /// Whether other programs than the controller manager reach the records.
    pub(super) fn is_shared(&self) -> bool {
        self.driver.shared
    }

    /// Where the federation's names hang, and the zone.
    ///
    /// # Errors
    /// Neither the flags nor the provider tell it.
    pub(super) async fn place(&self) -> Result<(Tree, DnsName), Failure> {
        if self.is_shared() {
            let opened = self.open().await?;
            return Ok((opened.tree().clone(), opened.zone().name.clone()));
        }
        let name = |text: &str| DnsName::parse(text).map_err(|e| Failure::usage(e.to_string()).hint("name the zone with --dns-zone-name"));
        let zone = name(&self.config.zone_name)?;
        let suffix = if self.config.service_dns_suffix.is_empty() { zone.clone() } else { name(&self.config.service_dns_suffix)? };
        let aliases_out = self.driver.capabilities.aliases_out;
        Ok((Tree { federation: self.federation.clone(), suffix, ttl: TTL, aliases_out }, zone))
    }

    /// Opens the provider, as the controller manager does.
    ///
    /// # Errors
    /// Nobody but the controller manager can open it; anything wrong with its configuration.
    pub(super) async fn open(&self) -> Result<Opened, Failure> {
        let name = self.driver.name;
        if !self.driver.shared {
            return Err(Failure::new(format!(
                "provider {name} keeps its records in the memory of the controller manager, where no other program sees or changes them"
            ))
            .hint("they end with its pod; kubefed dns verify asks its name server for them"));
        }
        match manager::dns::open(&self.config).await? {
            Some(opened) => Ok(opened),
            None => Err(Failure::new("no DNS provider is named").hint("name it with --dns-provider")),
        }
    }
}

/// An answer of a provider, within a time.
///
/// # Errors
/// What the provider says, or that it says nothing.
pub(super) async fn asked<T>(limit: Duration, doing: &str, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failure::from(OpenError::from(error))
            .during(doing)
            .or_hint("check that the provider runs and can be reached from here, then repeat the command")),
        Err(_) => Err(Failure::timed_out(format!("{doing}: the provider did not answer in {} s", limit.as_secs()))
            .hint("repeat the command, with a longer --timeout if the zone is large")),
    }
}

/// Name servers told in the host.
async fn nameservers(host: &Connection, federation: &Federation, deployment: &Deployment, driver: &Driver) -> Result<Vec<String>, Failure> {
    let told = deployment.annotations().get(NAMESERVER).map(String::as_str).unwrap_or_default();
    let mut all: Vec<String> = told.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
    if !driver.shared
        && let Some(service) = host.get_typed::<Service>(&federation.namespace, &federation.dns()).await?
    {
        let ingress = service.status.and_then(|status| status.load_balancer).and_then(|balancer| balancer.ingress);
        all.extend(ingress.into_iter().flatten().filter_map(|one| one.ip.or(one.hostname)));
    }
    Ok(all)
}

fn driver(name: &str) -> Result<&'static Driver, Failure> {
    dns_providers::driver(name).map_err(|error| OpenError::from(error).into())
}

/// The flags of a Deployment's containers, without their dashes.
fn flags(deployment: &Deployment) -> BTreeMap<String, String> {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let words = pod.into_iter().flat_map(|pod| &pod.containers).flat_map(|c| c.command.iter().chain(&c.args).flatten());
    let flag = |word: &String| word.strip_prefix("--")?.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    words.filter_map(flag).collect()
}

fn conf(dir: &TempDir) -> PathBuf {
    dir.path().join(DNS_PROVIDER_CONF)
}

/// The provider's configuration and the files it names, in a directory that only this user can enter and that ends with the
/// command.
async fn files(host: &Connection, federation: &Federation) -> Result<TempDir, Failure> {
    let name = federation.dns_provider_conf();
    let Some(secret) = host.get_typed::<Secret>(&federation.namespace, &name).await? else {
        return Err(Failure::new(format!("there is no secret {}/{name} in context {}", federation.namespace, host.context)).hint(
            "it has the DNS provider's configuration; run the same kubefed init again, or name the file with --dns-provider-config",
        ));
    };
    let kept = |error: std::io::Error| {
        Failure::new(format!("keeping the DNS provider's configuration in a temporary directory: {error}"))
            .hint("make room in it, or name another with TMPDIR")
    };
    let dir = own_directory().map_err(kept)?;
    let (there, here) = (format!("{}/", POD.config_dir), format!("{}/", dir.path().display()));
    for (key, content) in secret.data.unwrap_or_default() {
        // A key of a secret has no `/` in it.
        let path = dir.path().join(&key);
        let written = match (key.as_str(), std::str::from_utf8(&content.0)) {
            (DNS_PROVIDER_CONF, Ok(text)) => std::fs::write(path, text.replace(&there, &here)),
            _ => std::fs::write(path, &content.0),
        };
        written.map_err(kept)?;
    }
    Ok(dir)
}

/// A temporary directory that only this user can enter.
fn own_directory() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("kubefed-dns-").permissions(Permissions::from_mode(0o700)).tempdir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue9_nobody_else_enters_where_the_providers_secrets_are() {
        let dir = own_directory().unwrap();
        assert_eq!(dir.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_flags_of_a_deployment_are_those_of_its_containers() {
        let deployment = serde_json::from_value(serde_json::json!({"spec": {"selector": {}, "template": {"spec": {"containers": [
            {"name": "c", "command": ["/fcp", "federation-controller-manager", "--zone-name=a.", "--x"], "args": ["--dns-provider=coredns", "--a=b=c"]}
        ]}}}}));
        let found = flags(&deployment.unwrap());
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("a", "b=c"), ("dns-provider", "coredns"), ("zone-name", "a.")].map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
    }
}
