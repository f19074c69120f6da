use serde_json::{Value, json};

use super::*;

/// 2026-01-02T00:00:00Z.
const NOW: i64 = 1_767_312_000;

/// The table of some objects.
fn table(columns: &Columns, objects: &[Value], include: IncludeObject, meta: ListMeta<'_>) -> Value {
    let mut out = open_table(Some(columns), meta).into_bytes();
    for (i, object) in objects.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let metadata = object.get("metadata").unwrap_or(&Value::Null).to_string();
        let object_text = object.to_string();
        let shown = Shown { object: object_text.as_bytes(), metadata: metadata.as_bytes() };
        shown.row(&Cells::of(columns, object), include, NOW, &mut out);
    }
    out.extend_from_slice(CLOSE);
    serde_json::from_slice(&out).expect("JSON")
}

/// The table as kubectl prints it, wide columns included.
fn print(group: &str, kind: &str, objects: &[Value]) -> String {
    let table = table(&columns_for(group, kind), objects, IncludeObject::None, ListMeta::default());
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let head: Vec<String> = table["columnDefinitions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| format!("{}{}", text(&c["name"]).to_uppercase(), if c["priority"] == 1 { "*" } else { "" }))
        .collect();
    let rows = table["rows"].as_array().expect("a list").iter();
    let mut lines = vec![head.join(" | ")];
    lines.extend(rows.map(|r| r["cells"].as_array().expect("a list").iter().map(text).collect::<Vec<_>>().join(" | ")));
    lines.join("\n")
}

fn meta(name: &str) -> Value {
    json!({"name": name, "creationTimestamp": "2026-01-01T21:58:00Z"})
}

fn pod_spec() -> Value {
    json!({"containers": [{"name": "web", "image": "nginx:1"}, {"name": "log", "image": "busybox"}]})
}

#[test]
fn durations_read_as_kubectl_writes_them() {
    let cases = [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (659, "10m"),
        (10_800, "3h"),
        (11_100, "3h5m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (475_200, "5d12h"),
        (691_200, "8d"),
        (62_000_000, "717d"),
        (63_072_000, "2y"),
        (66_000_000, "2y33d"),
        (252_288_000, "8y"),
        (i64::MAX, "292471208677y"),
    ];
    for (seconds, want) in cases {
        assert_eq!(human_duration(seconds), want, "{seconds}");
    }
}

#[test]
fn core_kinds() {
    let mut out = vec![
        print("", "Namespace", &[json!({"metadata": meta("default"), "status": {"phase": "Active"}})]),
        print(
            "",
            "ConfigMap",
            &[json!({"metadata": meta("c"), "data": {"a": "1"}, "binaryData": {"b": "eA=="}}), json!({"metadata": {"name": "empty"}})],
        ),
        print("", "Secret", &[json!({"metadata": meta("s"), "type": "Opaque", "data": {"a": "eA=="}})]),
        print("", "ServiceAccount", &[json!({"metadata": meta("sa")})]),
        print("whatever.io", "Thing", &[json!({"metadata": meta("x")})]),
    ];
    out.push(print("", "Service", &[
        json!({"metadata": meta("plain"), "spec": {"type": "ClusterIP", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "protocol": "TCP"}]}}),
        json!({"metadata": meta("lb"), "spec": {"type": "LoadBalancer", "selector": {"app": "web", "b": "c"}, "externalIPs": ["9.9.9.9"],
            "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "a.example"}]}}}),
        json!({"metadata": meta("waiting"), "spec": {"type": "LoadBalancer"}}),
        json!({"metadata": meta("name"), "spec": {"type": "ExternalName", "externalName": "x.example"}}),
    ]));
    out.push(print("", "Endpoints", &[
        json!({"metadata": meta("e"), "subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 81}]}]}),
        json!({"metadata": meta("none")}),
    ]));
    out.push(print("discovery.k8s.io", "EndpointSlice", &[
        json!({"metadata": meta("s"), "addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}], "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"]}]}),
        json!({"metadata": meta("none"), "addressType": "IPv4", "ports": null, "endpoints": []}),
    ]));
    out.push(print("", "Event", &[
        json!({"metadata": meta("old"), "type": "Normal", "reason": "Created", "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec"},
            "source": {"component": "kubelet", "host": "n1"}, "message": " made it\n", "firstTimestamp": "2026-01-01T23:00:00Z",
            "lastTimestamp": "2026-01-01T23:59:30Z", "count": 4}),
        json!({"metadata": meta("new"), "type": "Warning", "reason": "Failed", "regarding": {"kind": "Job"}, "note": "no", "reportingController": "c",
            "eventTime": "2026-01-01T23:59:00.000000Z"}),
    ]));
    out.push(print(
        "",
        "PersistentVolumeClaim",
        &[json!({"metadata": meta("pvc"), "spec": {"volumeName": "pv", "storageClassName": "fast"},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}})],
    ));
    insta::assert_snapshot!(out.join("\n\n"));
}

#[test]
fn workloads() {
    let spec = || json!({"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": pod_spec()}});
    let out = [
        print(
            "apps",
            "Deployment",
            &[
                json!({"metadata": meta("d"), "spec": spec(), "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}}),
                json!({"metadata": meta("fresh"), "spec": {"replicas": 0}}),
            ],
        ),
        print("apps", "ReplicaSet", &[json!({"metadata": meta("rs"), "spec": spec(), "status": {"replicas": 3, "readyReplicas": 2}})]),
        print(
            "apps",
            "DaemonSet",
            &[json!({"metadata": meta("ds"), "spec": {"template": {"spec": {"nodeSelector": {"os": "linux"}}}},
            "status": {"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberReady": 1}})],
        ),
        print("apps", "StatefulSet", &[json!({"metadata": meta("ss"), "spec": spec(), "status": {"readyReplicas": 1}})]),
        print(
            "batch",
            "Job",
            &[
                json!({"metadata": meta("done"), "spec": {"completions": 2}, "status": {"succeeded": 2, "startTime": "2026-01-01T23:00:00Z",
                "completionTime": "2026-01-01T23:01:05Z", "conditions": [{"type": "Complete", "status": "True"}]}}),
                json!({"metadata": meta("going"), "spec": {"parallelism": 4}, "status": {"startTime": "2026-01-01T23:59:00Z"}}),
            ],
        ),
        print(
            "batch",
            "CronJob",
            &[json!({"metadata": meta("cj"), "spec": {"schedule": "@daily", "suspend": false},
            "status": {"active": [{}], "lastScheduleTime": "2026-01-01T23:00:00Z"}})],
        ),
        print(
            "autoscaling",
            "HorizontalPodAutoscaler",
            &[json!({"metadata": meta("hpa"), "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "maxReplicas": 9, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
            {"type": "External", "external": {"target": {"averageValue": "5"}}}, {"type": "Pods"}]},
            "status": {"currentReplicas": 2, "currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 41}}}]}})],
        ),
    ];
    insta::assert_snapshot!(out.join("\n\n"));
}

#[test]
fn pods_and_nodes() {
    let ready =
        |name: &str, state: Value| json!({"name": name, "ready": state.get("running").is_some(), "restartCount": 1, "state": state});
    let out = [
        print(
            "",
            "Pod",
            &[
                json!({"metadata": meta("fine"), "spec": pod_spec(), "status": {"phase": "Running", "podIPs": [{"ip": "10.1.1.1"}],
                "containerStatuses": [ready("web", json!({"running": {}})), ready("log", json!({"running": {}}))]}}),
                json!({"metadata": meta("crash"), "spec": pod_spec(), "status": {"phase": "Running", "containerStatuses": [{"name": "web",
                "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"finishedAt": "2026-01-01T23:58:00Z"}}}]}}),
                json!({"metadata": meta("init"), "spec": {"containers": [{}], "initContainers": [{"name": "a"}, {"name": "b"}]},
                "status": {"phase": "Pending", "initContainerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 0}}}, {"name": "b", "state": {"running": {}}}]}}),
                json!({"metadata": {"name": "going", "deletionTimestamp": "2026-01-01T23:58:00Z"}, "spec": pod_spec(), "status": {"phase": "Running"}}),
                json!({"metadata": meta("done"), "spec": pod_spec(), "status": {"phase": "Succeeded",
                "containerStatuses": [{"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]}}),
            ],
        ),
        print(
            "",
            "Node",
            &[
                json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "worker"}},
                "spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1.36.3", "kernelVersion": "6.1", "architecture": "amd64", "osImage": "Debian"}}}),
                json!({"metadata": meta("new")}),
            ],
        ),
    ];
    insta::assert_snapshot!(out.join("\n\n"));
}

#[test]
fn networking_rbac_and_our_own_kinds() {
    let out = [
        print(
            "networking.k8s.io",
            "Ingress",
            &[
                json!({"metadata": meta("i"), "spec": {"ingressClassName": "nginx", "tls": [{}], "rules": [{"host": "a.example"}, {"host": "b.example"}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}),
                json!({"metadata": meta("any"), "spec": {"rules": [{}]}}),
            ],
        ),
        print("rbac.authorization.k8s.io", "ClusterRole", &[json!({"metadata": meta("admin")})]),
        print(
            "rbac.authorization.k8s.io",
            "RoleBinding",
            &[json!({"metadata": meta("rb"), "roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "sa", "namespace": "ns"}, {"kind": "User", "name": "joe"}]})],
        ),
        print("coordination.k8s.io", "Lease", &[json!({"metadata": meta("l"), "spec": {"holderIdentity": "me"}})]),
        print(
            "federation",
            "Cluster",
            &[
                json!({"metadata": meta("gondor"), "status": {"conditions": [{"type": "Ready", "status": "True"}], "region": "south", "zones": ["a", "b"]}}),
                json!({"metadata": meta("rohan"), "status": {"conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "Offline", "status": "True"}]}}),
                json!({"metadata": meta("new")}),
            ],
        ),
        print(
            "federation",
            "Credential",
            &[
                json!({"metadata": meta("certificate-1f"), "spec": {"type": "Certificate", "user": "frodo", "groups": ["hobbits", "bearers"],
                    "issuedBy": "gandalf", "notAfter": "2026-01-01T00:00:00Z"}, "status": {"revoked": {"reason": "laptop lost"},
                    "lastUsed": {"time": "2025-12-31T00:00:00Z", "address": "192.0.2.1"}}}),
                json!({"metadata": meta("token-1"), "spec": {"type": "Token", "user": "system:serviceaccount:shire:sam"}}),
            ],
        ),
        print(
            "federation",
            "PropagationRecord",
            &[json!({"metadata": meta("uid"), "spec": {
            "object": {"group": "apps", "version": "v1", "resource": "deployments", "namespace": "default", "name": "web"},
            "clusters": {"gondor": {"state": "Applied"}, "rohan": {"state": "Failed"}}}})],
        ),
    ];
    insta::assert_snapshot!(out.join("\n\n"));
}

#[test]
fn rows_carry_what_was_asked_for() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": "u"}, "data": {"a": "b"}});
    let meta = ListMeta { resource_version: "7", continue_token: "next", remaining: Some(3) };
    let row = |include| table(&columns_for("", "ConfigMap"), std::slice::from_ref(&object), include, meta)["rows"][0].clone();
    assert_eq!(row(IncludeObject::None).get("object"), None);
    assert_eq!(row(IncludeObject::Object)["object"], object);
    let partial = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "c", "uid": "u"}});
    assert_eq!(row(IncludeObject::Metadata)["object"], partial);
    let list: Value = serde_json::from_str(&format!("{}]}}", open_metadata_list(meta))).expect("JSON");
    assert_eq!(list["metadata"], json!({"resourceVersion": "7", "continue": "next", "remainingItemCount": 3}));
    let unknown = IncludeObject::parse(Some("All")).unwrap_err();
    assert_eq!(unknown.to_string(), "unrecognized includeObject value: \"All\"");
}

proptest::proptest! {
    #[test]
    fn no_object_makes_a_cell_panic(object in crate::patch::arbitrary::any_json(), spec in crate::patch::arbitrary::any_json()) {
        let odd = json!({"metadata": object, "spec": spec, "status": object, "subsets": spec});
        for (group, kind) in [("", "Pod"), ("", "Service"), ("autoscaling", "HorizontalPodAutoscaler"), ("", "Event"), ("batch", "Job"), ("federation", "Cluster")] {
            table(&columns_for(group, kind), &[object.clone(), odd.clone()], IncludeObject::Metadata, ListMeta::default());
        }
    }
}

/// Columns whose cells depend on the time of the request; `Restarts` does so in parentheses.
const CLOCKS: [&str; 5] = ["Age", "Last Seen", "First Seen", "Duration", "Last Schedule"];

#[test]
fn our_tables_are_those_of_kube_apiserver() {
    let recording: Value = serde_json::from_str(include_str!("recorded/tables.json")).expect("our own recording");
    let mut problems = Vec::new();
    for theirs in recording["tables"].as_array().expect("a list") {
        let (group, kind) = (theirs["group"].as_str().expect("text"), theirs["kind"].as_str().expect("text"));
        let objects: Vec<Value> = theirs["rows"].as_array().expect("a list").iter().map(|r| r["object"].clone()).collect();
        let ours = table(&columns_for(group, kind), &objects, IncludeObject::None, ListMeta::default());
        let definitions = ours["columnDefinitions"].as_array().expect("a list");
        let wanted = theirs["columns"].as_array().expect("a list");
        if definitions.len() != wanted.len() {
            problems.push(format!("{group}/{kind}: {} columns instead of {}", definitions.len(), wanted.len()));
            continue;
        }
        for (i, (ours_def, wanted)) in definitions.iter().zip(wanted).enumerate() {
            if ["name", "type", "format", "priority"].iter().any(|k| ours_def[k] != wanted[k]) {
                problems.push(format!("{group}/{kind}: column {ours_def} instead of {wanted}"));
            }
            let name = wanted["name"].as_str().expect("text");
            if CLOCKS.contains(&name) {
                continue;
            }
            for (our_row, their_row) in ours["rows"].as_array().expect("a list").iter().zip(theirs["rows"].as_array().expect("a list")) {
                let cut = |v: &Value| v.as_str().map_or_else(|| v.clone(), |s| s.split(" (").next().unwrap_or_default().into());
                let (a, b) = (&our_row["cells"][i], &their_row["cells"][i]);
                if (name == "Restarts" && cut(a) != cut(b)) || (name != "Restarts" && a != b) {
                    problems.push(format!("{group}/{kind} {}: {name} is {a} instead of {b}", their_row["object"]["metadata"]["name"]));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
