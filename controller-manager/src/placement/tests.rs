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
