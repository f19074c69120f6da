use serde_json::{Value, json};

use super::super::{Gvk, Types, conform, default, validate, validate_update};

fn prepare(gvk: &Gvk, mut object: Value) -> Value {
    let types = Types::builtin();
    let id = types.kind(&gvk.group, &gvk.version, &gvk.kind).unwrap();
    assert_eq!(conform(types, id, &mut object), Default::default());
    default(types, gvk, &mut object);
    object
}

fn check(gvk: &Gvk, object: Value) -> Vec<String> {
    let errors = validate(Types::builtin(), gvk, &prepare(gvk, object));
    errors.iter().map(|e| format!("{}: {}", e.field, e.message())).collect()
}

fn change(gvk: &Gvk, old: Value, patch: Value) -> Vec<String> {
    let old = prepare(gvk, old);
    let new = with(old.clone(), patch);
    validate_update(gvk, &prepare(gvk, new), &old).iter().map(|e| format!("{}: {}", e.field, e.detail)).collect()
}

fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch,
    }
}

fn deployment() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "busybox"}]}}}})
}

fn with(mut object: Value, patch: Value) -> Value {
    merge(&mut object, patch);
    object
}

fn deployments() -> Gvk {
    Gvk::new("apps", "v1", "Deployment")
}

#[test]
fn a_deployment_needs_a_selector_that_matches_and_containers() {
    assert_eq!(check(&deployments(), deployment()), Vec::<String>::new());
    assert_eq!(
        check(&deployments(), json!({"spec": {}})),
        [
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
            "spec.template.spec.containers: Required value"
        ]
    );
    assert_eq!(
        check(&deployments(), with(deployment(), json!({"spec": {"selector": {"matchLabels": {"app": "db"}}, "replicas": -1}}))),
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"
        ]
    );
}

#[test]
fn containers_have_names_images_and_ports_that_fit() {
    let containers = json!([
        {"name": "a"},
        {"image": "i", "ports": [{"containerPort": 0}, {"containerPort": 70000, "name": "--"}]},
        {"name": "a", "image": "i", "volumeMounts": [{"name": "none", "mountPath": "/x"}], "livenessProbe": {}},
    ]);
    let found = check(&deployments(), with(deployment(), json!({"spec": {"template": {"spec": {"containers": containers}}}})));
    insta::assert_snapshot!("containers", found.join("\n"));
}

#[test]
fn selectors_of_workloads_never_change() {
    let labels = json!({"app": "web", "x": "y"});
    let patch = json!({"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}});
    assert_eq!(change(&deployments(), deployment(), patch), ["spec.selector: field is immutable"]);
    assert!(change(&deployments(), deployment(), json!({"spec": {"replicas": 3}})).is_empty());
}

#[test]
fn services_have_ports_with_names_when_several() {
    let gvk = Gvk::new("", "v1", "Service");
    assert!(check(&gvk, json!({"spec": {"ports": [{"port": 80}]}})).is_empty());
    assert_eq!(check(&gvk, json!({"spec": {}})), ["spec.ports: Required value"]);
    assert!(check(&gvk, json!({"spec": {"clusterIP": "None"}})).is_empty());
    assert!(check(&gvk, json!({"spec": {"type": "ExternalName", "externalName": "a.b."}})).is_empty());
    let found = check(
        &gvk,
        json!({"spec": {"type": "Foo", "ports": [{"port": 0}, {"port": 80, "name": "b"}, {"port": 80, "name": "b", "nodePort": 1}]}}),
    );
    insta::assert_snapshot!("service", found.join("\n"));
    let old = json!({"spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}});
    assert_eq!(change(&gvk, old, json!({"spec": {"clusterIP": "10.0.0.2"}})), ["spec.clusterIPs[0]: may not change once set"]);
}

#[test]
fn configmaps_and_secrets_hold_their_keys_and_promises() {
    let (maps, secrets) = (Gvk::new("", "v1", "ConfigMap"), Gvk::new("", "v1", "Secret"));
    assert!(check(&maps, json!({"data": {"a.b_c-D": "x"}})).is_empty());
    assert_eq!(check(&maps, json!({"data": {"a/b": "x", "..": "x"}})).len(), 2);
    let big = "x".repeat(1024 * 1024 + 1);
    assert!(check(&maps, json!({"data": {"a": big}}))[0].contains("Too long: may not be more than 1048576 bytes"));
    assert_eq!(check(&secrets, json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}})), ["data[tls.key]: Required value"]);
    let frozen = json!({"immutable": true, "data": {"a": "x"}});
    assert_eq!(change(&maps, frozen.clone(), json!({"data": {"a": "y"}})), ["data: field is immutable when `immutable` is set"]);
    assert!(change(&maps, frozen, json!({"metadata": {"labels": {"a": "b"}}})).is_empty());
    assert_eq!(change(&secrets, json!({}), json!({"type": "mine"})), ["type: field is immutable"]);
}

#[test]
fn jobs_keep_what_they_were_created_with() {
    let gvk = Gvk::new("batch", "v1", "Job");
    let job = json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}});
    assert!(check(&gvk, job.clone()).is_empty());
    let always = with(job.clone(), json!({"spec": {"template": {"spec": {"restartPolicy": "Always"}}}}));
    assert_eq!(check(&gvk, always), ["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""]);
    assert_eq!(change(&gvk, job.clone(), json!({"spec": {"completions": 3}})), ["spec.completions: field is immutable"]);
    assert!(change(&gvk, job.clone(), json!({"spec": {"parallelism": 3, "suspend": true}})).is_empty());
    let mut made = with(job, json!({"metadata": {"name": "j", "uid": "u"}}));
    super::batch::generate_selector(&mut made);
    assert_eq!(made["spec"]["selector"]["matchLabels"], json!({"batch.kubernetes.io/controller-uid": "u"}));
    assert!(check(&gvk, made).is_empty());
}

#[test]
fn the_other_kinds_have_their_rules() {
    let cases = [
        (Gvk::new("federation", "v1beta1", "Cluster"), json!({"spec": {}})),
        (
            Gvk::new("federation", "v1beta1", "Cluster"),
            json!({"spec": {"serverAddressByClientCIDRs": [
            {"clientCIDR": "bad"}, {"clientCIDR": "10.0.0.0/8"}, {"clientCIDR": ""}, {"clientCIDR": "1.2.3.4/33"}]}}),
        ),
        (Gvk::new("autoscaling", "v2", "HorizontalPodAutoscaler"), json!({"spec": {"scaleTargetRef": {"kind": "Deployment"}}})),
        (Gvk::new("networking.k8s.io", "v1", "Ingress"), json!({"spec": {}})),
        (
            Gvk::new("networking.k8s.io", "v1", "Ingress"),
            json!({"spec": {"rules": [{"host": "*.a.b", "http": {"paths": [
            {"path": "x", "pathType": "Prefix", "backend": {"service": {"name": "s"}}}, {"backend": {}}]}}]}}),
        ),
        (
            Gvk::new("rbac.authorization.k8s.io", "v1", "Role"),
            json!({"rules": [{"resources": ["pods"]}, {"verbs": ["get"], "nonResourceURLs": ["/"]}]}),
        ),
        (
            Gvk::new("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"),
            json!({"roleRef": {"kind": "Role", "name": "a"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}, {"kind": "Dog", "name": "d"}]}),
        ),
        (Gvk::new("coordination.k8s.io", "v1", "Lease"), json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}})),
        (Gvk::new("authorization.k8s.io", "v1", "SubjectAccessReview"), json!({"kind": "SubjectAccessReview", "spec": {}})),
        (Gvk::new("", "v1", "Event"), json!({"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "b"}})),
    ];
    let mut out = String::new();
    for (gvk, object) in cases {
        out += &format!("{} {object}\n", gvk.kind);
        check(&gvk, object).iter().for_each(|e| out += &format!("    {e}\n"));
    }
    insta::assert_snapshot!("other_kinds", out);
}

#[test]
fn issue8_a_claim_keeps_its_spec_and_grows_once_it_is_bound() {
    let gvk = Gvk::new("", "v1", "PersistentVolumeClaim");
    let claim =
        json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(check(&gvk, claim.clone()), Vec::<String>::new());
    assert_eq!(
        check(&gvk, json!({"spec": {"accessModes": ["Sometimes"], "resources": {"requests": {"storage": "0"}}, "volumeMode": "Tape"}})),
        [
            "spec.accessModes: Unsupported value: \"Sometimes\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
            "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\""
        ]
    );
    assert_eq!(
        check(&gvk, json!({"spec": {}})),
        ["spec.accessModes: Required value: at least 1 access mode is required", "spec.resources[storage]: Required value"]
    );
    let size = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
    let kept = "spec: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
    assert_eq!(change(&gvk, claim.clone(), size("2Gi")), [kept]);
    let bound = with(claim.clone(), json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}));
    assert_eq!(change(&gvk, bound.clone(), size("2Gi")), Vec::<String>::new());
    assert_eq!(change(&gvk, bound.clone(), size("1Mi")), ["spec.resources.requests.storage: field can not be less than status.capacity"]);
    assert_eq!(change(&gvk, bound, json!({"spec": {"accessModes": ["ReadWriteMany"]}})), [kept]);
    // What says where it lies is given once.
    assert_eq!(change(&gvk, claim.clone(), json!({"spec": {"volumeName": "a", "storageClassName": "fast"}})), Vec::<String>::new());
    let given = with(claim, json!({"spec": {"volumeName": "a", "storageClassName": "fast"}}));
    assert_eq!(change(&gvk, given, json!({"spec": {"volumeName": "b"}})), [kept]);
}

#[test]
fn issue8_a_budget_says_one_of_two_things() {
    let gvk = Gvk::new("policy", "v1", "PodDisruptionBudget");
    let budget = |spec: Value| check(&gvk, json!({"metadata": {"name": "web"}, "spec": spec}));
    assert_eq!(budget(json!({"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}})), Vec::<String>::new());
    assert_eq!(
        budget(json!({"minAvailable": "150%", "maxUnavailable": -1})),
        [
            "spec: Invalid value: {\"maxUnavailable\":-1,\"minAvailable\":\"150%\"}: minAvailable and maxUnavailable cannot be both set",
            "spec.minAvailable: Invalid value: \"150%\": must not be greater than 100%",
            "spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0"
        ]
    );
    assert_eq!(
        budget(json!({"maxUnavailable": "half"})),
        ["spec.maxUnavailable: Invalid value: \"half\": must be a number, or digits and '%' such as 25%"]
    );
}

#[test]
fn issue8_a_network_policy_names_peers_and_ports() {
    let gvk = Gvk::new("networking.k8s.io", "v1", "NetworkPolicy");
    let policy = |spec: Value| check(&gvk, json!({"metadata": {"name": "wall"}, "spec": spec}));
    let block =
        |cidr: &str, except: &[&str]| json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": cidr, "except": except}}]}]});
    assert_eq!(policy(block("10.0.0.0/8", &["10.1.0.0/16"])), Vec::<String>::new());
    assert_eq!(policy(block("::/0", &["2001:db8::/64"])), Vec::<String>::new());
    let path = "spec.ingress[0].from[0]";
    assert_eq!(
        policy(block("10.0.0.0/8", &["10.0.0.0/8", "11.0.0.0/16"])),
        [
            format!("{path}.ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`"),
            format!("{path}.ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`")
        ]
    );
    assert_eq!(policy(json!({"podSelector": {}, "ingress": [{"from": [{}]}]})), [format!("{path}: Required value: must specify a peer")]);
    assert_eq!(
        policy(json!({"podSelector": {}, "egress": [{"ports": [{"endPort": 2}, {"port": 80, "endPort": 79, "protocol": "ICMP"}]}]})),
        [
            "spec.egress[0].ports[0].endPort: Invalid value: 2: may not be specified when `port` is not specified",
            "spec.egress[0].ports[1].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
            "spec.egress[0].ports[1].endPort: Invalid value: 80: must be greater than or equal to `port`"
        ]
    );
}

#[test]
fn issue8_the_claims_of_a_stateful_set_are_volumes_of_its_pods() {
    let gvk = Gvk::new("apps", "v1", "StatefulSet");
    let mounts = json!([{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}]);
    let claim = |size: &str| json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}]);
    let set = |claims: Value| {
        let mut set = deployment();
        set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mounts.clone();
        // One of a claim's name is taken by the claim.
        set["spec"]["template"]["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]);
        with(set, json!({"spec": {"serviceName": "db", "volumeClaimTemplates": claims}}))
    };
    assert_eq!(check(&gvk, set(claim("1Gi"))), Vec::<String>::new());
    assert_eq!(
        check(&gvk, set(claim("0"))),
        ["spec.volumeClaimTemplates[0].spec.resources[storage]: Invalid value: \"0\": must be greater than zero"]
    );
    let mut other = set(claim("1Gi"));
    other["spec"]["template"]["spec"]["volumes"] = Value::Null;
    let missing = "spec.template.spec.containers[0].volumeMounts[1].name: Not found: \"tmp\"";
    assert_eq!(check(&gvk, other.clone()), [missing]);
    let wrong = json!({"spec": {"podManagementPolicy": "Some", "updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}});
    assert_eq!(
        check(&gvk, with(other, wrong)),
        [
            "spec.podManagementPolicy: Invalid value: \"Some\": must be 'OrderedReady' or 'Parallel'",
            "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'",
            missing
        ]
    );
}
