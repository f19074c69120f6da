//! What becomes of requests for certificates on a server that has an authority.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use federation_apiserver::auth::UserInfo;
use federation_apiserver::auth::authz::Mode;
use federation_apiserver::config::SigningConfig;
use federation_apiserver::{Config, Profile, Server};
use http::Request;
use http_body_util::Full;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::subject::{Answer, Subject, client_config, over_connection, ready};

const ALL: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const NODE: &str = "system:node:bagend";

/// A server whose clients are certified by the authority it signs with.
async fn signing(dir: &Path) -> Box<Server> {
    ready(authority(dir, Config::in_memory(Profile::Federation))).await
}

/// The same configuration with an authority, in files of a directory, that certifies clients and signs.
pub(crate) fn authority(dir: &Path, config: Config) -> Config {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "fellowship");
    let (cert, key_file) = (dir.join("ca.crt"), dir.join("ca.key"));
    std::fs::write(&cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let longest = Duration::from_secs(3600);
    let signing = SigningConfig { cert: cert.clone(), key: key_file, longest };
    Config { client_ca_file: Some(cert), signing: Some(signing), ..config }
}

/// A request for a certificate, and its key.
pub(crate) fn request(name: &str, signer: &str, (user, group): (&str, &str), usages: &[&str]) -> (Value, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    let key = KeyPair::generate().unwrap();
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let spec = json!({"request": STANDARD.encode(pem), "signerName": format!("kubernetes.io/{signer}"), "usages": usages});
    (json!({"metadata": {"name": name}, "spec": spec}), key.serialize_pem())
}

/// The request as soon as its status is as wanted.
pub(crate) async fn until(subject: &Subject, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..600 {
        last = subject.expect(200, "GET", &format!("{ALL}/{name}"), Value::Null).await;
        if wanted(&last["status"]) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {last}");
}

fn condition(status: &Value, kind: &str) -> Option<String> {
    let found = status["conditions"].as_array()?.iter().find(|c| c["type"] == kind)?;
    Some(format!("{}: {}", found["reason"].as_str()?, found["message"].as_str()?))
}

pub(crate) fn issued(status: &Value) -> bool {
    status["certificate"].is_string()
}

pub(crate) async fn approve(subject: &Subject, name: &str) {
    let condition = json!({"type": "Approved", "status": "True", "reason": "Told", "message": "by hand"});
    subject.expect(200, "PATCH", &format!("{ALL}/{name}/approval"), json!({"status": {"conditions": [condition]}})).await;
}

#[tokio::test]
async fn issue10_an_approved_request_is_signed_and_its_certificate_opens_the_door() {
    let dir = tempfile::tempdir().unwrap();
    let server = signing(dir.path()).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    let admin = Subject::Service(server.admin_service());

    let (frodo, key) = request("frodo", "kube-apiserver-client", ("frodo", "hobbits"), &["client auth", "digital signature"]);
    admin.expect(201, "POST", ALL, frodo).await;
    approve(&admin, "frodo").await;
    let signed = until(&admin, "frodo", issued).await;
    let cert = STANDARD.decode(signed["status"]["certificate"].as_str().unwrap()).unwrap();
    let who = async |identity| -> Answer {
        let body = Full::new(Bytes::from_static(b"{}"));
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let asked = Request::post(path).header("content-type", "application/json").body(body).unwrap();
        over_connection(&at, client_config(identity), asked).await.unwrap()
    };
    let answer = who(Some((cert, key.into_bytes()))).await;
    assert_eq!(answer.code, 201);
    let user = &answer.json()["status"]["userInfo"];
    assert_eq!((&user["username"], &user["groups"]), (&json!("frodo"), &json!(["hobbits", "system:authenticated"])));
    assert_eq!(who(None).await.code, 401);

    let (both, _) = request("both", "kube-apiserver-client", ("frodo", "hobbits"), &["client auth", "server auth"]);
    admin.expect(201, "POST", ALL, both).await;
    approve(&admin, "both").await;
    let failed = until(&admin, "both", |status| condition(status, "Failed").is_some()).await;
    assert_eq!(condition(&failed["status"], "Failed").unwrap(), "SignerValidationFailure: usage \"server auth\" is not allowed");
    assert!(!issued(&failed["status"]));
}

#[tokio::test]
async fn issue10_a_node_gets_its_certificate_by_rights_alone_and_renews_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = signing(dir.path()).await;
    let admin = Subject::Service(server.admin_service());
    let bind = async |name: &str, role: &str, kind: &str, who: &str| {
        let subject = json!({"kind": kind, "name": who, "apiGroup": "rbac.authorization.k8s.io"});
        let role = json!({"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"});
        let binding = json!({"metadata": {"name": name}, "subjects": [subject], "roleRef": role});
        admin.expect(201, "POST", &format!("{RBAC}/clusterrolebindings"), binding).await;
    };
    let as_user = |name: &str, group: &str| {
        let groups = vec![group.to_owned(), "system:authenticated".to_owned()];
        Subject::Service(server.service(UserInfo { name: name.into(), uid: String::new(), groups }))
    };
    bind("bootstrap", "system:node-bootstrapper", "Group", "bootstrappers").await;
    bind("renewal", "system:node-bootstrapper", "Group", "system:nodes").await;
    let usages = ["digital signature", "client auth"];
    let ask = async |who: &Subject, name: &str, user: &str, signer: &str| {
        let (object, _) = request(name, signer, (user, "system:nodes"), &usages);
        // The binding may not count yet.
        for _ in 0..400 {
            if who.send("POST", ALL, &[("content-type", "application/json")], object.to_string()).await.code == 201 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} is never taken");
    };
    let (kubelet, node) = (as_user("kubelet-bootstrap", "bootstrappers"), as_user(NODE, "system:nodes"));
    ask(&kubelet, "first", NODE, "kube-apiserver-client-kubelet").await;
    ask(&kubelet, "person", "frodo", "kube-apiserver-client").await;
    ask(&node, "renewed", NODE, "kube-apiserver-client-kubelet").await;

    const PREFIX: &str = "system:certificates.k8s.io:certificatesigningrequests";
    bind("renewals", &format!("{PREFIX}:selfnodeclient"), "Group", "system:nodes").await;
    let renewed = until(&admin, "renewed", issued).await;
    let why = condition(&renewed["status"], "Approved").unwrap();
    assert_eq!(why, "AutoApproved: Approved by itself: the creator may create certificatesigningrequests/selfnodeclient.");
    bind("first-ones", &format!("{PREFIX}:nodeclient"), "Group", "bootstrappers").await;
    until(&admin, "first", issued).await;
    // It was looked at whenever these were.
    let pending = admin.expect(200, "GET", &format!("{ALL}/person"), Value::Null).await;
    assert_eq!(pending["status"], json!({}));
}

#[tokio::test]
async fn issue10_who_approves_cannot_become_whom_he_may_not_act_as() {
    let dir = tempfile::tempdir().unwrap();
    let server = signing(dir.path()).await;
    let admin = Subject::Service(server.admin_service());
    let role = json!({"metadata": {"name": "approver"}, "rules": [
        {"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests", "certificatesigningrequests/approval"], "verbs": ["*"]},
        {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"]},
        {"apiGroups": [""], "resources": ["users"], "resourceNames": ["frodo"], "verbs": ["impersonate"]},
        {"apiGroups": [""], "resources": ["groups"], "resourceNames": ["hobbits"], "verbs": ["impersonate"]}]});
    admin.expect(201, "POST", &format!("{RBAC}/clusterroles"), role).await;
    let binding = json!({"metadata": {"name": "approver"}, "subjects": [{"kind": "User", "name": "gandalf", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "ClusterRole", "name": "approver", "apiGroup": "rbac.authorization.k8s.io"}});
    admin.expect(201, "POST", &format!("{RBAC}/clusterrolebindings"), binding).await;
    let user = UserInfo { name: "gandalf".into(), uid: String::new(), groups: vec!["system:authenticated".into()] };
    let gandalf = Subject::Service(server.service(user));
    let conditions =
        |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True", "reason": "Told", "message": "by hand"}]}});
    for (n, (subject, code)) in [
        (("frodo", "hobbits"), 200),
        (("federation-controller-manager", "hobbits"), 403),
        (("frodo", "wizards"), 403),
        (("system:serviceaccount:kube-system:ring", "hobbits"), 403),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("request-{n}");
        let (object, _) = request(&name, "kube-apiserver-client", subject, &["client auth"]);
        admin.expect(201, "POST", ALL, object).await;
        let path = format!("{ALL}/{name}/approval");
        let mut answer =
            gandalf.send("PATCH", &path, &[("content-type", "application/merge-patch+json")], conditions("Approved").to_string()).await;
        for _ in 0..400 {
            // The binding may not count yet.
            if answer.code == code && (code == 200 || answer.json()["message"].as_str().unwrap().contains("may not act as")) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer =
                gandalf.send("PATCH", &path, &[("content-type", "application/merge-patch+json")], conditions("Approved").to_string()).await;
        }
        assert_eq!(answer.code, code, "{subject:?}: {}", answer.json());
        if code == 403 {
            assert!(answer.json()["message"].as_str().unwrap().contains("for whom he may not act as"), "{}", answer.json());
            gandalf.expect(200, "PATCH", &path, conditions("Denied")).await;
        }
    }
}

#[tokio::test]
async fn issue10_a_node_asks_for_itself_and_is_never_certified_as_the_api_server() {
    let dir = tempfile::tempdir().unwrap();
    let config = authority(dir.path(), Config::in_memory(Profile::Federation));
    let server = ready(Config { authorization: vec![Mode::AlwaysAllow], ..config }).await;
    let admin = Subject::Service(server.admin_service());
    let groups = vec!["system:nodes".to_owned(), "system:authenticated".to_owned()];
    let node = Subject::Service(server.service(UserInfo { name: NODE.into(), uid: String::new(), groups }));
    for signer in ["kube-apiserver-client-kubelet", "kubelet-serving"] {
        let usages = ["digital signature", if signer == "kubelet-serving" { "server auth" } else { "client auth" }];
        let (other, _) = request(&format!("{signer}-other"), signer, ("system:node:rivendell", "system:nodes"), &usages);
        let said = node.expect(403, "POST", ALL, other).await;
        assert!(said["message"].as_str().unwrap().contains("can only create a node CSR with CN=system:node:bagend"), "{said}");
        let (own, _) = request(&format!("{signer}-own"), signer, (NODE, "system:nodes"), &usages);
        node.expect(201, "POST", ALL, own).await;
    }
    let serving = async |name: &str, names: &[&str]| {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, NODE);
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        let pem = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
        let usages = ["digital signature", "server auth"];
        let spec = json!({"request": STANDARD.encode(pem), "signerName": "kubernetes.io/kubelet-serving", "usages": usages});
        node.expect(201, "POST", ALL, json!({"metadata": {"name": name}, "spec": spec})).await;
        approve(&admin, name).await;
        until(&admin, name, |status| issued(status) || condition(status, "Failed").is_some()).await["status"].clone()
    };
    assert!(issued(&serving("good", &["bagend", "198.18.0.9"]).await));
    for (name, taken) in [("a", "kubernetes.default.svc"), ("b", "127.0.0.1"), ("c", "localhost")] {
        let status = serving(name, &["bagend", taken]).await;
        assert!(!issued(&status) && condition(&status, "Failed").unwrap().contains("of the API server itself"), "{status}");
    }
}
