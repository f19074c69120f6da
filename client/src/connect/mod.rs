//! From a context, and what the command line changes about it, to a client: by client-go's rules.

mod access;
mod auth;
mod bearer;
mod exec;
mod identity;
mod proxy;
mod server;
mod transport;

use std::path::PathBuf;

use kube::Client;

pub use access::{Access, Timeouts};
pub use bearer::Bearer;
pub(crate) use proxy::parse as proxy_url;
pub use proxy::{Environment, Proxy};

use self::access::{Impersonate, Login};
use crate::Error;
use crate::kubeconfig::{Cluster, Kubeconfig, User, validate};

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
    pub credentials: Option<User>,
    /// User to act as.
    pub impersonate: Option<String>,
    /// Groups to act as.
    pub impersonate_groups: Vec<String>,
    /// Send credentials over http too, which nobody else does: only where it was asked for in so many words.
    pub in_clear: bool,
    /// How long to wait, and for what.
    pub timeouts: Timeouts,
}

/// Whether a certificate and a key, both PEM, go together.
///
/// # Errors
/// What is wrong with one of them, or with both.
pub fn pair(certificate: &[u8], key: &[u8]) -> Result<(), Error> {
    let matching = identity::identity(certificate, key).and_then(|identity| Ok(identity.keys_match()?));
    matching.map_err(|why| Error::Entry {
        entry: "client certificate and key".to_owned(),
        what: why.to_string(),
        hint: "name the certificate and the key that was made for it, both in PEM".to_owned(),
    })
}

impl Target {
    /// The context of this name and nothing else.
    pub fn context(name: Option<&str>) -> Self {
        Self { context: name.filter(|n| !n.is_empty()).map(str::to_owned), ..Self::default() }
    }
}

impl Access {
    /// Looks a context up and checks everything it uses, files included. Nothing is sent and nothing is run.
    ///
    /// # Errors
    /// What is missing or cannot be used, by entry.
    pub fn resolve(config: &Kubeconfig, target: &Target, environment: &Environment) -> Result<Self, Error> {
        let name = context_name(config, target)?;
        let context = &config.contexts[&name];
        let cluster_name = target.cluster.as_ref().unwrap_or(&context.cluster);
        let mut cluster = cluster_entry(config, &name, cluster_name, target)?;
        let user_name = target.user.as_ref().unwrap_or(&context.user);
        let mut user = user_entry(config, &name, user_name, target)?;
        if config.inline {
            stands_alone("cluster", cluster_name, cluster.outside())?;
            stands_alone("user", user_name, user.outside())?;
        }
        if target.insecure || target.authority.is_some() {
            cluster.insecure_skip_tls_verify = target.insecure;
            cluster.certificate_authority_data.clear();
            cluster.certificate_authority = target.authority.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
        }
        if let Some(server) = &target.server {
            cluster.server.clone_from(server);
            cluster.tls_server_name.clear();
        }
        if let Some(credentials) = &target.credentials {
            let acting = user.clone();
            user = User {
                act_as: acting.act_as,
                act_as_uid: acting.act_as_uid,
                act_as_groups: acting.act_as_groups,
                act_as_user_extra: acting.act_as_user_extra,
                ..credentials.clone()
            };
        }
        if let Some(who) = &target.impersonate {
            user.act_as.clone_from(who);
        }
        if !target.impersonate_groups.is_empty() {
            user.act_as_groups.clone_from(&target.impersonate_groups);
        }
        let mut wrong = validate::cluster(cluster_name, &cluster);
        wrong.extend(validate::user(user_name, &user));
        if !wrong.is_empty() {
            return Err(Error::Unusable(wrong));
        }
        let labels = Labels {
            context: name,
            cluster: if target.server.is_some() {
                "--server".to_owned()
            } else {
                entry("cluster", cluster_name, cluster.origin.as_deref())
            },
            user: user_name.clone(),
            namespace: context.namespace.clone(),
        };
        build(labels, &cluster, &user, target, environment)
    }

    /// The account of the pod this process runs in.
    ///
    /// # Errors
    /// That it does not run in one, or what is wrong there.
    pub fn in_cluster(timeouts: Timeouts, environment: &Environment) -> Result<Self, Error> {
        let missing =
            |what: String| Error::Missing { what, hint: "a pod has these, unless automountServiceAccountToken is false".to_owned() };
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT")) else {
            return Err(missing("this process does not run in a pod".to_owned()));
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let dir = std::path::Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
        let ca = dir.join("ca.crt");
        let cluster =
            Cluster { server: format!("https://{host}:{port}"), certificate_authority: ca.display().to_string(), ..Cluster::default() };
        let user = User { token_file: dir.join("token").display().to_string(), ..User::default() };
        let namespace = std::fs::read_to_string(dir.join("namespace")).map(|n| n.trim().to_owned()).unwrap_or_default();
        let wrong = validate::cluster("in-cluster", &cluster);
        if !wrong.is_empty() {
            return Err(missing(wrong.join(", ")));
        }
        let labels =
            Labels { context: "in-cluster".to_owned(), cluster: "the pod's account".to_owned(), user: "in-cluster".to_owned(), namespace };
        Ok(Self { authorities_file: Some(ca), ..build(labels, &cluster, &user, &Target { timeouts, ..Target::default() }, environment)? })
    }

    /// The server's URL without a slash at its end, as people write it.
    pub fn url(&self) -> String {
        self.server.to_string().trim_end_matches('/').to_owned()
    }

    /// A client. Nothing is sent yet, but a credential plugin runs, once for all clients that use it.
    ///
    /// # Errors
    /// A plugin that fails; certificates that TLS does not take.
    pub async fn client(&self) -> Result<Client, Error> {
        Ok(Client::new(transport::make(self).await?, self.namespace.clone()))
    }
}

/// How to call the parts of an access in a message.
struct Labels {
    context: String,
    cluster: String,
    user: String,
    namespace: String,
}

fn build(labels: Labels, cluster: &Cluster, user: &User, target: &Target, environment: &Environment) -> Result<Access, Error> {
    let entry_error = |what: String, hint: &str| Error::Entry { entry: labels.cluster.clone(), what, hint: hint.to_owned() };
    let has_tls =
        cluster.insecure_skip_tls_verify || !cluster.certificate_authority.is_empty() || !cluster.certificate_authority_data.is_empty();
    let needs_tls = has_tls || user.has_credentials();
    let at = server::parse(&cluster.server, needs_tls).map_err(|(what, hint)| entry_error(what, &hint))?;
    // As in client-go: over http nobody says who they are, whatever the entries have.
    let secure = at.uri.scheme_str() == Some("https");
    let secret = secure || target.in_clear;
    let user = if secret { user.clone() } else { user.only_acting() };
    let read = |path: &str, data: &[u8]| -> Result<Option<Vec<u8>>, Error> {
        match (data.is_empty(), path.is_empty()) {
            (false, _) => Ok(Some(data.to_vec())),
            (true, false) => {
                let bytes = crate::kubeconfig::bytes(std::path::Path::new(path));
                bytes.map(Some).map_err(|e| entry_error(format!("reading {path}: {e}"), "check the path and its permissions"))
            }
            (true, true) => Ok(None),
        }
    };
    let authorities = if secure { read(&cluster.certificate_authority, &cluster.certificate_authority_data)? } else { None };
    let proxy = cluster.proxy().map_err(|why| entry_error(why.to_string(), "for example http://proxy.example.net:3128"))?;
    let route = match &proxy {
        Some(proxy) => Some(proxy.clone()),
        None => environment.proxy_for(&at.uri).map_err(|why| Error::Entry {
            entry: labels.cluster.clone(),
            what: why.to_string(),
            hint: "mend or unset the variable".to_owned(),
        })?,
    };
    let certificate = read(&user.client_certificate, &user.client_certificate_data)?;
    let key = read(&user.client_key, &user.client_key_data)?;
    let login = login(&labels, &user, at.userinfo.filter(|_| secret), certificate.is_some(), || exec::Info::of(cluster, &authorities))?;
    Ok(Access {
        namespace: if labels.namespace.is_empty() { "default".to_owned() } else { labels.namespace },
        context: labels.context,
        server: at.uri,
        authorities,
        tls_server_name: (!cluster.tls_server_name.is_empty()).then(|| cluster.tls_server_name.clone()),
        insecure: secure && cluster.insecure_skip_tls_verify,
        proxy,
        authorities_file: None,
        route,
        identity: certificate.zip(key),
        login,
        impersonate: Impersonate { user: user.act_as, uid: user.act_as_uid, groups: user.act_as_groups, extra: user.act_as_user_extra },
        timeouts: target.timeouts,
    })
}

/// Which credential counts, in client-go's order: a token from a file, a token, a password; a plugin only if nothing else does.
fn login(
    labels: &Labels,
    user: &User,
    userinfo: Option<(String, String)>,
    certificate: bool,
    info: impl FnOnce() -> exec::Info,
) -> Result<Login, Error> {
    let name = &labels.user;
    if let Some(provider) = &user.auth_provider {
        let entry = format!("user \"{name}\"");
        let (what, hint) = match provider.name.as_str() {
            "gcp" => ("the gcp auth plugin has been removed".to_owned(), "use the credential plugin gke-gcloud-auth-plugin (exec)"),
            "azure" => ("the azure auth plugin has been removed".to_owned(), "use the credential plugin kubelogin (exec)"),
            other => (
                format!("auth-provider \"{other}\" is not supported"),
                "use a credential plugin (exec) that logs in there, or a token; kubectl create token makes one",
            ),
        };
        return Err(Error::Entry { entry, what, hint: hint.to_owned() });
    }
    let password = !user.username.is_empty() || !user.password.is_empty();
    if let Some(exec) = &user.exec {
        exec::check(name, exec)?;
    }
    Ok(if !user.token_file.is_empty() {
        let inline = (!user.token.is_empty()).then(|| user.token.clone());
        if inline.is_none()
            && let Err(e) = std::fs::File::open(&user.token_file)
        {
            let entry = format!("user \"{name}\"");
            return Err(Error::Entry {
                entry,
                what: format!("tokenFile: open {}: {e}", user.token_file),
                hint: "check the path and its permissions".to_owned(),
            });
        }
        Login::TokenFile(PathBuf::from(&user.token_file), inline)
    } else if !user.token.is_empty() {
        Login::Token(user.token.clone())
    } else if password {
        Login::Basic(user.username.clone(), user.password.clone())
    } else if let Some(exec) = user.exec.as_ref().filter(|_| !certificate) {
        Login::Exec(Box::new(exec::Call::new(name, exec, info())))
    } else if let Some((name, password)) = userinfo {
        Login::Basic(name, password)
    } else {
        Login::None
    })
}

impl User {
    /// Whether it has anything that must not be sent in clear.
    fn has_credentials(&self) -> bool {
        let texts = [&self.client_certificate, &self.client_key, &self.token, &self.token_file, &self.username, &self.password];
        texts.iter().any(|t| !t.is_empty())
            || !self.client_certificate_data.is_empty()
            || !self.client_key_data.is_empty()
            || self.auth_provider.is_some()
            || self.exec.is_some()
    }

    /// Nothing but whom to act as.
    fn only_acting(&self) -> Self {
        Self {
            act_as: self.act_as.clone(),
            act_as_uid: self.act_as_uid.clone(),
            act_as_groups: self.act_as_groups.clone(),
            act_as_user_extra: self.act_as_user_extra.clone(),
            ..Self::default()
        }
    }
}

/// An entry of a secret's kubeconfig reads and runs nothing.
fn stands_alone(kind: &'static str, name: &str, outside: Option<&'static str>) -> Result<(), Error> {
    outside.map_or(Ok(()), |field| Err(Error::NotInline { kind, name: name.to_owned(), field }))
}

fn entry(kind: &str, name: &str, origin: Option<&std::path::Path>) -> String {
    match origin {
        Some(file) => format!("{kind} \"{name}\" of kubeconfig {}", file.display()),
        None => format!("{kind} \"{name}\""),
    }
}

fn context_name(config: &Kubeconfig, target: &Target) -> Result<String, Error> {
    let there = |wanted: &str| format!("contexts there are: {}", config.context_names(wanted));
    let name = match target.context.as_deref().filter(|c| !c.is_empty()) {
        Some(name) => name,
        None if config.current_context.is_empty() => {
            return Err(Error::Missing {
                what: "no context was given and the kubeconfig has no current-context".to_owned(),
                hint: there(""),
            });
        }
        None => &config.current_context,
    };
    if config.contexts.contains_key(name) {
        return Ok(name.to_owned());
    }
    Err(Error::Missing { what: format!("context \"{name}\" does not exist"), hint: there(name) })
}

/// The cluster a context names. kubectl takes `localhost:8080` where it is missing, which puzzles everybody.
fn cluster_entry(config: &Kubeconfig, context: &str, name: &str, target: &Target) -> Result<Cluster, Error> {
    let found = config.clusters.get(name);
    if found.is_none() && target.cluster.is_some() {
        return Err(Error::Missing { what: format!("no server found for cluster \"{name}\""), hint: "--cluster names it".to_owned() });
    }
    if target.server.is_some() {
        return Ok(found.cloned().unwrap_or_default());
    }
    found.filter(|c| !c.server.is_empty()).cloned().ok_or_else(|| Error::Missing {
        what: format!("cluster endpoint not found for \"{name}\""),
        hint: format!("context \"{context}\" names a cluster that the kubeconfig has no server for"),
    })
}

/// The user a context names; nobody, where it names none. kubectl is nobody also where the one it names is missing.
fn user_entry(config: &Kubeconfig, context: &str, name: &str, target: &Target) -> Result<User, Error> {
    match config.users.get(name) {
        Some(user) => Ok(user.clone()),
        None if target.user.is_some() => {
            Err(Error::Missing { what: format!("auth info \"{name}\" does not exist"), hint: "--user names it".to_owned() })
        }
        None if name.is_empty() || target.credentials.is_some() => Ok(User::default()),
        None => Err(Error::Missing {
            what: format!("user \"{name}\" does not exist"),
            hint: format!("context \"{context}\" names it; the kubeconfig has no such entry"),
        }),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
