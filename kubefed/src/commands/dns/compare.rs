//! What differs between what a federation wants and what its provider has. Pure.

use std::collections::{BTreeMap, BTreeSet};

use dns_providers::{Change, DnsName, Held, Kind, Owner};
use federation_controller_manager::dns::diff::{HeldByName, diff};
use federation_controller_manager::dns::{ServiceKey, Tree};
use serde::Serialize;

use super::told::{Answer, ServiceRef, Set};
use super::wanted::Wanted;

/// How a record set differs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Somebody else's records stand where it is wanted.
    Foreign,
    /// It is wanted, and not there.
    Missing,
    /// It is there with other values, or another TTL.
    Wrong,
    /// It is this federation's, and not wanted.
    Leftover,
}

/// A record set that differs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Difference {
    pub(super) state: State,
    pub(super) name: DnsName,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wanted: Option<Answer>,
    /// What stands there instead.
    pub(super) held: Vec<Set>,
    pub(super) service: ServiceRef,
    /// Why it is not as wanted, where that can be told.
    pub(super) reason: String,
}

/// A Service whose names are not compared.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Untold {
    pub(super) service: ServiceRef,
    pub(super) reason: String,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    /// Names that are wanted and as they should be.
    pub(super) equal: usize,
    pub(super) differences: Vec<Difference>,
    pub(super) not_compared: Vec<Untold>,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Foreign => "foreign",
            State::Missing => "missing",
            State::Wrong => "wrong",
            State::Leftover => "leftover",
        }
    }
}

/// Compares. `held` is all there is under the federation's suffix.
pub(super) fn compare(tree: &Tree, wanted: &Wanted, held: Vec<Held>) -> Comparison {
    let compared = |name: &DnsName| tree.service_of(name).filter(|service| !wanted.untold.contains_key(service));
    let mut by_name: HeldByName = BTreeMap::new();
    for one in held.into_iter().filter(|one| compared(&one.set.name).is_some()) {
        by_name.entry(one.set.name.clone()).or_default().push(one);
    }
    let names: BTreeSet<&DnsName> = wanted.sets.keys().chain(by_name.keys()).collect();
    let found = diff(names, &wanted.sets, &by_name);
    let mut out = Comparison::default();
    let mut differs: BTreeSet<DnsName> = BTreeSet::new();
    for change in found.upserts.into_iter().chain(found.gone.into_values().flatten()) {
        let Some(service) = tree.service_of(change.name()) else { continue };
        let here = by_name.get(change.name()).map(Vec::as_slice).unwrap_or_default();
        differs.insert(change.name().clone());
        out.differences.extend(difference(tree, wanted, change, here, service));
    }
    out.equal = wanted.sets.keys().filter(|name| !differs.contains(*name)).count();
    out.differences.sort_by(|a, b| a.state.cmp(&b.state).then_with(|| a.name.cmp(&b.name)).then_with(|| a.kind.cmp(&b.kind)));
    let untold = wanted.untold.iter().map(|(service, reason)| (service, reason.clone()));
    let broken = wanted.problems.iter().map(|(service, problems)| (service, problems.join("; ")));
    out.not_compared = untold.chain(broken).map(|(service, reason)| Untold { service: service.clone().into(), reason }).collect();
    out
}

fn difference(tree: &Tree, wanted: &Wanted, change: Change, here: &[Held], service: ServiceKey) -> Option<Difference> {
    let (name, kind) = (change.name().clone(), change.kind());
    let sets = |fits: &dyn Fn(&Held) -> bool| -> Vec<Set> {
        here.iter().filter(|held| fits(held)).map(|held| Set::of(held, &tree.federation, Some(service.clone()))).collect()
    };
    let of_kind = |kind: Kind| move |held: &Held| held.owned() && held.set.data.kind() == kind;
    let (state, wanted, held, reason) = match change {
        Change::Upsert(set) => {
            let foreign = sets(&|held| !held.owned());
            let ours = sets(&|held| of_kind(kind)(held) && !held.set.data.is_empty());
            let answer = Some(Answer::of(&set));
            match (foreign.is_empty(), ours.is_empty()) {
                (false, _) => (State::Foreign, answer, foreign, whose(here)),
                (true, true) => (State::Missing, answer, ours, String::new()),
                (true, false) => (State::Wrong, answer, ours, String::new()),
            }
        }
        // A mark alone is no set: what it lacks is told as missing.
        Change::Delete { .. }
            if wanted.sets.contains_key(&name) && here.iter().filter(|h| of_kind(kind)(h)).all(|h| h.set.data.is_empty()) =>
        {
            return None;
        }
        Change::Delete { .. } => (State::Leftover, None, sets(&of_kind(kind)), unwanted(wanted, &name, &service)),
    };
    Some(Difference { state, name, kind: kind.to_string(), wanted, held, service: service.into(), reason })
}

fn whose(here: &[Held]) -> String {
    let other = here.iter().find_map(|held| if let Owner::Federation(name) = &held.owner { Some(name) } else { None });
    other.map_or_else(|| "nobody's mark is on what is there".to_owned(), |name| format!("it belongs to federation {name}"))
}

fn unwanted(wanted: &Wanted, name: &DnsName, service: &ServiceKey) -> String {
    match wanted.services.get(service) {
        _ if wanted.sets.contains_key(name) => "another type is wanted there".to_owned(),
        None => format!("there is no Service {service}; while copies of it were left in members its names stay"),
        Some(false) => format!("Service {service} is not of type LoadBalancer, or on its way out"),
        Some(true) => format!("Service {service} is in no such region or zone, or has no address"),
    }
}
