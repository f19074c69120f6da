//! etcd that is away: at start, later, and silent.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{ADMIN, Place, Process, create, eventually, free_port, request};

/// No answer may take longer, whatever etcd does: one call to it ends after four seconds, the rest is for a slow machine.
const BOUND: Duration = Duration::from_secs(10);

/// Debian's etcd on this port.
fn etcd(place: &Place, port: u16) -> Process {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()));
    let data = place.path("etcd").display().to_string();
    assert!(Command::new("etcd").arg("--version").output().is_ok(), "etcd is not in PATH; Debian's package is etcd-server");
    let args = [
        "--data-dir",
        &data,
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
        "--initial-cluster",
        &format!("default={peer}"),
        "--unsafe-no-fsync",
    ];
    place.start("etcd", &args, "etcd.log").0
}

const SILENT: &str = "etcd is silent";

#[tokio::test(flavor = "multi_thread")]
async fn it_may_be_away_at_start_and_later() {
    let (place, port) = (Place::new(), free_port());
    let server = place.apiserver("fellowship", 0, &[&format!("--etcd-servers=http://127.0.0.1:{port}")]);
    let client = server.client(ADMIN);
    assert_eq!(request(&client, "GET", "/livez", &Value::Null).await.0, 200);
    unready(&client).await;
    refused(&client, "etcd never came").await;
    assert!(server.said().contains("the caches lost the storage backend"), "{}", server.said());

    let running = etcd(&place, port);
    ready(&client).await;
    create(&client, "/api/v1/namespaces", &json!({"metadata": {"name": "shire"}})).await;

    drop(running);
    refused(&client, "etcd was stopped").await;
    unready(&client).await;

    let running = etcd(&place, port);
    ready(&client).await;
    let (status, _, body) = request(&client, "GET", "/api/v1/namespaces/shire", &Value::Null).await;
    assert_eq!(status, 200, "{body}");

    running.signal("STOP");
    refused(&client, SILENT).await;
    place.kubeconfig(&[("rivendell", &server.url, ADMIN), ("gondor", &server.url, ADMIN)]);
    let said = place.kubefed(&["join", "gondor", "--host-cluster-context=rivendell"]);
    let complaint = said.complaint(1);
    assert!(complaint.contains("ServiceUnavailable") && complaint.contains("etcd"), "{complaint}");
    assert!(said.took <= 2 * BOUND, "{:?}", said.took);
    unready(&client).await;
    running.signal("CONT");
    ready(&client).await;
    create(&client, "/api/v1/namespaces", &json!({"metadata": {"name": "bree"}})).await;
}

/// Reads and writes fail fast, with what clients need to try again. A creation is sent without a question before it: of
/// an etcd that says nothing, nobody knows whether it stored it.
async fn refused(client: &kube::Client, when: &str) {
    let shire = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rings"}});
    for (method, path, body) in [
        ("GET", "/api/v1/namespaces/shire", &Value::Null),
        ("GET", "/api/v1/namespaces", &Value::Null),
        ("POST", "/api/v1/namespaces/default/configmaps", &shire),
        ("PATCH", "/api/v1/namespaces/default/configmaps/rings?fieldManager=test", &shire),
        ("DELETE", "/api/v1/namespaces/shire", &Value::Null),
    ] {
        let begun = Instant::now();
        let (status, retry, text) = request(client, method, path, body).await;
        let took = begun.elapsed();
        let sent = method == "POST" && when == SILENT;
        let (code, again, reason) = if sent { (504, false, "Timeout") } else { (503, true, "ServiceUnavailable") };
        assert_eq!((status, retry.is_some()), (code, again), "{when}: {method} {path}: {text}");
        assert!(took <= BOUND, "{when}: {method} {path} took {took:?}");
        assert!(text.contains("etcd") && text.contains(reason), "{when}: {text}");
    }
}

async fn unready(client: &kube::Client) {
    let (status, _, body) = request(client, "GET", "/readyz", &Value::Null).await;
    assert!(status == 500 && body.contains("[-]storage failed"), "{status} {body}");
    let (status, _, body) = request(client, "GET", "/readyz/storage", &Value::Null).await;
    assert!(status == 500 && (body.contains("etcd") || body.contains("no answer")), "it says why: {status} {body}");
}

async fn ready(client: &kube::Client) {
    eventually("/readyz", async || match request(client, "GET", "/readyz", &Value::Null).await {
        (200, ..) => Ok(()),
        (_, _, body) => Err(body),
    })
    .await;
}
