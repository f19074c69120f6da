//! The fields of a kubeconfig and its entries.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::encode::{self, Named, nothing};
use super::nearest;
use crate::Error;
use crate::connect::{Proxy, proxy_url};

/// One or several kubeconfigs, merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kubeconfig {
    /// Clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Contexts by name.
    pub contexts: BTreeMap<String, Context>,
    /// Name of the context that counts where none is named.
    pub current_context: String,
    /// What kubectl kept here once.
    pub preferences: Preferences,
    /// What other programs keep here, by name.
    pub extensions: Extensions,
    /// Everything that is used has to stand in it: it comes from somebody who must not read files or run programs here.
    pub inline: bool,
}

/// What other programs keep in a kubeconfig, by name.
pub type Extensions = BTreeMap<String, Value>;

/// What kubectl kept in a kubeconfig once.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Preferences {
    /// Whether to print in colours.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub colors: bool,
    /// What other programs keep here, by name.
    #[serde(skip_serializing_if = "encode::nothing", serialize_with = "encode::extensions")]
    pub extensions: Extensions,
}

/// Where an API server is and how it is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cluster {
    /// URL of the API server.
    pub server: String,
    /// Name its certificate has to have, where it is not the server's.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub tls_server_name: String,
    /// Take any certificate.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub insecure_skip_tls_verify: bool,
    /// Authorities of its certificate: a PEM file.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub certificate_authority: String,
    /// Authorities of its certificate: PEM.
    #[serde(skip_serializing_if = "encode::nothing", serialize_with = "encode::bytes")]
    pub certificate_authority_data: Vec<u8>,
    /// URL of the proxy to it.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub proxy_url: String,
    /// Whether answers are to come uncompressed.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub disable_compression: bool,
    /// What other programs keep here, by name.
    #[serde(skip_serializing_if = "encode::nothing", serialize_with = "encode::extensions")]
    pub extensions: Extensions,
    /// The file it was read from, if any.
    #[serde(skip)]
    pub origin: Option<PathBuf>,
}

/// Who somebody is to an API server.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct User {
    /// A PEM file.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub client_certificate: String,
    /// PEM.
    #[serde(skip_serializing_if = "encode::nothing", serialize_with = "encode::bytes")]
    pub client_certificate_data: Vec<u8>,
    /// A PEM file.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub client_key: String,
    /// PEM.
    #[serde(skip_serializing_if = "encode::nothing", serialize_with = "encode::bytes")]
    pub client_key_data: Vec<u8>,
    /// Bearer token.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub token: String,
    /// A file with a bearer token, read again and again; counts more than `token`.
    #[serde(rename = "tokenFile", skip_serializing_if = "encode::nothing")]
    pub token_file: String,
    /// User to act as.
    #[serde(rename = "as", skip_serializing_if = "encode::nothing")]
    pub act_as: String,
    /// Uid to act as.
    #[serde(rename = "as-uid", skip_serializing_if = "encode::nothing")]
    pub act_as_uid: String,
    /// Groups to act as.
    #[serde(rename = "as-groups", skip_serializing_if = "encode::nothing")]
    pub act_as_groups: Vec<String>,
    /// Further attributes to act with.
    #[serde(rename = "as-user-extra", skip_serializing_if = "encode::nothing")]
    pub act_as_user_extra: BTreeMap<String, Vec<String>>,
    /// Name for basic authentication.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub username: String,
    /// Password for basic authentication.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub password: String,
    /// An authentication provider: the kind of plugin that Kubernetes gave up.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub auth_provider: Option<AuthProvider>,
    /// A credential plugin.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub exec: Option<Exec>,
    /// What other programs keep here, by name.
    #[serde(skip_serializing_if = "encode::nothing", serialize_with = "encode::extensions")]
    pub extensions: Extensions,
    /// The file it was read from, if any.
    #[serde(skip)]
    pub origin: Option<PathBuf>,
}

/// Names only: everything else is, or may be, secret.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("act_as", &self.act_as).field("username", &self.username).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The proxy to it, if it names one.
    ///
    /// # Errors
    /// Why its `proxy-url` cannot be used.
    pub fn proxy(&self) -> Result<Option<Proxy>, Error> {
        let proxy = (!self.proxy_url.is_empty()).then(|| proxy_url(&self.proxy_url)).transpose();
        let hint = "for example http://proxy.example.net:3128".to_owned();
        proxy.map_err(|why| Error::Entry { entry: "proxy-url".to_owned(), what: why.to_string(), hint })
    }

    /// The field that reads something outside of the kubeconfig, if one does.
    pub fn outside(&self) -> Option<&'static str> {
        (!self.certificate_authority.is_empty()).then_some("certificate-authority")
    }
}

impl User {
    /// The field that reads or runs something outside of the kubeconfig, if one does.
    pub fn outside(&self) -> Option<&'static str> {
        let fields = [
            ("exec", self.exec.is_some()),
            ("auth-provider", self.auth_provider.is_some()),
            ("tokenFile", !self.token_file.is_empty()),
            ("client-certificate", !self.client_certificate.is_empty()),
            ("client-key", !self.client_key.is_empty()),
        ];
        fields.into_iter().find_map(|(field, is)| is.then_some(field))
    }
}

/// A kind of plugin that Kubernetes gave up.
#[derive(Clone, Default, Eq, PartialEq, Serialize)]
pub struct AuthProvider {
    /// Its name.
    pub name: String,
    /// Its settings, secrets among them.
    #[serde(serialize_with = "encode::or_null")]
    pub config: BTreeMap<String, String>,
}

/// A program that prints credentials.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exec {
    /// The program: a path, or a name to look up in `PATH`.
    pub command: String,
    /// Its arguments.
    #[serde(serialize_with = "encode::or_null")]
    pub args: Vec<String>,
    /// What is set in its environment, in this order.
    #[serde(serialize_with = "encode::variables")]
    pub env: Vec<(String, String)>,
    /// Version of the protocol, with its group.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub api_version: String,
    /// What to tell people who lack the program.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub install_hint: String,
    /// Whether it is told about the cluster.
    pub provide_cluster_info: bool,
    /// `Never`, `IfAvailable` or `Always`.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub interactive_mode: String,
}

/// A cluster and a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Context {
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the user.
    pub user: String,
    /// Namespace where none is named.
    #[serde(skip_serializing_if = "encode::nothing")]
    pub namespace: String,
    /// What other programs keep here, by name.
    #[serde(skip_serializing_if = "encode::nothing", serialize_with = "encode::extensions")]
    pub extensions: Extensions,
    /// The file it was read from, if any.
    #[serde(skip)]
    pub origin: Option<PathBuf>,
}

/// Where a kubeconfig comes from, and so how far it is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source<'a> {
    /// A file of the user's: it may name other files, beside itself, and programs.
    File(&'a Path),
    /// The same, to be shown: paths stay as they are written.
    Shown(&'a Path),
    /// A secret, by how to call it: who may write it must not read our files or run programs here, so everything
    /// that is used has to stand in it.
    Secret(&'a str),
}

impl Source<'_> {
    /// How to call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Shown(path) => path.display().to_string(),
            Self::Secret(name) => (*name).to_owned(),
        }
    }
}

impl Kubeconfig {
    /// One context of this name for one cluster and one user.
    pub fn single(name: &str, cluster: Cluster, user: User) -> Self {
        let context = Context { cluster: name.to_owned(), user: name.to_owned(), ..Context::default() };
        Self {
            clusters: [(name.to_owned(), cluster)].into(),
            users: [(name.to_owned(), user)].into(),
            contexts: [(name.to_owned(), context)].into(),
            current_context: name.to_owned(),
            ..Self::default()
        }
    }

    /// Takes in what this one lacks of another: entries whole, by name.
    pub fn merge(&mut self, weaker: Self) {
        fn fill<T>(mine: &mut BTreeMap<String, T>, theirs: BTreeMap<String, T>) {
            for (name, entry) in theirs {
                mine.entry(name).or_insert(entry);
            }
        }
        fill(&mut self.clusters, weaker.clusters);
        fill(&mut self.users, weaker.users);
        fill(&mut self.contexts, weaker.contexts);
        fill(&mut self.extensions, weaker.extensions);
        fill(&mut self.preferences.extensions, weaker.preferences.extensions);
        self.preferences.colors |= weaker.preferences.colors;
        if self.current_context.is_empty() {
            self.current_context = weaker.current_context;
        }
    }

    /// The names of its contexts, for a message: of many those nearest to `wanted`, where that is not empty.
    pub fn context_names(&self, wanted: &str) -> String {
        nearest(self.contexts.keys().map(String::as_str), wanted)
    }
}

/// The fields of `clientcmd/api/v1` in their order, without those that are empty.
impl Serialize for Kubeconfig {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        all.serialize_entry("kind", "Config")?;
        all.serialize_entry("apiVersion", "v1")?;
        if !nothing(&self.preferences) {
            all.serialize_entry("preferences", &self.preferences)?;
        }
        all.serialize_entry("clusters", &Named("cluster", &self.clusters))?;
        all.serialize_entry("users", &Named("user", &self.users))?;
        all.serialize_entry("contexts", &Named("context", &self.contexts))?;
        all.serialize_entry("current-context", &self.current_context)?;
        if !nothing(&self.extensions) {
            all.serialize_entry("extensions", &Named("extension", &self.extensions))?;
        }
        all.end()
    }
}
