//! A disk that is full: what clients and probes are told, and what is left afterwards.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use federation_apiserver::config::StorageConfig;
use federation_apiserver::{Config, Profile};
use serde_json::json;

use crate::subject::{Subject, ready};

/// Loaded machines are slow.
const PATIENCE: Duration = Duration::from_secs(60);
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

/// The program itself, with the exit code that has it started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_a_server_that_cannot_write_any_more_ends_with_code_70() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("tokens"), "secret,admin,1,system:masters\n").unwrap();
    let log = std::fs::File::create(at("log")).unwrap();
    let child = tokio::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16384; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_federation-apiserver"))
        .args(["--bind-address=127.0.0.1", "--secure-port=0", "--token-auth-file", &at("tokens")])
        .args(["--data-dir", &at("data"), "--cert-dir", &at("certs")])
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn();
    let mut child = child.unwrap();
    let said = || std::fs::read_to_string(at("log")).unwrap();
    let listening = async {
        loop {
            let said = said();
            if let Some((_, url)) = said.split_once("serving on https://")
                && url.contains('\n')
            {
                return url.split_whitespace().next().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let authority = tokio::time::timeout(PATIENCE, listening).await.expect("it listens");
    let api = Subject::Tls { authority, token: "secret".into(), _server: None };
    let ready = async {
        while api.send("GET", "/readyz", &[], "").await.code != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("it is ready");
    for n in 0..1000 {
        let object = json!({"metadata": {"name": format!("m{n}")}, "data": {"k": "v".repeat(200_000)}});
        let headers = [("content-type", "application/json")];
        if api.send("POST", "/api/v1/namespaces/default/configmaps", &headers, object.to_string()).await.code == 503 {
            break;
        }
    }
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(70), "{}", said());
    assert!(said().contains("storage-writer"), "{}", said());
}
