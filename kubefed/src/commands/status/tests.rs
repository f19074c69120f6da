use std::time::{Duration, Instant};

use federation_api::cluster::{ClusterCondition, ClusterStatus};
use federation_api::keys;
use federation_api::record::{ClusterRecord, ObjectRef, PropagationRecordSpec, State};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::report::{Component, Leader, Report, Seen, Server, Tally, Warning};
use crate::up::realm::{Realm, apply};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record(name: &str, parts: &[(&str, State, &str)]) -> PropagationRecordSpec {
    let part = |state, reason: &str| ClusterRecord {
        desired: "1".into(),
        applied: "1".into(),
        state,
        reason: reason.into(),
        ..ClusterRecord::default()
    };
    PropagationRecordSpec {
        object: ObjectRef {
            group: "apps".into(),
            version: "v1".into(),
            resource: "deployments".into(),
            namespace: "shire".into(),
            name: name.into(),
        },
        clusters: parts.iter().map(|(cluster, state, reason)| ((*cluster).to_owned(), part(*state, reason))).collect(),
        deleted: None,
    }
}

fn cluster(ready: bool, message: &str) -> ClusterStatus {
    let condition = ClusterCondition {
        type_: "Ready".into(),
        status: if ready { "True" } else { "False" }.into(),
        last_transition_time: Some("2027-06-01T09:00:00Z".into()),
        message: message.into(),
        ..ClusterCondition::default()
    };
    ClusterStatus { conditions: vec![condition], zones: vec!["minas-tirith".into()], region: "south".into() }
}

fn seen() -> Seen {
    Seen {
        federation: "fellowship".into(),
        server: Server { url: "https://198.18.0.1".into(), version: "v0.1.0".into(), unready: String::new() },
        leader: Some(Leader { identity: "pod-a".into(), renewed: at("2027-06-01T09:59:58Z") }),
        clusters: [("gondor".to_owned(), cluster(true, ""))].into(),
        ..Seen::default()
    }
}

const NOW: &str = "2027-06-01T10:00:00Z";

#[test]
fn issue11_a_federation_that_is_well_has_no_problem() {
    let mut well = seen();
    well.records.add(&record("web", &[("gondor", State::Applied, "")]));
    // What is only remembered of a deleted object is nobody's concern.
    well.records.add(&PropagationRecordSpec { deleted: Some(NOW.into()), ..record("old", &[("gondor", State::Deleting, "")]) });
    let report = Report::of(well, at(NOW));
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!((report.objects.total, report.objects.in_sync, report.clusters[0].objects), (1, 1, 1));
}

#[test]
fn issue11_each_thing_that_is_not_right_is_told_with_what_to_do() {
    let mut ill = seen();
    ill.server.unready = "etcd is away".into();
    ill.leader = Some(Leader { identity: "pod-a".into(), renewed: at("2027-06-01T09:58:00Z") });
    ill.components = vec![Component { name: "apiserver".into(), ready: 1, wanted: 2, image: "fcp:1".into() }];
    ill.clusters.insert("rohan".into(), cluster(false, "the connection was refused"));
    ill.records.add(&record("web", &[("gondor", State::Applied, ""), ("rohan", State::Deleting, "rohan is away")]));
    ill.records.add(&record("db", &[("gondor", State::Conflict, "it is there and not ours"), ("rohan", State::Pending, "")]));
    ill.records.add(&record("cache", &[("gondor", State::Failed, "quota exceeded")]));
    ill.warnings = vec![Warning {
        seen: at("2027-06-01T09:59:00Z"),
        reason: "ConflictInCluster".into(),
        object: "Deployment shire/db".into(),
        message: "told".into(),
    }];
    let report = Report::of(ill, at(NOW));
    insta::assert_json_snapshot!(report);
    let none = Report::of(Seen { leader: None, ..seen() }, at(NOW));
    assert!(none.problems[0].what.starts_with("no controller manager leads: "), "{:?}", none.problems);
}

#[test]
fn issue11_of_very_many_objects_the_worst_are_listed_and_all_are_counted() {
    let mut tally = Tally::default();
    for i in 0..5000 {
        let state = if i == 4321 { State::Conflict } else { State::Pending };
        tally.add(&record(&format!("web-{i}"), &[("gondor", state, "")]));
    }
    let report = Report::of(Seen { records: tally, ..seen() }, at(NOW));
    assert_eq!((report.objects.total, report.objects.in_sync, report.objects.out_of_sync.len()), (5000, 0, 20));
    assert_eq!(report.objects.out_of_sync[0].object, "deployments.apps shire/web-4321");
    assert_eq!(report.clusters[0].out_of_sync, 5000);
}

async fn until(realm: &Realm, what: &str, done: impl Fn(u8, &Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let (code, out, err) = realm.told(&["status", "-o", "json"]).await;
        let (code, value) = (code.unwrap(), serde_json::from_str(&out).unwrap());
        if done(code, &value) {
            return value;
        }
        assert!(Instant::now() < end, "{what}: {code} {value:#}\n{err}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issue11_the_status_of_a_federation_follows_what_happens_to_it() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let realm = Realm::start(dir.path(), crate::commands::boxed).await.unwrap();
    for member in ["gondor", "rohan"] {
        realm.join(member).await.unwrap();
    }
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shire", "annotations": {keys::CONFLICT: "adopt"}}
    });
    let map = |annotations: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "song", "namespace": "shire", "annotations": annotations}, "data": {"a": "1"}});
    for client in [realm.member("gondor").unwrap(), realm.federation.clone()] {
        apply(&client, "", "v1", "Namespace", "namespaces", &namespace).await.unwrap();
    }
    // Somebody in gondor has an object of that name.
    apply(&realm.member("gondor").unwrap(), "", "v1", "ConfigMap", "configmaps", &map(json!({}))).await.unwrap();
    apply(&realm.federation, "", "v1", "ConfigMap", "configmaps", &map(json!({}))).await.unwrap();
    let conflict = until(&realm, "a conflict", |code, value| {
        let places = value["objects"]["outOfSync"].as_array();
        code == 3 && places.is_some_and(|all| all.iter().any(|p| p["object"] == "configmaps shire/song" && p["state"] == "Conflict"))
    })
    .await;
    assert_eq!(conflict["components"][0]["name"], "fellowship-federation-controller-manager");
    assert!(conflict["leader"]["identity"].is_string(), "{conflict:#}");

    apply(&realm.federation, "", "v1", "ConfigMap", "configmaps", &map(json!({keys::CONFLICT: "adopt"}))).await.unwrap();
    until(&realm, "all well", |code, value| code == 0 && value["objects"]["inSync"] == value["objects"]["total"]).await;
    let (code, table, warnings) = realm.told(&["status"]).await;
    assert_eq!((code, warnings.as_str()), (Ok(0), ""), "{table}");
    assert!(table.contains("gondor") && table.contains("objects are in sync"), "{table}");

    realm.cut("rohan").unwrap();
    until(&realm, "rohan away", |code, value| code == 3 && value["clusters"][1]["ready"] == false).await;
    let (code, _, warnings) = realm.told(&["status"]).await;
    assert!(code == Ok(3) && warnings.contains("cluster rohan is not ready"), "{warnings}");
    let (code, _, warnings) = realm.told(&["status", "fellowship", "--federation-system-namespace=elsewhere"]).await;
    assert!(code == Ok(3) && warnings.contains("there is nothing of federation \"fellowship\" in namespace elsewhere"), "{warnings}");
    let (code, _, _) = realm.told(&["status", "one", "two"]).await;
    assert_eq!(code.unwrap_err().message, "one NAME at most is taken, got 2");
    realm.stop().await;
}
