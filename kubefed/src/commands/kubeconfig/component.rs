//! `kubefed kubeconfig component`: the kubeconfigs of what a cluster is made of, each with its own user and certificate.

use std::path::Path;
use std::time::SystemTime;

use federation_api::names;
use federation_client::{Access, Environment};

use super::certificate::{self, Order, certify};
use super::document::{self, Holder, Names};
use super::issue;
use super::output::Output;
use super::subject;
use crate::certs;
use crate::cli::ComponentArgs;
use crate::commands::{Session, given};
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::credentials::Pair;
use crate::request::Request;

/// Signs for kubelets.
const KUBELET_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// Who a component is.
#[derive(Debug, Eq, PartialEq)]
struct Role {
    /// Name of the user entry.
    entry: String,
    /// Common name.
    user: String,
    /// Organization.
    group: Option<String>,
    signer: &'static str,
}

/// Makes one.
///
/// # Errors
/// What was typed cannot be; the authority cannot sign; the caller may not ask or approve; the file cannot be written.
pub(super) async fn run(session: &Session, args: &ComponentArgs) -> Result<(), Failure> {
    let role = role(args)?;
    certificate::lifetime(args.ttl)?;
    match &args.ca_key {
        Some(key) => here(session, args, &role, key),
        None => by_federation(session, args, &role).await,
    }
}

fn role(args: &ComponentArgs) -> Result<Role, Failure> {
    let known = |entry: &str, user: &str, group: Option<&str>| Role {
        entry: entry.to_owned(),
        user: user.to_owned(),
        group: group.map(str::to_owned),
        signer: issue::SIGNER,
    };
    let role = match args.component.as_str() {
        "kubelet" => kubelet(args.node.as_deref())?,
        "kube-proxy" | "proxy" => known("kube-proxy", "system:kube-proxy", None),
        "kube-controller-manager" | "controller-manager" => known("kube-controller-manager", "system:kube-controller-manager", None),
        "kube-scheduler" | "scheduler" => known("kube-scheduler", "system:kube-scheduler", None),
        "admin" => known("admin", certs::ADMIN, Some(certs::MASTERS)),
        other => {
            subject::check("the component's name", other, args.allow_system)?;
            args.group.iter().try_for_each(|group| subject::check("--group", group, args.allow_system))?;
            known(other, other, args.group.as_deref())
        }
    };
    if args.group.is_some() && role.group != args.group {
        return Err(Failure::usage(format!("--group: the group of {} is Kubernetes' own", role.entry))
            .hint("leave --group out, or name a component of your own"));
    }
    if args.node.is_some() && role.signer != KUBELET_SIGNER {
        return Err(Failure::usage("--node: only a kubelet is a node's").hint("leave --node out, or use component kubelet"));
    }
    Ok(role)
}

fn kubelet(node: Option<&str>) -> Result<Role, Failure> {
    let node =
        node.ok_or_else(|| Failure::usage("--node: a kubelet is that of a node, and none is given").hint("for example --node=gondor-1"))?;
    let user = format!("{}node:{node}", subject::SYSTEM);
    if !names::is_rfc1123_subdomain(node) || user.len() > subject::LONGEST_NAME {
        let longest = subject::LONGEST_NAME + node.len() - user.len();
        return Err(Failure::usage(format!("--node: {node:?} is no name of a node that can stand in a certificate")).hint(format!(
            "it has at most {longest} lower-case letters, digits, '-' and '.', and begins and ends with a letter or digit"
        )));
    }
    Ok(Role { entry: "kubelet".to_owned(), user, group: Some("system:nodes".to_owned()), signer: KUBELET_SIGNER })
}

/// By the authority's key, without asking anybody.
fn here(session: &Session, args: &ComponentArgs, role: &Role, key: &Path) -> Result<(), Failure> {
    given::no_kubeconfig(session)?;
    if session.global.access.token.is_some() {
        return Err(Failure::usage("nothing comes of --token here: the certificate is signed with --ca-key")
            .hint("leave one of them out; kubefed kubeconfig bootstrap makes a kubeconfig with a token"));
    }
    let server = given::server(session)?;
    let authority = session.global.access.certificate_authority.as_deref().ok_or_else(|| {
        Failure::usage("--ca-key: the authority's certificate is needed too").hint("--certificate-authority=FILE, for example ca.pem")
    })?;
    let authorities = given::authorities("--certificate-authority", authority)?;
    let ca = Pair { cert: authorities, key: given::text("--ca-key", key)? };
    let output = Output::prepare(&args.to)?;
    let made = certs::component(&ca, &role.user, role.group.as_deref(), args.ttl, SystemTime::now())?;
    let cluster = document::cluster(server, &ca.cert);
    write(session, output, role, &made, &cluster)
}

/// By the federation's API server, which the kubeconfig leads to.
async fn by_federation(session: &Session, args: &ComponentArgs, role: &Role) -> Result<(), Failure> {
    if role.group.as_deref() == Some(subject::MASTERS) {
        return Err(Failure::usage(format!("no API server signs for {}, whose certificates could do everything", subject::MASTERS))
            .hint("sign it with --ca-key, --certificate-authority and --server; or kubefed kubeconfig issue NAME --group=GROUP, with a binding of the group"));
    }
    let target = session.federation_target(session.global.context.as_deref())?;
    let access = Access::resolve(&session.files().load()?, &target, &Environment::of_process())?;
    let output = Output::prepare(&args.to)?;
    let at = Connection::to(&access).await?.of_federation().await?;
    let groups: Vec<String> = role.group.iter().cloned().collect();
    let Request { key, request } = Request::new(&role.user, &groups).map_err(|e| Failure::new(format!("making a key: {e}")))?;
    let order = Order { signer: role.signer, command: "kubefed kubeconfig component", ttl: args.ttl, limit: args.timeout };
    let certificate = certify(session, &at, &order, &request).await?;
    let cert = String::from_utf8(certificate).map_err(|_| Failure::new("the API server signed what cannot be read as a certificate"))?;
    issue::remark(session, &access);
    write(session, output, role, &Pair { cert, key }, &document::cluster_of(&access, None))
}

fn write(session: &Session, output: Output, role: &Role, made: &Pair, cluster: &serde_json::Value) -> Result<(), Failure> {
    let groups: Vec<String> = role.group.iter().cloned().collect();
    let until = certificate::end(made.cert.as_bytes())?;
    let holder = Holder { user: &role.user, groups: &groups, certificate: made.cert.as_bytes(), key: &made.key, until };
    let config = document::kubeconfig(&Names::of_component(&role.entry), cluster, &document::by_certificate(&holder), None);
    output.write(&session.printer, &document::text(&config, &document::told(&holder))?)?;
    session.printer.note(&format!("Issued for {}.", document::told(&holder)));
    Ok(())
}
