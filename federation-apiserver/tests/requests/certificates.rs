//! Requests for certificates: made by anybody who may, changed by nobody, approved and signed by who may for the signer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation_apiserver::auth::UserInfo;
use federation_apiserver::{ApiService, Config, Profile, Server};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

use crate::subject::{Subject, in_memory, ready};

const ALL: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";

fn pem(name: &str, group: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

fn request(name: &str, pem: &str) -> Value {
    json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"request": STANDARD.encode(pem), "signerName": CLIENT, "usages": ["client auth"]}})
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "Told", "message": "by hand"})
}

fn as_user(server: &Server, name: &str) -> Subject {
    Subject::Service(service(server, name))
}

fn service(server: &Server, name: &str) -> ApiService {
    server.service(UserInfo { name: name.into(), uid: "7".into(), groups: vec!["hobbits".into(), "system:authenticated".into()] })
}

/// Gives a user rights, and waits until they count.
async fn grant(server: &Server, user: &str, rules: Value, probe: (&str, &str, &str)) {
    let admin = Subject::Service(server.admin_service());
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    admin.expect(201, "POST", &format!("{rbac}/clusterroles"), json!({"metadata": {"name": user}, "rules": rules})).await;
    let subject = json!([{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]);
    let role = json!({"kind": "ClusterRole", "name": user, "apiGroup": "rbac.authorization.k8s.io"});
    let binding = json!({"metadata": {"name": user}, "subjects": subject, "roleRef": role});
    admin.expect(201, "POST", &format!("{rbac}/clusterrolebindings"), binding).await;
    let (verb, resource, name) = probe;
    let wanted = json!({"group": "certificates.k8s.io", "verb": verb, "resource": resource, "name": name});
    let review = json!({"spec": {"resourceAttributes": wanted}});
    for _ in 0..400 {
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let said = as_user(server, user).expect(201, "POST", path, review.clone()).await;
        if said["status"]["allowed"] == true {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{user} never gets the right");
}

#[tokio::test]
async fn issue10_a_request_says_who_asked_and_never_changes() {
    let server = ready(Config::in_memory(Profile::Federation)).await;
    let rules = json!([{"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"], "verbs": ["create", "update"]}]);
    grant(&server, "frodo", rules, ("create", "certificatesigningrequests", "")).await;
    let frodo = as_user(&server, "frodo");
    let mut wanted = request("ring", &pem("frodo", "hobbits"));
    for (field, lie) in
        [("username", json!("sauron")), ("uid", json!("1")), ("groups", json!(["system:masters"])), ("extra", json!({"a": ["b"]}))]
    {
        wanted["spec"][field] = lie;
    }
    wanted["status"] = json!({"conditions": [condition("Approved")]});
    let made = frodo.expect(201, "POST", ALL, wanted).await;
    let spec = &made["spec"];
    assert_eq!((&spec["username"], &spec["uid"], &spec["extra"]), (&json!("frodo"), &json!("7"), &Value::Null));
    assert_eq!(spec["groups"], json!(["hobbits", "system:authenticated"]));
    assert_eq!(made["status"], json!({}), "nobody approves by asking");

    let mut other = made.clone();
    other["spec"]["signerName"] = "example.com/mine".into();
    other["spec"]["username"] = "sauron".into();
    other["status"] = json!({"conditions": [condition("Approved")]});
    other["metadata"]["labels"] = json!({"kept": "yes"});
    let after = frodo.expect(200, "PUT", &format!("{ALL}/ring"), other).await;
    assert_eq!((&after["spec"], &after["status"], &after["metadata"]["labels"]["kept"]), (&made["spec"], &json!({}), &json!("yes")));
}

#[tokio::test]
async fn issue10_what_cannot_be_signed_is_refused() {
    let subject = in_memory(Profile::Federation).await;
    let good = pem("frodo", "hobbits");
    // The end of a request is its signature.
    let forged = {
        let mut body = der(&good);
        let end = body.len();
        body[end - 8..end - 4].copy_from_slice(&[0x55; 4]);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", STANDARD.encode(body))
    };
    let with = |field: &str, value: Value| {
        let mut object = request("bad", &good);
        object["spec"][field] = value;
        object
    };
    let table = [
        (with("request", STANDARD.encode("no PEM").into()), "PEM block type must be CERTIFICATE REQUEST"),
        (with("request", STANDARD.encode(good.replace(" REQUEST", "")).into()), "PEM block type must be CERTIFICATE REQUEST"),
        (with("request", STANDARD.encode(forged).into()), "spec.request: Invalid value"),
        (with("usages", json!([])), "spec.usages: Required value"),
        (with("usages", json!(["client auth", "world peace"])), "spec.usages[1]: Unsupported value: \"world peace\""),
        (with("usages", json!(["client auth", "client auth"])), "spec.usages[1]: Duplicate value: \"client auth\""),
        (with("expirationSeconds", 599.into()), "may not specify a duration less than 600 seconds (10 minutes)"),
        (with("signerName", "kubernetes.io/legacy-unknown".into()), "the legacy signerName is not allowed via this API version"),
        (with("signerName", "nobody".into()), "must be a fully qualified domain and path of the form 'example.com/signer-name'"),
        (with("signerName", "example/one".into()), "should be a domain with at least two segments separated by dots"),
    ];
    for (object, why) in table {
        let said = subject.expect(422, "POST", ALL, object).await;
        assert!(said["message"].as_str().unwrap().contains(why), "{why}: {}", said["message"]);
    }
    let masters = request("bad", &pem("frodo", "system:masters"));
    let said = subject.expect(403, "POST", ALL, masters.clone()).await;
    assert_eq!(
        said["message"],
        "certificatesigningrequests.certificates.k8s.io \"bad\" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    );
    let mut elsewhere = masters;
    elsewhere["spec"]["signerName"] = "example.com/other".into();
    subject.expect(201, "POST", ALL, elsewhere).await;
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

#[tokio::test]
async fn issue10_who_approves_and_who_signs_need_the_right_on_the_signer() {
    let server = ready(Config::in_memory(Profile::Federation)).await;
    let admin = Subject::Service(server.admin_service());
    let parts = ["certificatesigningrequests/approval", "certificatesigningrequests/status"];
    let write = json!({"apiGroups": ["certificates.k8s.io"], "resources": parts, "verbs": ["update", "patch"]});
    let signers = |verb: &str, name: &str| json!({"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": [verb], "resourceNames": [name]});
    let acts =
        |plural: &str, name: &str| json!({"apiGroups": [""], "resources": [plural], "verbs": ["impersonate"], "resourceNames": [name]});
    let approves = json!([write.clone(), signers("approve", CLIENT), acts("users", "frodo"), acts("groups", "hobbits")]);
    grant(&server, "gandalf", approves, ("approve", "signers", CLIENT)).await;
    grant(&server, "saruman", json!([write, signers("sign", "kubernetes.io/*")]), ("sign", "signers", "kubernetes.io/*")).await;
    let (gandalf, saruman) = (as_user(&server, "gandalf"), as_user(&server, "saruman"));
    admin.expect(201, "POST", ALL, request("ring", &pem("frodo", "hobbits"))).await;
    let (approval, status) = (format!("{ALL}/ring/approval"), format!("{ALL}/ring/status"));

    let approved =
        json!({"status": {"conditions": [condition("Approved")], "certificate": STANDARD.encode("mine")}, "spec": {"signerName": "a.b/c"}});
    let said = saruman.expect(403, "PATCH", &approval, approved.clone()).await;
    let why = "is forbidden: user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\"";
    assert!(said["message"].as_str().unwrap().ends_with(why), "{said}");
    let said = saruman.expect(422, "PATCH", &status, approved.clone()).await;
    assert!(said["message"].as_str().unwrap().contains("updates may not add a condition of type \"Approved\""), "{said}");
    let made = gandalf.expect(200, "PATCH", &approval, approved).await;
    let condition_made = &made["status"]["conditions"][0];
    assert_eq!(
        (&condition_made["type"], &made["status"]["certificate"], &made["spec"]["signerName"]),
        (&json!("Approved"), &Value::Null, &json!(CLIENT))
    );
    assert!(condition_made["lastUpdateTime"].is_string() && condition_made["lastTransitionTime"].is_string());
    let both = json!({"status": {"conditions": [condition("Approved"), condition("Denied")]}});
    let said = gandalf.expect(422, "PATCH", &approval, both).await;
    assert!(said["message"].as_str().unwrap().contains("Approved and Denied conditions are mutually exclusive"), "{said}");
    let said = gandalf.expect(422, "PATCH", &approval, json!({"status": {"conditions": []}})).await;
    assert!(said["message"].as_str().unwrap().contains("updates may not remove a condition of type"), "{said}");

    let certificate = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        json!({"status": {"certificate": STANDARD.encode(made.pem())}})
    };
    let said = gandalf.expect(403, "PATCH", &status, certificate("a")).await;
    assert!(said["message"].as_str().unwrap().contains("user not permitted to sign requests with signerName"), "{said}");
    saruman.expect(422, "PATCH", &status, json!({"status": {"certificate": STANDARD.encode("nonsense")}})).await;
    let signed = saruman.expect(200, "PATCH", &status, certificate("a")).await;
    assert!(signed["status"]["certificate"].is_string() && signed["status"]["conditions"][0] == *condition_made);
    let said = saruman.expect(422, "PATCH", &status, certificate("b")).await;
    assert!(said["message"].as_str().unwrap().contains("updates may not modify existing certificate content"), "{said}");

    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let shown = admin.send("GET", &format!("{ALL}?fieldSelector=spec.signerName%3D{CLIENT}"), &table, "").await.json();
    let cells = &shown["rows"][0]["cells"];
    assert_eq!((&cells[0], &cells[2], &cells[4], &cells[5]), (&json!("ring"), &json!(CLIENT), &json!("<none>"), &json!("Approved,Issued")));
}
