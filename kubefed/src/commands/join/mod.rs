//! `kubefed join`.

pub mod dns;
mod proof;
mod ready;
mod token;

use federation_api::cluster::ClusterSpec;
use federation_api::member_token::{LONGEST_SECONDS, SHORTEST_SECONDS};
use federation_api::names;
use federation_client::{Access as Reached, Environment};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::ApiResource;

use self::proof::Proven;
use crate::cli::{DryRun, JoinArgs, NamedFormat};
use crate::commands::names::one_name;
use crate::commands::{Session, identity};
use crate::connection::{Change, Connection};
use crate::error::Failure;
use crate::render::access::Access;
use crate::render::federated;
use crate::render::member::Member;
use crate::render::names::Federation;
use crate::render::object::Object;

/// Checks every name and reports the cluster's.
fn check(args: &JoinArgs) -> Result<&str, Failure> {
    let name = one_name("join", &args.names)?;
    names::cluster_name(name)?;
    names::namespace_name(&args.host.federation_system_namespace)?;
    if !args.secret_name.is_empty() {
        names::secret_name(&args.secret_name)?;
    }
    if let Some(life) = args.token_life {
        let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        if !(SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&seconds) {
            return Err(Failure::usage(format!(
                "invalid --token-life: {seconds} s is not between {SHORTEST_SECONDS} and {LONGEST_SECONDS} s"
            ))
            .hint("Kubernetes gives tokens for 10 minutes at least; for example --token-life=720h"));
        }
    }
    if let Some(url) = &args.cluster_server {
        let uri: Result<http::Uri, _> = url.parse();
        if !uri.is_ok_and(|u| u.scheme_str() == Some("https") && u.host().is_some()) {
            return Err(Failure::usage(format!("invalid --cluster-server: \"{url}\" is not an https URL"))
                .hint("for example https://10.0.0.1:6443"));
        }
    }
    Ok(name)
}

/// Joins a cluster, or brings one that is joined to what the flags say.
///
/// # Errors
/// What went wrong; the same command finishes the job once the cause is gone.
pub async fn run(session: &Session, args: &JoinArgs) -> Result<(), Failure> {
    let name = check(args)?;
    let printer = &session.printer;
    let kubeconfig = session.credentials(&args.host)?;
    let context = if args.cluster_context.is_empty() { name } else { args.cluster_context.as_str() };
    let described = Reached::resolve(&kubeconfig, &session.target(Some(context)), &Environment::of_process());
    let described = described.map_err(|e| missing(e, name))?;
    let access = Access::of(args.cluster_server.clone(), &described);
    let host = session.host(&kubeconfig, &args.host).await?;
    let installed = session.installed(&host, &args.host.federation_system_namespace).await?;
    let mut member = Member {
        federation: installed.federation.clone(),
        cluster: name.to_owned(),
        host_context: host.context.clone(),
        secret: if args.secret_name.is_empty() { name.to_owned() } else { args.secret_name.clone() },
    };
    if args.dry_run == DryRun::Client {
        return dry_run(session, args, &member, &access);
    }
    let federation = session.federation(&member.federation.name).await?;
    let existing = federation.get(&federated::resource(), None, name).await?;
    if let Some(existing) = &existing {
        adopt(&mut member, args, existing, &access.server)?;
    }
    if is_loopback(&access.server) {
        printer.warn(&format!(
            "the federation will look for {name} at {}, which is this machine only: name a reachable address with --cluster-server",
            access.server
        ));
    }
    let cluster = Connection::to(&described).await?;
    let uid = identity::uid(&cluster).await?;
    if identity::uid(&federation).await.is_ok_and(|own| own == uid) {
        return Err(Failure::new(format!("context \"{context}\" is the federation itself, which cannot be a member of itself"))
            .hint(format!("name the context of cluster {name} with --cluster-context")));
    }
    if let Some(existing) = &existing {
        same_cluster(args, existing, &uid, context)?;
    }
    identity::no_other_name(&federation, &cluster, &member.federation, name, &uid).await?;
    let patience = session.patience(&args.host);

    printer.begin(&format!("Making an account for federation {} in {name}", member.federation.name));
    let namespace = session.namespace(&cluster, &member.namespace(), patience).await?;
    let made = namespace.max(cluster.apply_all(&member.objects()).await?);
    let stored = host.get(&ApiResource::erase::<Secret>(&()), Some(&member.federation.namespace), &member.secret).await?;
    let stored = stored.filter(|s| super::leaving::is_of(s, &member.federation.name, Some(name)));
    let before = stored.as_ref().map(Access::from_secret).unwrap_or_default();
    let token = token::obtain(session, &cluster, &member, args, &before, &uid, patience).await?;
    printer.end(made.max(token.change).progress());

    printer.begin(&format!("Trying its credentials at {}", access.server));
    let Proven { access, tried } = proof::prove(session, access, &token, &uid, args.cluster_server.is_some(), patience).await?;
    printer.end("done");

    printer.begin(&format!("Storing them in {}", host.context));
    let secret = member.host_secret(&access, Some(&uid));
    // Who keeps the token is not asked again: the controller manager keeps what it renewed.
    let same = stored.as_ref().is_some_and(|s| before == access && identity::noted(s) == Some(&uid));
    let stored = if same { Change::Unchanged } else { host.apply(&secret).await? };
    printer.end(stored.max(host.apply_all(&member.host_reader()).await?).progress());

    let told = ready::last_told(&federation, name).await?;
    let credentials = host.get(&secret.resource, secret.namespace.as_deref(), &secret.name).await?.and_then(|s| s.resource_version());
    let object = federated::cluster(&member, &access.server, Some(&uid), credentials.as_deref());
    let change = federation.apply(&object).await?;
    remove_old_secret(&host, &member, existing.as_ref()).await?;
    dns::join(session, &cluster, &installed, name).await?;
    if args.wait {
        printer.begin(&format!("Waiting for {name} to be ready"));
        // What was said before these credentials says nothing about them.
        let told = told.filter(|_| change != Change::Unchanged);
        ready::wait(session, &federation, name, &access.server, told.as_deref(), patience).await?;
        printer.end("done");
    }
    if let Some(terms) = access.terms.as_ref().filter(|_| args.rotate) {
        if tried || args.wait {
            printer.begin(&format!("Taking the earlier tokens in {name} back"));
            token::revoke_others(&cluster, &member, terms).await?;
            printer.end("done");
        } else {
            printer.warn("the earlier tokens were not taken back, since nobody has tried the new one: give --wait");
        }
    }
    print(session, args, &object, change)
}

/// What is wrong with the member's context; where it is not there, how to name it.
fn missing(error: federation_client::Error, name: &str) -> Failure {
    let absent = matches!(error, federation_client::Error::Missing { .. });
    let failure = Failure::from(error);
    if absent { failure.hint(format!("name the context of cluster {name} with --cluster-context")) } else { failure }
}

/// A Cluster that exists keeps its secret, and its server unless told otherwise.
fn adopt(member: &mut Member, args: &JoinArgs, existing: &DynamicObject, server: &str) -> Result<(), Failure> {
    let spec: ClusterSpec = serde_json::from_value(existing.data["spec"].clone()).unwrap_or_default();
    let at = spec.server_address_by_client_cidrs.first().map(|a| a.server_address.as_str()).unwrap_or_default();
    if !at.is_empty() && at != server && !args.replace {
        return Err(Failure::new(format!("cluster \"{}\" is already joined, at {at} and not at {server}", member.cluster))
            .hint("join the other cluster under another name, or point this one to it with --replace"));
    }
    if let (true, Some(secret)) = (args.secret_name.is_empty(), spec.secret_ref) {
        member.secret = secret.name;
    }
    Ok(())
}

/// Whoever joined under this name before is taken for the same cluster only if it is.
fn same_cluster(args: &JoinArgs, existing: &DynamicObject, uid: &str, context: &str) -> Result<(), Failure> {
    let name = existing.name_any();
    match identity::noted(existing) {
        Some(noted) if noted != uid && !args.replace => Err(Failure::new(format!(
            "context \"{context}\" is not the cluster that was joined under the name \"{name}\" (uid {noted}) but another (uid {uid})"
        ))
        .hint(format!(
            "join it under another name; if it takes the place of {name} for good, run kubefed unjoin {name} first, or give --replace"
        ))),
        _ => Ok(()),
    }
}

/// After `--secret-name` named another secret, the one before is of no use.
async fn remove_old_secret(host: &Connection, member: &Member, existing: Option<&DynamicObject>) -> Result<(), Failure> {
    let Some(old) = existing.and_then(|c| c.data["spec"]["secretRef"]["name"].as_str()).filter(|old| *old != member.secret) else {
        return Ok(());
    };
    let resource = ApiResource::erase::<Secret>(&());
    let secret = host.get(&resource, Some(&member.federation.namespace), old).await?;
    if let Some(secret) = secret.filter(|s| super::leaving::is_of(s, &member.federation.name, Some(&member.cluster))) {
        host.delete(&resource, &secret).await?;
    }
    Ok(())
}

fn is_loopback(server: &str) -> bool {
    let uri: Result<http::Uri, _> = server.parse();
    let Some(host) = uri.ok().and_then(|u| u.host().map(str::to_owned)) else { return false };
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn dry_run(session: &Session, args: &JoinArgs, member: &Member, access: &Access) -> Result<(), Failure> {
    let cluster = federated::cluster(member, &access.server, None, None);
    let mut all = vec![member.namespace()];
    all.extend(member.objects());
    all.push(member.bound(&member.bound_secret(None, false)));
    all.push(member.host_secret(access, None));
    all.extend(member.host_reader());
    all.push(cluster);
    session.printer.note(&format!(
        "For {}: all but the last four; for the host: secret {}, whose token the member makes, and who may read it; \
         for the federation: the Cluster.",
        member.cluster, member.secret
    ));
    match args.output {
        // Only the Cluster is the command's result; what else is sent is a step on the way.
        Some(NamedFormat::Name) => session.printer.objects(&all[all.len() - 1..], NamedFormat::Name)?,
        format => session.printer.objects(&all, format.unwrap_or(NamedFormat::Yaml))?,
    }
    session.printer.note(&format!("cluster \"{}\" created (dry run)", member.cluster));
    Ok(())
}

fn print(session: &Session, args: &JoinArgs, object: &Object, change: Change) -> Result<(), Failure> {
    let printer = &session.printer;
    match args.output {
        None => {
            printer.data(&format!("cluster \"{}\" {}", object.name, change.word()));
            Ok(())
        }
        Some(format) => printer.object(object, format),
    }
}

/// The federation and cluster a member belongs to, for `unjoin`.
pub fn member(federation: Federation, cluster: &str, host_context: &str, secret: &str) -> Member {
    Member { federation, cluster: cluster.to_owned(), host_context: host_context.to_owned(), secret: secret.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_servers_are_known() {
        for url in ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://10.0.0.1:6443", "https://gondor", "nonsense"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
