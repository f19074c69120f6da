//! From a context's name to a client, with errors people understand.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::{Failure, chain};

/// Where to connect and as whom: a context, with what the command line changes about it.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Name of the context; the current one where there is none.
    pub context: Option<String>,
    /// Cluster entry instead of the context's.
    pub cluster: Option<String>,
    /// User entry instead of the context's.
    pub user: Option<String>,
    /// Server URL instead of the cluster entry's.
    pub server: Option<String>,
    /// Authority of the server's certificate instead of the cluster entry's, a PEM file.
    pub authority: Option<PathBuf>,
    /// Take any certificate of the server.
    pub insecure: bool,
    /// Credentials instead of the user entry's.
    pub credentials: Option<AuthInfo>,
    /// User to act as.
    pub impersonate: Option<String>,
    /// Groups to act as.
    pub impersonate_groups: Vec<String>,
    /// Longest silence of the server within one request.
    pub request_timeout: Option<Duration>,
}

/// What a context says about its cluster.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// Name of the context, the current one resolved.
    pub context: String,
    /// URL of the API server.
    pub server: String,
    /// Authority of its certificate, PEM.
    pub ca: Option<Vec<u8>>,
}

/// Looks a context up.
///
/// # Errors
/// v1's sentences about a context, cluster or server that is not there.
pub fn describe(config: &Kubeconfig, context: Option<&str>) -> Result<Described, Failure> {
    let name = match context.filter(|c| !c.is_empty()) {
        Some(name) => name.to_owned(),
        None => config.current_context.clone().filter(|c| !c.is_empty()).ok_or_else(|| {
            Failure::new("no context was given and the kubeconfig has no current-context")
                .hint(format!("contexts there are: {}", contexts(config)))
        })?,
    };
    let entry = config.contexts.iter().find(|c| c.name == name).and_then(|c| c.context.as_ref()).ok_or_else(|| {
        Failure::new(format!("context \"{name}\" does not exist")).hint(format!("contexts there are: {}", contexts(config)))
    })?;
    let cluster = config.clusters.iter().find(|c| c.name == entry.cluster).and_then(|c| c.cluster.as_ref());
    let missing = || {
        Failure::new(format!("cluster endpoint not found for \"{}\"", entry.cluster))
            .hint(format!("context \"{name}\" names a cluster that the kubeconfig has no server for"))
    };
    let cluster = cluster.ok_or_else(missing)?;
    let server = cluster.server.clone().filter(|s| !s.is_empty()).ok_or_else(missing)?;
    let ca = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) => Some(decode(data).map_err(|e| {
            Failure::new(format!("certificate-authority-data of cluster \"{}\": {e}", entry.cluster))
                .hint("it has to be a PEM certificate in base64")
        })?),
        (None, Some(file)) => Some(std::fs::read(file).map_err(|e| {
            Failure::new(format!("reading {file}: {e}"))
                .hint(format!("cluster \"{}\" of the kubeconfig names it as certificate-authority", entry.cluster))
        })?),
        (None, None) => None,
    };
    let server = if server.contains("://") { server } else { format!("https://{server}") };
    Ok(Described { context: name, server, ca })
}

fn decode(data: &str) -> Result<Vec<u8>, base64::DecodeError> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(data.trim())
}

fn contexts(config: &Kubeconfig) -> String {
    let names: Vec<&str> = config.contexts.iter().map(|c| c.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Target {
    /// The context of this name and nothing else.
    pub fn context(name: Option<&str>) -> Self {
        Self { context: name.filter(|n| !n.is_empty()).map(str::to_owned), ..Self::default() }
    }

    /// A client for it. Nothing is sent yet, but credential plugins may run.
    ///
    /// # Errors
    /// What in the kubeconfig is missing or unusable.
    pub async fn client(&self, kubeconfig: &Kubeconfig) -> Result<Client, Failure> {
        let mut kubeconfig = kubeconfig.clone();
        let context = describe(&kubeconfig, self.context.as_deref())?.context;
        self.change(&mut kubeconfig, &context);
        // A proxy is used where the kubeconfig names one; the environment's is for the Internet, not for clusters.
        let proxied = kubeconfig.clusters.iter().any(|c| c.cluster.as_ref().is_some_and(|c| c.proxy_url.is_some()));
        let options = KubeConfigOptions { context: Some(context.clone()), cluster: self.cluster.clone(), user: self.user.clone() };
        let failed = |e: String| {
            Failure::new(format!("context \"{context}\": {e}"))
                .hint("check what its cluster and user say in the kubeconfig, and the flags that replace it")
        };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| failed(chain(&e)))?;
        if !proxied {
            config.proxy_url = None;
        }
        if let Some(server) = &self.server {
            config.cluster_url = server.parse().map_err(|e| failed(format!("--server={server}: {e}")))?;
        }
        config.connect_timeout = Some(self.request_timeout.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT));
        config.read_timeout = Some(self.request_timeout.unwrap_or(READ_TIMEOUT));
        config.reset_reader_on_write = true;
        // The client's own retries go on for a quarter of an hour; people repeat the command, and waits look again.
        config.default_retry = false;
        Client::try_from(config).map_err(|e| failed(chain(&e)))
    }

    /// Puts what differs from the kubeconfig into the entries that will be used.
    fn change(&self, kubeconfig: &mut Kubeconfig, context: &str) {
        let entry = kubeconfig.contexts.iter().find(|c| c.name == context).and_then(|c| c.context.clone()).unwrap_or_default();
        let cluster = self.cluster.as_ref().unwrap_or(&entry.cluster);
        if let Some(at) = kubeconfig.clusters.iter_mut().find(|c| c.name == *cluster).and_then(|c| c.cluster.as_mut())
            && (self.insecure || self.authority.is_some())
        {
            at.insecure_skip_tls_verify = Some(self.insecure);
            at.certificate_authority_data = None;
            at.certificate_authority = self.authority.as_ref().map(|p| p.display().to_string());
        }
        let user = self.user.clone().or(entry.user).unwrap_or_default();
        for named in kubeconfig.auth_infos.iter_mut().filter(|u| u.name == user) {
            let before = named.auth_info.take().unwrap_or_default();
            let (impersonate, groups) = (before.impersonate.clone(), before.impersonate_groups.clone());
            named.auth_info = Some(AuthInfo {
                impersonate: self.impersonate.clone().or(impersonate),
                impersonate_groups: if self.impersonate_groups.is_empty() { groups } else { Some(self.impersonate_groups.clone()) },
                ..self.credentials.clone().unwrap_or(before)
            });
        }
    }
}

/// A host that is away is noticed after this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that stopped answering is noticed after this long.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Kubeconfig {
        Kubeconfig::from_yaml(
            "clusters: [{name: c, cluster: {server: 'gondor:6443', certificate-authority-data: aGk=}}, {name: empty, cluster: {}}]\n\
             users: [{name: u, user: {}}]\n\
             contexts: [{name: gondor, context: {cluster: c, user: u}}, {name: torn, context: {cluster: none, user: u}}, \
             {name: hollow, context: {cluster: empty, user: u}}]\n",
        )
        .unwrap()
    }

    #[test]
    fn a_context_is_described() {
        let d = describe(&config(), Some("gondor")).unwrap();
        assert_eq!((d.server.as_str(), d.ca.as_deref()), ("https://gondor:6443", Some(b"hi".as_slice())));
    }

    #[test]
    fn flags_count_more_than_the_entries_of_the_context_and_touch_no_others() {
        let mut kubeconfig = config();
        let target = Target {
            authority: Some("ca.pem".into()),
            credentials: Some(AuthInfo { username: Some("frodo".into()), ..AuthInfo::default() }),
            impersonate: Some("sam".into()),
            ..Target::context(Some("gondor"))
        };
        target.change(&mut kubeconfig, "gondor");
        let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
        assert_eq!((cluster.certificate_authority.as_deref(), &cluster.certificate_authority_data), (Some("ca.pem"), &None));
        assert_eq!(kubeconfig.clusters[1].cluster.as_ref().unwrap().certificate_authority, None);
        let user = kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!((user.username.as_deref(), user.impersonate.as_deref()), (Some("frodo"), Some("sam")));
    }

    #[test]
    fn what_is_missing_is_said_in_v1s_words() {
        let say = |context: Option<&str>| describe(&config(), context).unwrap_err();
        assert_eq!(say(Some("mordor")).message, "context \"mordor\" does not exist");
        assert_eq!(say(Some("mordor")).hint.as_deref(), Some("contexts there are: gondor, torn, hollow"));
        assert_eq!(say(Some("torn")).message, "cluster endpoint not found for \"none\"");
        assert_eq!(say(Some("hollow")).message, "cluster endpoint not found for \"empty\"");
        assert!(say(None).message.contains("no current-context"));
    }
}
