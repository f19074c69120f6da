//! When a division of replicas waits for members: what the first to answer would get too much of, it keeps. Pure.

use tokio::time::Instant;

use super::per_cluster::ClusterName;

/// A member as far as waiting for it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// It can be reached.
    pub(crate) reachable: bool,
    /// Replicas there count.
    pub(crate) counts: bool,
}

/// Members to wait for when one of them can be reached again: if none could be, the others are likely to follow.
/// Who counts is planned for anyway: a short absence of the one that is back moved nothing. `members` is as it was
/// just before.
pub(crate) fn after_outage<'a>(back: &str, members: impl Iterator<Item = (&'a ClusterName, Reach)>) -> Vec<ClusterName> {
    let mut others = Vec::new();
    for (name, sight) in members {
        if sight.reachable || (**name == *back && sight.counts) {
            return Vec::new();
        }
        if **name != *back && !sight.counts {
            others.push(name.clone());
        }
    }
    others
}

/// Whether nobody is waited for any more. `until` is, for each member that was not heard of yet, when that ends.
pub(crate) fn is_over(mut until: impl Iterator<Item = Option<Instant>>, now: Instant) -> bool {
    until.all(|until| until.is_none_or(|until| until <= now))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn waits_for(back: &str, members: [(&str, bool, bool); 3]) -> Vec<String> {
        let members = members.map(|(name, reachable, counts)| (ClusterName::from(name), Reach { reachable, counts }));
        after_outage(back, members.iter().map(|(name, sight)| (name, *sight))).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_after_a_total_outage_others_are_waited_for() {
        assert_eq!(waits_for("a", [("a", false, false), ("b", false, false), ("c", false, true)]), ["b"]);
        assert!(waits_for("a", [("a", false, false), ("b", false, false), ("c", true, true)]).is_empty());
        assert!(waits_for("a", [("a", false, true), ("b", false, false), ("c", false, false)]).is_empty(), "it was never given up");
        assert!(waits_for("a", [("a", true, true), ("b", false, false), ("c", false, false)]).is_empty());
    }

    #[test]
    fn waiting_ends_for_everybody() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert!(is_over([None, Some(now)].into_iter(), now));
        assert!(!is_over([None, Some(later)].into_iter(), now));
        assert!(is_over([None, Some(later)].into_iter(), later));
    }
}
