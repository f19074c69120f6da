//! `kubefed certs renew`.

use std::time::SystemTime;

use federation_client::Kubeconfig;
use federation_client::config::{Config, List, Pem, UserPatch};
use federation_client::edit::{self, Entry};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::held::{Term, certificates};
use crate::certs::{self, Found, Issued, Wanted};
use crate::cli::CertsRenewArgs;
use crate::commands::Session;
use crate::commands::init::{credentials::earlier, is_ours, ready};
use crate::connection::{Change, Connection};
use crate::error::Failure;
use crate::render::credentials::CA_CERT;
use crate::render::names::{CONTROLLER_MANAGER_MODULE, Federation, MANAGER};
use crate::render::{controller_manager, credentials};
use crate::wait::until;

const ANEW: &str = "run kubefed init again with its flags: it knows the names and addresses a new one is for";

pub(super) async fn run(session: &Session, host: &Connection, federation: &Federation, args: &CertsRenewArgs) -> Result<(), Failure> {
    let printer = &session.printer;
    let config = Config::load(session.files(), "certs renew")?;
    let found = earlier(host, federation, Some(&config.merged)).await?.certs;
    let serving = host.get_typed::<Secret>(&federation.namespace, &federation.apiserver_credentials()).await?;
    let (Some(serving), Some(server)) = (serving, &found.server) else {
        let name = federation.apiserver_credentials();
        return Err(Failure::new(format!("secret {}/{name} has no certificate of the API server", federation.namespace)).hint(ANEW));
    };
    let believed = serving.data.as_ref().and_then(|data| data.get(CA_CERT)).map(|pem| pem.0.as_slice());
    let ca = found.ca.as_ref().filter(|ca| believed == Some(ca.cert.as_bytes())).ok_or_else(|| {
        let (name, ca) = (federation.apiserver_credentials(), federation.ca());
        Failure::new(format!("the API server believes another authority than that of secret {ca}, by its secret {name}"))
            .hint("run kubefed init again with its flags: it brings both to one authority")
    })?;
    let (names, ips) = certs::answers_to(&server.cert).map_err(|failure| failure.hint(ANEW))?;
    let wanted = Wanted { federation: &federation.name, names: &names, ips: &ips };
    let kept = if args.all { Found { ca: found.ca.clone(), ..Found::default() } } else { found.clone() };
    let issued = certs::ensure(&wanted, kept, SystemTime::now())?;
    let ours = is_ours(&config.merged, &federation.name, &ca.cert);
    let user = found.admin.as_ref().filter(|admin| ours && certs::is_administrator(&admin.cert)).map(|_| federation.name.as_str());
    if user.is_none() && config.merged.users.contains_key(&federation.name) {
        let name = &federation.name;
        printer.note(&format!(
            "User \"{name}\" of the kubeconfig is left alone: it is not the administrator of this federation by a certificate."
        ));
    }
    // What will be written at the end is tried before anything is changed.
    if let Some(user) = user {
        writable(&config.merged, user)?;
    }

    printer.begin("Storing the API server's certificate");
    printer.end(host.apply(&credentials::with_serving(federation, serving, &issued.server)).await?.progress());

    printer.begin("Storing the controller manager's certificate");
    printer.end(replace_manager(host, federation, &issued).await?.progress());

    if let Some(user) = user {
        printer.begin("Updating kubeconfig");
        let changed = found.admin.as_ref() != Some(&issued.admin);
        if changed {
            let pem = |text: &str| Some(Pem::Data(text.as_bytes().to_vec()));
            let patch = UserPatch { certificate: pem(&issued.admin.cert), key: pem(&issued.admin.key), ..UserPatch::default() };
            config.set(List::Users, user, &|fields| patch.apply(fields))?;
        }
        printer.end(if changed { Change::Configured } else { Change::Unchanged }.progress());
    }
    printer.begin("Waiting for the controller manager");
    let (name, patience) = (federation.controller_manager(), session.patience(&args.host));
    let look = async || ready::deployment(host, federation, &name, CONTROLLER_MANAGER_MODULE).await;
    until(printer, &format!("Deployment {name}"), patience, look).await?;
    printer.end("done");
    tell(session, &found, &issued, user);
    Ok(())
}

/// A kubeconfig with the new certificate, and new pods where theirs is another: also after a run that was broken off
/// between the two.
async fn replace_manager(host: &Connection, federation: &Federation, issued: &Issued) -> Result<Change, Failure> {
    let secret = credentials::controller_manager(federation, &issued.ca, &issued.controller_manager);
    let change = host.apply(&secret).await?;
    let conf = host.get(&secret.resource, Some(&federation.namespace), &federation.dns_provider_conf()).await?;
    let patch = controller_manager::restart(&secret, conf.as_ref().map(|conf| &conf.data["data"]));
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let name = federation.controller_manager();
    let patched = host.typed::<Deployment>(&federation.namespace).patch(&name, &params, &Patch::Merge(patch)).await;
    patched.map_err(|e| host.failed(&format!("replacing the pods of Deployment {}/{name}", federation.namespace), &e))?;
    Ok(change)
}

fn writable(local: &Kubeconfig, user: &str) -> Result<(), Failure> {
    let Some(file) = local.users.get(user).and_then(|user| user.origin.as_deref()) else { return Ok(()) };
    let value = json!({"client-certificate-data": "", "client-key-data": ""});
    Ok(edit::can_put(file, &[Entry { list: "users", name: user.to_owned(), value }])?)
}

fn tell(session: &Session, found: &Found, issued: &Issued, user: Option<&str>) {
    let mut all = vec![
        ("apiserver", found.server.as_ref(), &issued.server),
        ("controller-manager", found.controller_manager.as_ref(), &issued.controller_manager),
    ];
    all.extend(user.map(|_| ("administrator", found.admin.as_ref(), &issued.admin)));
    for (name, before, now) in all {
        let word = if before == Some(now) { "unchanged" } else { "renewed" };
        let end = match certificates(now.cert.as_bytes()) {
            Term::Between(_, end) => format!(", good until {end}"),
            Term::Endless | Term::Unreadable(_) => String::new(),
        };
        session.printer.data(&format!("{name} {word}{end}"));
    }
}
