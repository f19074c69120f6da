//! No task of the server dies silently.

use std::time::Duration;

use federation_apiserver::config::StorageConfig;
use federation_apiserver::storage::etcd::EtcdConfig;
use federation_apiserver::{Config, Profile, Server};

use crate::audit::audited;
use crate::subject::{self, Subject};

/// Tasks that are made again; the death of any other ends the server.
const RESTARTED: [&str; 13] = [
    "bootstrap-tokens",
    "certificate-requests",
    "certificates",
    "credentials",
    "damage",
    "expired-credentials",
    "metrics",
    "namespaces",
    "old-certificate-requests",
    "rbac",
    "revocations",
    "storage-compaction",
    "used-credentials",
];
/// Ends in good order when its work is done.
const DONE: &str = "bootstrap";
/// Loaded machines are slow.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

fn memory(server: Box<Server>) -> Subject {
    Subject::Memory { service: server.admin_service(), _server: server }
}

#[tokio::test(flavor = "multi_thread")]
async fn issue7_the_death_of_each_task_is_seen() {
    let mut names = Vec::new();
    let mut nth = 0;
    loop {
        let server = subject::ready(Config { bootstrap_tokens: true, ..Config::in_memory(Profile::Federation) }).await;
        let listening = server.listen().await.unwrap();
        let serving = tokio::spawn(listening.serve(std::future::pending()));
        until("the listener is a task", async || server.tasks().names().contains(&"listener")).await;
        if names.is_empty() {
            names = server.tasks().names();
            assert_eq!(
                names,
                [
                    DONE,
                    "bootstrap-tokens",
                    "certificate-requests",
                    "certificates",
                    "credentials",
                    "damage",
                    "expired-credentials",
                    "listener",
                    "metrics",
                    "namespaces",
                    "old-certificate-requests",
                    "rbac",
                    "revocations",
                    "storage-compaction",
                    "storage-feed",
                    "storage-writer",
                    "used-credentials"
                ],
                "a new task wants its place in this test and in docs/operations.md"
            );
        }
        let Some(task) = names.get(nth).copied() else { return };
        nth += 1;
        if task == DONE {
            continue;
        }
        let live = server.admin_service();
        server.tasks().fault(task);
        let subject = memory(server);
        let livez = async || subject.send("GET", "/livez?verbose", &[], "").await;
        if RESTARTED.contains(&task) {
            let counted = format!("federation_task_restarts_total{{task=\"{task}\"}} 1");
            until(&counted, async || String::from_utf8_lossy(&subject.send("GET", "/metrics", &[], "").await.bytes).contains(&counted))
                .await;
            assert_eq!(livez().await.code, 200, "{task}");
            continue;
        }
        let death = tokio::time::timeout(PATIENCE, serving).await.expect("the server ends").unwrap().unwrap_err();
        assert_eq!((death.task, death.why.as_str()), (task, "panicked: a test asked for it"));
        let answer = livez().await;
        assert_eq!(answer.code, 500);
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert!(text.contains(&format!("[-]task-{task} failed")) && text.contains("[+]task-rbac ok"), "{text}");
        drop(live);
    }
}

/// What is there with etcd and an audit log only. An etcd need not be there for that.
#[tokio::test(flavor = "multi_thread")]
async fn issue7_the_death_of_each_task_of_etcd_and_audit_is_seen() {
    for task in ["audit-log", "etcd-revisions", "etcd-probe"] {
        let dir = tempfile::tempdir().unwrap();
        let servers = vec!["http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned()];
        let storage = StorageConfig::Etcd(EtcdConfig { servers, ..EtcdConfig::default() });
        let server = Box::new(Server::start(Config { storage, ..audited(dir.path()) }).await.unwrap());
        let serving = tokio::spawn(server.listen().await.unwrap().serve(std::future::pending()));
        let others = server.tasks().names().into_iter().filter(|name| name.starts_with("etcd") || name.starts_with("audit"));
        assert_eq!(others.collect::<Vec<_>>(), ["audit-log", "etcd-probe", "etcd-revisions"], "a new task wants its place here");
        server.tasks().fault(task);
        let subject = memory(server);
        let livez = async || subject.send("GET", "/livez?verbose", &[], "").await;
        if task == "etcd-probe" {
            let counted = format!("federation_task_restarts_total{{task=\"{task}\"}}");
            until(&counted, async || String::from_utf8_lossy(&subject.send("GET", "/metrics", &[], "").await.bytes).contains(&counted))
                .await;
            let answer = livez().await;
            assert!(answer.code == 200 && String::from_utf8_lossy(&answer.bytes).contains("[+]task-etcd-probe ok"), "{answer:?}");
            continue;
        }
        let death = tokio::time::timeout(PATIENCE, serving).await.expect("the server ends").unwrap().unwrap_err();
        assert_eq!((death.task, death.why.as_str()), (task, "panicked: a test asked for it"));
        let answer = livez().await;
        assert!(answer.code == 500 && String::from_utf8_lossy(&answer.bytes).contains(&format!("[-]task-{task} failed")), "{answer:?}");
    }
}
