//! `federation-apiserver`: what keeps it from starting.

use std::fs;
use std::net::TcpListener;

use serde_json::json;

use crate::support::{ADMIN, Place, Said, create, eventually, hide, request};

const DATABASE: &str = "data/federation.redb";

/// Runs the server with all it needs, `extra` instead where it says otherwise.
fn run(place: &Place, extra: &[&str]) -> Said {
    let mut args = vec!["federation-apiserver", "--bind-address=127.0.0.1"];
    let defaults = ["--secure-port=0", "--cert-dir=certs", "--data-dir=data"];
    let named = |flag: &str| extra.iter().any(|e| e.split('=').next() == flag.split('=').next());
    args.extend(defaults.iter().filter(|d| !named(d)));
    args.extend(extra);
    place.fcp(&args)
}

#[test]
fn flags_and_files() {
    let place = Place::new();
    place.file("file", "");
    place.file("junk.pem", "junk\n");
    place.file("tokens.csv", "secret-1,admin,u1\n\nsecret-2,frodo\n");
    let pair = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
    place.file("x.crt", &pair.cert.pem());
    place.file("x.key", &pair.signing_key.serialize_pem());
    place.file("other.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let in_use = format!("--secure-port={port}");
    let mut all = String::new();
    for (code, extra) in [
        (1, &[in_use.as_str()][..]),
        (1, &["--data-dir=file/below"]),
        (1, &["--cert-dir=file/below"]),
        (64, &["--token-auth-file=nowhere.csv"]),
        (64, &["--token-auth-file=."]),
        (1, &["--token-auth-file=tokens.csv"]),
        (1, &["--basic-auth-file=tokens.csv"]),
        (1, &["--client-ca-file=junk.pem"]),
        (64, &["--client-ca-file=nowhere.pem"]),
        (1, &["--cluster-signing-cert-file=junk.pem", "--cluster-signing-key-file=x.key"]),
        (1, &["--cluster-signing-cert-file=x.crt", "--cluster-signing-key-file=x.key"]),
        (1, &["--cluster-signing-cert-file=x.crt", "--cluster-signing-key-file=other.key"]),
        (64, &["--cluster-signing-cert-file=x.crt"]),
        (64, &["--cluster-signing-duration=1m"]),
        (1, &["--tls-cert-file=junk.pem", "--tls-private-key-file=x.key"]),
        (1, &["--tls-cert-file=x.crt", "--tls-private-key-file=junk.pem"]),
        (1, &["--tls-cert-file=x.crt", "--tls-private-key-file=other.key"]),
        (64, &["--etcd-servers=localhost:2379"]),
        (64, &["--storage=etcd"]),
        (1, &["--etcd-servers=https://127.0.0.1:2379"]),
        (1, &["--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=junk.pem"]),
        (1, &["--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=x.crt", "--etcd-certfile=x.crt", "--etcd-keyfile=junk.pem"]),
        (64, &["--authorization-mode=ABAC"]),
        (64, &["--enable-admission-plugins=PodNodeSelector"]),
    ] {
        all.push_str(&hide(&run(&place, extra).complaint(code), port));
    }
    assert!(!all.contains("secret-"), "{all}");
    insta::assert_snapshot!(all);
    // Cured, in the directories of the failures.
    drop(taken);
    place.apiserver(".", port, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_directories() {
    let place = Place::new();
    let namespace = json!({"metadata": {"name": "shire"}});
    let server = place.apiserver(".", 0, &[]);
    create(&server.client(ADMIN), "/api/v1/namespaces", &namespace).await;
    let mut all = run(&place, &[]).complaint(1);
    drop(server);
    let whole = fs::read(place.path(DATABASE)).unwrap();
    for (from, to) in [(0, 64), (4096, whole.len())] {
        let mut torn = whole.clone();
        torn[from..to].iter_mut().for_each(|b| *b ^= 0x5a);
        fs::write(place.path(DATABASE), &torn).unwrap();
        let said = run(&place, &[]);
        let complaint = said.complaint(1);
        assert!(complaint.contains("is corrupt or no federation database"), "{complaint}");
        assert_eq!(fs::read(place.path(DATABASE)).unwrap(), torn, "evidence is left as it is");
    }
    fs::write(place.path(DATABASE), b"this is no database of ours, but somebody's text\n").unwrap();
    all.push_str(&run(&place, &[]).complaint(1));
    fs::write(place.path(DATABASE), &whole[..whole.len() / 3]).unwrap();
    assert!(run(&place, &[]).complaint(1).contains(DATABASE));
    newer(&place, &whole);
    all.push_str(&run(&place, &[]).complaint(1));
    insta::assert_snapshot!(all);
    // Cured: the copy is put back.
    fs::write(place.path(DATABASE), &whole).unwrap();
    let server = place.apiserver(".", 0, &[]);
    let (status, _, body) = request(&server.client(ADMIN), "GET", "/api/v1/namespaces/shire", &json!(null)).await;
    assert_eq!(status, 200, "{body}");
}

/// One bit of one live value is another one than was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_object() {
    let place = Place::new();
    let server = place.apiserver(".", 0, &[]);
    for (name, marker) in [("hit", "a-marker-that-stands-once"), ("other", "another")] {
        let map = json!({"metadata": {"name": name}, "data": {"marker": marker}});
        create(&server.client(ADMIN), "/api/v1/namespaces/default/configmaps", &map).await;
    }
    let check = ["federation-apiserver", "store", "check", "--data-dir=data"];
    let complaint = place.fcp(&check).complaint(1);
    assert!(complaint.contains("is in use by another process") && complaint.contains("stop the server first"), "{complaint}");
    server.close();
    let mut bytes = fs::read(place.path(DATABASE)).unwrap();
    // In the data, not in the managed fields, which hold the name of the field only.
    let places: Vec<_> = bytes.windows(25).enumerate().filter(|(_, w)| w == b"a-marker-that-stands-once").map(|(at, _)| at).collect();
    // The live one, and where the second object came in a commit of its own the page that was left for it.
    assert!(!places.is_empty(), "the value is stored as it is");
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    fs::write(place.path(DATABASE), &bytes).unwrap();

    let server = place.apiserver(".", 0, &[]);
    let client = server.client(ADMIN);
    let path = "/api/v1/namespaces/default/configmaps";
    let (status, _, body) = request(&client, "GET", &format!("{path}/hit"), &json!(null)).await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("/registry/configmaps/default/hit is damaged"), "{body}");
    let (status, _, body) = request(&client, "GET", path, &json!(null)).await;
    let list: serde_json::Value = serde_json::from_str(&body).unwrap();
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|o| o["metadata"]["name"].as_str().unwrap()).collect();
    assert!(status == 200 && names.contains(&"other") && !names.contains(&"hit"), "{names:?}");
    counted(&client, 1).await;
    server.close();

    let found = place.fcp(&check);
    assert_eq!(found.code, 3);
    assert!(found.out.contains("/registry/configmaps/default/hit") && found.out.contains("current"), "{}", found.out);
    let repaired = place.fcp(&["federation-apiserver", "store", "repair", "--data-dir=data", "-o", "json"]);
    assert_eq!(repaired.code, 0, "{}", repaired.out);
    let report: serde_json::Value = serde_json::from_str(&repaired.out).unwrap();
    assert_eq!(report["damaged"][0]["key"], "/registry/configmaps/default/hit");
    assert!(fs::exists(report["backup"].as_str().map(|p| place.path(p)).unwrap()).unwrap());
    let sound = place.fcp(&check);
    assert_eq!((sound.code, sound.out.as_str()), (0, "nothing is damaged\n"));
    // Instead of the repair: it is deleted.
    fs::write(place.path(DATABASE), &bytes).unwrap();
    let server = place.apiserver(".", 0, &[]);
    let client = server.client(ADMIN);
    assert_eq!(request(&client, "DELETE", &format!("{path}/hit"), &json!(null)).await.0, 200);
    assert_eq!(request(&client, "GET", &format!("{path}/hit"), &json!(null)).await.0, 404);
    counted(&client, 0).await;
    create(&client, path, &json!({"metadata": {"name": "hit"}})).await;
}

/// Comes back when the metric counts so many damaged ConfigMaps, and nothing else.
async fn counted(client: &kube::Client, damaged: usize) {
    let expected = format!("apiserver_storage_damaged_objects{{resource=\"configmaps\"}} {damaged}");
    eventually(&expected, async || {
        let (_, _, text) = request(client, "GET", "/metrics", &json!(null)).await;
        let lines = text.lines().filter(|l| l.starts_with("apiserver_storage_damaged_objects{"));
        let told: Vec<_> = lines.filter(|l| !l.ends_with(" 0") || **l == expected).collect();
        if told == [expected.as_str()] { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

/// Makes it a database that a later version wrote.
fn newer(place: &Place, whole: &[u8]) {
    let path = place.path(DATABASE);
    fs::write(&path, whole).unwrap();
    let db = redb::Database::open(&path).unwrap();
    let write = db.begin_write().unwrap();
    write.open_table(redb::TableDefinition::<&str, u128>::new("meta")).unwrap().insert("format", 99).unwrap();
    write.commit().unwrap();
}
