//! From a token and a hash to a kubeconfig, on a real API server: what is printed works as it stands, and nobody is believed
//! who cannot prove what he is.

use federation_api::bootstrap::DEFAULT_GROUP;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::credentials::{holder, runtime, signing};
use crate::support::{ADMIN, Apiserver, Place, free_port, hide, request};

const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// A client without credentials.
fn stranger(url: &str) -> kube::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = kube::Config::new(url.parse().unwrap());
    config.accept_invalid_certs = true;
    config.default_retry = false;
    config.proxy_url = None;
    kube::Client::try_from(config).unwrap()
}

fn status(url: &str, method: &str, path: &str) -> u16 {
    let body = if method == "GET" { Value::Null } else { json!({"metadata": {"name": "cluster-info"}}) };
    runtime().block_on(async { request(&stranger(url), method, path, &body).await.0 })
}

fn cluster_info(server: &Apiserver) -> ConfigMap {
    runtime().block_on(async { Api::namespaced(server.client(ADMIN), "kube-public").get("cluster-info").await.unwrap() })
}

/// The printed command with the program as it is called here.
fn join(place: &Place, line: &str, more: &str) -> crate::support::Said {
    place.shell(&format!("\"$kubefed\"{} {more}", line.trim().strip_prefix("kubefed").unwrap()))
}

fn signatures(server: &Apiserver) -> Vec<String> {
    let ids = cluster_info(server).data.unwrap().into_keys();
    ids.filter_map(|key| key.strip_prefix("jws-kubeconfig-").map(str::to_owned)).collect()
}

#[test]
fn issue10_what_is_printed_for_a_token_makes_a_kubeconfig() {
    let place = Place::new();
    let (server, _) = signing(&place);
    assert_eq!(status(&server.url, "GET", CLUSTER_INFO), 403, "nobody gave the right");
    let printed = place.shell("echo abcdef.0123456789abcdef | \"$kubefed\" token create --print-join-command -");
    let line = printed.fine().out.clone();
    let hash = line.trim().rsplit(' ').next().unwrap();
    let pem = place.file("server.pem", &server.certificate);
    let openssl = format!("openssl x509 -in {pem} -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum");
    assert_eq!(hash.strip_prefix("sha256:"), place.shell(&openssl).fine().out.split(' ').next());
    assert_eq!(
        line,
        format!(
            "kubefed kubeconfig bootstrap --server {} --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash {hash}\n",
            server.url
        )
    );
    let said = join(&place, &line, "--output=joined");
    assert_eq!((said.fine().out.as_str(), said.err.as_str()), ("", ""));
    let groups = ["system:bootstrappers", DEFAULT_GROUP, "system:authenticated"].map(String::from).to_vec();
    assert_eq!(holder(&place.path("joined")), ("system:bootstrap:abcdef".into(), groups));
    // The secret comes from elsewhere, and one of several hashes is enough.
    place.file("token", "abcdef.0123456789abcdef\n");
    let other = format!("sha256:{}", "0".repeat(64));
    let args = ["kubeconfig", "bootstrap", "--server", &server.url, "--token-file=token", "--discovery-token-ca-cert-hash"];
    let again = place.kubefed(&[&args[..], &[&other, "--discovery-token-ca-cert-hash", hash]].concat());
    assert_eq!(again.fine().out, std::fs::read_to_string(place.path("joined")).unwrap());

    // Strangers see that object, and nothing else; nor do they change it.
    assert_eq!(status(&server.url, "GET", CLUSTER_INFO), 200);
    for (method, path) in [
        ("PUT", CLUSTER_INFO),
        ("DELETE", CLUSTER_INFO),
        ("PATCH", CLUSTER_INFO),
        ("GET", "/api/v1/namespaces/kube-public/configmaps"),
        ("GET", "/api/v1/namespaces/kube-public/configmaps?fieldSelector=metadata.name=cluster-info&watch=true"),
        ("GET", "/api/v1/namespaces/default/configmaps/cluster-info"),
        ("GET", "/api/v1/namespaces/kube-public/secrets/cluster-info"),
        ("GET", "/api/v1/namespaces/kube-public/configmaps/cluster-info/status"),
        ("GET", "/api"),
    ] {
        assert_eq!(status(&server.url, method, path), 401, "{method} {path}");
    }
    // Who shows credentials that are wrong is no stranger.
    let wrong = runtime().block_on(async { request(&server.client("wrong"), "GET", CLUSTER_INFO, &Value::Null).await.0 });
    assert_eq!(wrong, 401);

    // Each token signs, and those that are gone do not.
    let second = place.kubefed(&["token", "create", "--print-join-command"]).fine().out.clone();
    assert_eq!(signatures(&server).len(), 2);
    join(&place, &second, "").fine();
    place.kubefed(&["token", "delete", "abcdef"]).fine();
    let gone = join(&place, &line, "").complaint(1);
    assert!(gone.contains("does not take token abcdef: it has expired, or was deleted"), "{gone}");
    place.kubefed(&["token", "create", "--usages=authentication"]).fine();
    place.kubefed(&["token", "create", "--print-join-command"]).fine();
    let left = signatures(&server);
    assert!(left.len() == 2 && !left.contains(&"abcdef".to_owned()), "{left:?}");
    let gone = join(&place, &line, "").complaint(1);
    assert!(gone.contains("cluster-info is not signed with token abcdef"), "{gone}");
    server.close();
}

#[test]
fn issue10_nobody_is_believed_who_does_not_prove_what_he_is() {
    let place = Place::new();
    let (server, _) = signing(&place);
    let line = place.shell("echo abcdef.0123456789abcdef | \"$kubefed\" token create --print-join-command -").fine().out.clone();
    let hash = line.trim().rsplit(' ').next().unwrap().to_owned();
    let other = format!("sha256:{}", "0".repeat(64));
    let token = "abcdef.0123456789abcdef";
    let mut all = String::new();
    let mut ask = |place: &Place, code, url: &str, token: &str, hash: &str| {
        let pin = format!("--discovery-token-ca-cert-hash={hash}");
        place.file("token", token);
        let said = place.kubefed(&["kubeconfig", "bootstrap", "--server", url, "--token-file=token", &pin, "--output=out"]);
        assert!(!said.err.contains(token) && !place.path("out").exists(), "{}", said.err);
        all += &said.complaint(code);
    };
    ask(&place, 1, &server.url, token, &other);
    ask(&place, 1, &server.url, "abcdef.0123456789abcdeg", &hash);
    ask(&place, 1, &server.url, "fedcba.0123456789abcdef", &hash);
    ask(&place, 64, &server.url, "a-token-of-a-file", &hash);
    ask(&place, 64, &server.url, token, "sha256:0");
    ask(&place, 64, &server.url, token, "");
    ask(&place, 64, &server.url, token, &format!("sha256:{}", "é".repeat(32)));

    // Somebody who has the document, and not the key of its authority.
    let mordor = place.apiserver("mordor", 0, &["--enable-bootstrap-token-auth"]);
    ask(&place, 1, &mordor.url, token, &hash);
    runtime().block_on(async {
        let (good, evil) = (server.client(ADMIN), mordor.client(ADMIN));
        let mut map: ConfigMap = Api::namespaced(good.clone(), "kube-public").get("cluster-info").await.unwrap();
        map.metadata = kube::api::ObjectMeta { name: map.metadata.name, ..Default::default() };
        Api::namespaced(evil.clone(), "kube-public").create(&PostParams::default(), &map).await.unwrap();
        let name = "kubeadm:bootstrap-signer-clusterinfo";
        let mut role: Role = Api::namespaced(good.clone(), "kube-public").get(name).await.unwrap();
        let mut binding: RoleBinding = Api::namespaced(good, "kube-public").get(name).await.unwrap();
        role.metadata = kube::api::ObjectMeta { name: Some(name.into()), ..Default::default() };
        binding.metadata = role.metadata.clone();
        Api::namespaced(evil.clone(), "kube-public").create(&PostParams::default(), &role).await.unwrap();
        Api::namespaced(evil, "kube-public").create(&PostParams::default(), &binding).await.unwrap();
    });
    crate::support::until("mordor to show it", || (status(&mordor.url, "GET", CLUSTER_INFO) == 200).then_some(()));
    ask(&place, 1, &mordor.url, token, &hash);
    let mordor_url = mordor.url.clone();
    mordor.close();

    let tamper = |data: Value| {
        let patch = Patch::Merge(json!({"data": data}));
        runtime().block_on(async {
            let api = Api::<ConfigMap>::namespaced(server.client(ADMIN), "kube-public");
            api.patch("cluster-info", &PatchParams::default(), &patch).await.unwrap();
        });
    };
    let kubeconfig = cluster_info(&server).data.unwrap()["kubeconfig"].clone();
    tamper(json!({"kubeconfig": format!("{kubeconfig}# and more\n")}));
    ask(&place, 1, &server.url, token, &hash);
    tamper(json!({"kubeconfig": null}));
    ask(&place, 1, &server.url, token, &hash);
    // Whoever writes it anew leaves what is not his.
    tamper(json!({"kubeconfig": "junk", "more": "of others"}));
    place.kubefed(&["token", "create", "--print-join-command"]).fine();
    let data = cluster_info(&server).data.unwrap();
    assert_eq!((data["kubeconfig"].as_str(), data["more"].as_str()), (kubeconfig.as_str(), "of others"));
    join(&place, &line, "").fine();

    for (code, args) in [
        (64, &["--usages=authentication"][..]),
        (64, &["--output=json"]),
        (64, &["--insecure-skip-tls-verify"]),
        (1, &["--context=nobody"]),
    ] {
        all += &place.kubefed(&[&["token", "create", "--print-join-command"], args].concat()).complaint(code);
    }
    let both = ["kubeconfig", "bootstrap", "--server", &server.url, "--token-file=token", "--certificate-authority=ca.crt"];
    all += &place.kubefed(&[&both[..], &["--discovery-token-ca-cert-hash", &hash]].concat()).complaint(64);
    let url = server.url.clone();
    server.close();
    let port = free_port();
    let away = format!("https://127.0.0.1:{port}");
    let pin = format!("--discovery-token-ca-cert-hash={hash}");
    all += &hide(&place.kubefed(&["kubeconfig", "bootstrap", "--server", &away, "--token-file=token", &pin]).complaint(1), port);

    // A server that takes no bootstrap tokens tells strangers nothing.
    let place = Place::new();
    let closed = place.apiserver("closed", 0, &[]);
    assert_eq!(status(&closed.url, "GET", CLUSTER_INFO), 401);
    closed.close();
    let shown = all.replace(&hash, "sha256:HASH").replace(&"0".repeat(64), "0...");
    let shown = shown.replace(&url, "URL").replace(&mordor_url, "MORDOR");
    let shown = shown.replace(mordor_url.trim_start_matches("https://"), "MORDOR");
    insta::assert_snapshot!(shown);
}
