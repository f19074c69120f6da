//! `kubefed dns check`.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_providers::{Data, RecordSet};
use federation_controller_manager::HostCredentials;
use federation_controller_manager::dns::ServiceKey;
use k8s_openapi::api::core::v1::Service;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::chain::{self, Holds, Link};
use super::compare::compare;
use super::reach::{Publisher, asked};
use super::told::row;
use super::wanted::{Seen, Wanted};
use super::{members, servers, verify};
use crate::cli::DnsCheckArgs;
use crate::commands::Session;
use crate::error::{EXIT_FOUND, EXIT_OK, Failure};

/// How long a member or an address is waited for.
const EACH: Duration = Duration::from_secs(5);
/// Most addresses that are connected to.
const MOST: usize = 64;

pub(super) async fn run(session: &Session, args: &DnsCheckArgs) -> Result<u8, Failure> {
    let publisher = Publisher::find(session, &args.zone).await?;
    let federation = session.federation(&publisher.federation).await?;
    let seen = Seen::read(&federation).await?;
    let key = key(args, &seen, &publisher.federation)?;
    let links = walk(args, &publisher, &seen, &key).await?;
    let first = chain::first(&links);
    match args.output {
        Some(format) => {
            let service = json!({"namespace": key.namespace, "name": key.name});
            let value = json!({"service": service, "federation": publisher.federation, "links": links, "first": first});
            session.printer.value(&value, format)?;
        }
        None => {
            let rows = links.iter().map(|link| vec![link.link.to_owned(), link.state.word().to_owned(), link.seen.clone()]);
            session.printer.table(&std::iter::once(row(&["LINK", "STATE", "SEEN"])).chain(rows).collect::<Vec<_>>());
            if let Some(link) = first {
                let how = if link.state == Holds::Broken { "is broken" } else { "holds in part only" };
                session.printer.warn(&format!("the first link that does not hold: {} {how}; {}", link.link, link.mend));
            }
        }
    }
    Ok(if first.is_none() { EXIT_OK } else { EXIT_FOUND })
}

/// The one Service that is meant.
fn key(args: &DnsCheckArgs, seen: &Seen, federation: &str) -> Result<ServiceKey, Failure> {
    let fits = |key: &&ServiceKey| key.name == args.service && args.namespace.as_ref().is_none_or(|namespace| key.namespace == *namespace);
    let all: Vec<&ServiceKey> = seen.services.keys().filter(fits).collect();
    match all.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let place = args.namespace.as_ref().map_or_else(|| "any namespace".to_owned(), |namespace| format!("namespace {namespace}"));
            Err(Failure::new(format!("there is no Service {} in {place} of federation \"{federation}\"", args.service))
                .hint("kubectl get services -A in the federation's context lists those there are"))
        }
        several => {
            let places: Vec<&str> = several.iter().map(|key| key.namespace.as_str()).collect();
            Err(Failure::usage(format!("there are Services {} in namespaces {}", args.service, places.join(", "))).hint("name one with -n"))
        }
    }
}

/// Looks at one link after the other, as far as there is something to look at.
async fn walk(args: &DnsCheckArgs, publisher: &Publisher, seen: &Seen, key: &ServiceKey) -> Result<Vec<Link>, Failure> {
    let Some(service) = seen.services.get(key) else { return Ok(Vec::new()) };
    let mut links = vec![chain::service(service)];
    if links[0].state == Holds::Broken {
        return Ok(links);
    }
    links.push(chain::copies(key, seen));
    if seen.holders.get(key).is_none_or(BTreeSet::is_empty) {
        return Ok(links);
    }
    links.push(chain::addresses(key, seen, service));
    let asked_members = match &publisher.host {
        Some(host) => Some(in_members(host, seen, key).await),
        None => None,
    };
    links.push(chain::endpoints(key, service, asked_members.as_deref()));

    let (tree, zone) = publisher.place().await?;
    let mut wanted = seen.wanted(&tree).await;
    wanted.sets.retain(|name, _| tree.service_of(name).as_ref() == Some(key));
    wanted.untold.retain(|service, _| service == key);
    wanted.problems.retain(|service, _| service == key);
    links.push(chain::records(key, &wanted));
    if !wanted.untold.is_empty() {
        return Ok(links);
    }
    links.push(if publisher.is_shared() {
        let opened = publisher.open().await?;
        let held =
            asked(args.zone.host.timeout, &format!("reading zone {zone}"), opened.provider().read(opened.zone(), &tree.suffix)).await?;
        let held = held.into_iter().filter(|one| tree.service_of(&one.set.name).as_ref() == Some(key)).collect();
        chain::provider(&compare(&tree, &wanted, held), &wanted)
    } else {
        Link::unknown("provider", "it keeps its records to itself; its name server tells them")
    });
    if wanted.sets.is_empty() {
        return Ok(links);
    }
    links.push(match servers::find(&args.query.servers, &zone, &publisher.nameservers, args.query.query_timeout).await {
        Ok(servers) => {
            let asking = verify::verify(&servers, &zone, &wanted.sets, &args.query);
            match timeout(args.zone.host.timeout, asking).await {
                Ok(found) => chain::answers(&found),
                Err(_) => Link::unknown("name servers", format!("they took more than {} s", args.zone.host.timeout.as_secs())),
            }
        }
        Err(failure) => Link::broken("name servers", failure.message, failure.hint.unwrap_or_default()),
    });
    if args.connect {
        links.push(connections(args, service, &wanted).await);
    }
    Ok(links)
}

async fn in_members(host: &HostCredentials, seen: &Seen, key: &ServiceKey) -> Vec<(String, Result<usize, String>)> {
    let none = BTreeSet::new();
    let clusters = seen.holders.get(key).unwrap_or(&none);
    let told = members::ready(host, seen, clusters, key, EACH).await;
    told.into_iter().map(|(cluster, answer)| (cluster, answer.map_err(|why| why.to_string()))).collect()
}

/// Opens a connection to each published address.
async fn connections(args: &DnsCheckArgs, service: &Service, wanted: &Wanted) -> Link {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let first = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP").map(|port| port.port).next();
    let Some(port) = args.port.or(first.and_then(|port| u16::try_from(port).ok())) else {
        return Link::unknown("connections", "the Service has no TCP port");
    };
    let addresses = |set: &RecordSet| -> Vec<IpAddr> {
        match &set.data {
            Data::A(all) => all.iter().copied().map(IpAddr::V4).collect(),
            Data::Aaaa(all) => all.iter().copied().map(IpAddr::V6).collect(),
            Data::Cname(_) => Vec::new(),
        }
    };
    let all: BTreeSet<IpAddr> = wanted.sets.values().flatten().flat_map(addresses).take(MOST).collect();
    if all.is_empty() {
        return Link::unknown("connections", "its names are aliases only");
    }
    let all = all.into_iter().map(|ip| opened(SocketAddr::from((ip, port))));
    chain::connections(&futures::future::join_all(all).await)
}

/// Whether a connection is taken, and else why not.
async fn opened(at: SocketAddr) -> (String, Result<(), String>) {
    let done = match timeout(EACH, TcpStream::connect(at)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection in {} s", EACH.as_secs())),
    };
    (at.to_string(), done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn issue9_an_address_that_takes_no_connection_is_told_from_one_that_does() {
        let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = open.local_addr().unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let both = [opened(at).await, opened(closed).await];
        let link = chain::connections(&both);
        assert_eq!(link.state, Holds::Partly, "{link:?}");
        assert!(link.seen.starts_with(&format!("{at}: open; {closed}: ")) && !link.mend.is_empty(), "{link:?}");
        assert_eq!(chain::connections(&both[..1]).state, Holds::Ok);
        assert_eq!(chain::connections(&both[1..]).state, Holds::Broken);
    }
}
