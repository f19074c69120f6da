//! Flags that scripts of v1 give to `join`.

use federation_api::keys;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::up::realm::{FEDERATION, Realm};

async fn realm() -> (tempfile::TempDir, Realm) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let realm = Realm::start(dir.path(), crate::commands::boxed).await.unwrap();
    (dir, realm)
}

async fn secret(realm: &Realm, name: &str) -> Option<Secret> {
    let secrets = Api::<Secret>::namespaced(realm.member("rivendell").unwrap(), keys::DEFAULT_SYSTEM_NAMESPACE);
    federation_client::if_there(secrets.get(name).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_join_prints_what_it_would_send_and_stores_where_it_is_told() {
    let (_dir, realm) = realm().await;
    let (code, out, _) = realm.told(&["join", "gondor", "--dry-run", "-o", "name"]).await;
    assert_eq!((code, out.as_str()), (Ok(0), "cluster/gondor\n"));
    assert!(secret(&realm, "gondor").await.is_none(), "it only says so");
    // Flags of v1's printer that shape tables, and those it had no use for itself.
    let words = [
        "join",
        "gondor",
        "--secret-name=key",
        "--cluster-context=gondor",
        "-a",
        "--show-labels",
        "--no-headers",
        "--sort-by=.metadata.name",
        "--allow-missing-template-keys",
        "--validate=false",
        "--generator=cluster/v1beta1",
        "--save-config",
        "--output-version=federation/v1beta1",
        "-o",
        "json",
    ];
    let (code, out, err) = realm.told(&words).await;
    assert_eq!(code, Ok(0), "{err}");
    let cluster: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&cluster["kind"], &cluster["spec"]["secretRef"]["name"]), (&json!("Cluster"), &json!("key")));
    let stored = secret(&realm, "key").await.expect("the secret that was named");
    assert_eq!(stored.annotations()[keys::CLUSTER_NAME], "gondor");
    assert!(secret(&realm, "gondor").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_host_and_member_are_found_in_another_kubeconfig() {
    let (dir, realm) = realm().await;
    let whole: Value = serde_json::from_str(&std::fs::read_to_string(&realm.kubeconfig).unwrap()).unwrap();
    let others = dir.path().join("others");
    std::fs::write(&others, whole.to_string()).unwrap();
    let mut own = whole;
    for list in ["clusters", "users", "contexts"] {
        own[list].as_array_mut().unwrap().retain(|entry| entry["name"] == FEDERATION);
    }
    std::fs::write(&realm.kubeconfig, own.to_string()).unwrap();
    let failure = realm.command(&["join", "gondor"]).await.unwrap_err();
    assert!(failure.message.contains("does not exist"), "{failure}");
    let flag = format!("--credentials-kubeconfig={}", others.display());
    assert_eq!(realm.command(&["join", "gondor", &flag]).await, Ok(0));
    assert!(secret(&realm, "gondor").await.is_some());
    assert_eq!(realm.command(&["unjoin", "gondor", &flag]).await, Ok(0));
    assert!(secret(&realm, "gondor").await.is_none());
}
