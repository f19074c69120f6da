//! What becomes of requests for certificates on a server that has an authority.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use federation_apiserver::auth::UserInfo;
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
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "fellowship");
    let (cert, key_file) = (dir.join("ca.crt"), dir.join("ca.key"));
    std::fs::write(&cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let longest = Duration::from_secs(3600);
    let signing = SigningConfig { cert: cert.clone(), key: key_file, longest };
    ready(Config { client_ca_file: Some(cert), signing: Some(signing), ..Config::in_memory(Profile::Federation) }).await
}

/// A request for a certificate, and its key.
fn request(name: &str, signer: &str, (user, group): (&str, &str), usages: &[&str]) -> (Value, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    let key = KeyPair::generate().unwrap();
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let spec = json!({"request": STANDARD.encode(pem), "signerName": format!("kubernetes.io/{signer}"), "usages": usages});
    (json!({"metadata": {"name": name}, "spec": spec}), key.serialize_pem())
}

/// The request as soon as its status is as wanted.
async fn until(subject: &Subject, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
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

fn issued(status: &Value) -> bool {
    status["certificate"].is_string()
}

async fn approve(subject: &Subject, name: &str) {
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
    ask(&node, "another", "system:node:rivendell", "kube-apiserver-client-kubelet").await;

    const PREFIX: &str = "system:certificates.k8s.io:certificatesigningrequests";
    bind("renewals", &format!("{PREFIX}:selfnodeclient"), "Group", "system:nodes").await;
    let renewed = until(&admin, "renewed", issued).await;
    let why = condition(&renewed["status"], "Approved").unwrap();
    assert_eq!(why, "AutoApproved: Approved by itself: the creator may create certificatesigningrequests/selfnodeclient.");
    bind("first-ones", &format!("{PREFIX}:nodeclient"), "Group", "bootstrappers").await;
    until(&admin, "first", issued).await;
    // Both were looked at whenever these were.
    for name in ["person", "another"] {
        let pending = admin.expect(200, "GET", &format!("{ALL}/{name}"), Value::Null).await;
        assert_eq!(pending["status"], json!({}), "{name}");
    }
}
