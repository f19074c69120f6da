//! `kubefed init`.

mod address;
mod certified;
pub mod credentials;
mod data;
mod entries;
mod etcd;

pub use entries::{basic_auth_user, is_ours};
mod pods;
pub(super) mod ready;
pub mod resolve;

#[cfg(test)]
mod tests;

use crate::cli::{DryRun, InitArgs};
use crate::commands::Session;
use crate::connection::{Change, Connection};
use crate::error::Failure;
use crate::render::config::{Addresses, ControlPlane, Exposure, Storage};
use crate::render::object::Object;
use crate::render::{apiserver, host};

/// Sets a control plane up, or brings one to what the flags say.
///
/// # Errors
/// What went wrong; the same command finishes the job once the cause is gone.
pub async fn run(session: &Session, args: &InitArgs) -> Result<(), Failure> {
    let plane = resolve::resolve(args)?;
    if args.dry_run == DryRun::Client {
        return dry_run(session, args, &plane);
    }
    let printer = &session.printer;
    let host = session.host(&session.credentials(&args.host)?, &args.host).await?;
    let (files, patience) = (session.files(), session.patience(&args.host));
    // What will be written at the end is tried before anything is made.
    let local = files.load_any()?;
    federation_client::edit::can_put(files.to_write(), &entries::sketch(&plane))?;
    let federation = &plane.federation;
    data::stays(&host, &plane, &apiserver::deployment(&plane, &entries::blank(&plane), &Addresses::default())).await?;

    printer.begin(&format!("Creating a namespace {} for federation system components", federation.namespace));
    printer.end(session.namespace(&host, &host::namespace(federation), patience).await?.progress());

    printer.begin("Creating federation control plane service");
    let service = host.apply(&host::service(&plane)).await?;
    let at = address::find(printer, &host, &plane, patience).await?;
    printer.end(service.progress());

    printer.begin("Creating federation control plane objects (credentials, persistent volume claim)");
    let earlier = credentials::earlier(&host, federation, Some(&local)).await?;
    let credentials = credentials::complete(&plane, &at, earlier)?;
    let objects = apply_objects(&host, &host::objects(&plane, &credentials)).await?;
    printer.end(objects.progress());

    printer.begin("Creating federation component deployments");
    printer.end(host.apply_all(&host::components(&plane, &credentials, &at)).await?.progress());

    printer.begin("Updating kubeconfig");
    let url = at.url().ok_or_else(|| Failure::new("the API server's Service has no address"))?;
    let file = files.to_write();
    let replaced = entries::foreign_server(&files.load_any()?, &federation.name, &credentials, &url);
    let changed = federation_client::edit::put(file, &entries::entries(&federation.name, &url, &credentials))?;
    printer.end(if changed { Change::Configured } else { Change::Unchanged }.progress());
    if let Some(server) = replaced {
        printer.warn(&format!("entry \"{}\" of {} pointed to {server} and was replaced", federation.name, file.display()));
    }

    printer.begin("Waiting for federation control plane to come up");
    ready::wait(session, &host, &plane, patience).await?;
    printer.end("done");
    printer.data(&format!("Federation API server is running at: {}", at.summary()));
    if !matches!(plane.storage, Storage::External { .. }) && plane.storage.claim().is_none() {
        printer.note("The federation's data is lost when its pod goes: --etcd-persistent-storage=false.");
    }
    Ok(())
}

/// As [`Connection::apply_all`], with better advice where the claim is refused.
async fn apply_objects(host: &Connection, objects: &[Object]) -> Result<Change, Failure> {
    let mut greatest = Change::Unchanged;
    for object in objects {
        let applied = host.apply_all(std::slice::from_ref(object)).await;
        greatest = greatest.max(applied.map_err(|failure| match object.resource.plural.as_str() {
            "persistentvolumeclaims" => failure.hint("an existing claim keeps its size and class: repeat the flags it was made with"),
            _ => failure,
        })?);
    }
    Ok(greatest)
}

/// Prints what would be sent. Nothing is contacted, so addresses only the host knows are missing from it.
fn dry_run(session: &Session, args: &InitArgs, plane: &ControlPlane) -> Result<(), Failure> {
    let at = match &plane.service {
        Exposure::NodePort { advertise: Some(ip), port } => Addresses { ips: vec![*ip], port: *port, ..Addresses::default() },
        _ => Addresses::default(),
    };
    if at.ips.is_empty() {
        session
            .printer
            .note("The address of the API server is known only when its Service exists: certificate and --advertise-address lack it here.");
    }
    let credentials = credentials::complete(plane, &at, credentials::Earlier::default())?;
    let objects = host::all(plane, &credentials, &at);
    session.printer.objects(&objects, args.output.into())?;
    session.printer.note("Federation control plane runs (dry run)");
    Ok(())
}
