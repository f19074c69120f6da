//! Servers that cannot be reached, and those that say no.

use std::net::TcpListener;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{ADMIN, NOBODY, Place, create, free_port, hide, request};

#[test]
fn a_server_that_refuses_and_one_that_is_silent() {
    let place = Place::new();
    let mut all = String::new();
    let refused = free_port();
    // The kernel takes connections into the backlog; nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().map(|a| (a.port(), silent)).unwrap();
    for port in [refused, silent.0] {
        let server = format!("https://127.0.0.1:{port}");
        place.kubeconfig(&[("rivendell", &server, ADMIN), ("gondor", &server, ADMIN)]);
        for args in [
            &["join", "gondor"][..],
            &["init", "fellowship", "--dns-provider=embedded", "--dns-zone-name=example.com."],
            &["deinit", "fellowship"],
            &["version"],
        ] {
            let host: &[&str] = if args[0] == "version" { &[] } else { &["--host-cluster-context=rivendell"] };
            let said = place.kubefed(&[args, host, &["--request-timeout=1s"]].concat());
            all.push_str(&hide(&said.complaint(1), port));
            assert!(said.took < Duration::from_secs(15), "{:?}", said.took);
        }
    }
    insta::assert_snapshot!(all);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_missing_rights() {
    let place = Place::new();
    let host = place.apiserver("rivendell", 0, &[]);
    let port: u16 = host.url.rsplit(':').next().unwrap().parse().unwrap();
    // A cluster may be host and member, but the federation is a server of its own.
    let federation = place.apiserver("fellowship", 0, &[]);
    let join: &[&str] = &["join", "gondor", "--host-cluster-context=rivendell", "--wait=false"];
    let init: &[&str] = &[
        "init",
        "fellowship",
        "--host-cluster-context=rivendell",
        "--dns-provider=embedded",
        "--dns-zone-name=example.com.",
        "--etcd-persistent-storage=false",
        "--api-server-service-type=NodePort",
        "--api-server-advertise-address=127.0.0.1",
        "--api-server-port=31000",
        "--timeout=30s",
    ];
    let mut all = String::new();
    let mut try_both = |token: &str| {
        place.kubeconfig(&[("rivendell", &host.url, token), ("gondor", &host.url, token), ("fellowship", &host.url, token)]);
        for args in [join, init, &["version"]] {
            // Anybody may ask for the version.
            if !(token == NOBODY && args == ["version"]) {
                all.push_str(&hide(&place.kubefed(args).complaint(1), port));
            }
        }
    };
    try_both("stale-token");
    try_both(NOBODY);

    // A right in the middle is missing: what comes before it is done, and the repetition goes on from there.
    let admin = host.client(ADMIN);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"metadata": {"name": "half"}, "rules": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "patch"]}]});
    create(&admin, &format!("{rbac}/clusterroles"), &role).await;
    let binding = json!({"metadata": {"name": "half"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "half"},
        "subjects": [{"kind": "User", "name": "frodo", "apiGroup": "rbac.authorization.k8s.io"}]});
    create(&admin, &format!("{rbac}/clusterrolebindings"), &binding).await;
    all.push_str(&hide(&place.kubefed(init).complaint(1), port));

    // With all rights `init` goes on from there and makes everything; this host has no pods that could run it.
    let everybody =
        |token| place.kubeconfig(&[("rivendell", &host.url, token), ("gondor", &host.url, token), ("fellowship", &federation.url, ADMIN)]);
    for done in ["service... done", "deployments... unchanged"] {
        everybody(ADMIN);
        let said = place.kubefed(init);
        assert!(said.complaint(1).contains("error: listing pods: ") && said.err.contains(done), "{}", said.err);
    }
    // Another storage would begin without the data there is.
    let elsewhere: Vec<&str> = init.iter().copied().chain(["--storage=embedded"]).collect();
    all.push_str(&hide(&place.kubefed(&elsewhere).complaint(1), port));
    let missing: Vec<&str> = init.iter().copied().filter(|arg| !arg.starts_with("--etcd-persistent")).chain(["--etcd-pvc=disk"]).collect();
    all.push_str(&hide(&place.kubefed(&missing).complaint(1), port));
    everybody(NOBODY);
    all.push_str(&hide(&place.kubefed(join).complaint(1), port));
    insta::assert_snapshot!(all);
    let cluster = "/apis/federation/v1beta1/clusters/gondor";
    let federated = federation.client(ADMIN);
    assert_eq!(request(&federated, "GET", cluster, &json!(null)).await.0, 404, "the Cluster comes last");

    everybody(ADMIN);
    // The account's token is made by a controller that does not run here.
    let joining = tokio::task::spawn_blocking(move || place.kubefed(join).fine().out.clone());
    let secrets = "/api/v1/namespaces/federation-system/secrets";
    crate::support::eventually("the account's secret", async || {
        let (_, _, body) = request(&admin, "GET", secrets, &json!(null)).await;
        let list: serde_json::Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
        let account = list["items"].as_array().and_then(|i| i.iter().find(|s| s["type"] == "kubernetes.io/service-account-token").cloned());
        let mut account = account.ok_or(body)?;
        account["data"] = json!({"token": STANDARD.encode("account-token"), "ca.crt": STANDARD.encode(&host.certificate)});
        let path = format!("{secrets}/{}", account["metadata"]["name"].as_str().unwrap_or_default());
        let (status, _, body) = request(&admin, "PUT", &path, &account).await;
        if status == 200 { Ok(()) } else { Err(body) }
    })
    .await;
    assert_eq!(joining.await.unwrap(), "cluster \"gondor\" created\n");
    assert_eq!(request(&federated, "GET", cluster, &json!(null)).await.0, 200);
}

#[test]
fn credentials_can_be_given_by_flags() {
    let place = Place::new();
    let passwords = place.file("passwords.csv", "speak-friend,gimli,u9,system:masters\n");
    let server = place.apiserver("fellowship", 0, &[&format!("--basic-auth-file={passwords}")]);
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    place.kubeconfig(&[("fellowship", "https://127.0.0.1:1", "stale-token")]);
    let at = format!("--server={}", server.url);
    let ca = "--certificate-authority=fellowship/certs/apiserver.crt";
    for how in [&["--username=gimli", "--password=speak-friend", ca][..], &["--token=admin-token", "--insecure-skip-tls-verify"]] {
        let said = place.kubefed(&[&["version", &at][..], how].concat());
        assert!(said.fine().out.contains("Server Version: "), "{}", said.out);
    }
    let mut all = place.kubefed(&["version", &at, "--username=gimli", "--password=enemy", ca]).complaint(1);
    all.push_str(
        &place.kubefed(&["version", &at, "--token=admin-token", "--insecure-skip-tls-verify=false", ca, "--cluster=mordor"]).complaint(1),
    );
    insta::assert_snapshot!(hide(&all, port));
}
