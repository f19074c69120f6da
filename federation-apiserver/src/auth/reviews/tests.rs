use super::*;
use crate::auth::authn::AuthnConfig;
use crate::auth::authz::object::RbacKind;
use crate::auth::authz::{Change, Mode, Rbac};

fn authz() -> Authorization {
    let rbac = Rbac::new();
    rbac.apply([
        Change::Put(
            RbacKind::ClusterRole,
            json!({"metadata": {"name": "r"}, "rules": [
                {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]},
                {"verbs": ["get"], "nonResourceURLs": ["/metrics"]},
            ]}),
        ),
        Change::Put(
            RbacKind::RoleBinding,
            json!({"metadata": {"name": "b", "namespace": "a"}, "roleRef": {"kind": "ClusterRole", "name": "r"},
                "subjects": [{"kind": "Group", "name": "devs"}]}),
        ),
    ]);
    Authorization::new(vec![Mode::Rbac], rbac)
}

fn ask(resource: &str, namespace: &str, spec: &Value) -> Result<Value, ApiError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "t0k,sam,u7,devs\n").unwrap();
    let config = AuthnConfig { token_auth_file: Some(file.path().to_owned()), ..AuthnConfig::default() };
    let (authn, authz) = (Authentication::load(&config).unwrap(), authz());
    let user = UserInfo { name: "sam".into(), uid: "u7".into(), groups: vec!["devs".into(), "system:authenticated".into()] };
    Reviewer { authn: &authn, authz: &authz }.answer(resource, namespace, &user, json!({"spec": spec}))
}

#[test]
fn one_may_ask_about_oneself() {
    let own = |attributes: &Value| ask("selfsubjectaccessreviews", "", attributes).unwrap()["status"].clone();
    let get =
        |namespace: &str| own(&json!({"resourceAttributes": {"verb": "get", "resource": "pods", "name": "p", "namespace": namespace}}));
    assert_eq!(get("a")["allowed"], true);
    assert_eq!(get("a")["reason"], "RBAC: allowed by RoleBinding \"b/a\" of ClusterRole \"r\" to Group \"devs\"");
    assert_eq!(get("b"), json!({"allowed": false}));
    assert_eq!(own(&json!({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}))["allowed"], false);
    assert_eq!(own(&json!({"resourceAttributes": {"verb": "*", "resource": "*"}}))["allowed"], false);
}

#[test]
fn one_may_ask_about_others() {
    let spec = json!({"resourceAttributes": {"verb": "get", "resource": "pods", "name": "p", "namespace": "a"}, "groups": ["devs"]});
    assert_eq!(ask("subjectaccessreviews", "", &spec).unwrap()["status"]["allowed"], true);
    assert_eq!(ask("localsubjectaccessreviews", "a", &spec).unwrap()["status"]["allowed"], true);
    let elsewhere = ask("localsubjectaccessreviews", "b", &spec).unwrap_err();
    let expected = "LocalSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"a\": \
                    must match metadata.namespace";
    assert_eq!((elsewhere.code, elsewhere.message.as_str()), (422, expected));
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    assert_eq!(ask("selfsubjectaccessreviews", "", &json!({})).unwrap_err().code, 422);
    let both = json!({"resourceAttributes": {}, "nonResourceAttributes": {}});
    assert_eq!(ask("selfsubjectaccessreviews", "", &both).unwrap_err().code, 422);
    assert_eq!(ask("subjectaccessreviews", "", &json!({"resourceAttributes": {}})).unwrap_err().code, 422);
    assert_eq!(ask("subjectaccessreviews", "", &json!({"resourceAttributes": 3})).unwrap_err().code, 400);
    assert_eq!(ask("selfsubjectrulesreviews", "", &json!({})).unwrap_err().code, 400);
    assert_eq!(ask("tokenreviews", "", &json!({})).unwrap_err().code, 400);
    assert_eq!(ask("pods", "", &json!({})).unwrap_err().code, 404);
}

#[test]
fn rules_are_told_by_namespace() {
    let rules = |namespace: &str| ask("selfsubjectrulesreviews", "", &json!({"namespace": namespace})).unwrap()["status"].clone();
    let expected = json!({
        "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]}],
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}],
        "incomplete": false,
    });
    assert_eq!(rules("a"), expected);
    assert_eq!(rules("b")["resourceRules"], json!([]));
}

#[test]
fn whoami_and_tokens() {
    let me = ask("selfsubjectreviews", "", &Value::Null).unwrap();
    assert_eq!((&me["kind"], &me["apiVersion"]), (&"SelfSubjectReview".into(), &"authentication.k8s.io/v1".into()));
    let expected = json!({"username": "sam", "uid": "u7", "groups": ["devs", "system:authenticated"]});
    assert_eq!(me["status"]["userInfo"], expected);
    let known = ask("tokenreviews", "", &json!({"token": "t0k"})).unwrap()["status"].clone();
    assert_eq!((&known["authenticated"], &known["user"]), (&true.into(), &expected));
    let unknown = ask("tokenreviews", "", &json!({"token": "x"})).unwrap()["status"].clone();
    assert_eq!(unknown, json!({"user": {}, "error": "invalid bearer token"}));
}
