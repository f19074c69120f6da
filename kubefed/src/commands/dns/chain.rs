//! The links between a Service and who connects to it, each with how it is and what mends it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use federation_api::keys;
use federation_controller_manager::dns::ServiceKey;
use federation_controller_manager::services::ingress::ServiceIngresses;
use federation_controller_manager::services::told::has_names;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use serde::Serialize;

use super::compare::{Comparison, State};
use super::verify::Verified;
use super::wanted::{Seen, Wanted};

/// How a link is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Holds {
    /// As it should be.
    Ok,
    /// Nothing gets by.
    Broken,
    /// It holds, and not everywhere.
    Partly,
    /// It was not looked at, or cannot be.
    Unknown,
}

/// One link.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Link {
    pub(super) link: &'static str,
    pub(super) state: Holds,
    pub(super) seen: String,
    /// What to do where it is broken.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) mend: String,
}

impl Holds {
    pub(super) fn word(self) -> &'static str {
        match self {
            Holds::Ok => "ok",
            Holds::Broken => "broken",
            Holds::Partly => "partly",
            Holds::Unknown => "unknown",
        }
    }
}

impl Link {
    pub(super) fn ok(link: &'static str, seen: impl Into<String>) -> Self {
        Self { link, state: Holds::Ok, seen: seen.into(), mend: String::new() }
    }

    pub(super) fn unknown(link: &'static str, seen: impl Into<String>) -> Self {
        Self { state: Holds::Unknown, ..Self::ok(link, seen) }
    }

    pub(super) fn broken(link: &'static str, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: Holds::Broken, mend: mend.into(), ..Self::ok(link, seen) }
    }

    pub(super) fn partly(link: &'static str, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: Holds::Partly, mend: mend.into(), ..Self::ok(link, seen) }
    }

    /// Broken where nothing is well, and partly well where something is.
    fn by_count(link: &'static str, well: usize, all: usize, seen: String, mend: String) -> Self {
        match (well, all) {
            (well, all) if well == all && all > 0 => Self::ok(link, seen),
            (0, _) => Self::broken(link, seen, mend),
            _ => Self::partly(link, seen, mend),
        }
    }
}

/// The first link that does not hold; one that holds in part only where no other breaks.
pub(super) fn first(links: &[Link]) -> Option<&Link> {
    let of = |state: Holds| links.iter().find(|link| link.state == state);
    of(Holds::Broken).or_else(|| of(Holds::Partly))
}

/// The Service itself.
pub(super) fn service(service: &Service) -> Link {
    let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()).unwrap_or("ClusterIP");
    let seen = format!("type {kind}");
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    match (has_names(service), service.metadata.deletion_timestamp.is_some()) {
        (true, _) => Link::ok("service", seen),
        (false, true) => Link::broken("service", "it is being deleted", "its names go with it; create it again to have them"),
        (false, false) => Link::broken(
            "service",
            seen,
            format!(
                "only Services of type LoadBalancer have names: kubectl -n {namespace} patch service {name} -p '{{\"spec\":{{\"type\":\"LoadBalancer\"}}}}'"
            ),
        ),
    }
}

/// Its copies in clusters.
pub(super) fn copies(key: &ServiceKey, seen: &Seen) -> Link {
    let none = BTreeSet::new();
    let holders = seen.holders.get(key).unwrap_or(&none);
    let ready = |name: &&String| seen.clusters.get(*name).is_some_and(federation_api::cluster::ClusterStatus::is_ready);
    let told: Vec<String> = holders.iter().map(|name| if ready(&name) { name.clone() } else { format!("{name} (not ready)") }).collect();
    let away: Vec<&str> = holders.iter().filter(|name| !ready(name)).map(String::as_str).collect();
    if holders.is_empty() {
        let mend = format!(
            "kubefed status lists objects that are not where they should be; kubectl -n {} describe service {} has their Events",
            key.namespace, key.name
        );
        return Link::broken("copies", "no cluster has a copy", mend);
    }
    let mend = format!("kubectl describe cluster {} says why it is not ready", away.join(" "));
    Link::by_count("copies", holders.len() - away.len(), holders.len(), format!("in {}", told.join(", ")), mend)
}

/// Load balancers of the copies, as the controller manager saw them.
pub(super) fn addresses(key: &ServiceKey, seen: &Seen, service: &Service) -> Link {
    let ingresses = ingresses(service);
    let holders: Vec<&String> = seen.holders.get(key).into_iter().flatten().collect();
    let without: Vec<&str> = holders.iter().filter(|name| ingresses.of(name).is_none()).map(|name| name.as_str()).collect();
    let told = holders.iter().filter_map(|name| {
        let items = ingresses.of(name)?.items.as_ref();
        let addresses = items
            .map(|all| all.iter().map(|i| if i.ip.is_empty() { i.hostname.clone() } else { i.ip.clone() }).collect::<Vec<_>>().join(","));
        Some(format!("{name}: {}", addresses.unwrap_or_else(|| "an address".to_owned())))
    });
    let told: Vec<String> = told.chain(without.iter().map(|name| format!("{name}: none"))).collect();
    let mend = format!(
        "what gives addresses to Services in {} is missing or out of them: kubectl --context={} -n {} describe service {}",
        without.join(", "),
        without.first().copied().unwrap_or_default(),
        key.namespace,
        key.name
    );
    Link::by_count("load balancers", holders.len() - without.len(), holders.len(), told.join("; "), mend)
}

/// Endpoints behind them: what members say where they were asked, else what the controller manager saw.
pub(super) fn endpoints(key: &ServiceKey, service: &Service, asked: Option<&[(String, Result<usize, String>)]>) -> Link {
    let told: Vec<(String, Result<usize, String>)> = match asked {
        Some(asked) => asked.to_vec(),
        None => ingresses(service).items.into_iter().map(|item| (item.cluster, Ok(usize::from(item.items.is_some())))).collect(),
    };
    let words = |answer: &Result<usize, String>| match (answer, asked.is_some()) {
        (Ok(0), _) => "none is ready".to_owned(),
        (Ok(count), true) => format!("{count} ready"),
        (Ok(_), false) => "some are ready".to_owned(),
        (Err(why), _) => format!("unknown ({why})"),
    };
    let seen: Vec<String> = told.iter().map(|(cluster, answer)| format!("{cluster}: {}", words(answer))).collect();
    let well = told.iter().filter(|(_, answer)| answer.as_ref().is_ok_and(|count| *count > 0)).count();
    if told.is_empty() || told.iter().all(|(_, answer)| answer.is_err()) {
        return Link::unknown("endpoints", if seen.is_empty() { "no cluster tells".to_owned() } else { seen.join("; ") });
    }
    let cluster =
        told.iter().find(|(_, answer)| answer.as_ref().is_ok_and(|count| *count == 0)).map_or("", |(cluster, _)| cluster.as_str());
    let mend = format!(
        "no pod that the Service selects is ready in {cluster}: kubectl --context={cluster} -n {} get pods,endpointslices; compare spec.selector of Service {} with the pods' labels",
        key.namespace, key.name
    );
    Link::by_count("endpoints", well, told.len(), seen.join("; "), mend)
}

/// What the federation wants.
pub(super) fn records(key: &ServiceKey, wanted: &Wanted) -> Link {
    if let Some(why) = wanted.untold.get(key) {
        return Link::unknown("wanted records", why.clone());
    }
    let names = wanted.sets.len();
    match (wanted.problems.get(key), names) {
        (Some(problems), _) => {
            let mend = "rename what breaks the rule: the Service, its namespace, or the region or zone label of the nodes";
            Link::by_count("wanted records", names, names + problems.len(), problems.join("; "), mend.to_owned())
        }
        (None, 0) => Link::broken("wanted records", "none, since no address is known", "see the load balancers above"),
        (None, _) => Link::ok("wanted records", format!("{names} names")),
    }
}

/// What the provider has.
pub(super) fn provider(found: &Comparison, wanted: &Wanted) -> Link {
    let differ: BTreeMap<&str, &super::compare::Difference> = found.differences.iter().map(|one| (one.name.as_str(), one)).collect();
    let Some(one) = found.differences.first() else { return Link::ok("provider", format!("has {} names as wanted", found.equal)) };
    let seen = format!("{} of {} names are as wanted; {} {} is {}", found.equal, wanted.sets.len(), one.name, one.kind, one.state.word());
    let mend = match one.state {
        State::Foreign => format!("{}: remove it at the provider, or take it over with kubefed dns adopt {}", one.reason, one.name),
        _ => "the controller manager mends it within half a minute, ten on aws-route53; if it stays, kubefed status says whether one works, and the Service's Events what the provider refuses".to_owned(),
    };
    let well = wanted.sets.keys().filter(|name| !differ.contains_key(name.as_str())).count();
    Link::by_count("provider", well, wanted.sets.len().max(well + 1), seen, mend)
}

/// What name servers answer.
pub(super) fn answers(found: &Verified) -> Link {
    let (well, all) = (found.checked.iter().filter(|one| one.state == "ok").count(), found.checked.len() + found.silent.len());
    let one = found.checked.iter().find(|one| one.state != "ok");
    let seen = match (found.silent.first(), one) {
        (Some((server, why)), _) => format!("{server} does not answer: {why}"),
        (None, Some(one)) => format!(
            "{} says of {} {}: {} ({})",
            one.server,
            one.name,
            one.kind,
            if one.answer.is_empty() { "nothing".to_owned() } else { one.answer.join(",") },
            one.said
        ),
        (None, None) => format!("{well} answers are as wanted"),
    };
    let mend = "see whether the server runs, has the zone, and reads what the provider holds; a cache forgets within 180 s";
    Link::by_count("name servers", well, all, seen, mend.to_owned())
}

/// Connections to the published addresses: each with why there is none.
pub(super) fn connections(tried: &[(String, Result<(), String>)]) -> Link {
    let well = tried.iter().filter(|(_, done)| done.is_ok()).count();
    let told: Vec<String> =
        tried.iter().map(|(at, done)| done.as_ref().map_or_else(|why| format!("{at}: {why}"), |()| format!("{at}: open"))).collect();
    let mend =
        "the address answers nobody here: a firewall, a load balancer that lost its pods, or an address that is not routed to this machine";
    Link::by_count("connections", well, tried.len(), told.join("; "), mend.to_owned())
}

fn ingresses(service: &Service) -> ServiceIngresses {
    service.annotations().get(keys::SERVICE_INGRESSES).and_then(|text| ServiceIngresses::parse(text)).unwrap_or_default()
}
