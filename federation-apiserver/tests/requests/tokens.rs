//! Bootstrap tokens: secrets that let their holders in until they expire or are deleted.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation_apiserver::{Config, Profile};
use serde_json::{Value, json};

use crate::subject::{Subject, client_config, over_connection, ready};

const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

fn token(id: &str, expiration: &str) -> Value {
    let pairs = [
        ("token-id", id),
        ("token-secret", "0123456789abcdef"),
        ("usage-bootstrap-authentication", "true"),
        ("auth-extra-groups", "system:bootstrappers:riders"),
        ("expiration", expiration),
    ];
    let data: serde_json::Map<String, Value> = pairs.iter().map(|(key, text)| ((*key).to_owned(), STANDARD.encode(text).into())).collect();
    json!({"metadata": {"name": format!("bootstrap-token-{id}")}, "type": "bootstrap.kubernetes.io/token", "data": data})
}

/// Who the bearer of a token is; nobody when the server does not take it.
async fn who(at: &str, token: &str) -> Option<Value> {
    let review = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews");
    let review = review.header("content-type", "application/json").header("authorization", format!("Bearer {token}"));
    let answer = over_connection(at, client_config(None), review.body(bytes::Bytes::from_static(b"{}").into()).unwrap()).await.unwrap();
    match answer.code {
        201 => Some(answer.json()["status"]["userInfo"].clone()),
        401 => None,
        code => panic!("{code}"),
    }
}

#[tokio::test]
async fn issue10_a_bootstrap_token_lets_in_while_its_secret_is_there() {
    let server = ready(Config { bootstrap_tokens: true, ..Config::in_memory(Profile::Federation) }).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    let admin = Subject::Service(server.admin_service());
    assert_eq!(who(&at, "abcdef.0123456789abcdef").await, None);
    admin.expect(201, "POST", SECRETS, token("abcdef", "2999-01-01T00:00:00Z")).await;
    admin.expect(201, "POST", SECRETS, token("fedcba", "2026-01-01T00:00:00Z")).await;
    let user = who(&at, "abcdef.0123456789abcdef").await.unwrap();
    let groups = json!(["system:bootstrappers", "system:bootstrappers:riders", "system:authenticated"]);
    assert_eq!((&user["username"], &user["groups"]), (&json!("system:bootstrap:abcdef"), &groups));
    for wrong in ["abcdef.0123456789abcdeg", "fedcba.0123456789abcdef", "abcdeg.0123456789abcdef", "abcdef"] {
        assert_eq!(who(&at, wrong).await, None, "{wrong}");
    }
    let review = json!({"spec": {"token": "abcdef.0123456789abcdef"}});
    let said = admin.expect(201, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).await;
    assert_eq!((&said["status"]["authenticated"], &said["status"]["user"]["groups"]), (&json!(true), &groups));
    // The server cleans up by itself.
    for _ in 0..600 {
        if admin.send("GET", &format!("{SECRETS}/bootstrap-token-fedcba"), &[], "").await.code == 404 {
            admin.expect(200, "DELETE", &format!("{SECRETS}/bootstrap-token-abcdef"), Value::Null).await;
            assert_eq!(who(&at, "abcdef.0123456789abcdef").await, None, "a deleted token is worth nothing at once");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the expired token stays");
}

#[tokio::test]
async fn issue10_bootstrap_tokens_have_to_be_switched_on() {
    let server = ready(Config::in_memory(Profile::Federation)).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    Subject::Service(server.admin_service()).expect(201, "POST", SECRETS, token("abcdef", "2999-01-01T00:00:00Z")).await;
    assert_eq!(who(&at, "abcdef.0123456789abcdef").await, None);
}
