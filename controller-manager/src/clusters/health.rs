//! Health of a member: the question, and v1's conditions for the answer.

use std::time::Duration;

use federation_api::cluster::ClusterCondition;

use crate::members::{Health, request::Call};

/// Asks a member for its health.
pub(crate) async fn probe(client: &kube::Client, limit: Duration) -> Health {
    match Call::get("/healthz").send(client, limit).await {
        Ok(reply) if reply.status.is_success() => {
            let ok = std::str::from_utf8(&reply.body).is_ok_and(|body| body.trim().eq_ignore_ascii_case("ok"));
            if ok { Health::Ready } else { Health::NotReady }
        }
        // v1 counts an error status as not reachable.
        Ok(_) | Err(_) => Health::Offline,
    }
}

/// v1's conditions for an answer. `now` is RFC 3339; a condition that does not change keeps its transition time.
pub(crate) fn conditions(health: Health, before: &[ClusterCondition], now: &str) -> Vec<ClusterCondition> {
    let mut conditions = match health {
        Health::Unknown => return before.to_vec(),
        Health::Ready => vec![condition("Ready", "True", "ClusterReady", "/healthz responded with ok")],
        Health::NotReady => vec![
            condition("Ready", "False", "ClusterNotReady", "/healthz responded without ok"),
            condition("Offline", "False", "ClusterReachable", "cluster is reachable"),
        ],
        Health::Offline => vec![condition("Offline", "True", "ClusterNotReachable", "cluster is not reachable")],
    };
    for condition in &mut conditions {
        let same = before.iter().find(|b| b.type_ == condition.type_ && b.status == condition.status);
        condition.last_transition_time = same.and_then(|s| s.last_transition_time.clone()).or_else(|| Some(now.to_owned()));
        condition.last_probe_time = Some(now.to_owned());
    }
    conditions
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> ClusterCondition {
    ClusterCondition {
        type_: type_.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        ..ClusterCondition::default()
    }
}

/// Counts failures: one bad answer is not a lost member.
#[derive(Debug)]
pub(crate) struct Verdict {
    failures: u32,
    allowed: u32,
    pub(crate) health: Health,
}

impl Verdict {
    /// Nothing is known yet; `allowed` failures in a row make a member lost.
    pub(crate) fn new(allowed: u32) -> Self {
        Self { failures: 0, allowed, health: Health::Unknown }
    }

    /// Takes an answer. Says whether the verdict changed.
    pub(crate) fn take(&mut self, answer: Health) -> bool {
        self.failures = if answer == Health::Ready { 0 } else { self.failures + 1 };
        let health = if answer == Health::Ready || self.failures >= self.allowed { answer } else { self.health };
        std::mem::replace(&mut self.health, health) != health
    }

    /// Whether the last answer was not a good one.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_v1s() {
        let kinds = |health| {
            let list = conditions(health, &[], "t");
            list.into_iter().map(|c| format!("{}={} {} {}", c.type_, c.status, c.reason, c.message)).collect::<Vec<_>>()
        };
        assert_eq!(kinds(Health::Ready), ["Ready=True ClusterReady /healthz responded with ok"]);
        assert_eq!(
            kinds(Health::NotReady),
            ["Ready=False ClusterNotReady /healthz responded without ok", "Offline=False ClusterReachable cluster is reachable"]
        );
        assert_eq!(kinds(Health::Offline), ["Offline=True ClusterNotReachable cluster is not reachable"]);
    }

    #[test]
    fn the_transition_time_stays_while_nothing_changes() {
        let first = conditions(Health::Ready, &[], "t1");
        let second = conditions(Health::Ready, &first, "t2");
        assert_eq!(second[0].last_transition_time.as_deref(), Some("t1"));
        assert_eq!(second[0].last_probe_time.as_deref(), Some("t2"));
        assert_eq!(conditions(Health::Offline, &second, "t3")[0].last_transition_time.as_deref(), Some("t3"));
    }

    #[test]
    fn three_failures_in_a_row_lose_a_member_and_one_answer_brings_it_back() {
        let mut verdict = Verdict::new(3);
        assert!(verdict.take(Health::Ready));
        assert!(!verdict.take(Health::Offline) && !verdict.take(Health::Offline) && !verdict.take(Health::Ready));
        assert!(!verdict.take(Health::Offline) && !verdict.take(Health::Offline) && verdict.is_doubtful());
        assert!(verdict.take(Health::Offline));
        assert!(verdict.take(Health::Ready));
    }
}
