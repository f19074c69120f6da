//! A disk that is full: what clients and probes are told, and what is left afterwards.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use federation_apiserver::config::StorageConfig;
use federation_apiserver::{Config, Profile};
use serde_json::json;

use crate::subject::{Subject, ready};

const DIR: &str = "REQUESTS_TEST_FULL_DIR";

async fn embedded(dir: &Path) -> Subject {
    let storage = StorageConfig::Embedded { dir: dir.to_owned() };
    let server = ready(Config { storage, ..Config::in_memory(Profile::Member) }).await;
    Subject::Memory { service: server.admin_service(), _server: server }
}

/// Not a test of its own: what `a_store_that_cannot_write_says_so` starts with a limit on the size of files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limited_child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let api = embedded(&dir).await;
    api.expect(200, "GET", "/livez", json!(null)).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let object = |n: usize| json!({"metadata": {"name": format!("m{n}")}, "data": {"k": "v".repeat(200_000)}});
    for n in 0..1000 {
        let sent = object(n).to_string();
        let answer = api.send("POST", path, &[("content-type", "application/json")], sent.clone()).await;
        if answer.code == 201 {
            println!("\nanswered {n}");
            continue;
        }
        let status = answer.json();
        let said = status["message"].as_str().unwrap();
        assert_eq!((answer.code, &status["kind"], &status["reason"]), (503, &json!("Status"), &json!("ServiceUnavailable")), "{status}");
        assert!(said.contains("restart this server") && said.contains("File too large"), "{said}");
        // The reason stays, however often one tries.
        let again = api.expect(503, "POST", path, object(n)).await;
        assert_eq!(again["message"], said);
        for endpoint in ["/livez", "/readyz", "/healthz"] {
            let answer = api.send("GET", endpoint, &[], "").await;
            let text = String::from_utf8_lossy(&answer.bytes);
            assert!(answer.code == 500 && text.contains("[-]storage-writer failed"), "{endpoint}: {} {text}", answer.code);
            let answer = api.send("GET", &format!("{endpoint}/storage-writer"), &[], "").await;
            let text = String::from_utf8_lossy(&answer.bytes);
            assert!(answer.code == 500 && text.contains("File too large"), "{endpoint}: {} {text}", answer.code);
        }
        println!("\nfull");
        return;
    }
    panic!("the file may grow without limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_write_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16384; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["failures::limited_child", "--exact", "--nocapture"])
        .env(DIR, dir.path())
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("\nfull\n"), "{said}{}", String::from_utf8_lossy(&child.stderr));
    let answered: Vec<&str> = said.lines().filter_map(|l| l.strip_prefix("answered ")).collect();
    assert!(!answered.is_empty(), "{said}");
    // With room again all that was answered is there, and more can be stored.
    let api = embedded(dir.path()).await;
    for n in answered {
        api.expect(200, "GET", &format!("/api/v1/namespaces/default/configmaps/m{n}"), json!(null)).await;
    }
    api.expect(201, "POST", "/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "more"}})).await;
}
