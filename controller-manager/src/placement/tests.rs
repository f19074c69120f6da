use super::*;
use crate::kinds::KINDS;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn placement(resource: &str, annotations: &BTreeMap<String, String>) -> Result<Placement, InvalidPlacement> {
    Placement::parse(KINDS.iter().find(|k| k.resource == resource).unwrap(), annotations)
}

#[test]
fn a_selector_selects_by_the_labels_of_clusters() {
    let clusters = BTreeMap::from([("gondor".to_owned(), labels(&[("realm", "south")])), ("shire".to_owned(), labels(&[]))]);
    let south = labels(&[(keys::CLUSTER_SELECTOR, r#"[{"key":"realm","operator":"=","values":["south"]}]"#)]);
    assert_eq!(placement("configmaps", &south).unwrap().select(clusters.iter()), BTreeSet::from(["gondor".to_owned()]));
    assert_eq!(placement("configmaps", &labels(&[])).unwrap().select(clusters.iter()).len(), 2);
    let bad = labels(&[(keys::CLUSTER_SELECTOR, "federation-control-plane=true")]);
    let problem = placement("configmaps", &bad).unwrap_err().to_string();
    assert!(problem.starts_with("annotation federation.alpha.kubernetes.io/cluster-selector is invalid: "), "{problem}");
}

#[test]
fn bad_preferences_are_errors_only_where_they_apply() {
    let annotations = labels(&[(keys::DEPLOYMENT_PREFERENCES, "nonsense")]);
    let problem = placement("deployments", &annotations).unwrap_err();
    assert!(problem.to_string().starts_with("annotation federation.kubernetes.io/deployment-preferences is invalid: "), "{problem}");
    assert_eq!(placement("configmaps", &annotations), Ok(Placement::default()));
}

#[test]
fn issue8_rights_stay_in_the_federation_unless_told_otherwise() {
    let kind = |resource: &str| KINDS.iter().find(|k| k.resource == resource).unwrap();
    let stays = |resource: &str, told: &str| {
        let metadata = serde_json::json!({"name": "reader", "annotations": {keys::PROPAGATE: told}});
        super::stays(kind(resource), &serde_json::from_value(serde_json::json!({"metadata": metadata})).unwrap()).is_some()
    };
    for resource in ["roles", "rolebindings"] {
        assert!(stays(resource, "false") && stays(resource, "yes") && !stays(resource, "true"));
    }
    assert!(!stays("serviceaccounts", "false"));
}

#[test]
fn issue7_case_20_and_25_tokens_and_releases_stay_in_the_federation() {
    let kind = |resource: &str| KINDS.iter().find(|k| k.resource == resource).unwrap();
    let stays = |resource: &str, type_: &str, metadata: serde_json::Value| {
        let object = serde_json::from_value(serde_json::json!({"metadata": metadata, "type": type_})).unwrap();
        super::stays(kind(resource), &object).is_some()
    };
    let labels = serde_json::json!({"owner": "helm", "name": "web", "status": "deployed", "version": "3"});
    let (none, helm) = (serde_json::json!({}), serde_json::json!({"name": "sh.helm.release.v1.web.v3", "labels": labels}));
    let told = serde_json::json!({"name": "web.v3", "labels": labels, "annotations": {keys::PROPAGATE: "true"}});
    assert!(stays("secrets", "kubernetes.io/service-account-token", told.clone()));
    assert!(stays("secrets", "helm.sh/release.v1", none.clone()));
    assert!(stays("secrets", "Opaque", helm.clone()) && stays("configmaps", "", helm.clone()));
    assert!(!stays("secrets", "helm.sh/release.v1", told) && !stays("services", "", helm));
    for other in [
        serde_json::json!({"name": "web.v3", "labels": {"owner": "helm"}}),
        serde_json::json!({"name": "web", "labels": labels}),
        serde_json::json!({"name": "web.vx", "labels": labels}),
    ] {
        assert!(!stays("configmaps", "", other.clone()) && !stays("secrets", "Opaque", other));
    }
    assert!(!stays("secrets", "Opaque", none.clone()) && !stays("services", "helm.sh/release.v1", none));
}
