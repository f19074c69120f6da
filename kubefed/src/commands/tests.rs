//! `join` and `unjoin` against whole federations of hollow clusters, in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use federation_api::keys;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::render::federated;
use crate::up::realm::{FEDERATION, Realm};

const SYSTEM: &str = keys::DEFAULT_SYSTEM_NAMESPACE;
/// Nothing awaited here takes longer on a slow machine.
const SOON: Duration = Duration::from_secs(60);

/// A federation whose members these are.
async fn realm(members: &[&str]) -> (tempfile::TempDir, Realm) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let realm = Realm::start(dir.path(), crate::commands::boxed).await.unwrap();
    for member in members {
        realm.join(member).await.unwrap();
    }
    (dir, realm)
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, looking).await.unwrap_or_else(|_| panic!("not within {SOON:?}: {what}"))
}

async fn cluster(realm: &Realm, name: &str) -> Option<DynamicObject> {
    let clusters = Api::<DynamicObject>::all_with(realm.federation.clone(), &federated::resource());
    federation_client::if_there(clusters.get(name).await).unwrap()
}

fn maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "default")
}

/// A ConfigMap of the federation, once it is in all of these members.
async fn propagated(realm: &Realm, name: &str, members: &[&str]) {
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "b"}})).unwrap();
    maps(realm.federation.clone()).create(&kube::api::PostParams::default(), &map).await.unwrap();
    for member in members {
        let api = maps(realm.member(member).unwrap());
        eventually(&format!("{name} in {member}"), async || federation_client::if_there(api.get(name).await).unwrap()).await;
    }
}

/// Changes entries of the kubeconfig, by the list and name of each.
fn edit(realm: &Realm, list: &str, name: &str, change: impl FnOnce(&mut Value)) {
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&realm.kubeconfig).unwrap()).unwrap();
    let entry = config[list].as_array_mut().unwrap().iter_mut().find(|e| e["name"] == name).unwrap();
    change(&mut entry[list.trim_end_matches('s')]);
    std::fs::write(&realm.kubeconfig, config.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn d16_issue7_case_12_a_cluster_has_one_name_and_a_name_one_cluster() {
    let (_dir, realm) = realm(&["gondor"]).await;
    let noted = cluster(&realm, "gondor").await.unwrap().annotations()[keys::CLUSTER_UID].clone();
    let system = Api::<k8s_openapi::api::core::v1::Namespace>::all(realm.member("gondor").unwrap()).get("kube-system").await.unwrap();
    assert_eq!(Some(noted), system.uid());

    let failure = realm.command(&["join", "twin", "--cluster-context=gondor"]).await.unwrap_err();
    assert_eq!(failure.message, "context \"gondor\" is the cluster that is joined as \"gondor\" already");
    assert!(failure.hint.unwrap().contains("kubefed unjoin gondor first"));
    assert!(cluster(&realm, "twin").await.is_none());
    let accounts = Api::<ServiceAccount>::namespaced(realm.member("gondor").unwrap(), SYSTEM).list(&ListParams::default()).await.unwrap();
    assert_eq!(accounts.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["gondor-rivendell"], "nothing was made");

    // The address is gondor's, the context leads to rohan.
    let server = cluster(&realm, "gondor").await.unwrap().data["spec"]["serverAddressByClientCIDRs"][0]["serverAddress"].clone();
    let at = format!("--cluster-server={}", server.as_str().unwrap());
    let failure = realm.command(&["join", "gondor", "--cluster-context=rohan", &at]).await.unwrap_err();
    assert!(failure.message.starts_with("context \"rohan\" is not the cluster that was joined under the name \"gondor\""), "{failure}");
    assert_eq!(realm.command(&["join", "gondor"]).await, Ok(0), "the same again is no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federation_in_a_directory_is_started_again_and_not_twice() {
    let (dir, first) = realm(&["gondor"]).await;
    propagated(&first, "keep", &["gondor"]).await;
    let kubeconfig = std::fs::read(&first.kubeconfig).unwrap();
    let twice = Realm::start(dir.path(), crate::commands::boxed).await.err().expect("the directory is in use");
    assert!(format!("{twice:#}").contains("is in use by another process"), "{twice:#}");
    assert_eq!(std::fs::read(&first.kubeconfig).unwrap(), kubeconfig);
    assert_eq!(first.command(&["join", "gondor"]).await, Ok(0), "the first goes on, with the tokens it has");
    let token = first.token("gondor").unwrap();
    first.stop().await;

    let again = eventually("the store is let go", async || Realm::start(dir.path(), crate::commands::boxed).await.ok()).await;
    assert_eq!(again.token("gondor").unwrap(), token);
    again.join("gondor").await.unwrap();
    assert!(maps(again.federation.clone()).get("keep").await.is_ok());
    propagated(&again, "more", &["gondor"]).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_federation_is_no_member_of_itself() {
    let (_dir, realm) = realm(&[]).await;
    let failure = realm.command(&["join", "mirror", "--cluster-context=fellowship"]).await.unwrap_err();
    assert_eq!(failure.message, "context \"fellowship\" is the federation itself, which cannot be a member of itself");
    let accounts = Api::<ServiceAccount>::namespaced(realm.federation.clone(), SYSTEM).list(&ListParams::default()).await.unwrap();
    assert!(accounts.items.is_empty(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_issue7_case_13_unjoin_touches_only_the_cluster_that_was_joined() {
    let (_dir, realm) = realm(&["gondor", "rohan"]).await;
    propagated(&realm, "keep", &["gondor", "rohan"]).await;
    let in_rohan = async || maps(realm.member("rohan").unwrap()).get("keep").await.unwrap();
    let before = in_rohan().await;
    for (name, fate) in [("gondor", "--delete"), ("gondor", "--handover")] {
        let failure = realm.command(&["unjoin", name, fate, "--cluster-context=rohan"]).await.unwrap_err();
        let said = "context rohan is not the cluster that was joined under the name \"gondor\": its uid is ";
        assert!(failure.message.starts_with(said), "{failure}");
        assert!(cluster(&realm, "gondor").await.is_some(), "nothing was changed");
    }
    assert_eq!(in_rohan().await, before);

    // Without objects at stake the cluster is taken out, and no other is touched.
    assert_eq!(realm.command(&["unjoin", "gondor", "--cluster-context=rohan"]).await, Ok(super::unjoin::EXIT_REMAINS));
    assert!(cluster(&realm, "gondor").await.is_none());
    assert_eq!(in_rohan().await, before);
    let account = async |member: &str| {
        let api = Api::<ServiceAccount>::namespaced(realm.member(member).unwrap(), SYSTEM);
        federation_client::if_there(api.get(&format!("{member}-rivendell")).await).unwrap().is_some()
    };
    assert!(account("rohan").await && account("gondor").await);
    assert_eq!(realm.command(&["unjoin", "gondor"]).await, Ok(0), "what is left half-way is finished");
    assert!(!account("gondor").await);
    let failure = realm.command(&["unjoin", "gondor"]).await.unwrap_err();
    assert_eq!(failure.message, format!("cluster \"gondor\" is not in federation \"{FEDERATION}\""), "issue7_w7");
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_cluster_joined_by_an_older_version_is_known_by_its_account() {
    let (_dir, realm) = realm(&["gondor", "rohan"]).await;
    let clusters = Api::<DynamicObject>::all_with(realm.federation.clone(), &federated::resource());
    let secrets = Api::<DynamicObject>::namespaced_with(realm.member("rivendell").unwrap(), SYSTEM, &ApiResource::erase::<Secret>(&()));
    for api in [&clusters, &secrets] {
        let none = json!({"metadata": {"annotations": {keys::CLUSTER_UID: null}}});
        api.patch("gondor", &PatchParams::default(), &Patch::Merge(none)).await.unwrap();
    }
    let failure = realm.command(&["unjoin", "gondor", "--delete", "--cluster-context=rohan"]).await.unwrap_err();
    assert!(failure.message.contains("is not the cluster that was joined under the name \"gondor\": "), "{failure}");
    assert_eq!(realm.command(&["unjoin", "gondor", "--delete"]).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn d26_what_a_controller_manager_that_is_behind_writes_does_not_stay() {
    let (_dir, realm) = realm(&["gondor"]).await;
    propagated(&realm, "keep", &["gondor"]).await;
    let (behind, stop, written) =
        (maps(realm.account("gondor").unwrap()), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let late = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "labels": {keys::MANAGED_BY: FEDERATION}}});
    let write = {
        let (api, late) = (behind.clone(), late.clone());
        async move || api.patch("late", &PatchParams::apply(keys::FIELD_MANAGER).force(), &Patch::Apply(&late)).await
    };
    write().await.unwrap();
    let writer = tokio::spawn({
        let (write, stop, written) = (write.clone(), Arc::clone(&stop), Arc::clone(&written));
        async move {
            while !stop.load(Ordering::Relaxed) {
                if write().await.is_ok() {
                    written.store(true, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    eventually("the writer to write", async || written.load(Ordering::Relaxed).then_some(())).await;
    assert_eq!(realm.command(&["unjoin", "gondor", "--delete", "--timeout=60s"]).await, Ok(0));
    let labels = ListParams::default().labels(&format!("{}={FEDERATION}", keys::MANAGED_BY));
    assert_eq!(maps(realm.member("gondor").unwrap()).list(&labels).await.unwrap().items, []);
    assert!(matches!(write().await, Err(kube::Error::Api(status)) if status.code == 403));
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

async fn stored(realm: &Realm) -> Secret {
    Api::<Secret>::namespaced(realm.member("rivendell").unwrap(), SYSTEM).get("gondor").await.unwrap()
}

/// When the federation last told that gondor is ready.
async fn told(realm: &Realm) -> String {
    let cluster = cluster(realm, "gondor").await.unwrap();
    let conditions = cluster.data["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|c| c["type"] == "Ready").unwrap()["lastProbeTime"].as_str().unwrap().to_owned()
}

/// Puts something else into the member's secret with the account's token.
async fn fill_in(realm: &Realm, key: &str, value: &[u8]) {
    let data = json!({"data": {key: k8s_openapi::ByteString(value.to_vec())}});
    let api = Api::<Secret>::namespaced(realm.member("gondor").unwrap(), SYSTEM);
    api.patch("gondor-rivendell-token", &PatchParams::default(), &Patch::Merge(data)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn issue7_cases_10_and_14_what_is_stored_was_tried_and_is_no_less_than_before() {
    let (_dir, realm) = realm(&["gondor"]).await;
    let good = stored(&realm).await;
    edit(&realm, "clusters", "gondor", |c| {
        c["certificate-authority-data"] = json!("");
        c["insecure-skip-tls-verify"] = json!(true);
    });
    assert_eq!(realm.command(&["join", "gondor"]).await, Ok(0));
    assert_eq!(stored(&realm).await.data, good.data, "the member's own authority stands the check");

    // Other credentials: what is waited for is told after they were tried, and soon.
    let (told, admin) = (told(&realm).await, realm.token("gondor").unwrap());
    eventually("the next second", async || (told < jiff::Timestamp::now().to_string()[..19].to_owned() + "Z").then_some(())).await;
    fill_in(&realm, "token", admin.as_bytes()).await;
    let joined = tokio::time::timeout(Duration::from_secs(30), realm.command(&["join", "gondor"])).await;
    assert_eq!(joined.expect("less than the period of the status"), Ok(0));
    assert!(self::told(&realm).await > told);

    // Its own authority is not that of the server: the context's word counts.
    let other = realm.certificate("rohan").unwrap();
    fill_in(&realm, "ca.crt", &other).await;
    assert_eq!(realm.command(&["join", "gondor", "--wait=false"]).await, Ok(0));
    let data = stored(&realm).await.data.unwrap();
    assert_eq!((data.get(keys::SECRET_CA), data[keys::SECRET_INSECURE].0.as_slice()), (None, b"true".as_slice()));

    // Neither: nothing is stored.
    let good = stored(&realm).await;
    edit(&realm, "clusters", "gondor", |c| {
        c["certificate-authority-data"] =
            json!(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, realm.certificate("gondor").unwrap()));
        c["insecure-skip-tls-verify"] = json!(false);
    });
    fill_in(&realm, "token", b"stale").await;
    let failure = realm.command(&["join", "gondor", "--timeout=2s"]).await.unwrap_err();
    assert!(failure.message.contains("to take the account's token") && failure.message.contains("Unauthorized"), "{failure}");
    assert_eq!(stored(&realm).await, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn issue7_case_14_the_name_in_the_certificate_goes_along() {
    let (_dir, realm) = realm(&[]).await;
    edit(&realm, "clusters", "gondor", |c| c["tls-server-name"] = json!("localhost"));
    assert_eq!(realm.command(&["join", "gondor", "--wait=false"]).await, Ok(0));
    assert_eq!(stored(&realm).await.data.unwrap()[keys::SECRET_TLS_SERVER_NAME].0, b"localhost");
}

#[tokio::test(flavor = "multi_thread")]
async fn issue7_w7_deinit_of_what_never_was_is_an_error_and_of_what_is_left_is_not() {
    let (_dir, realm) = realm(&[]).await;
    let failure = realm.command(&["deinit", "mordor", "--force"]).await.unwrap_err();
    assert_eq!(failure.message, format!("there is no federation \"mordor\" in namespace {SYSTEM} of context rivendell"));
    // The last thing that goes is the authority: an earlier deinit may have stopped before it.
    let annotations = json!({keys::FEDERATION_NAME: "mordor"});
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": "mordor-federation-ca", "annotations": annotations}})).unwrap();
    let secrets = Api::<Secret>::namespaced(realm.member("rivendell").unwrap(), SYSTEM);
    secrets.create(&kube::api::PostParams::default(), &secret).await.unwrap();
    assert_eq!(realm.command(&["deinit", "mordor"]).await, Ok(0));
    assert!(federation_client::if_there(secrets.get("mordor-federation-ca").await).unwrap().is_none());
    assert!(realm.command(&["deinit", "mordor"]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_a_member_that_makes_no_tokens_with_an_end_goes_on_and_is_told() {
    let (_dir, realm) = realm(&["gondor"]).await;
    let good = stored(&realm).await;
    assert!(!good.data.as_ref().unwrap().contains_key(keys::SECRET_TOKEN_TERMS));
    let (code, _, said) = realm.told(&["join", "gondor"]).await;
    assert!(code == Ok(0) && said.contains("kubefed join gondor --rotate gives it one that ends"), "{said}");
    let failure = realm.command(&["join", "gondor", "--rotate"]).await.unwrap_err();
    assert!(failure.message.contains("makes no tokens with an end"), "{failure}");
    assert_eq!(stored(&realm).await.data, good.data);
    let secrets = Api::<Secret>::namespaced(realm.member("gondor").unwrap(), SYSTEM).list(&ListParams::default()).await.unwrap();
    assert_eq!(secrets.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["gondor-rivendell-token"], "nothing is left");
    eventually("the condition", async || {
        let cluster = cluster(&realm, "gondor").await?;
        let mut conditions = cluster.data["status"]["conditions"].as_array()?.iter();
        conditions.any(|c| c["type"] == keys::CREDENTIALS_RENEWED && c["reason"] == keys::TOKEN_WITHOUT_END).then_some(())
    })
    .await;
}
