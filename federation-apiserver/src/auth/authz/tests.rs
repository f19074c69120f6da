use proptest::prelude::*;
use serde_json::{Value, json};

use super::bootstrap::{self, Write};
use super::object::AUTO_UPDATE;
use super::object::RbacKind::{self, ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use super::*;

fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo { name: name.into(), uid: String::new(), groups: groups.iter().map(|g| (*g).to_owned()).collect() }
}

/// `verb resource.group/subresource name -n namespace` or `verb /path`.
fn wants(line: &str) -> Attributes {
    let mut words = line.split_whitespace();
    let mut out = Attributes { verb: words.next().unwrap().into(), version: "v1".into(), ..Attributes::default() };
    let what = words.next().unwrap();
    if what.starts_with('/') {
        out.path = what.into();
        return out;
    }
    let (resource, sub) = what.split_once('/').unwrap_or((what, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    (out.resource, out.group, out.subresource) = (resource.into(), group.into(), sub.into());
    while let Some(word) = words.next() {
        if word == "-n" { out.namespace = words.next().unwrap().into() } else { out.name = word.into() }
    }
    out
}

fn role(name: &str, rules: &Value) -> Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

fn binding(name: &str, namespace: &str, role: (&str, &str), subject: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace}, "roleRef": {"apiGroup": object::GROUP, "kind": role.0, "name": role.1},
        "subjects": [subject]})
}

fn a_user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": object::GROUP, "name": name})
}

fn rbac(objects: Vec<(RbacKind, Value)>) -> Authorization {
    let rbac = Rbac::new();
    rbac.apply(objects.into_iter().map(|(kind, object)| Change::Put(kind, object)));
    Authorization::new(vec![Mode::Rbac], rbac)
}

fn with_rules(rules: &Value) -> Authorization {
    rbac(vec![(ClusterRole, role("r", rules)), (ClusterRoleBinding, binding("b", "", ("ClusterRole", "r"), &a_user("u")))])
}

#[test]
fn rules_match_as_in_kubernetes() {
    let cases = [
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), "get pods x -n a", true),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), "list pods -n a", false),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), "get pods.metrics x -n a", false),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), "get pods/status x -n a", false),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/status"]}), "get pods/status x -n a", true),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/status"]}), "get pods x -n a", false),
        (json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), "escalate roles.rbac/x y", true),
        (json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), "get /metrics", false),
        (json!({"verbs": ["update"], "apiGroups": ["*"], "resources": ["*/scale"]}), "update deployments.apps/scale d -n a", true),
        (json!({"verbs": ["update"], "apiGroups": ["*"], "resources": ["*/scale"]}), "update deployments.apps d -n a", false),
        (json!({"verbs": ["update"], "apiGroups": ["*"], "resources": ["*/scale"]}), "update deployments.apps/status d -n a", false),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"]}), "get secrets s -n a", true),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"]}), "get secrets t -n a", false),
        (json!({"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"]}), "list secrets -n a", false),
        (json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}), "get /metrics", true),
        (json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}), "get /metrics/slis", false),
        (json!({"verbs": ["get"], "nonResourceURLs": ["/livez/*"]}), "get /livez/ping", true),
        (json!({"verbs": ["get"], "nonResourceURLs": ["/livez/*"]}), "get /livez", false),
        (json!({"verbs": ["get"], "nonResourceURLs": ["*"]}), "get /anything", true),
        (json!({"verbs": ["get"], "nonResourceURLs": ["*"]}), "put /anything", false),
        (json!({"verbs": ["get"], "apiGroups": null, "resources": ["pods"], "resourceNames": null}), "get pods x", false),
    ];
    for (rule, line, expected) in cases {
        assert_eq!(with_rules(&json!([rule.clone()])).allows(&user("u", &[]), &wants(line)), expected, "{rule} for {line}");
    }
}

#[test]
fn subjects_and_scopes_match_as_in_kubernetes() {
    let rules = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}]);
    let sa = |namespace: &str| json!({"kind": "ServiceAccount", "name": "robot", "namespace": namespace});
    let mut in_a = role("local", &rules);
    in_a["metadata"]["namespace"] = "a".into();
    let authz = rbac(vec![
        (ClusterRole, role("reader", &rules)),
        (Role, in_a),
        (ClusterRoleBinding, binding("all", "", ("ClusterRole", "reader"), &json!({"kind": "Group", "name": "auditors"}))),
        (ClusterRoleBinding, binding("robot", "", ("ClusterRole", "reader"), &sa("ci"))),
        (ClusterRoleBinding, binding("nowhere", "", ("ClusterRole", "reader"), &json!({"kind": "ServiceAccount", "name": "lost"}))),
        (RoleBinding, binding("one", "a", ("Role", "local"), &a_user("sam"))),
        (RoleBinding, binding("two", "b", ("ClusterRole", "reader"), &sa(""))),
        (RoleBinding, binding("three", "b", ("Role", "local"), &a_user("sam"))),
    ]);
    let may = |who: &str, groups: &[&str], line| authz.allows(&user(who, groups), &wants(line));
    assert!(may("x", &["auditors"], "get configmaps c -n z"));
    assert!(!may("auditors", &[], "get configmaps c -n z"), "a group is no user");
    assert!(may("system:serviceaccount:ci:robot", &[], "get configmaps c -n z"));
    assert!(may("system:serviceaccount:b:robot", &[], "get configmaps c -n b"), "its binding's namespace is the default");
    assert!(!may("system:serviceaccount:b:robot", &[], "get configmaps c -n a"));
    assert!(!may("system:serviceaccount::lost", &[], "get configmaps c -n a"));
    assert!(may("sam", &[], "get configmaps c -n a"));
    assert!(!may("sam", &[], "get configmaps c -n b"), "a Role of another namespace grants nothing");
    assert!(!may("sam", &[], "get configmaps c"), "a RoleBinding grants nothing at cluster scope");
    let decision = authz.decide(&user("sam", &[]), &wants("get configmaps c -n b"));
    assert_eq!(decision.reason, "RBAC: role.rbac.authorization.k8s.io \"local\" not found");
    let decision = authz.decide(&user("sam", &[]), &wants("get configmaps c -n a"));
    assert_eq!(decision.reason, "RBAC: allowed by RoleBinding \"one/a\" of Role \"local\" to User \"sam\"");
}

#[test]
fn refusals_read_exactly_as_kubernetes() {
    let authz = Authorization::new(vec![Mode::Rbac], Rbac::new());
    let cases = [
        ("list nodes", r#"nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" at the cluster scope"#),
        (
            "list deployments.apps -n y",
            r#"deployments.apps is forbidden: User "bob" cannot list resource "deployments" in API group "apps" in the namespace "y""#,
        ),
        (
            "get deployments.apps/status x -n y",
            r#"deployments.apps "x" is forbidden: User "bob" cannot get resource "deployments/status" in API group "apps" in the namespace "y""#,
        ),
        ("get /metrics", r#"forbidden: User "bob" cannot get path "/metrics""#),
    ];
    for (line, expected) in cases {
        let refused = authz.authorize(&user("bob", &[]), &wants(line)).unwrap_err();
        assert_eq!((refused.code, refused.reason, refused.message.as_str()), (403, "Forbidden", expected));
    }
    let refused = authz.authorize(&user("bob", &[]), &wants("get deployments.apps/status x -n y")).unwrap_err();
    assert_eq!(refused.details, json!({"name": "x", "group": "apps", "kind": "deployments"}));
    let markup = authz.authorize(&user("<b>&", &[]), &wants("get /")).unwrap_err();
    assert_eq!(markup.message, r#"forbidden: User "&lt;b&gt;&amp;" cannot get path "/""#);
}

#[test]
fn modes_are_asked_in_order_and_masters_never_refused() {
    let modes = |modes: &[Mode]| Authorization::new(modes.to_vec(), Rbac::new());
    let (bob, boss, any) = (user("bob", &[]), user("boss", &[MASTERS]), wants("delete namespaces default"));
    assert!(modes(&[Mode::Rbac, Mode::AlwaysAllow]).allows(&bob, &any));
    assert!(!modes(&[Mode::Rbac, Mode::AlwaysDeny]).allows(&bob, &any));
    assert!(modes(&[Mode::AlwaysDeny]).allows(&boss, &any));
    let refused = modes(&[Mode::AlwaysDeny]).authorize(&bob, &any).unwrap_err();
    assert!(refused.message.ends_with("at the cluster scope: Everything is forbidden."), "{}", refused.message);
    assert_eq!("RBAC".parse(), Ok(Mode::Rbac));
    assert!("Webhook".parse::<Mode>().unwrap_err().to_string().contains("`Webhook`"));
}

#[test]
fn changes_take_effect_and_untouched_parts_stay() {
    let rbac = Rbac::new();
    let rules = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}]);
    let may = |namespace: &str| {
        let line = format!("get secrets s -n {namespace}");
        Authorization::new(vec![Mode::Rbac], rbac.clone()).allows(&user("u", &[]), &wants(&line))
    };
    rbac.apply([Change::Put(RoleBinding, binding("b", "a", ("ClusterRole", "r"), &a_user("u")))]);
    assert!(!may("a"), "the role is not there yet");
    rbac.apply([Change::Put(ClusterRole, role("r", &rules))]);
    assert!(may("a") && !may("b"));
    rbac.apply([Change::Put(RoleBinding, binding("b", "b", ("ClusterRole", "r"), &a_user("u")))]);
    assert!(may("a") && may("b"));
    rbac.apply([Change::Deleted { kind: RoleBinding, namespace: "a".into(), name: "b".into() }]);
    assert!(!may("a") && may("b"));
    assert!(!rbac.synced());
    rbac.apply(RbacKind::ALL.map(|kind| Change::Replaced(kind, Vec::new())));
    assert!(!may("b") && rbac.synced(), "a list replaces what was there");
}

#[test]
fn aggregated_roles_follow_labels_through_each_other() {
    let part = |name: &str, to: &str, verb: &str| json!({"metadata": {"name": name, "labels": {"to": to}}, "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["x"]}]});
    let whole = |name: &str, labels: Value, from: &str| {
        json!({"metadata": {"name": name, "labels": labels}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": from}}]},
            "rules": [{"verbs": ["own"], "apiGroups": [""], "resources": ["x"]}]})
    };
    let mut roles = vec![
        part("p1", "view", "get"),
        part("p2", "edit", "update"),
        whole("view", json!({"to": "edit"}), "view"),
        whole("edit", json!({"to": "view"}), "edit"),
    ];
    let mut objects: Vec<_> = roles.iter().map(|r| (ClusterRole, r.clone())).collect();
    objects.push((ClusterRoleBinding, binding("b", "", ("ClusterRole", "edit"), &a_user("u"))));
    let authz = rbac(objects);
    let may = |line| authz.allows(&user("u", &[]), &wants(line));
    assert!(may("get x y") && may("update x y"), "a cycle of selectors is harmless");
    assert!(!may("own x y"), "rules of its own do not count");
    let outdated = aggregate::outdated(&roles);
    assert_eq!(outdated.len(), 2);
    roles.retain(|r| r.get("aggregationRule").is_none());
    roles.extend(outdated);
    assert_eq!(aggregate::outdated(&roles), Vec::<Value>::new(), "written back once is enough");
}

fn bootstrapped() -> Authorization {
    let mut objects = Vec::new();
    for write in bootstrap::plan(&[], &[]) {
        let Write::Create(kind, object) = write else { panic!("an empty store needs only creations") };
        objects.push((kind, object));
    }
    rbac(objects)
}

#[test]
fn the_bootstrap_roles_allow_what_they_say() {
    let authz = bootstrapped();
    let somebody = user("bob", &["system:authenticated"]);
    let may = |who: &UserInfo, line: &str| authz.allows(who, &wants(line));
    for line in ["get /api", "get /apis/apps/v1", "get /openapi/v3", "get /version", "create selfsubjectaccessreviews.authorization.k8s.io"]
    {
        assert!(may(&somebody, line), "{line}");
    }
    for line in ["get /metrics", "list namespaces", "get secrets s -n a", "create tokenreviews.authentication.k8s.io", "put /debug/flags/v"]
    {
        assert!(!may(&somebody, line), "{line}");
    }
    let nobody = user("system:anonymous", &["system:unauthenticated"]);
    assert!(may(&nobody, "get /healthz") && !may(&nobody, "get /api"));
    let manager = user("federation-controller-manager", &["system:authenticated"]);
    for line in [
        "watch clusters.federation",
        "update clusters.federation/status c",
        "patch propagationrecords.federation r",
        "update namespaces/finalize n",
        "update deployments.apps/status d -n a",
        "create leases.coordination.k8s.io -n federation-system",
        "create events -n a",
        "get /readyz",
    ] {
        assert!(may(&manager, line), "{line}");
    }
    for line in
        ["list clusterroles.rbac.authorization.k8s.io", "impersonate users x", "get /metrics", "update serviceaccounts/token x -n a"]
    {
        assert!(!may(&manager, line), "{line}");
    }
}

#[test]
fn admin_holds_edit_and_edit_holds_view() {
    let authz = bootstrapped();
    let rbac = authz.rbac();
    let rules = |name: &str| rbac.role_rules("ClusterRole", name, "").unwrap();
    let (admin, edit, view) = (rules("admin"), rules("edit"), rules("view"));
    assert_eq!(cover::missing(&admin, &edit), Ok(vec![]));
    assert_eq!(cover::missing(&edit, &view), Ok(vec![]));
    assert!(!cover::missing(&view, &edit).unwrap().is_empty() && !cover::missing(&edit, &admin).unwrap().is_empty());
    assert!(!view.iter().any(|r| r.resources.contains(&"secrets".to_owned())), "view must not read secrets");
}

#[test]
fn bootstrap_completes_what_was_taken_out_and_leaves_what_was_added() {
    let of = |kind, writes: Vec<Write>| -> Vec<Value> {
        let created = writes.into_iter().filter_map(|w| match w {
            Write::Create(k, object) if k == kind => Some(object),
            _ => None,
        });
        created.collect()
    };
    let mut roles = of(ClusterRole, bootstrap::plan(&[], &[]));
    let mut bindings = of(ClusterRoleBinding, bootstrap::plan(&[], &[]));
    assert_eq!(bootstrap::plan(&roles, &bindings), [], "a second start writes nothing");
    let find = |list: &mut Vec<Value>, name: &str| list.iter().position(|r| r["metadata"]["name"] == name).unwrap();
    let (basic, discovery, view) = (find(&mut roles, "system:basic-user"), find(&mut roles, "system:discovery"), find(&mut roles, "view"));
    let extra = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]});
    roles[basic]["rules"] = json!([extra]);
    roles[basic]["metadata"]["resourceVersion"] = "7".into();
    roles[discovery]["rules"] = json!([]);
    roles[discovery]["metadata"]["annotations"][AUTO_UPDATE] = "false".into();
    roles[view]["aggregationRule"]["clusterRoleSelectors"][0] = json!({"matchLabels": {"mine": "yes"}});
    let admin = find(&mut bindings, "cluster-admin");
    bindings[admin]["subjects"] = json!([a_user("root")]);
    let monitoring = find(&mut bindings, "system:monitoring");
    bindings[monitoring]["roleRef"]["name"] = "cluster-admin".into();
    let writes = bootstrap::plan(&roles, &bindings);
    let updated = |name: &str| {
        writes.iter().find_map(|w| match w {
            Write::Update(_, o) if o["metadata"]["name"] == name => Some(o),
            _ => None,
        })
    };
    let fixed = updated("system:basic-user").unwrap();
    assert_eq!(fixed["rules"][0], extra);
    assert!(fixed["rules"].as_array().unwrap().len() > 1);
    assert_eq!(fixed["metadata"]["resourceVersion"], "7");
    assert_eq!(updated("system:discovery"), None, "people said to leave it");
    assert_eq!(updated("view").unwrap()["aggregationRule"]["clusterRoleSelectors"].as_array().unwrap().len(), 2);
    let subjects = updated("cluster-admin").unwrap()["subjects"].as_array().unwrap().clone();
    assert_eq!(subjects.iter().map(|s| s["name"].as_str().unwrap()).collect::<Vec<_>>(), ["root", MASTERS]);
    assert!(writes.iter().any(|w| matches!(w, Write::Replace(ClusterRoleBinding, b) if b["metadata"]["name"] == "system:monitoring")));
}

#[test]
fn the_bootstrap_objects_are_these() {
    let object = |w: Write| match w {
        Write::Create(_, object) | Write::Update(_, object) | Write::Replace(_, object) => object,
    };
    let objects: Vec<Value> = bootstrap::plan(&[], &[]).into_iter().map(object).collect();
    insta::assert_snapshot!(objects.iter().map(summary).collect::<Vec<_>>().join("\n"));
}

/// Name, labels and rules or subjects of an object, a line each.
fn summary(object: &Value) -> String {
    let mut out = format!("{} {}\n", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
    if let Some(rule) = object.get("aggregationRule") {
        out += &format!("  aggregates {rule}\n");
    }
    for rule in object["rules"].as_array().into_iter().flatten() {
        out += &format!("  {}\n", serde_json::from_value::<rule::Rule>(rule.clone()).unwrap().compact());
    }
    for subject in object["subjects"].as_array().into_iter().flatten() {
        out += &format!("  {} {}\n", subject["kind"].as_str().unwrap(), subject["name"].as_str().unwrap());
    }
    out
}

#[test]
fn nobody_grants_more_than_they_have() {
    let everything = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
    let secrets = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]}]);
    let authz = rbac(vec![
        (ClusterRole, role("all", &everything)),
        (ClusterRole, role("reader", &secrets)),
        (
            ClusterRole,
            role(
                "granter",
                &json!([{"verbs": ["bind"], "apiGroups": [object::GROUP], "resources": ["clusterroles"], "resourceNames": ["all"]}]),
            ),
        ),
        (RoleBinding, binding("b", "a", ("ClusterRole", "reader"), &a_user("sam"))),
        (ClusterRoleBinding, binding("g", "", ("ClusterRole", "granter"), &a_user("binder"))),
    ]);
    let local = |rules: &Value| json!({"metadata": {"name": "new", "namespace": "a"}, "rules": rules});
    let (sam, binder, boss) = (user("sam", &["g"]), user("binder", &[]), user("boss", &[MASTERS]));
    assert_eq!(escalation::check(&authz, &sam, Role, &local(&secrets), None), Ok(()));
    let refused = escalation::check(&authz, &sam, Role, &local(&everything), None).unwrap_err();
    let expected = "roles.rbac.authorization.k8s.io \"new\" is forbidden: user \"sam\" (groups=[\"g\"]) is attempting to grant RBAC \
                    permissions not currently held:\n{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}";
    assert_eq!((refused.code, refused.message.as_str()), (403, expected));
    assert_eq!(escalation::check(&authz, &boss, Role, &local(&everything), None), Ok(()));
    let labelled = |o: Value| json!({"metadata": {"name": "new", "namespace": "a", "labels": {"x": "y"}}, "rules": o["rules"]});
    let old = local(&everything);
    assert_eq!(escalation::check(&authz, &sam, Role, &labelled(old.clone()), Some(&old)).unwrap_err().code, 403, "labels may hand it on");
    let mut dying = old.clone();
    dying["metadata"]["finalizers"] = json!(["example.com/wait"]);
    assert_eq!(escalation::check(&authz, &sam, Role, &dying, Some(&old)), Ok(()), "what garbage collection needs");
    let mut odd = old.clone();
    odd["rules"][0]["verbs"] = json!(["get", 1]);
    assert_eq!(escalation::check(&authz, &boss, Role, &odd, Some(&old)).unwrap_err().code, 400, "what does not fit is not no rules");

    let bind = |role: &str| binding("new", "a", ("ClusterRole", role), &a_user("friend"));
    assert_eq!(escalation::check(&authz, &sam, RoleBinding, &bind("reader"), None), Ok(()));
    assert_eq!(escalation::check(&authz, &sam, RoleBinding, &bind("all"), None).unwrap_err().code, 403);
    assert_eq!(escalation::check(&authz, &binder, RoleBinding, &bind("all"), None), Ok(()));
    assert_eq!(escalation::check(&authz, &binder, RoleBinding, &bind("reader"), None).unwrap_err().code, 403);
    assert_eq!(escalation::check(&authz, &sam, RoleBinding, &bind("nonesuch"), None).unwrap_err().code, 404);
    let aggregated = json!({"metadata": {"name": "new"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    assert_eq!(escalation::check(&authz, &sam, ClusterRole, &aggregated, None).unwrap_err().code, 403);
    assert_eq!(escalation::check(&authz, &boss, ClusterRole, &aggregated, None), Ok(()));
}

fn words(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(proptest::sample::select(of).prop_map(str::to_owned), 0..3)
}

fn any_rule() -> impl Strategy<Value = rule::Rule> {
    let groups = words(&["", "apps", "*"]);
    let resources = words(&["pods", "pods/scale", "*/scale", "*"]);
    (words(&["get", "list", "*"]), groups, resources, words(&["a", "b"]), words(&["/x", "/x/*", "*"])).prop_map(
        |(verbs, api_groups, resources, resource_names, non_resource_urls)| rule::Rule {
            verbs,
            api_groups,
            resources,
            resource_names,
            non_resource_urls,
        },
    )
}

fn any_request() -> impl Strategy<Value = Attributes> {
    let verb = proptest::sample::select(&["get", "list", "watch"][..]);
    let what = proptest::sample::select(&["pods", "pods/scale", "pods.apps", "nodes.apps/scale", "/x", "/x/y"][..]);
    let name = proptest::sample::select(&["", "a", "b", "c"][..]);
    (verb, what, name).prop_map(|(verb, what, name)| wants(&format!("{verb} {what} {name}")))
}

proptest! {
    #[test]
    fn adding_a_rule_never_removes_a_permission(
        rules in proptest::collection::vec(any_rule(), 0..4), added in any_rule(), request in any_request(), at in 0usize..5,
    ) {
        let before = with_rules(&json!(rules)).allows(&user("u", &[]), &request);
        let mut more = rules;
        more.insert(at.min(more.len()), added);
        let after = with_rules(&json!(more)).allows(&user("u", &[]), &request);
        prop_assert!(!before || after);
    }

    #[test]
    fn rules_that_are_covered_allow_nothing_more(
        held in proptest::collection::vec(any_rule(), 0..4), wanted in any_rule(), request in any_request(),
    ) {
        let covered = cover::missing(&held, std::slice::from_ref(&wanted)).unwrap().is_empty();
        if covered && wanted.allows(&request) {
            prop_assert!(held.iter().any(|r| r.allows(&request)), "{held:?} covers {wanted:?} but refuses {request:?}");
        }
    }

    #[test]
    fn what_is_missing_completes(held in proptest::collection::vec(any_rule(), 0..4), wanted in any_rule()) {
        let lacking = cover::missing(&held, std::slice::from_ref(&wanted)).unwrap();
        let lacking = cover::divided(&lacking, usize::MAX).unwrap();
        let all: Vec<rule::Rule> = held.into_iter().chain(lacking).collect();
        prop_assert_eq!(cover::missing(&all, &[wanted]), Ok(vec![]));
    }
}
