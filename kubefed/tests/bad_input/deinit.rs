//! `deinit` and the local kubeconfig files: they are tried before anything is removed.

use std::fs;

use base64::Engine as _;
use daemon::supervise::Supervisor;
use federation_apiserver::Profile;
use hollow::Site;
use serde_json::{Value, json};

use crate::support::{Place, SOON, client, create, request};

const SECRETS: &str = "/api/v1/namespaces/federation-system/secrets";
/// What a control plane leaves when its workloads are gone: the first and the last thing to go.
const LEFT: [&str; 2] = ["mordor-federation-apiserver-credentials", "mordor-federation-ca"];
/// Of somebody who keeps notes behind the kubeconfig.
const APPENDED: &str = "---\nkind: Note\ntext: mine\n";

#[tokio::test(flavor = "multi_thread")]
async fn issue7_w5_deinit_tries_the_kubeconfig_files_of_the_federation_before_it_removes_anything() {
    let place = Place::new();
    let tasks = Supervisor::default();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let host = Site::start(&place.path("host"), "rivendell", Profile::Member, "", &tasks).await.unwrap();
    let url = format!("https://{}", host.cable().address());
    let foreign = place.kubeconfig(&[("rivendell", &url, host.token())]);
    let authority = base64::engine::general_purpose::STANDARD.encode(host.certificate());
    let entry = |key: &str, value: Value| json!([{"name": "mordor", key: value}]);
    let ours = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": entry("cluster", json!({"server": "https://127.0.0.1:1", "certificate-authority-data": authority})),
        "users": entry("user", json!({"token": "s3cret"})),
        "contexts": entry("context", json!({"cluster": "mordor", "user": "mordor"})),
    });
    let text = format!("{ours}\n{APPENDED}");
    let ours = place.file(".kube/ours", &text);

    let admin = client(&url, host.token());
    create(&admin, "/api/v1/namespaces", &json!({"metadata": {"name": "federation-system"}})).await;
    for name in LEFT {
        let metadata = json!({"name": name, "annotations": {federation_api::keys::FEDERATION_NAME: "mordor"}});
        create(&admin, SECRETS, &json!({"metadata": metadata, "data": {"ca.crt": authority}})).await;
    }
    // Of a cluster that is joined, or was: nobody can be asked.
    let labels = json!({"app.kubernetes.io/managed-by": "kubefed"});
    let annotations = json!({federation_api::keys::FEDERATION_NAME: "mordor", federation_api::keys::CLUSTER_NAME: "isengard"});
    create(&admin, SECRETS, &json!({"metadata": {"name": "isengard", "labels": labels, "annotations": annotations}})).await;
    let found = async || {
        let mut codes = Vec::new();
        for name in LEFT {
            codes.push(request(&admin, "GET", &format!("{SECRETS}/{name}"), &json!(null)).await.0);
        }
        codes
    };
    let files = format!("{foreign}:{ours}");
    let deinit = || place.kubefed_in(&[("KUBECONFIG", &files)], &["deinit", "mordor", "--host-cluster-context=rivendell"]);

    let complaint = deinit().complaint(1);
    assert!(complaint.contains("the host has credentials of isengard") && complaint.contains("with --force"), "{complaint}");
    assert_eq!(found().await, [200, 200]);
    assert_eq!(request(&admin, "DELETE", &format!("{SECRETS}/isengard"), &json!(null)).await.0, 200);

    // Somebody's editor has the file with the federation's entries, and does not let go.
    let lock = place.file(".kube/ours.lock", "");
    let complaint = deinit().complaint(2);
    assert!(complaint.contains("ours is locked") && complaint.contains("ours.lock"), "{complaint}");
    assert_eq!(found().await, [200, 200]);
    assert_eq!(fs::read_to_string(&ours).unwrap(), text);

    // It has the other one, which holds nothing of the federation.
    fs::remove_file(lock).unwrap();
    let before = fs::read(&foreign).unwrap();
    place.file(".kube/config.lock", "");
    deinit().fine();
    assert_eq!(found().await, [404, 404]);
    assert_eq!(fs::read(&foreign).unwrap(), before);
    let after = fs::read_to_string(&ours).unwrap();
    assert!(after.ends_with(APPENDED) && !after.contains("mordor") && !after.contains("s3cret"), "{after}");
    tasks.stop(SOON).await;
}
