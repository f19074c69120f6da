//! `kubefed deinit`.

use std::path::PathBuf;

use federation_api::keys::CLUSTER_NAME;
use federation_client::edit;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;

use super::Session;
use super::init::resolve::federation;
use super::leaving::{is_account_token, is_of, remove_namespace, shorten};
use super::names::one_name;
use crate::cli::DeinitArgs;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::credentials::CA_CERT;
use crate::render::federated;
use crate::render::names::{Federation, INSTANCE_LABEL, MANAGED_BY_LABEL, MANAGER};
use crate::wait::{Look, until};

/// Removes a control plane.
///
/// # Errors
/// That clusters are joined, and anything the host says; the same command goes on where it stopped.
pub async fn run(session: &Session, args: &DeinitArgs) -> Result<(), Failure> {
    let federation = federation(one_name("deinit", &args.names)?, &args.host.federation_system_namespace)?;
    let printer = &session.printer;
    let host = session.host(&session.credentials(&args.host)?, &args.host).await?;
    let authority = host.get_typed::<Secret>(&federation.namespace, &federation.ca()).await?;
    let installed = host.get_typed::<Deployment>(&federation.namespace, &federation.apiserver()).await?.is_some();
    if installed && !args.force {
        nobody_is_joined(session, &federation).await?;
    } else if !args.force {
        nobody_is_known(&host, &federation).await?;
    }
    if !is_there(&host, &federation).await? {
        return Err(Failure::new(format!(
            "there is no federation \"{}\" in namespace {} of context {}",
            federation.name, federation.namespace, host.context
        ))
        .hint("check --host-cluster-context and --federation-system-namespace"));
    }

    let files = Files::of(session, &federation, authority.as_ref())?;

    printer.begin(&format!("Removing federation {} from {}", federation.name, host.context));
    if installed && !args.force {
        // Left by unjoins that could not settle them. Once the workloads are gone, they would speak of clusters.
        remove_members(&host, &federation).await?;
    }
    let workloads = workloads(&federation);
    remove_all(&host, &federation, &workloads).await?;
    pods_are_gone(session, args, &host, &federation).await?;
    let mut rest = beside(&federation);
    if args.delete_data {
        rest.push(claim(&federation));
    }
    remove_all(&host, &federation, &rest).await?;
    // Of clusters left behind by --force: nobody else removes them now.
    remove_members(&host, &federation).await?;
    printer.end("done");

    files.forget()?;
    // Last, because it tells whose entries the kubeconfig has.
    remove_all(&host, &federation, &[authority_secret(&federation)]).await?;
    finish(session, args, &host, &federation).await
}

/// The namespace, if it may go, and what is worth knowing.
async fn finish(session: &Session, args: &DeinitArgs, host: &Connection, federation: &Federation) -> Result<(), Failure> {
    let printer = &session.printer;
    let claim = host.get_typed::<PersistentVolumeClaim>(&federation.namespace, &federation.etcd_claim()).await?;
    match claim.filter(|c| c.metadata.deletion_timestamp.is_none()) {
        Some(_) => printer.note(&format!(
            "Claim {}/{} with the federation's data is kept; --delete-data deletes it.",
            federation.namespace,
            federation.etcd_claim()
        )),
        None => {
            if let Some(why) = remove_namespace(host, &federation.namespace, &federation.name, None).await? {
                printer.note(&why);
            }
        }
    }
    if args.force {
        printer.note("Clusters that were joined still have the federation's account and objects.");
    }
    printer.data(&format!("Successfully removed federation \"{}\" from \"{}\"", federation.name, host.context));
    Ok(())
}

type Named = (ApiResource, String);

fn workloads(federation: &Federation) -> Vec<Named> {
    [federation.controller_manager(), federation.apiserver()].map(|name| (ApiResource::erase::<Deployment>(&()), name)).to_vec()
}

/// What the workloads need, but for data and authority.
fn beside(federation: &Federation) -> Vec<Named> {
    vec![
        (ApiResource::erase::<PodDisruptionBudget>(&()), federation.apiserver()),
        (ApiResource::erase::<PodDisruptionBudget>(&()), federation.controller_manager()),
        (ApiResource::erase::<ServiceAccount>(&()), federation.controller_manager()),
        (ApiResource::erase::<Service>(&()), federation.apiserver()),
        (ApiResource::erase::<Service>(&()), federation.dns()),
        (ApiResource::erase::<Secret>(&()), federation.apiserver_credentials()),
        (ApiResource::erase::<Secret>(&()), federation.controller_manager_kubeconfig()),
        (ApiResource::erase::<Secret>(&()), federation.dns_provider_conf()),
    ]
}

fn claim(federation: &Federation) -> Named {
    (ApiResource::erase::<PersistentVolumeClaim>(&()), federation.etcd_claim())
}

fn authority_secret(federation: &Federation) -> Named {
    (ApiResource::erase::<Secret>(&()), federation.ca())
}

/// Whether there is anything of the federation, be it what an earlier `deinit` left half-way.
async fn is_there(host: &Connection, federation: &Federation) -> Result<bool, Failure> {
    let mut all = workloads(federation);
    all.extend(beside(federation));
    all.extend([claim(federation), authority_secret(federation)]);
    for (resource, name) in &all {
        let found = host.get(resource, Some(&federation.namespace), name).await?;
        if found.is_some_and(|o| is_of(&o, &federation.name, None)) {
            return Ok(true);
        }
    }
    let namespace = host.get(&ApiResource::erase::<Namespace>(&()), None, &federation.namespace).await?;
    Ok(namespace.is_some_and(|ns| is_of(&ns, &federation.name, None) && ns.metadata.deletion_timestamp.is_none()))
}

async fn nobody_is_joined(session: &Session, federation: &Federation) -> Result<(), Failure> {
    let clusters = async {
        let connection = session.federation(&federation.name).await?;
        connection.list(&federated::resource(), None, "").await
    };
    let clusters = clusters.await.map_err(|f| {
        f.during("asking the federation for its clusters").hint("mend the control plane first, or go on without asking with --force")
    })?;
    let names: Vec<String> = clusters.iter().map(ResourceExt::name_any).collect();
    match names.first() {
        None => Ok(()),
        Some(first) => Err(Failure::new(format!("federation \"{}\" still has clusters: {}", federation.name, shorten(&names)))
            .hint(format!("kubefed unjoin {first} first, or leave them as they are with --force"))),
    }
}

/// Of a federation without an API server to ask, as far as the host knows: it has the credentials of members.
async fn nobody_is_known(host: &Connection, federation: &Federation) -> Result<(), Failure> {
    let secrets = members(host, federation, &ApiResource::erase::<Secret>(&())).await?;
    let cluster = |secret: &DynamicObject| secret.annotations().get(CLUSTER_NAME).cloned();
    let mut names: Vec<String> = secrets.iter().filter_map(cluster).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    let what = format!(
        "federation \"{}\" has no API server that could be asked for its clusters, and the host has credentials of {}",
        federation.name,
        shorten(&names)
    );
    Err(Failure::new(what)
        .hint("bring the API server back with kubefed init and unjoin them first, or leave them as they are with --force"))
}

async fn remove_all(host: &Connection, federation: &Federation, all: &[Named]) -> Result<(), Failure> {
    for (resource, name) in all {
        if let Some(object) = host.get(resource, Some(&federation.namespace), name).await?
            && is_of(&object, &federation.name, None)
        {
            host.delete(resource, &object).await?;
        }
    }
    Ok(())
}

/// Credentials of members, and the right to read them.
async fn remove_members(host: &Connection, federation: &Federation) -> Result<(), Failure> {
    let kinds = [ApiResource::erase::<RoleBinding>(&()), ApiResource::erase::<Role>(&()), ApiResource::erase::<Secret>(&())];
    for resource in kinds {
        for object in members(host, federation, &resource).await? {
            host.delete(&resource, &object).await?;
        }
    }
    Ok(())
}

/// What of a kind the host has for members.
async fn members(host: &Connection, federation: &Federation, resource: &ApiResource) -> Result<Vec<DynamicObject>, Failure> {
    let labelled = host.list(resource, Some(&federation.namespace), &format!("{MANAGED_BY_LABEL}={MANAGER}")).await?;
    let ours = |o: &DynamicObject| is_of(o, &federation.name, None) && o.annotations().contains_key(CLUSTER_NAME) && !is_account_token(o);
    Ok(labelled.into_iter().filter(ours).collect())
}

async fn pods_are_gone(session: &Session, args: &DeinitArgs, host: &Connection, federation: &Federation) -> Result<(), Failure> {
    let labels = format!("app={},{INSTANCE_LABEL}={}", federation_api::keys::APP, federation.name);
    until(&session.printer, "the control plane's pods to stop", session.patience(&args.host), async || {
        let pods = host.typed::<Pod>(&federation.namespace).list(&ListParams::default().labels(&labels)).await;
        let pods = pods.map_err(|e| host.failed("listing pods", &e))?;
        let names: Vec<String> = pods.items.iter().map(ResourceExt::name_any).collect();
        Ok(if names.is_empty() {
            Look::Done(())
        } else {
            Look::missing(format!("{} are still there", shorten(&names)), "look at them with kubectl describe, then repeat the command")
        })
    })
    .await
}

/// The local kubeconfig files with entries of the federation. Found, and tried, before anything is removed: those that hold
/// none of ours need not be writable.
struct Files {
    names: [String; 2],
    paths: Vec<PathBuf>,
}

impl Files {
    /// Entries of that name for another server are not the federation's, they stay.
    fn of(session: &Session, federation: &Federation, authority: Option<&Secret>) -> Result<Self, Failure> {
        let files = session.files();
        let mut ours = Self { names: [federation.name.clone(), super::init::basic_auth_user(&federation.name)], paths: Vec::new() };
        let local = files.load_any()?;
        let Some(cluster) = local.clusters.get(&federation.name) else { return Ok(ours) };
        let ca = authority.and_then(|s| s.data.as_ref()?.get(CA_CERT)).map(|b| b.0.as_slice());
        if ca.is_none_or(|ca| ca != cluster.certificate_authority_data) {
            let name = &federation.name;
            session.printer.note(&format!("Entry \"{name}\" of the kubeconfig is not known to be this federation's and stays."));
            return Ok(ours);
        }
        for path in files.existing() {
            edit::can_remove(path, &ours.entries())?;
            ours.paths.push(path.to_owned());
        }
        Ok(ours)
    }

    fn entries(&self) -> [(&'static str, &str); 4] {
        let [name, basic] = &self.names;
        [("clusters", name), ("users", name), ("users", basic), ("contexts", name)]
    }

    fn forget(&self) -> Result<(), Failure> {
        Ok(self.paths.iter().try_for_each(|path| edit::remove(path, &self.entries()).map(drop))?)
    }
}
