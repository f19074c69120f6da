//! `kubefed unjoin`.

mod fate;
mod member;
mod objects;

use federation_api::{cluster::ClusterSpec, names};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::DynamicObject;
use kube::core::ApiResource;

pub use self::fate::Fate;
use crate::cli::UnjoinArgs;
use crate::commands::leaving::{is_account_token, is_of};
use crate::commands::names::one_name;
use crate::commands::session::Installed;
use crate::commands::{Session, identity};
use crate::connection::Connection;
use crate::error::{EXIT_OK, Failure};
use crate::printer::Printer;
use crate::render::federated;
use crate::render::names::{MANAGED_BY_LABEL, MANAGER};
use crate::wait::{Look, until};

/// Exit code when the cluster left the federation and something of the federation remains in it, listed as warnings.
pub const EXIT_REMAINS: u8 = 3;

/// Takes a cluster out of its federation and answers with the exit code: 0, or [`EXIT_REMAINS`].
///
/// # Errors
/// What went wrong in federation or host; a member that is away is only warned about.
pub async fn run(session: &Session, args: &UnjoinArgs) -> Result<u8, Failure> {
    let name = one_name("unjoin", &args.names)?;
    names::cluster_name(name)?;
    names::namespace_name(&args.host.federation_system_namespace)?;
    let fate = match (args.delete, args.handover) {
        (true, _) => Fate::Delete,
        (_, true) => Fate::Handover,
        _ => Fate::Orphan,
    };
    let printer = &session.printer;
    let kubeconfig = session.credentials(&args.host)?;
    let host = session.host(&kubeconfig, &args.host).await?;
    let installed = session.installed(&host, &args.host.federation_system_namespace).await?;
    let federation = session.federation(&installed.federation.name).await?;

    let cluster = federation.get(&federated::resource(), None, name).await?;
    let secret = host_secret(&host, &installed.federation.namespace, &installed.federation.name, name, cluster.as_ref()).await?;
    let leaving = member::Leaving::new(&installed, name, &host.context, cluster.as_ref());
    let context = if args.cluster_context.is_empty() { name } else { args.cluster_context.as_str() };
    let way = member::connect(session, &kubeconfig, context, secret.as_ref(), cluster.as_ref()).await;
    if cluster.is_none() && secret.is_none() && !half_done(&host, &installed, &leaving, way.as_ref().ok(), name).await? {
        return Err(Failure::new(format!("cluster \"{name}\" is not in federation \"{}\"", installed.federation.name))
            .hint(format!("kubectl --context={} get clusters lists those that are", federation.context)));
    }
    let noted = cluster.as_ref().and_then(identity::noted).or_else(|| secret.as_ref().and_then(identity::noted));
    let way = proven(way, &leaving, noted, name, fate).await?;

    match &cluster {
        Some(cluster) => remove_cluster(session, &federation, args, name, cluster).await?,
        None => printer.warn(&format!("cluster \"{name}\" not found in federation; removing what an earlier unjoin may have left")),
    }
    let left = match way {
        Ok(way) => leaving.clean(session, &way, &installed, fate, session.patience(&args.host)).await,
        Err(failure) => {
            printer.warn(&format!("{name} is not touched: {failure}"));
            leaving.untouched(fate)
        }
    };
    match secret {
        Some(secret) if left.settled => drop(host.delete(&ApiResource::erase::<Secret>(&()), &secret).await?),
        Some(secret) => printer.note(&format!(
            "Secret {} stays in {} until that is done: it is the way into {name} when the command is repeated.",
            secret.metadata.name.unwrap_or_default(),
            host.context
        )),
        None => {}
    }
    remove_reader(&host, &installed, name).await?;
    Ok(conclude(printer, name, &left.remains))
}

/// Lets only a way through that leads to the cluster that was joined, before anything is changed anywhere.
///
/// # Errors
/// That it leads elsewhere and objects would be changed there. Where objects stay as they are, the inner error is why the
/// member is left alone.
async fn proven(
    way: Result<objects::Way, Failure>,
    leaving: &member::Leaving,
    noted: Option<&str>,
    name: &str,
    fate: Fate,
) -> Result<Result<objects::Way, Failure>, Failure> {
    let way = match way {
        Ok(way) => way,
        Err(failure) => return Ok(Err(failure.during("it cannot be reached"))),
    };
    let doubt = match member::stranger(&way, leaving, noted).await {
        Ok(None) => return Ok(Ok(way)),
        Ok(Some(why)) => {
            Failure::new(format!("context {} is not the cluster that was joined under the name \"{name}\": {why}", way.connection.context))
                .hint(format!(
                    "nothing was changed; name the context of {name} with --cluster-context. If that cluster is gone for good, \
             --orphan takes it out and touches no cluster"
                ))
        }
        Err(failure) => failure.during(&format!("checking that context {} is {name}", way.connection.context)),
    };
    if fate == Fate::Orphan { Ok(Err(doubt)) } else { Err(doubt) }
}

/// Whether an earlier unjoin stopped half-way: the right to read the secret, or the account in the member, is still there.
async fn half_done(
    host: &Connection,
    installed: &Installed,
    leaving: &member::Leaving,
    way: Option<&objects::Way>,
    name: &str,
) -> Result<bool, Failure> {
    let federation = &installed.federation;
    let reader = host.get(&ApiResource::erase::<Role>(&()), Some(&federation.namespace), &federation.member_reader(name)).await?;
    if reader.is_some_and(|role| is_of(&role, &federation.name, Some(name))) {
        return Ok(true);
    }
    match way {
        Some(way) => leaving.account_in(&way.connection).await,
        None => Ok(false),
    }
}

/// Says how it ended: v1's sentence only when nothing remains.
fn conclude(printer: &Printer, name: &str, remains: &[String]) -> u8 {
    if remains.is_empty() {
        printer.data(&format!("Successfully removed cluster \"{name}\" from federation"));
        return EXIT_OK;
    }
    for thing in remains {
        printer.warn(&format!("remaining in {name}: {thing}"));
    }
    printer.note("Repeat the command when the cluster can be reached, or remove these by hand.");
    printer.data(&format!("Removed cluster \"{name}\" from federation, but not everything from the cluster"));
    EXIT_REMAINS
}

async fn remove_cluster(
    session: &Session,
    federation: &Connection,
    args: &UnjoinArgs,
    name: &str,
    cluster: &DynamicObject,
) -> Result<(), Failure> {
    let printer = &session.printer;
    printer.begin(&format!("Removing {name} from the federation"));
    federation.delete(&federated::resource(), cluster).await?;
    until(printer, &format!("cluster {name} to be gone"), session.patience(&args.host), async || {
        Ok(match federation.get(&federated::resource(), None, name).await? {
            None => Look::Done(()),
            Some(still) => {
                let finalizers = still.metadata.finalizers.unwrap_or_default().join(", ");
                Look::missing(
                    format!("it is still there (finalizers: {finalizers})"),
                    "the controller manager takes finalizers off: check that it runs, then repeat the command",
                )
            }
        })
    })
    .await?;
    printer.end("done");
    Ok(())
}

/// The right to read a secret that is of no use any more.
async fn remove_reader(host: &Connection, installed: &Installed, cluster: &str) -> Result<(), Failure> {
    let federation = &installed.federation;
    let name = federation.member_reader(cluster);
    for resource in [ApiResource::erase::<RoleBinding>(&()), ApiResource::erase::<Role>(&())] {
        let found = host.get(&resource, Some(&federation.namespace), &name).await?;
        if let Some(object) = found.filter(|o| is_of(o, &federation.name, Some(cluster))) {
            host.delete(&resource, &object).await?;
        }
    }
    Ok(())
}

/// The secret with the member's credentials: the one the Cluster names, else the one made for the cluster.
async fn host_secret(
    host: &Connection,
    namespace: &str,
    federation: &str,
    name: &str,
    cluster: Option<&DynamicObject>,
) -> Result<Option<DynamicObject>, Failure> {
    let resource = ApiResource::erase::<Secret>(&());
    let spec: ClusterSpec = cluster.and_then(|c| serde_json::from_value(c.data["spec"].clone()).ok()).unwrap_or_default();
    let found = match spec.secret_ref {
        Some(secret) => host.get(&resource, Some(namespace), &secret.name).await?,
        None => None,
    };
    match found {
        // The Cluster may name a secret a person made: that one is not ours to delete.
        Some(secret) => Ok(Some(secret).filter(|s| is_of(s, federation, Some(name)))),
        None => {
            let ours = host.list(&resource, Some(namespace), &format!("{MANAGED_BY_LABEL}={MANAGER}")).await?;
            Ok(ours.into_iter().find(|s| is_of(s, federation, Some(name)) && !is_account_token(s)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::testing;

    #[test]
    fn success_is_claimed_only_when_nothing_remains() {
        let (printer, out, err) = testing::printer();
        assert_eq!(conclude(&printer, "gondor", &[]), EXIT_OK);
        assert_eq!((out.text().as_str(), err.text().as_str()), ("Successfully removed cluster \"gondor\" from federation\n", ""));

        let (printer, out, err) = testing::printer();
        assert_eq!(conclude(&printer, "gondor", &["clusterrole x".into(), "secret y".into()]), EXIT_REMAINS);
        assert!(!out.text().contains("Successfully"), "{}", out.text());
        assert!(err.text().starts_with("warning: remaining in gondor: clusterrole x\nwarning: remaining in gondor: secret y\n"));
    }
}
