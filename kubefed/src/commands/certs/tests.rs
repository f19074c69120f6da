//! Certificates of a control plane of which the leaves have three weeks left.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use federation_api::keys;
use federation_api::member_token::TokenTerms;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::held::{Held, Mend, State, Term, in_host, left};
use crate::certs::{self, Found, Issued, LEAF_VALIDITY, Wanted};
use crate::error::Failure;
use crate::render::credentials::{self, Pair};
use crate::render::names::Federation;
use crate::up::realm::{FEDERATION, Realm, apply};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn federation() -> Federation {
    Federation { name: FEDERATION.into(), namespace: keys::DEFAULT_SYSTEM_NAMESPACE.into() }
}

fn issued(ago: Duration) -> Issued {
    let names = ["fellowship-federation-apiserver".to_owned(), "api.example.com".to_owned()];
    let ips = ["198.18.0.11".parse().unwrap(), "fd00::1".parse().unwrap()];
    let wanted = Wanted { federation: FEDERATION, names: &names, ips: &ips };
    certs::ensure(&wanted, Found::default(), SystemTime::now() - ago).unwrap()
}

fn secret(name: String, data: &[(&str, &str)]) -> Secret {
    let data = data.iter().map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec()))).collect();
    Secret { metadata: federation().meta(name), type_: Some("Opaque".into()), data: Some(data), ..Secret::default() }
}

fn member(token: &str) -> Secret {
    let mut secret = secret("gondor".into(), &[("token", token), ("server", "https://gondor:6443")]);
    secret.metadata.annotations.get_or_insert_default().insert(keys::CLUSTER_NAME.into(), "gondor".into());
    secret
}

fn token(claims: &Value) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// The secrets `kubefed init` makes.
fn secrets(issued: &Issued) -> Vec<Secret> {
    let federation = federation();
    let manager = credentials::controller_manager(&federation, &issued.ca, &issued.controller_manager);
    vec![
        secret(federation.ca(), &[("ca.crt", &issued.ca.cert), ("ca.key", &issued.ca.key)]),
        secret(
            federation.apiserver_credentials(),
            &[("ca.crt", &issued.ca.cert), ("server.crt", &issued.server.cert), ("server.key", &issued.server.key), ("token.csv", "kept")],
        ),
        serde_json::from_value(manager.value().clone()).unwrap(),
    ]
}

#[test]
fn what_ends_is_told_by_how_much_time_it_has_left() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let held = |begin, end| Held {
        name: "apiserver".into(),
        place: "secret".into(),
        term: Term::Between(at(begin), at(end)),
        renewed: None,
        mend: Mend::Renew,
    };
    let now = at("2027-06-01T00:00:00Z");
    let state = |end| held("2027-01-01T00:00:00Z", end).state(now, 30 * DAY);
    assert_eq!(state("2027-07-01T00:00:01Z"), State::Good);
    assert_eq!(state("2027-06-30T00:00:00Z"), State::Soon);
    assert_eq!(state("2027-06-01T00:00:00Z"), State::Expired);
    assert_eq!(held("2027-06-02T00:00:00Z", "2028-01-01T00:00:00Z").state(now, DAY), State::Early);
    assert_eq!(held("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z").state(now, Duration::MAX), State::Soon);
    let left = |end| left(at(end), now);
    assert_eq!([left("2027-06-30T00:00:00Z"), left("2027-06-02T01:00:00Z"), left("2027-05-01T00:00:00Z")], ["29d", "25h", "-"]);
}

#[test]
fn what_cannot_be_read_is_no_longer_good() {
    let issued = issued(Duration::ZERO);
    let torn = Issued { server: Pair { cert: "torn".into(), key: String::new() }, ..issued };
    let mut all = secrets(&torn);
    all[0].data = None;
    all[2].data = Some([("kubeconfig".to_owned(), ByteString(b"users: 5".to_vec()))].into());
    all.push(member(&token(&json!({"exp": 1_900_000_000, "nbf": 1_700_000_000}))));
    let told: Vec<_> = in_host(&federation(), &all).into_iter().map(|held| (held.name, held.term)).collect();
    insta::assert_debug_snapshot!(told);
    for endless in ["opaque", "a.b.c", &token(&json!({}))] {
        assert_eq!(in_host(&federation(), &[member(endless)])[0].term, Term::Endless, "{endless}");
    }
}

#[test]
fn issue10_a_token_that_is_renewed_ends_soon_when_that_should_have_been() {
    let now = Timestamp::now().as_second();
    let state = |left: i64| {
        let terms = TokenTerms {
            namespace: "federation-system".into(),
            account: "gondor-rivendell".into(),
            bound_to: "gondor-rivendell-token-1".into(),
            seconds: 3000,
            issued: now + left - 3000,
            expires: now + left,
        };
        let mut secret = member(&token(&json!({"exp": now + left})));
        secret.data.as_mut().unwrap().insert(keys::SECRET_TOKEN_TERMS.into(), ByteString(terms.text().into_bytes()));
        in_host(&federation(), &[secret]).remove(0).state(Timestamp::from_second(now).unwrap(), 30 * DAY)
    };
    assert_eq!([2999, 1001, 999, 0].map(state), [State::Good, State::Good, State::Soon, State::Expired]);
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_credentials_are_listed_as_join_makes_them() {
    let host = Host::start(&secrets(&issued(Duration::ZERO))).await;
    host.realm.join("gondor").await.unwrap();
    let (_, table, notes) = host.kubefed(&["certs", "check", FEDERATION]).await;
    assert!(table.contains("gondor's credentials") && notes.contains("gondor's credentials have no end"), "{table}{notes}");
}

struct Host {
    _dir: tempfile::TempDir,
    realm: Realm,
}

impl Host {
    async fn start(secrets: &[Secret]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let realm = Realm::start(dir.path(), crate::commands::boxed).await.unwrap();
        for secret in secrets {
            let value = serde_json::to_value(secret).unwrap();
            apply(&realm.member("rivendell").unwrap(), "", "v1", "Secret", "secrets", &value).await.unwrap();
        }
        Self { _dir: dir, realm }
    }

    fn host(&self) -> Client {
        self.realm.member("rivendell").unwrap()
    }

    /// The administrator's entry gets a certificate, and its cluster the authority.
    fn administrator(&self, issued: &Issued) {
        let (pair, mut config) = (&issued.admin, self.kubeconfig());
        let cluster = config["clusters"].as_array_mut().unwrap().iter_mut().find(|cluster| cluster["name"] == FEDERATION).unwrap();
        cluster["cluster"]["certificate-authority-data"] = json!(STANDARD.encode(&issued.ca.cert));
        let user = config["users"].as_array_mut().unwrap().iter_mut().find(|user| user["name"] == FEDERATION).unwrap();
        user["user"]["client-certificate-data"] = json!(STANDARD.encode(&pair.cert));
        user["user"]["client-key-data"] = json!(STANDARD.encode(&pair.key));
        std::fs::write(&self.realm.kubeconfig, config.to_string()).unwrap();
    }

    fn kubeconfig(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(&self.realm.kubeconfig).unwrap()).unwrap()
    }

    /// Exit code, or failure, and what was printed.
    async fn kubefed(&self, words: &[&str]) -> (Result<u8, Failure>, String, String) {
        self.realm.told(words).await
    }

    async fn data(&self, name: String) -> std::collections::BTreeMap<String, String> {
        let secret = Api::<Secret>::namespaced(self.host(), keys::DEFAULT_SYSTEM_NAMESPACE).get(&name).await.unwrap();
        secret.data.unwrap().into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect()
    }

    fn managers(&self) -> Api<Deployment> {
        Api::namespaced(self.host(), keys::DEFAULT_SYSTEM_NAMESPACE)
    }

    async fn digest(&self) -> Option<String> {
        let manager = self.managers().get(&federation().controller_manager()).await.unwrap();
        manager.spec?.template.metadata?.annotations?.remove("federation.kubernetes.io/credentials-digest")
    }

    /// As the controllers of a host do it: says of each generation that it was carried out.
    async fn carries_out(&self) {
        let (managers, name) = (self.managers(), federation().controller_manager());
        loop {
            let generation = managers.get(&name).await.unwrap().metadata.generation;
            let status = json!({"status": {"observedGeneration": generation}});
            managers.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Times and how long is left change from day to day.
fn without_times(text: &str) -> String {
    let word = |word: &str| {
        if word.trim_end_matches(',').parse::<Timestamp>().is_ok() {
            "TIME".to_owned()
        } else if word.strip_suffix('d').is_some_and(|days| days.parse::<u32>().is_ok()) {
            "DAYS".to_owned()
        } else {
            word.to_owned()
        }
    };
    text.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn issue11_what_ends_soon_is_told_and_renewed() {
    let old = issued(LEAF_VALIDITY - 21 * DAY);
    let mut all = secrets(&old);
    all.push(member(&token(&json!({"exp": 1_700_000_000}))));
    let host = Host::start(&all).await;
    host.administrator(&old);
    let (code, table, warnings) = host.kubefed(&["certs", "check", FEDERATION]).await;
    assert_eq!(code, Ok(3));
    insta::assert_snapshot!(format!("{}\n{warnings}", without_times(&table)));
    let (code, json, _) = host.kubefed(&["certs", "check", FEDERATION, "--within=24h", "-o", "json"]).await;
    assert_eq!(code, Ok(3), "the member's token ended long ago");
    let json: Value = serde_json::from_str(&json).unwrap();
    let states: Vec<_> = json["items"].as_array().unwrap().iter().map(|item| item["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["good", "good", "good", "EXPIRED", "good"]);
    assert_eq!(json["items"][3]["mend"], "kubefed join gondor --host-cluster-context=rivendell --context=fellowship --rotate");

    let before = host.data(federation().apiserver_credentials()).await;
    let renewing = host.kubefed(&["certs", "renew", FEDERATION]);
    let (code, said, steps) = tokio::select! {
        done = renewing => done,
        () = host.carries_out() => unreachable!(),
    };
    assert_eq!(code, Ok(0), "{steps}");
    insta::assert_snapshot!("renewed", format!("{}\n{steps}", without_times(&said)));
    let after = host.data(federation().apiserver_credentials()).await;
    assert!(after["server.crt"] != before["server.crt"] && after["ca.crt"] == before["ca.crt"] && after["token.csv"] == "kept");
    assert_eq!(certs::answers_to(&after["server.crt"]).unwrap(), certs::answers_to(&before["server.crt"]).unwrap());
    let manager = host.data(federation().controller_manager_kubeconfig()).await;
    assert!(!manager["kubeconfig"].contains(&STANDARD.encode(&old.controller_manager.cert)));
    let digest = host.digest().await.expect("the pods are replaced");
    let config = host.kubeconfig();
    let user = config["users"].as_array().unwrap().iter().find(|user| user["name"] == FEDERATION).unwrap();
    assert!(user["user"]["client-certificate-data"] != json!(STANDARD.encode(&old.admin.cert)) && user["user"]["token"].is_string());

    // What is good stays, unless it is asked for.
    let again = async |words: &[&str]| {
        tokio::select! {
            done = host.kubefed(words) => done,
            () = host.carries_out() => unreachable!(),
        }
    };
    let (code, said, steps) = again(&["certs", "renew", FEDERATION]).await;
    assert_eq!((code, said.matches("unchanged").count(), steps.matches("unchanged").count()), (Ok(0), 3, 3), "{said}{steps}");
    assert_eq!((host.data(federation().apiserver_credentials()).await, host.digest().await), (after.clone(), Some(digest.clone())));
    let (code, said, _) = again(&["certs", "renew", FEDERATION, "--all"]).await;
    assert_eq!((code, said.matches("renewed").count()), (Ok(0), 3), "{said}");
    assert_ne!(host.data(federation().apiserver_credentials()).await["server.crt"], after["server.crt"]);
    assert_ne!(host.digest().await, Some(digest));
    let (code, _, _) = host.kubefed(&["certs", "check", FEDERATION, "--within=24h"]).await;
    assert_eq!(code, Ok(3), "no renewal here makes a member's token new");
}

#[tokio::test(flavor = "multi_thread")]
async fn issue11_nothing_is_renewed_where_it_cannot_be() {
    let issued = issued(Duration::ZERO);
    let host = Host::start(&secrets(&issued)).await;
    let failure = async |words: &[&str]| host.kubefed(words).await.0.unwrap_err();
    let mut told = String::new();
    told += &format!("{:#?}\n", failure(&["certs", "check", "mordor"]).await);
    told += &format!("{:#?}\n", failure(&["certs", "renew"]).await);
    // A lock of somebody else on the kubeconfig: nothing is changed anywhere.
    host.administrator(&issued);
    let lock = format!("{}.lock", host.realm.kubeconfig.display());
    std::fs::write(&lock, "").unwrap();
    let before = host.data(federation().apiserver_credentials()).await;
    let locked = failure(&["certs", "renew", FEDERATION, "--all"]).await;
    assert!(locked.message.contains("is locked"), "{locked:?}");
    assert_eq!((host.data(federation().apiserver_credentials()).await, host.digest().await), (before, None));
    std::fs::remove_file(&lock).unwrap();
    let torn = secret(federation().apiserver_credentials(), &[("server.crt", "torn"), ("server.key", "torn")]);
    apply(&host.host(), "", "v1", "Secret", "secrets", &serde_json::to_value(torn).unwrap()).await.unwrap();
    told += &format!("{:#?}\n", failure(&["certs", "renew", FEDERATION]).await);
    insta::assert_snapshot!(told);
}

#[tokio::test(flavor = "multi_thread")]
async fn issue11_what_is_another_federations_is_neither_listed_nor_renewed() {
    let (here, elsewhere) = (issued(LEAF_VALIDITY - DAY), issued(LEAF_VALIDITY - DAY));
    let host = Host::start(&secrets(&here)).await;
    host.administrator(&elsewhere);
    let before = host.kubeconfig();
    let (code, table, _) = host.kubefed(&["certs", "check", FEDERATION]).await;
    assert!(code == Ok(3) && !table.contains("administrator"), "{table}");
    let (code, said, steps) = tokio::select! {
        done = host.kubefed(&["certs", "renew", FEDERATION]) => done,
        () = host.carries_out() => unreachable!(),
    };
    assert!(code == Ok(0) && steps.contains("is left alone") && !said.contains("administrator"), "{said}{steps}");
    assert_eq!(host.kubeconfig(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn issue11_what_nobody_accepts_is_not_good_whatever_its_dates() {
    let (here, elsewhere) = (issued(Duration::ZERO), issued(Duration::ZERO));
    let mixed = Issued { server: Pair { cert: here.server.cert.clone(), key: elsewhere.server.key.clone() }, ..issued(Duration::ZERO) };
    let mut all = secrets(&Issued { ca: here.ca.clone(), ..mixed });
    all.remove(2);
    let host = Host::start(&all).await;
    let (code, table, warnings) = host.kubefed(&["certs", "check", FEDERATION]).await;
    assert_eq!(code, Ok(3));
    insta::assert_snapshot!(format!("{}\n{warnings}", without_times(&table)));
    // The API server believes another authority than the one that would sign.
    let torn = secret(
        federation().apiserver_credentials(),
        &[("ca.crt", &elsewhere.ca.cert), ("server.crt", &elsewhere.server.cert), ("server.key", &elsewhere.server.key)],
    );
    apply(&host.host(), "", "v1", "Secret", "secrets", &serde_json::to_value(torn).unwrap()).await.unwrap();
    let before = host.data(federation().apiserver_credentials()).await;
    let failure = host.kubefed(&["certs", "renew", FEDERATION, "--all"]).await.0.unwrap_err();
    assert!(failure.message.contains("believes another authority"), "{failure:?}");
    assert_eq!(host.data(federation().apiserver_credentials()).await, before);
}
