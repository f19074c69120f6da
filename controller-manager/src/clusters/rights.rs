//! What the federation may do in a member, as the member itself tells it: rights that are missing are told before
//! each object fails for itself.

use std::time::Duration;

use federation_api::kinds::MEMBER_VERBS;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    kinds::{KINDS, Kind, KindId, PerKind},
    members::news::Lacks,
    request::{Call, JSON},
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Rights that are missing, as `verb resource`.
pub(crate) fn named(lacks: &Lacks) -> Vec<String> {
    let of_kind =
        |(kind, verbs): (KindId, &Vec<&str>)| verbs.iter().map(|verb| format!("{verb} {}", KINDS[kind].resource)).collect::<Vec<_>>();
    lacks.iter().flat_map(of_kind).collect()
}

/// Rights that are missing, or nothing where the member does not tell.
pub(crate) async fn missing(client: &kube::Client, enabled: &PerKind<bool>) -> Option<Lacks> {
    // Rules of cluster role bindings count in every namespace, so any will do.
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let call = Call { method: Method::POST, path, content_type: JSON, body: body.to_string().into() };
    let reply = call.send(client, TIMEOUT).await.ok()?;
    if reply.status != StatusCode::CREATED {
        return None;
    }
    let review: Value = serde_json::from_slice(&reply.body).ok()?;
    lacking(&review["status"], enabled)
}

fn lacking(status: &Value, enabled: &PerKind<bool>) -> Option<Lacks> {
    // Another authorizer decides too and cannot list its rules.
    if status["incomplete"] == true {
        return None;
    }
    let rules = status["resourceRules"].as_array()?;
    let has = |list: &Value, what: &str| list.as_array().is_some_and(|l| l.iter().any(|v| v == what || v == "*"));
    let may = |kind: &Kind, verb: &str| {
        rules.iter().any(|rule| {
            let everywhere = rule["resourceNames"].as_array().is_none_or(Vec::is_empty);
            everywhere && has(&rule["verbs"], verb) && has(&rule["apiGroups"], kind.group) && has(&rule["resources"], kind.resource)
        })
    };
    let verbs = |id: KindId| MEMBER_VERBS.iter().copied().filter(|verb| !may(&KINDS[id], verb)).collect();
    Some(PerKind::new(|id| if enabled[id] { verbs(id) } else { Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
        json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
    }

    #[test]
    fn issue7_case_w1_rights_that_are_missing_are_named() {
        let enabled = PerKind::new(|id| ["configmaps", "deployments"].contains(&KINDS[id].resource));
        let lacking = |status: &Value| lacking(status, &enabled).map(|lacks| named(&lacks));
        let all = json!({"resourceRules": [rule(&["*"], "*", &["*"])]});
        assert_eq!(lacking(&all), Some(vec![]));
        let some = json!({"resourceRules": [rule(MEMBER_VERBS, "", &["configmaps"]), rule(&MEMBER_VERBS[..4], "apps", &["deployments"])]});
        assert_eq!(lacking(&some), Some(vec!["patch deployments".into(), "delete deployments".into()]));
        let mut named = json!({"resourceRules": [rule(&["*"], "*", &["*"])]});
        named["resourceRules"][0]["resourceNames"] = json!(["one"]);
        assert_eq!(lacking(&named).map(|l| l.len()), Some(12), "rights on one object are none on the others");
        assert_eq!(lacking(&json!({"incomplete": true, "resourceRules": []})), None);
    }
}
