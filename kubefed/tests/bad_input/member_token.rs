//! The federation's token in a member that makes tokens with an end: joined, renewed, moved and taken back on real programs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation_api::member_token::TokenTerms;
use serde_json::{Value, json};

use crate::support::{ADMIN, Apiserver, Place, create, eventually, request};

const SECRET: &str = "/api/v1/namespaces/federation-system/secrets/gondor";
const JOIN: &[&str] = &["join", "gondor", "--host-cluster-context=rivendell"];

struct World {
    place: Place,
    host: Apiserver,
    federation: Apiserver,
    gondor: Apiserver,
}

impl World {
    /// A host with what `init` makes, a federation, and a member that makes tokens.
    async fn start() -> Self {
        let place = Place::new();
        let key = place.file("sa.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
        let (host, federation) = (place.apiserver("rivendell", 0, &[]), place.apiserver("fellowship", 0, &[]));
        let flags = ["--service-account-issuer=https://gondor.example".to_owned(), format!("--service-account-signing-key-file={key}")];
        let gondor = place.apiserver("gondor", 0, &flags.each_ref().map(String::as_str));
        place.kubeconfig(&[("rivendell", &host.url, ADMIN), ("gondor", &gondor.url, ADMIN), ("fellowship", &federation.url, ADMIN)]);
        let init = [
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
        // This host has no pods, so that the control plane runs beside it.
        assert!(place.kubefed(&init).complaint(1).contains("error: listing pods: "));
        place.kubeconfig(&[("rivendell", &host.url, ADMIN), ("gondor", &gondor.url, ADMIN), ("fellowship", &federation.url, ADMIN)]);
        place.file("host.kubeconfig", &std::fs::read_to_string(place.path(".kube/config")).unwrap());
        let controllers = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fellowship",
            "clusters": [{"name": "fellowship", "cluster": {"server": federation.url, "insecure-skip-tls-verify": true}}],
            "users": [{"name": "fellowship", "user": {"token": ADMIN}}],
            "contexts": [{"name": "fellowship", "context": {"cluster": "fellowship", "user": "fellowship"}}],
        });
        place.file("federation.kubeconfig", &controllers.to_string());
        Self { place, host, federation, gondor }
    }

    async fn get(&self, server: &Apiserver, token: &str, path: &str) -> (u16, Value) {
        let (status, _, body) = request(&server.client(token), "GET", path, &Value::Null).await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// The token in the host, and its terms.
    async fn stored(&self) -> (String, Option<TokenTerms>) {
        let (status, secret) = self.get(&self.host, ADMIN, SECRET).await;
        assert_eq!(status, 200, "{secret}");
        let bytes = |key: &str| secret["data"][key].as_str().map(|text| STANDARD.decode(text).unwrap());
        (String::from_utf8(bytes("token").unwrap()).unwrap(), bytes("token-terms").and_then(|text| TokenTerms::parse(&text)))
    }

    /// Whether gondor takes a token.
    async fn takes(&self, token: &str) -> u16 {
        self.get(&self.gondor, token, "/api/v1/namespaces/kube-system").await.0
    }

    /// A ConfigMap of the federation comes to gondor.
    async fn places(&self, name: &str) {
        let maps = "/api/v1/namespaces/default/configmaps";
        create(&self.federation.client(ADMIN), maps, &json!({"metadata": {"name": name}, "data": {"a": "b"}})).await;
        eventually(name, async || match self.get(&self.gondor, ADMIN, &format!("{maps}/{name}")).await {
            (200, _) => Ok(()),
            (_, body) => Err(body.to_string()),
        })
        .await;
    }

    /// What of the federation is in gondor's namespace for it.
    async fn left(&self) -> Vec<String> {
        let mut all = Vec::new();
        let (core, rbac) = ("/api/v1/namespaces/federation-system", "/apis/rbac.authorization.k8s.io/v1/namespaces/federation-system");
        for path in [core, rbac].into_iter().zip([["secrets", "serviceaccounts"], ["roles", "rolebindings"]]) {
            for kind in path.1 {
                let (_, list) = self.get(&self.gondor, ADMIN, &format!("{}/{kind}", path.0)).await;
                let names = list["items"].as_array().into_iter().flatten().filter_map(|o| o["metadata"]["name"].as_str());
                all.extend(names.map(|name| format!("{kind}/{name}")));
            }
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_a_members_token_ends_is_renewed_and_rotated() {
    let world = World::start().await;
    let flags = [
        "federation-controller-manager",
        "--kubeconfig=federation.kubeconfig",
        "--host-kubeconfig=host.kubeconfig",
        "--host-namespace=federation-system",
        "--federation-name=fellowship",
        "--port=0",
        "--leader-elect=false",
    ];
    let (_manager, log) = world.place.start(env!("CARGO_BIN_EXE_fcp"), &flags, "manager.log");
    let short = [JOIN, &["--token-life=10m"]].concat();
    assert_eq!(world.place.kubefed(&short).fine().out, "cluster \"gondor\" created\n");
    let (first, terms) = world.stored().await;
    let terms = terms.unwrap();
    assert_eq!((terms.seconds, terms.life(), terms.bound_to.as_str()), (600, 600, "gondor-rivendell-token-1"));
    assert_eq!(world.takes(&first).await, 200);
    world.places("before").await;
    let parts = [
        "secrets/gondor-rivendell-token-1",
        "serviceaccounts/gondor-rivendell",
        "roles/gondor-rivendell-token",
        "rolebindings/gondor-rivendell-token",
    ];
    assert_eq!(world.left().await, parts);
    // The account may make tokens of itself, and of nobody else.
    let others = "/api/v1/namespaces/federation-system/serviceaccounts/default/token";
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let (status, _, body) = request(&world.gondor.client(&first), "POST", others, &asked).await;
    assert_eq!(status, 403, "{body}");

    // The same again changes nothing, and what is asked for stays.
    assert_eq!(world.place.kubefed(JOIN).fine().out, "cluster \"gondor\" unchanged\n");
    assert_eq!(world.stored().await, (first.clone(), Some(terms.clone())));

    // Time goes by: the terms say that more than half is over.
    let old = TokenTerms { issued: terms.issued - 36_000, ..terms.clone() };
    let patch = json!({"apiVersion": "v1", "kind": "Secret", "data": {"token-terms": STANDARD.encode(old.text())}});
    let (status, _, body) = request(&world.host.client(ADMIN), "PATCH", &format!("{SECRET}?fieldManager=time&force=true"), &patch).await;
    assert_eq!(status, 200, "{body}");
    let soon = json!({"apiVersion": "federation/v1beta1", "kind": "Cluster", "metadata": {"annotations": {"time": "flies"}}});
    let path = "/apis/federation/v1beta1/clusters/gondor?fieldManager=time";
    assert_eq!(request(&world.federation.client(ADMIN), "PATCH", path, &soon).await.0, 200);
    let second = eventually("another token", async || {
        let (token, terms) = world.stored().await;
        if token == first { Err(std::fs::read_to_string(&log).unwrap()) } else { Ok((token, terms.unwrap())) }
    })
    .await;
    assert_eq!((second.1.life(), second.1.seconds, &second.1.bound_to), (600, 600, &terms.bound_to));
    assert_eq!((world.takes(&first).await, world.takes(&second.0).await), (200, 200), "the last one holds until its own end");
    world.places("renewed").await;

    // Moved to another secret, and the earlier ones are taken back.
    let said = world.place.kubefed(&[JOIN, &["--rotate"]].concat());
    assert_eq!(said.fine().out, "cluster \"gondor\" configured\n");
    let (third, moved) = world.stored().await;
    assert_eq!(moved.unwrap().bound_to, "gondor-rivendell-token-2");
    for (token, taken) in [(&first, 401), (&second.0, 401), (&third, 200)] {
        assert_eq!(world.takes(token).await, taken);
    }
    world.places("rotated").await;

    // As a rotation leaves it that ended before it took the earlier tokens back: its secret is there, and a token hangs on it.
    let secrets = "/api/v1/namespaces/federation-system/secrets";
    let (_, mut earlier) = world.get(&world.gondor, ADMIN, &format!("{secrets}/gondor-rivendell-token-2")).await;
    let kept = earlier["metadata"]["annotations"].clone();
    earlier["metadata"] = json!({"name": "gondor-rivendell-token-1", "annotations": kept});
    create(&world.gondor.client(ADMIN), secrets, &earlier).await;
    let asked = TokenTerms { bound_to: "gondor-rivendell-token-1".into(), ..terms.clone() };
    let (status, _, body) = request(&world.gondor.client(ADMIN), "POST", &asked.path(), &asked.request()).await;
    assert_eq!(status, 201, "{body}");
    let left: Value = serde_json::from_str(&body).unwrap();
    let left = left["status"]["token"].as_str().unwrap();
    assert_eq!(world.takes(left).await, 200);
    world.place.kubefed(&[JOIN, &["--rotate"]].concat()).fine();
    assert_eq!((world.takes(left).await, world.takes(&third).await), (401, 401));
    let (third, _) = world.stored().await;
    let table = world.place.kubefed(&["certs", "check", "fellowship", "--host-cluster-context=rivendell"]).out.clone();
    let row = table.lines().find(|line| line.starts_with("gondor's credentials")).unwrap_or(&table).to_owned();
    assert!(row.contains(" good ") && row.contains("secret federation-system/gondor"), "{table}");
    let text = std::fs::read_to_string(&log).unwrap();
    for secret in [&first, &second.0, &third] {
        assert!(!text.contains(secret.as_str()), "a token is in the log");
    }

    world.place.kubefed(&["unjoin", "gondor", "--host-cluster-context=rivendell"]).fine();
    assert_eq!(world.left().await, Vec::<String>::new());
    assert_eq!(world.takes(&third).await, 401);
}

#[test]
fn issue10_a_life_that_nobody_gives_is_refused_before_anything_is_sent() {
    let place = Place::new();
    place.kubeconfig(&[("rivendell", "https://127.0.0.1:1", ADMIN)]);
    for life in ["599s", "2000000h"] {
        let said = place.kubefed(&[JOIN, &[&format!("--token-life={life}")]].concat()).complaint(64);
        assert!(said.contains("invalid --token-life"), "{said}");
    }
}
