//! `kubefed config`: kubectl's commands, flags and words. Flags that exist for every command have the same id here, and
//! what is typed counts for both; only the help differs.

mod beyond;
mod view;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::values::boolean;

pub use beyond::{CheckArgs, ExportArgs, ImportArgs, LintArgs, PruneArgs, SplitArgs};
pub use view::{ViewArgs, ViewFormat};

/// Show and change kubeconfig files.
///
/// Everything of kubectl config, with the same names, flags and answers, and more: undo, import, export, split, lint,
/// check and prune. Comments, the order and fields that nobody knows stay as they are.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct ConfigArgs {
    /// The command.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The commands of `kubefed config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Ask the API servers of contexts whether they answer, who you are to them, and for how long
    #[command(after_help = beyond::CHECK)]
    Check(CheckArgs),
    /// Print the name of the current context
    CurrentContext,
    /// Delete a cluster entry from the kubeconfig
    DeleteCluster(NameArgs),
    /// Delete a context from the kubeconfig
    DeleteContext(NameArgs),
    /// Delete a user entry from the kubeconfig
    DeleteUser(NameArgs),
    /// Print contexts as a kubeconfig of their own, with everything they use in it
    Export(ExportArgs),
    /// List the cluster entries
    GetClusters,
    /// List the contexts
    GetContexts(GetContextsArgs),
    /// List the user entries
    GetUsers,
    /// Take the contexts of another kubeconfig in; what collides gets another name
    Import(ImportArgs),
    /// Look for what is wrong, or soon will be, and say how to mend it
    #[command(after_help = beyond::LINT)]
    Lint(LintArgs),
    /// Delete the contexts whose API servers do not answer, with their clusters and users
    Prune(PruneArgs),
    /// Give a context another name
    RenameContext(RenameContextArgs),
    /// Set one value by its path
    #[command(after_help = PATHS)]
    Set(SetArgs),
    /// Make or change a cluster entry
    SetCluster(Box<SetClusterArgs>),
    /// Make or change a context
    SetContext(SetContextArgs),
    /// Make or change a user entry
    SetCredentials(Box<SetCredentialsArgs>),
    /// Write every context into a kubeconfig of its own
    Split(SplitArgs),
    /// Take the last change back; a second time, do it again
    Undo,
    /// Take one value, or an entry, away by its path
    #[command(after_help = PATHS)]
    Unset(UnsetArgs),
    /// Make a context the current one
    #[command(visible_alias = "use")]
    UseContext(NameArgs),
    /// Print the kubeconfig files merged, without secrets
    View(ViewArgs),
}

const PATHS: &str = "\
Paths are those of kubectl: current-context, users.NAME.token, contexts.NAME.namespace, clusters.NAME.server, and so on.
A name may contain dots; where it contains the name of a field it goes into quotes: 'users[\"my.token\"].username'.
Besides kubectl's paths: the fields' own names (users.NAME.as), what is in exec and auth-provider (users.NAME.exec.command,
users.NAME.exec.env.VARIABLE), and lists, whose values are separated by commas (users.NAME.as-groups a,b).";

/// Set one value by its path.
#[derive(Args, Debug)]
pub struct SetArgs {
    /// Path of the value
    #[arg(value_name = "PROPERTY")]
    pub property: String,
    /// The value; base64 for the fields that end in -data
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: String,
    /// Take VALUE for the bytes themselves, not for base64
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub set_raw_bytes: Option<bool>,
}

/// Take one value away by its path.
#[derive(Args, Debug)]
pub struct UnsetArgs {
    /// Path of the value, of an entry or of a list
    #[arg(value_name = "PROPERTY")]
    pub property: String,
}

/// One entry.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// Name of the entry
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// List contexts.
#[derive(Args, Debug)]
pub struct GetContextsArgs {
    /// Names of contexts; all if none is given
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print names only
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<NameOnly>,
    /// Print no line of headings
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub no_headers: Option<bool>,
}

/// The one other form of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum NameOnly {
    /// Names only.
    Name,
}

/// Give a context another name.
#[derive(Args, Debug)]
pub struct RenameContextArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub old: String,
    /// The name it gets
    #[arg(value_name = "NEW_NAME")]
    pub new: String,
}

/// Where a field is a path, which may be empty to take it away.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(|text: OsString| PathBuf::from(text))
}

/// Make or change a cluster entry.
#[derive(Args, Debug)]
pub struct SetClusterArgs {
    /// Name of the entry
    #[arg(value_name = "NAME")]
    pub name: String,
    /// URL of the API server; the old one's --tls-server-name goes with it
    #[arg(long, short = 's', value_name = "URL")]
    pub server: Option<String>,
    /// Name the API server's certificate has to have
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Take any certificate: whoever is in between can read and change everything
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Authority of the API server's certificate, a PEM file
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub certificate_authority: Option<PathBuf>,
    /// Store what is in the PEM file, not its path
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub embed_certs: Option<bool>,
    /// URL of the proxy to the API server
    #[arg(long, value_name = "URL")]
    pub proxy_url: Option<String>,
    /// Ask for answers that are not compressed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub disable_compression: Option<bool>,
}

/// Make or change a context.
#[derive(Args, Debug)]
pub struct SetContextArgs {
    /// Name of the context
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Change the current context
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub current: Option<bool>,
    /// Its cluster entry
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Its user entry
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Its namespace
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// Make or change a user entry.
#[derive(Args, Debug)]
pub struct SetCredentialsArgs {
    /// Name of the entry
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Client certificate, a PEM file
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub client_certificate: Option<PathBuf>,
    /// Key of the client certificate, a PEM file
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub client_key: Option<PathBuf>,
    /// Store what is in the PEM files, not their paths
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub embed_certs: Option<bool>,
    /// Bearer token; takes the user name and password away
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// User name for basic authentication; takes the token away
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password for basic authentication; takes the token away
    #[arg(long, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// Authentication provider
    #[arg(long, value_name = "NAME")]
    pub auth_provider: Option<String>,
    /// Setting of the provider as KEY=VALUE, or KEY- to take it away; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', allow_hyphen_values = true)]
    pub auth_provider_arg: Vec<String>,
    /// Credential plugin
    #[arg(long, value_name = "COMMAND")]
    pub exec_command: Option<String>,
    /// Format the plugin speaks, client.authentication.k8s.io/v1 or v1beta1
    #[arg(long, value_name = "VERSION")]
    pub exec_api_version: Option<String>,
    /// Arguments of the plugin, instead of the old ones; can be repeated
    #[arg(long, value_name = "ARG", value_delimiter = ',', allow_hyphen_values = true)]
    pub exec_arg: Vec<String>,
    /// Variable of the plugin's environment as NAME=VALUE, or NAME- to take it away; can be repeated
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub exec_env: Vec<String>,
    /// Whether the plugin may ask on a terminal: IfAvailable, Never or Always
    #[arg(long, value_name = "MODE")]
    pub exec_interactive_mode: Option<String>,
    /// Tell the plugin of the cluster
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub exec_provide_cluster_info: Option<bool>,
}
