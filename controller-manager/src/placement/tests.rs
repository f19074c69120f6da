use super::*;
use crate::kinds::KINDS;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn matches(annotation: &str, pairs: &[(&str, &str)]) -> bool {
    ClusterSelector::parse(annotation).unwrap().matches(&labels(pairs))
}

#[test]
fn operators_mean_what_they_mean_in_v1() {
    let gondor = &[("realm", "gondor"), ("size", "7")][..];
    assert!(matches("[]", gondor));
    assert!(matches(r#"[{"key":"realm","operator":"in","values":["gondor","rohan"]}]"#, gondor));
    assert!(matches(r#"[{"key":"realm","operator":"=","values":["gondor"]},{"key":"size","operator":">","values":["6"]}]"#, gondor));
    assert!(!matches(r#"[{"key":"realm","operator":"NotIn","values":["gondor"]}]"#, gondor));
    assert!(matches(r#"[{"key":"other","operator":"!=","values":["x"]}]"#, gondor));
    assert!(matches(r#"[{"key":"other","operator":"!"}]"#, gondor));
    assert!(!matches(r#"[{"key":"size","operator":"lt","values":["7"]}]"#, gondor));
}

#[test]
fn bad_selectors_say_why() {
    for (text, complaint) in [
        ("", "not a JSON array"),
        ("federation.kubernetes.io/federation-control-plane=true", "not a JSON array"),
        (r#"[{"key":"a","operator":"near","values":["b"]}]"#, "no operator \"near\""),
        (r#"[{"key":"a","operator":"in"}]"#, "takes values"),
        (r#"[{"key":"a","operator":"=","values":["b","c"]}]"#, "exactly one value, 2 given"),
        (r#"[{"key":"a","operator":"gt","values":["b"]}]"#, "takes an integer"),
        (r#"[{"key":"a","operator":"exists","values":["b"]}]"#, "takes no values"),
        (r#"[{"operator":"exists"}]"#, "no key"),
    ] {
        let problem = ClusterSelector::parse(text).unwrap_err();
        assert!(problem.contains(complaint), "{text}: {problem}");
    }
}

#[test]
fn bad_preferences_are_errors_only_where_they_apply() {
    let annotations = labels(&[(keys::DEPLOYMENT_PREFERENCES, "nonsense")]);
    let deployment = KINDS.iter().find(|k| k.resource == "deployments").unwrap();
    let config_map = KINDS.iter().find(|k| k.resource == "configmaps").unwrap();
    let problem = Placement::parse(deployment, &annotations).unwrap_err();
    assert!(problem.to_string().starts_with("annotation federation.kubernetes.io/deployment-preferences is invalid: "), "{problem}");
    assert_eq!(Placement::parse(config_map, &annotations), Ok(Placement::default()));
}
