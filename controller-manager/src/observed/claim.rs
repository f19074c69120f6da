//! Status of a federated claim: bound when its copies are. Pure.

use serde_json::{Map, Value, json};

/// What a copy says of its storage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bound {
    phase: Phase,
    /// `status.capacity.storage`.
    capacity: Box<str>,
}

/// From the worst to the best, by which the whole is told.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Lost,
    #[default]
    Pending,
    Bound,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Lost, Self::Pending, Self::Bound];

    const fn text(self) -> &'static str {
        match self {
            Self::Lost => "Lost",
            Self::Pending => "Pending",
            Self::Bound => "Bound",
        }
    }
}

impl Bound {
    /// From the status of a copy.
    pub(crate) fn read(status: &Value) -> Self {
        let phase = Phase::ALL.into_iter().find(|phase| status["phase"] == phase.text()).unwrap_or_default();
        Self { phase, capacity: status["capacity"]["storage"].as_str().unwrap_or_default().into() }
    }
}

/// The status of a claim from its copies; one that was not seen is not bound. Kubernetes lets a claim grow once it is
/// bound, so that has to be true in every cluster. The capacity is told where it is the same in all.
pub(crate) fn merge<'a>(copies: impl Iterator<Item = Option<&'a Bound>>) -> Map<String, Value> {
    let copies: Vec<Bound> = copies.map(|copy| copy.cloned().unwrap_or_default()).collect();
    let phase = copies.iter().map(|copy| copy.phase).min().unwrap_or_default();
    let capacity = copies.first().map(|copy| &*copy.capacity).filter(|first| !first.is_empty());
    let same = capacity.filter(|first| copies.iter().all(|copy| *copy.capacity == **first));
    let capacity = same.map_or(Value::Null, |storage| json!({"storage": storage}));
    [("phase".to_owned(), phase.text().into()), ("capacity".to_owned(), capacity)].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(copies: &[Value]) -> Value {
        let copies: Vec<Bound> = copies.iter().map(Bound::read).collect();
        merge(copies.iter().map(Some)).into()
    }

    #[test]
    fn a_claim_is_bound_when_all_its_copies_are() {
        let bound = |size: &str| json!({"phase": "Bound", "capacity": {"storage": size}});
        assert_eq!(told(&[bound("1Gi"), bound("1Gi")]), bound("1Gi"));
        assert_eq!(told(&[bound("1Gi"), bound("2Gi")]), json!({"phase": "Bound", "capacity": null}));
        let waiting = json!({"phase": "Pending"});
        assert_eq!(told(&[bound("1Gi"), waiting.clone()]), json!({"phase": "Pending", "capacity": null}));
        assert_eq!(told(&[bound("1Gi"), json!({"phase": "Lost"}), waiting])["phase"], "Lost");
        assert_eq!((told(&[])["phase"].clone(), merge([None].into_iter())["phase"].clone()), (json!("Pending"), json!("Pending")));
    }
}
