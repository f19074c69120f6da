//! Health of a member: the questions, what the answers come to, and v1's conditions for it.

use std::time::Duration;

use federation_api::cluster::ClusterCondition;
use federation_client::Trouble;
use http::StatusCode;
use serde_json::Value;

use crate::{
    members::{
        Health,
        trouble::{hint, reason},
    },
    request::{Call, CallError, Reply},
};

/// A question only an account with rights is answered. Its uid tells which cluster this is.
const IDENTITY: &str = "/api/v1/namespaces/kube-system";

/// What is known of a member's health, with the reason.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) health: Health,
    /// One word.
    pub(crate) reason: &'static str,
    /// One sentence, with what to do.
    pub(crate) message: String,
    /// Whether asking again could not change it: it counts at once.
    pub(crate) certain: bool,
}

impl Finding {
    fn ready() -> Self {
        Self { health: Health::Ready, reason: "ClusterReady", message: "/healthz responded with ok".into(), certain: false }
    }

    /// The member answers, and is not to be used.
    pub(crate) fn not_ready(reason: &'static str, message: impl Into<String>) -> Self {
        Self { health: Health::NotReady, reason, message: message.into(), certain: false }
    }

    /// The member is not reached.
    pub(crate) fn offline(reason: &'static str, why: &str) -> Self {
        Self { health: Health::Offline, reason, message: format!("cluster is not reachable: {why}"), certain: false }
    }

    fn trouble(trouble: Trouble, error: &str) -> Self {
        Self::offline(reason(trouble), &format!("{error}; {}", hint(trouble)))
    }
}

/// A member's answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) finding: Finding,
    /// uid of its namespace `kube-system`, where it tells.
    pub(crate) uid: Option<String>,
}

impl From<Finding> for Answer {
    fn from(finding: Finding) -> Self {
        Self { finding, uid: None }
    }
}

/// Asks a member at `server` for its health, and whether it lets the federation in: anybody may ask for the first.
pub(crate) async fn probe(client: &kube::Client, server: &str, limit: Duration) -> Answer {
    let (health, identity) = tokio::join!(Call::get("/healthz").send(client, limit), Call::get(IDENTITY).send(client, limit));
    let unclear = [&health, &identity].into_iter().find_map(|asked| asked.as_ref().err().filter(|e| e.trouble() == Trouble::Other));
    if let Some(error) = unclear
        && is_unknown_host(server, limit).await
    {
        return Finding::trouble(Trouble::UnknownHost, &error.to_string()).into();
    }
    judge(health, identity)
}

/// Whether the host's name cannot be resolved, which an error on the way does not tell.
async fn is_unknown_host(server: &str, limit: Duration) -> bool {
    let Some(host) = server.parse::<http::Uri>().ok().and_then(|u| u.host().map(str::to_owned)) else { return false };
    let looked_up = tokio::time::timeout(limit, tokio::net::lookup_host((host.trim_matches(['[', ']']), 443))).await;
    matches!(looked_up, Ok(Err(_)))
}

fn judge(health: Result<Reply, CallError>, identity: Result<Reply, CallError>) -> Answer {
    let health = match health {
        Ok(reply) => reply,
        Err(error) => return Finding::trouble(error.trouble(), &error.to_string()).into(),
    };
    let refused = matches!(health.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if !health.status.is_success() && !refused {
        // v1 counts an error status as not reachable.
        return Finding::offline(reason(Trouble::Other), &format!("/healthz answered {}: {}", health.status, health.message())).into();
    }
    if !refused && !std::str::from_utf8(&health.body).is_ok_and(|body| body.trim().eq_ignore_ascii_case("ok")) {
        return Finding::not_ready("ClusterNotReady", "/healthz responded without ok").into();
    }
    let identity = match identity {
        Ok(reply) => reply,
        Err(error) => return Finding::trouble(error.trouble(), &error.to_string()).into(),
    };
    match identity.status {
        StatusCode::OK => match uid(&identity) {
            Some(uid) => Answer { finding: Finding::ready(), uid: Some(uid) },
            None => Finding::not_ready("ClusterNotReady", format!("{IDENTITY} was answered without a uid")).into(),
        },
        // It has too much to do to say more; who it is has to be known from before.
        StatusCode::TOO_MANY_REQUESTS => Finding::ready().into(),
        StatusCode::UNAUTHORIZED => {
            let hint = "the token of its secret is not valid there (any more): join the cluster again with kubefed join";
            Finding::not_ready("Unauthorized", format!("it does not accept the federation's credentials: {}; {hint}", identity.message()))
                .into()
        }
        StatusCode::FORBIDDEN => {
            let hint = "the federation's ClusterRole or its binding is gone or was changed: join the cluster again with kubefed join";
            Finding::not_ready("Forbidden", format!("the federation has no rights there: {}; {hint}", identity.message())).into()
        }
        status => Finding::not_ready("ClusterNotReady", format!("{IDENTITY} answered {status}: {}", identity.message())).into(),
    }
}

fn uid(reply: &Reply) -> Option<String> {
    let namespace: Value = serde_json::from_slice(&reply.body).ok()?;
    namespace["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()).map(str::to_owned)
}

/// v1's conditions for a finding. `now` is RFC 3339; a condition that does not change keeps its transition time.
pub(crate) fn conditions(finding: &Finding, before: &[ClusterCondition], now: &str) -> Vec<ClusterCondition> {
    let Finding { health, reason, message, .. } = finding;
    let mut conditions = match health {
        Health::Unknown => return before.to_vec(),
        Health::Ready => vec![condition("Ready", "True", reason, message)],
        Health::NotReady => {
            vec![condition("Ready", "False", reason, message), condition("Offline", "False", "ClusterReachable", "cluster is reachable")]
        }
        Health::Offline => vec![condition("Offline", "True", reason, message)],
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
    pub(crate) finding: Finding,
}

/// What became of the verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// As before.
    None,
    /// The same health for another reason.
    Reason,
    /// Another health.
    Health,
}

impl Verdict {
    /// Nothing is known yet; `allowed` failures in a row make a member lost.
    pub(crate) fn new(allowed: u32) -> Self {
        let finding = Finding { health: Health::Unknown, reason: "", message: String::new(), certain: false };
        Self { failures: 0, allowed, finding }
    }

    /// Takes an answer.
    pub(crate) fn take(&mut self, answer: Finding) -> Change {
        self.failures = if answer.health == Health::Ready { 0 } else { self.failures.saturating_add(1) };
        if answer.health != Health::Ready && !answer.certain && self.failures < self.allowed {
            return Change::None;
        }
        let before = std::mem::replace(&mut self.finding, answer);
        match &self.finding {
            now if now.health != before.health => Change::Health,
            now if now.reason != before.reason => Change::Reason,
            _ => Change::None,
        }
    }

    /// Whether the last answer was not a good one.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod probe_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Result<Reply, CallError> {
        Ok(Reply { status: StatusCode::from_u16(status).unwrap(), retry_after: None, body: body.to_owned().into() })
    }

    const NAMESPACE: &str = r#"{"metadata": {"name": "kube-system", "uid": "u"}}"#;

    fn seen(health: Result<Reply, CallError>, identity: Result<Reply, CallError>) -> (Health, &'static str) {
        let finding = judge(health, identity).finding;
        (finding.health, finding.reason)
    }

    #[test]
    fn issue7_case_w1_a_member_that_answers_everybody_is_not_ready_for_an_account_it_refuses() {
        assert_eq!(seen(reply(200, "ok"), reply(200, NAMESPACE)), (Health::Ready, "ClusterReady"));
        assert_eq!(judge(reply(200, "ok"), reply(200, NAMESPACE)).uid.as_deref(), Some("u"));
        assert_eq!(seen(reply(200, "ok"), reply(401, "")), (Health::NotReady, "Unauthorized"));
        assert_eq!(seen(reply(200, "ok"), reply(403, "")), (Health::NotReady, "Forbidden"));
        assert_eq!(seen(reply(401, ""), reply(401, "")), (Health::NotReady, "Unauthorized"));
        assert_eq!(seen(reply(403, ""), reply(200, NAMESPACE)), (Health::Ready, "ClusterReady"), "who may work need not ask for health");
        assert_eq!(seen(reply(200, "ok"), reply(500, "")), (Health::NotReady, "ClusterNotReady"));
        assert_eq!(seen(reply(200, "ok"), reply(429, "")), (Health::Ready, "ClusterReady"), "busy is not away");
        let gone = r#"{"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "message": "namespaces \"kube-system\" not found"}"#;
        for body in [gone, "404 page not found"] {
            assert_eq!(seen(reply(200, "ok"), reply(404, body)), (Health::NotReady, "ClusterNotReady"), "nobody knows who it is");
        }
        assert_eq!(seen(reply(200, "ok"), reply(200, "<html>")), (Health::NotReady, "ClusterNotReady"), "a page is no namespace");
        assert_eq!(seen(reply(200, "etcd failed"), reply(200, NAMESPACE)), (Health::NotReady, "ClusterNotReady"));
        assert_eq!(seen(reply(503, ""), reply(200, NAMESPACE)), (Health::Offline, "ClusterNotReachable"));
    }

    #[test]
    fn issue7_case_w2_each_way_not_to_be_reached_has_its_reason_and_what_to_do() {
        let cut = |trouble| Err(CallError::Transport { trouble, message: "what happened".into() });
        for trouble in [Trouble::Refused, Trouble::NoRoute, Trouble::UnknownAuthority, Trouble::WrongName, Trouble::Expired] {
            let finding = judge(cut(trouble), reply(200, NAMESPACE)).finding;
            assert_eq!((finding.health, finding.reason), (Health::Offline, reason(trouble)));
            assert!(finding.message.contains("what happened; ") && finding.message.ends_with(hint(trouble)), "{}", finding.message);
        }
        assert_eq!(seen(reply(200, "ok"), Err(CallError::Timeout(Duration::from_secs(2)))), (Health::Offline, "Timeout"));
    }

    #[test]
    fn conditions_are_v1s() {
        let kinds = |finding: Finding| {
            let list = conditions(&finding, &[], "t");
            list.into_iter().map(|c| format!("{}={} {} {}", c.type_, c.status, c.reason, c.message)).collect::<Vec<_>>()
        };
        assert_eq!(kinds(Finding::ready()), ["Ready=True ClusterReady /healthz responded with ok"]);
        assert_eq!(
            kinds(judge(reply(200, "no"), reply(200, NAMESPACE)).finding),
            ["Ready=False ClusterNotReady /healthz responded without ok", "Offline=False ClusterReachable cluster is reachable"]
        );
        assert_eq!(kinds(Finding::offline("NoRoute", "why")), ["Offline=True NoRoute cluster is not reachable: why"]);
    }

    #[test]
    fn the_transition_time_stays_while_nothing_changes() {
        let first = conditions(&Finding::ready(), &[], "t1");
        let second = conditions(&Finding::ready(), &first, "t2");
        assert_eq!(second[0].last_transition_time.as_deref(), Some("t1"));
        assert_eq!(second[0].last_probe_time.as_deref(), Some("t2"));
        assert_eq!(conditions(&Finding::offline("r", "w"), &second, "t3")[0].last_transition_time.as_deref(), Some("t3"));
    }

    #[test]
    fn three_failures_in_a_row_lose_a_member_and_one_answer_brings_it_back() {
        let mut verdict = Verdict::new(3);
        let (ready, lost) = (Finding::ready, || Finding::offline("Timeout", "w"));
        assert_eq!(verdict.take(ready()), Change::Health);
        assert_eq!([lost(), lost(), ready(), lost(), lost()].map(|f| verdict.take(f)), [Change::None; 5]);
        assert!(verdict.is_doubtful());
        assert_eq!([lost(), lost()].map(|f| verdict.take(f)), [Change::Health, Change::None]);
        assert_eq!(verdict.take(Finding::offline("NoRoute", "w")), Change::Reason);
        assert_eq!(verdict.take(ready()), Change::Health);
        assert_eq!(verdict.take(Finding { certain: true, ..Finding::not_ready("SameClusterAs", "w") }), Change::Health);
    }
}
