//! Tokens of service accounts: made on request, for a time, for audiences, and bound to what has to be there.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use federation_apiserver::auth::UserInfo;
use federation_apiserver::config::ServiceAccountConfig;
use federation_apiserver::{Config, Profile, Server};
use jsonwebtoken::DecodingKey;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::subject::{Subject, client_config, over_connection, ready, subjects};

const ISSUER: &str = "https://fellowship.example.com";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// What makes tokens, with a key in the directory.
pub(crate) fn issuer(dir: &Path) -> ServiceAccountConfig {
    let (key, public) = (dir.join("sa.key"), dir.join("sa.pub"));
    let pair = KeyPair::generate().unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    std::fs::write(&public, pair.public_key_pem()).unwrap();
    ServiceAccountConfig {
        issuer: ISSUER.into(),
        signing_key: key,
        keys: vec![public],
        jwks_uri: None,
        audiences: vec![ISSUER.into()],
        longest: Some(Duration::from_secs(7200)),
    }
}

/// A server that makes tokens; the directory holds its key.
async fn issuing(profile: Profile) -> (Box<Server>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { service_accounts: Some(issuer(dir.path())), ..Config::in_memory(profile) };
    (ready(config).await, dir)
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn request(admin: &Subject, name: &str, spec: Value) -> Value {
    admin.expect(201, "POST", &format!("{ACCOUNTS}/{name}/token"), json!({"spec": spec})).await
}

async fn review(admin: &Subject, token: &str, audiences: Value) -> Value {
    admin.expect(201, "POST", REVIEWS, json!({"spec": {"token": token, "audiences": audiences}})).await["status"].clone()
}

#[tokio::test]
async fn issue10_a_token_of_a_service_account_lets_in_for_a_time() {
    let (server, _dir) = issuing(Profile::Federation).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    let admin = Subject::Service(server.admin_service());
    let uid = admin.expect(201, "POST", ACCOUNTS, json!({"metadata": {"name": "frodo"}})).await["metadata"]["uid"].clone();
    let made = request(&admin, "frodo", json!({})).await;
    assert_eq!(
        (&made["kind"], &made["metadata"]["name"], &made["spec"]["expirationSeconds"]),
        (&json!("TokenRequest"), &json!("frodo"), &json!(3600))
    );
    let token = made["status"]["token"].as_str().unwrap();
    let said = claims(token);
    assert_eq!(
        (&said["iss"], &said["aud"], &said["sub"]),
        (&json!(ISSUER), &json!([ISSUER]), &json!("system:serviceaccount:default:frodo"))
    );
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 3600);
    assert_eq!(said["kubernetes.io"], json!({"namespace": "default", "serviceaccount": {"name": "frodo", "uid": uid}}));

    let who = async |token: &str| {
        let review = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews");
        let review = review.header("content-type", "application/json").header("authorization", format!("Bearer {token}"));
        over_connection(&at, client_config(None), review.body(bytes::Bytes::from_static(b"{}").into()).unwrap()).await.unwrap()
    };
    let answer = who(token).await;
    assert_eq!(answer.code, 201);
    let user = &answer.json()["status"]["userInfo"];
    let groups = json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
    assert_eq!((&user["username"], &user["uid"], &user["groups"]), (&json!("system:serviceaccount:default:frodo"), &uid, &groups));
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{rest}.{}", signature.chars().rev().collect::<String>());
    assert_eq!(who(&forged).await.code, 401);
    let other = request(&admin, "frodo", json!({"audiences": ["vault"]})).await;
    assert_eq!(who(other["status"]["token"].as_str().unwrap()).await.code, 401, "it is for somebody else");

    admin.expect(200, "DELETE", &format!("{ACCOUNTS}/frodo"), Value::Null).await;
    admin.expect(201, "POST", ACCOUNTS, json!({"metadata": {"name": "frodo"}})).await;
    assert_eq!(who(token).await.code, 401, "another account has the name");
}

/// The subjects that make tokens: kube-apiserver, where the environment names one, or else ours.
async fn issuers() -> Vec<(Subject, Option<(Box<Server>, tempfile::TempDir)>)> {
    if std::env::var("KUBE_SUBJECT_URL").is_ok() {
        return subjects().await.into_iter().map(|subject| (subject, None)).collect();
    }
    let ours = issuing(Profile::Member).await;
    vec![(Subject::Service(ours.0.admin_service()), Some(ours))]
}

/// The token is good no more: by ours at once. kube-apiserver remembers for ten seconds what it answered, and sees what is
/// deleted by a cache of its own.
async fn is_refused(admin: &Subject, token: &str, at_once: bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(if at_once { 0 } else { 30 });
    while review(admin, token, json!(["vault"])).await["authenticated"] != Value::Null {
        assert!(tokio::time::Instant::now() < end, "it is still good");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn issue10_a_token_is_for_its_audiences_and_while_what_it_is_bound_to_is_there() {
    for (admin, ours) in issuers().await {
        let namespace = admin.namespace().await;
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let request =
            async |name: &str, spec: Value| admin.expect(201, "POST", &format!("{accounts}/{name}/token"), json!({"spec": spec})).await;
        admin.expect(201, "POST", &accounts, json!({"metadata": {"name": "frodo"}})).await;
        let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
        admin.expect(201, "POST", &secrets, json!({"metadata": {"name": "ring"}})).await;
        let reference = json!({"apiVersion": "v1", "kind": "Secret", "name": "ring"});
        let spec = json!({"audiences": ["vault", "mordor"], "boundObjectRef": reference, "expirationSeconds": 600});
        let made = request("frodo", spec).await;
        let token = made["status"]["token"].as_str().unwrap();
        let status = review(&admin, token, json!(["mordor", "other"])).await;
        assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["mordor"])));
        assert_eq!(status["user"]["username"], format!("system:serviceaccount:{namespace}:frodo"));
        assert_eq!(review(&admin, token, json!(["other"])).await["authenticated"], Value::Null);
        assert_eq!(review(&admin, token, json!([])).await["authenticated"], Value::Null, "it is not for this server");
        admin.expect(200, "DELETE", &format!("{secrets}/ring"), Value::Null).await;
        is_refused(&admin, token, ours.is_some()).await;

        for (spec, code, why) in [
            (json!({"expirationSeconds": 599}), 422, "may not specify a duration less than 10 minutes"),
            (json!({"expirationSeconds": 1_i64 << 33}), 422, "may not specify a duration larger than 2^32 seconds"),
            (json!({"boundObjectRef": reference}), 404, "secrets \"ring\" not found"),
            (json!({"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}}), 400, "cannot bind token"),
        ] {
            let said = admin.expect(code, "POST", &format!("{accounts}/frodo/token"), json!({"spec": spec})).await;
            assert!(said["message"].as_str().unwrap().contains(why), "{said}");
        }
        admin.expect(404, "POST", &format!("{accounts}/sam/token"), json!({"spec": {}})).await;
        let body = json!({"metadata": {"name": "sam"}, "spec": {}});
        admin.expect(422, "POST", &format!("{accounts}/frodo/token"), body).await;
    }
}

#[tokio::test]
async fn issue10_a_token_lives_no_longer_than_the_server_lets_it() {
    let (server, _dir) = issuing(Profile::Federation).await;
    let admin = Subject::Service(server.admin_service());
    admin.expect(201, "POST", ACCOUNTS, json!({"metadata": {"name": "frodo"}})).await;
    assert_eq!(request(&admin, "frodo", json!({"expirationSeconds": 86400})).await["spec"]["expirationSeconds"], 7200);
}

#[tokio::test]
async fn issue10_a_token_of_a_pod_goes_with_the_pod() {
    for (admin, ours) in issuers().await {
        let namespace = admin.namespace().await;
        let at = |plural: &str| format!("/api/v1/namespaces/{namespace}/{plural}");
        for name in ["frodo", "sam"] {
            admin.expect(201, "POST", &at("serviceaccounts"), json!({"metadata": {"name": name}})).await;
        }
        let spec = json!({"serviceAccountName": "frodo", "automountServiceAccountToken": false, "nodeName": "nowhere",
            "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "scratch"}]});
        admin.expect(201, "POST", &at("pods"), json!({"metadata": {"name": "bearer"}, "spec": spec})).await;
        let bound = json!({"spec": {"audiences": ["vault"], "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "bearer"}}});
        let said = admin.expect(400, "POST", &format!("{}/sam/token", at("serviceaccounts")), bound.clone()).await;
        assert!(said["message"].as_str().unwrap().contains("different serviceaccount name"), "{said}");
        let made = admin.expect(201, "POST", &format!("{}/frodo/token", at("serviceaccounts")), bound).await;
        let token = made["status"]["token"].as_str().unwrap();
        assert_eq!(claims(token)["kubernetes.io"]["pod"]["name"], "bearer");
        assert_eq!(review(&admin, token, json!(["vault"])).await["authenticated"], true);
        let now = json!({"gracePeriodSeconds": 0});
        admin.expect(200, "DELETE", &format!("{}/bearer", at("pods")), now).await;
        is_refused(&admin, token, ours.is_some()).await;
    }
}

#[tokio::test]
async fn issue10_others_are_told_the_keys_and_a_key_is_changed_with_overlap() {
    let (server, dir) = issuing(Profile::Federation).await;
    let admin = Subject::Service(server.admin_service());
    admin.expect(201, "POST", ACCOUNTS, json!({"metadata": {"name": "frodo"}})).await;
    let leading = admin.expect(200, "GET", "/.well-known/openid-configuration", Value::Null).await;
    assert_eq!((&leading["issuer"], &leading["id_token_signing_alg_values_supported"]), (&json!(ISSUER), &json!(["ES256"])));
    assert!(leading["jwks_uri"].as_str().unwrap().ends_with("/openid/v1/jwks"), "{leading}");
    let user = UserInfo {
        name: "system:serviceaccount:default:frodo".into(),
        uid: String::new(),
        groups: vec!["system:serviceaccounts".into(), "system:authenticated".into()],
    };
    let frodo = Subject::Service(server.service(user));
    // Whether `token` is verified by what others are told, and by the server.
    let holds = async |token: &str| {
        let told = frodo.send("GET", "/openid/v1/jwks", &[], "").await;
        assert_eq!((told.code, told.headers["content-type"].to_str().unwrap()), (200, "application/jwk-set+json"));
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&told.bytes).unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        let mut by = jsonwebtoken::Validation::new(header.alg);
        by.set_audience(&[ISSUER]);
        let key = set.find(header.kid.as_deref().unwrap());
        let outside = key.is_some_and(|key| jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &by).is_ok());
        let status = review(&admin, token, json!([])).await;
        (outside, status["authenticated"] == true)
    };
    let issue = async || request(&admin, "frodo", json!({})).await["status"]["token"].as_str().unwrap().to_owned();
    let old = issue().await;
    assert_eq!(holds(&old).await, (true, true));
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid;
    let new_key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    std::fs::write(dir.path().join("sa.key"), new_key.serialize_pem()).unwrap();
    let new = until(async || Some(issue().await).filter(|token| kid(token) != kid(&old))).await;
    assert_eq!((holds(&old).await, holds(&new).await), ((true, true), (true, true)), "both hold while both keys are there");
    std::fs::write(dir.path().join("sa.pub"), "nothing that can be read").unwrap();
    std::fs::write(dir.path().join("sa.pub"), new_key.public_key_pem()).unwrap();
    until(async || (holds(&old).await == (false, false)).then_some(())).await;
    assert_eq!(holds(&new).await, (true, true));
}

/// What is asked for again and again until it is there.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never");
}
