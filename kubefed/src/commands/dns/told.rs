//! Record sets as they are told: in tables, and as objects.

use dns_providers::{DnsName, Held, Owner, RecordSet};
use federation_controller_manager::dns::{ServiceKey, Tree};
use serde::Serialize;

/// Values of a set that a narrow table shows.
const FEW: usize = 3;

/// What a set answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Answer {
    /// In seconds.
    pub(super) ttl: u32,
    pub(super) values: Vec<String>,
}

/// A set that a provider holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Set {
    pub(super) name: DnsName,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(flatten)]
    pub(super) answer: Answer,
    #[serde(flatten)]
    pub(super) whose: Whose,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<ServiceRef>,
}

/// Who wrote a set.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Whose {
    /// The federation by whose mark it is; none where there is no mark.
    pub(super) owner: Option<String>,
    /// Whether that is this federation.
    pub(super) owned: bool,
}

/// A Service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct ServiceRef {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Answer {
    pub(super) fn of(set: &RecordSet) -> Self {
        Self { ttl: set.ttl, values: set.data.values() }
    }

    /// The TTL and the values; of many only a few, unless all are asked for.
    pub(super) fn cell(&self, all: bool) -> String {
        format!("{} {}", self.ttl, self.values(all))
    }

    /// The values; of many only a few, unless all are asked for.
    pub(super) fn values(&self, all: bool) -> String {
        let shown = if all || self.values.len() <= FEW + 1 { self.values.len() } else { FEW };
        let more = if shown < self.values.len() { format!(" + {} more", self.values.len() - shown) } else { String::new() };
        if self.values.is_empty() { "<none>".to_owned() } else { format!("{}{more}", self.values[..shown].join(",")) }
    }
}

impl Whose {
    pub(super) fn of(held: &Held, federation: &str) -> Self {
        let owner = match &held.owner {
            Owner::Unmarked => None,
            Owner::Federation(name) => Some(name.clone()),
            Owner::Ours => Some(federation.to_owned()),
        };
        Self { owner, owned: held.owned() }
    }

    pub(super) fn cell(&self) -> String {
        self.owner.clone().unwrap_or_else(|| "<none>".to_owned())
    }
}

impl Set {
    /// Sets of a zone. Names that belong together stand together: they are ordered from their ends to their beginnings.
    pub(super) fn all(held: &[Held], tree: &Tree) -> Vec<Self> {
        let mut sets: Vec<Self> = held.iter().map(|one| Self::of(one, &tree.federation, tree.service_of(&one.set.name))).collect();
        let labels = |name: &DnsName| name.labels().rev().map(str::to_owned).collect::<Vec<_>>();
        sets.sort_by_cached_key(|set| (labels(&set.name), set.kind.clone(), set.whose.owner.clone()));
        sets
    }

    pub(super) fn of(held: &Held, federation: &str, service: Option<ServiceKey>) -> Self {
        Self {
            name: held.set.name.clone(),
            kind: held.set.data.kind().to_string(),
            answer: Answer::of(&held.set),
            whose: Whose::of(held, federation),
            service: service.map(ServiceRef::from),
        }
    }
}

impl From<ServiceKey> for ServiceRef {
    fn from(ServiceKey { namespace, name }: ServiceKey) -> Self {
        Self { namespace, name }
    }
}

impl std::fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A row of a table.
pub(super) fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_values_a_few_are_shown_and_all_counted() {
        let answer = |count: u8| Answer { ttl: 180, values: (0..count).map(|n| n.to_string()).collect() };
        assert_eq!(answer(0).cell(false), "180 <none>");
        assert_eq!(answer(4).cell(false), "180 0,1,2,3");
        assert_eq!(answer(5).cell(false), "180 0,1,2 + 2 more");
        assert_eq!(answer(5).values(true), "0,1,2,3,4");
    }
}
