//! `kubefed kubeconfig`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use federation_api::duration;

use super::values::Format;
use crate::discovery::Pin;

/// Give others access to the federation
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct KubeconfigArgs {
    /// The command.
    #[command(subcommand)]
    pub command: KubeconfigCommand,
}

/// The commands of `kubefed kubeconfig`.
#[derive(Debug, Subcommand)]
pub enum KubeconfigCommand {
    /// Make a kubeconfig with a certificate for a user
    Issue(Box<IssueArgs>),
    /// Make the kubeconfig that a client without a certificate begins with: a server, its authority and a token
    Bootstrap(BootstrapArgs),
    /// Make the kubeconfig of a component of a cluster, with a certificate
    Component(Box<ComponentArgs>),
    /// List the credentials that the federation issued and that have not expired
    List(CredentialListArgs),
    /// Take credentials back at once
    Revoke(RevokeArgs),
}

/// Where a kubeconfig goes.
#[derive(Args, Debug)]
pub struct OutputArgs {
    /// File to write, readable by you alone; standard output if not given
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the file also where there is one of its name
    #[arg(long)]
    pub force: bool,
}

/// Make the kubeconfig that a client without a certificate begins with
///
/// It holds a server (--server), the authority of its certificate (--certificate-authority) and a token, as a kubelet's
/// --bootstrap-kubeconfig does. It is made of what is given; no kubeconfig is read.
///
/// Who has no file with the authority gives the hash of its public key (--discovery-token-ca-cert-hash): the server is asked for
/// the authority then, and believed if the hash is right and the answer is signed with the token. The token itself is not sent
/// before. kubefed token create --print-join-command prints that command.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        # With a token of kubefed token create\n  \
        (umask 077; kubefed token create --ttl=1h > token)\n  \
        kubefed kubeconfig bootstrap --server=https://10.64.3.7:6443 --certificate-authority=ca.pem \\\n    \
          --token-file=token --output=bootstrap.kubeconfig\n\n  \
        # With the token of a token file\n  \
        cut -d, -f1 token.csv | kubefed kubeconfig bootstrap --server=https://10.64.3.7:6443 \\\n    \
          --certificate-authority=ca.pem --token-file=- --output=bootstrap.kubeconfig")]
pub struct BootstrapArgs {
    /// Hash of the public key of the server's authority, sha256:HEX, instead of --certificate-authority; can be repeated
    #[arg(long = "discovery-token-ca-cert-hash", value_name = "HASH")]
    pub pins: Vec<Pin>,
    /// File with the token, - for standard input: other users of this machine see what --token gives
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where it goes.
    #[command(flatten)]
    pub to: OutputArgs,
}

/// Make the kubeconfig of a component of a cluster, with a certificate
///
/// The key is made here. With --ca-key the certificate is signed here too, by the authority of --certificate-authority, and
/// nobody is asked; the kubeconfig leads to --server. Without it the federation's API server signs, as for kubefed kubeconfig
/// issue, and the kubeconfig leads there.
///
/// COMPONENT is kubelet, kube-proxy, controller-manager, scheduler or admin, which have Kubernetes' own users and groups, or
/// any other name, which is the user's.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        # For kube-proxy, by the authority's key\n  \
        kubefed kubeconfig component kube-proxy --server=https://10.64.3.7:6443 \\\n    \
          --certificate-authority=ca.pem --ca-key=ca-key.pem --output=kube-proxy.kubeconfig\n\n  \
        # For the kubelet of a node, by the federation\n  \
        kubefed kubeconfig component kubelet --node=gondor-1 --output=kubelet.kubeconfig")]
pub struct ComponentArgs {
    /// What it is for
    #[arg(value_name = "COMPONENT")]
    pub component: String,
    /// Node of a kubelet
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Group of another component
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Key of the authority, a PEM file: the certificate is signed here
    #[arg(long, value_name = "FILE")]
    pub ca_key: Option<PathBuf>,
    /// How long the certificate is good for, at least 10m; it never outlives the authority, and the API server may make it shorter
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = duration::parse)]
    pub ttl: Duration,
    /// Where it goes.
    #[command(flatten)]
    pub to: OutputArgs,
    /// Let another component's name, or its group, begin with system:
    #[arg(long)]
    pub allow_system: bool,
    /// How long to wait for the API server to sign
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// Make a kubeconfig with a certificate for a user
///
/// The key is made here and does not leave the kubeconfig. The federation's API server signs the certificate, which you
/// approve: you need the right to that for signer kubernetes.io/kube-apiserver-client. What the user may do is said by roles
/// and bindings as always; kubefed kubeconfig revoke takes the certificate back.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        # For frodo, who may be in two groups until tonight\n  \
        kubefed kubeconfig issue frodo --group=hobbits --group=ring-bearers --output=frodo.kubeconfig\n\n  \
        # For ten minutes, by the address that is reached from outside\n  \
        kubefed kubeconfig issue sam --ttl=10m --endpoint=https://federation.example.com > sam.kubeconfig")]
pub struct IssueArgs {
    /// Name of the user
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Group of the user; can be repeated
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// How long the certificate is good for, at least 10m; the API server may make it shorter
    #[arg(long, value_name = "DURATION", default_value = "8h", value_parser = duration::parse)]
    pub ttl: Duration,
    /// Server of the new kubeconfig; the one it is made by if not given
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Namespace that commands with the new kubeconfig are about
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Where it goes.
    #[command(flatten)]
    pub to: OutputArgs,
    /// Let the user's name, or a group, begin with system:
    #[arg(long)]
    pub allow_system: bool,
    /// How long to wait for the API server to sign
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// List the credentials that the federation issued and that have not expired
#[derive(Args, Debug)]
pub struct CredentialListArgs {
    /// Those of one user alone
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Print them as a list of objects
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Take credentials back at once
///
/// Every API server of the federation refuses them from then on, and ends what they had open, within a second. It cannot be
/// undone.
#[derive(Args, Debug)]
#[command(
    group = clap::ArgGroup::new("which").required(true).args(["names", "user", "serial", "all"]),
    after_help = "Examples:\n  \
        # Everything that was issued for frodo, certificates and tokens\n  \
        kubefed kubeconfig revoke --user=frodo --reason='laptop lost'\n\n  \
        # One of those that kubefed kubeconfig list shows\n  \
        kubefed kubeconfig revoke certificate-19f2c4a1b0\n\n  \
        # The certificate in a kubeconfig, wherever it was signed\n  \
        kubefed kubeconfig revoke --serial=\"$(openssl x509 -in frodo.crt -noout -serial | cut -d= -f2)\""
)]
pub struct RevokeArgs {
    /// Names of credentials, as kubefed kubeconfig list shows them
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Everything that was issued for a user
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// The certificate with this serial number, in hexadecimal digits; the federation need not have issued it
    #[arg(long, value_name = "SERIAL")]
    pub serial: Option<String>,
    /// Everything that was issued; those of kubefed init are not
    #[arg(long)]
    pub all: bool,
    /// Why, for people
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}
