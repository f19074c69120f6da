//! Kubernetes semantics are checked against Kubernetes: the same kubectl commands go to a real
//! kube-apiserver and to ours, and what kubectl prints has to be the same.
//!
//! kubectl is the client because it is what people use: it sends protobuf, strategic merge patches
//! and server-side apply, validates by our OpenAPI and finds resources by our discovery.

mod normal;
mod script;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use federation_tests::program;
use kit::kubeconfig::{self, Login};
use kit::process::{Running, free_port};
use kit::{ApiServer, Options, programs};

/// Our API server over the embedded store, as a process.
struct Ours {
    _running: Running,
    kubeconfig: PathBuf,
}

fn start_ours(dir: &std::path::Path) -> Result<Ours> {
    std::fs::create_dir_all(dir)?;
    let port = free_port()?;
    std::fs::write(dir.join("tokens.csv"), "secret,admin,admin,system:masters\n")?;
    let mut command = Command::new(program::built("federation-apiserver")?);
    command.current_dir(dir).arg(format!("--secure-port={port}"));
    command.args(["--bind-address=127.0.0.1", "--cert-dir=certs", "--token-auth-file=tokens.csv", "--storage=embedded", "--data-dir=data"]);
    let mut running = Running::start(&command, &dir.join("server.log"))?;
    let context = kubeconfig::Context {
        name: "ours".into(),
        server: format!("https://127.0.0.1:{port}"),
        ca: None,
        login: Login::Token("secret".into()),
    };
    let kubeconfig = dir.join("kubeconfig");
    kubeconfig::write(&[context], &kubeconfig)?;
    let kubectl = programs::find("kubectl")?;
    running.wait_until(Duration::from_secs(20), || program::run(&kubectl, &kubeconfig, &["get", "--raw", "/readyz"]).is_ok())?;
    Ok(Ours { _running: running, kubeconfig })
}

#[test]
#[ignore = "needs real clusters (root, Linux): cargo xtask test --real"]
fn kubectl_sees_no_difference() {
    programs::ensure(&|line| println!("{line}")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let theirs = ApiServer::start(&dir.path().join("theirs"), Options::default()).unwrap();
    let ours = start_ours(&dir.path().join("ours")).unwrap();
    let kubectl = programs::find("kubectl").unwrap();

    let files = dir.path().join("files");
    std::fs::create_dir_all(&files).unwrap();
    let mut differences = vec![];
    let mut steps = 0;
    for step in script::steps(&files).unwrap() {
        let args: Vec<&str> = step.iter().map(String::as_str).collect();
        let say = |kubeconfig: &std::path::Path| {
            program::ask(&kubectl, kubeconfig, &args).map(|said| normal::said(&said)).context("kubectl did not run")
        };
        let (expected, actual) = (say(&theirs.kubeconfig()).unwrap(), say(&ours.kubeconfig).unwrap());
        steps += 1;
        if expected != actual {
            differences.push(format!("$ kubectl {}\n--- kube-apiserver\n{expected}\n+++ ours\n{actual}\n", step.join(" ")));
        }
    }
    assert!(steps > 200, "the script has only {steps} steps");
    assert!(differences.is_empty(), "{} of {steps} commands differ:\n{}", differences.len(), differences.join("\n"));
}
