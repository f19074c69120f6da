//! Credential plugins: programs that print credentials, run once for all clients of this process that need them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{ErrorKind, IsTerminal as _};
use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::identity::identity;
use crate::Error;
use crate::kubeconfig::{Cluster, Exec};

/// Versions of the protocol there are.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
/// Longest output that is read, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;
/// Longest run: people may have to log in.
const MAX_RUN: Duration = Duration::from_secs(600);
/// The variable a plugin is told in what it is asked.
const INFO: &str = "KUBERNETES_EXEC_INFO";
/// Name of the cluster extension that goes to the plugin as its configuration.
const CONFIG: &str = "client.authentication.k8s.io/exec";

/// What a plugin may be told about the cluster.
#[derive(Clone)]
pub(super) struct Info(Value);

impl Info {
    pub(super) fn of(cluster: &Cluster, authorities: &Option<Vec<u8>>) -> Self {
        let mut all = json!({"server": cluster.server});
        let mut set = |key: &str, value: Value, is: bool| {
            if is {
                all[key] = value;
            }
        };
        set("tls-server-name", json!(cluster.tls_server_name), !cluster.tls_server_name.is_empty());
        set("insecure-skip-tls-verify", json!(true), cluster.insecure_skip_tls_verify);
        if let Some(pem) = authorities {
            set("certificate-authority-data", json!(BASE64.encode(pem)), true);
        }
        set("proxy-url", json!(cluster.proxy_url), !cluster.proxy_url.is_empty());
        set("disable-compression", json!(true), cluster.disable_compression);
        set("config", cluster.extensions.get(CONFIG).cloned().unwrap_or(Value::Null), true);
        Self(all)
    }
}

/// Whether the entry asks for a version that is spoken.
pub(super) fn check(user: &str, exec: &Exec) -> Result<(), Error> {
    if VERSIONS.contains(&exec.api_version.as_str()) {
        return Ok(());
    }
    Err(Error::Plugin {
        user: user.to_owned(),
        what: format!("plugin: invalid apiVersion \"{}\"", exec.api_version),
        hint: format!("it has to be {} or {}; a newer plugin speaks them", VERSIONS[0], VERSIONS[1]),
    })
}

/// What a plugin gave.
#[derive(Clone, Default)]
pub(super) struct Given {
    pub(super) token: Option<String>,
    pub(super) certificate: Option<Arc<CertifiedKey>>,
    expires: Option<Timestamp>,
    /// Counts the runs.
    pub(super) run: u64,
}

/// A plugin with its arguments and what it is told.
#[derive(Clone)]
pub(super) struct Call {
    user: String,
    exec: Exec,
    info: Info,
    /// What it gave, for all clients that call it the same way.
    given: Arc<tokio::sync::Mutex<Option<Given>>>,
}

type Known = HashMap<String, Arc<tokio::sync::Mutex<Option<Given>>>>;

/// Every plugin of this process by what it is called with, as client-go keeps them.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

impl Call {
    pub(super) fn new(user: &str, exec: &Exec, info: Info) -> Self {
        let key = format!("{exec:?}{}", info.0);
        let given = Arc::clone(KNOWN.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        Self { user: user.to_owned(), exec: exec.clone(), info, given }
    }

    /// What it gave; it runs if it has not yet, or if that has expired.
    pub(super) async fn credentials(&self) -> Result<Given, Error> {
        let mut given = self.given.lock().await;
        if let Some(given) = given.as_ref().filter(|g| g.expires.is_none_or(|at| Timestamp::now() < at)) {
            return Ok(given.clone());
        }
        let run = given.as_ref().map_or(0, |g| g.run) + 1;
        let fresh = Given { run, ..self.run().await? };
        *given = Some(fresh.clone());
        Ok(fresh)
    }

    /// The server did not take what run number `run` gave: the next request runs the plugin again.
    pub(super) async fn refused(&self, run: u64) {
        let mut given = self.given.lock().await;
        if let Some(given) = given.as_mut().filter(|g| g.run == run) {
            given.expires = Some(Timestamp::UNIX_EPOCH);
        }
    }

    fn wrong(&self, what: impl Into<String>) -> Error {
        let hint = format!("run {} yourself to see what it says; the user's entry names it", self.exec.command);
        Error::Plugin { user: self.user.clone(), what: what.into(), hint }
    }

    async fn run(&self) -> Result<Given, Error> {
        let exec = &self.exec;
        let terminal = std::io::stdin().is_terminal();
        if exec.interactive_mode == "Always" && !terminal {
            return Err(self.wrong("plugin cannot support interactive mode: standard input is not a terminal"));
        }
        let interactive = exec.interactive_mode != "Never" && terminal;
        let mut spec = json!({"interactive": interactive});
        if exec.provide_cluster_info {
            spec["cluster"] = self.info.0.clone();
        }
        let info = json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
        let mut command = Command::new(OsStr::new(&exec.command));
        command
            .args(&exec.args)
            .envs(exec.env.iter().map(|(k, v)| (k, v)))
            .env(INFO, info.to_string())
            .stdin(if interactive { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        tracing::debug!(command = exec.command, "running a credential plugin");
        let run = async {
            let mut child = command.spawn()?;
            let mut output = Vec::new();
            if let Some(stdout) = child.stdout.take() {
                stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
            }
            Ok((child.wait().await?, output))
        };
        let (status, output) = match tokio::time::timeout(MAX_RUN, run).await {
            Err(_) => return Err(self.wrong(format!("executable {} did not end within {} s", exec.command, MAX_RUN.as_secs()))),
            Ok(Err(e)) => return Err(self.not_run(&e)),
            Ok(Ok(done)) => done,
        };
        if !status.success() {
            let how = status.code().map_or("was killed".to_owned(), |code| format!("failed with exit code {code}"));
            return Err(self.wrong(format!("executable {} {how}", exec.command)));
        }
        self.understand(&output)
    }

    fn not_run(&self, error: &std::io::Error) -> Error {
        let exec = &self.exec;
        if error.kind() != ErrorKind::NotFound {
            return self.wrong(format!("{}: {error}", exec.command));
        }
        let advice: String = exec.install_hint.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let hint = match advice.trim() {
            "" => format!("install the credential plugin {}, or put its directory into PATH", exec.command),
            advice => advice.to_owned(),
        };
        Error::Plugin { user: self.user.clone(), what: format!("executable {} not found", exec.command), hint }
    }

    fn understand(&self, output: &[u8]) -> Result<Given, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            #[serde(default)]
            api_version: String,
            #[serde(default)]
            kind: String,
            status: Option<Status>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Status {
            expiration_timestamp: Option<Timestamp>,
            #[serde(default)]
            token: Option<String>,
            #[serde(default)]
            client_certificate_data: Option<String>,
            #[serde(default)]
            client_key_data: Option<String>,
        }
        let answer: Answer = serde_json::from_slice(output).map_err(|e| {
            // Of the error only the place: the rest may show the output.
            self.wrong(format!("decoding stdout: not an ExecCredential in JSON (line {} column {})", e.line(), e.column()))
        })?;
        if answer.kind != "ExecCredential" || answer.api_version != self.exec.api_version {
            return Err(self.wrong(format!(
                "plugin is configured to use API version {}, plugin returned version {}",
                self.exec.api_version,
                if answer.api_version.is_empty() { "none" } else { answer.api_version.as_str() }
            )));
        }
        let status = answer.status.ok_or_else(|| self.wrong("plugin didn't return a status field"))?;
        let token = status.token.filter(|t| !t.is_empty());
        let certificate = match (status.client_certificate_data.filter(|t| !t.is_empty()), status.client_key_data.filter(|t| !t.is_empty()))
        {
            (None, None) if token.is_none() => return Err(self.wrong("plugin didn't return a token or cert/key pair")),
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let identity = identity(certificate.as_bytes(), key.as_bytes());
                Some(Arc::new(identity.map_err(|e| self.wrong(format!("failed parsing client key/certificate: {e}")))?))
            }
            _ => return Err(self.wrong("plugin returned only certificate or key, not both")),
        };
        Ok(Given { token, certificate, expires: status.expiration_timestamp, run: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(script: &str) -> Call {
        let exec = Exec {
            command: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("WHO".into(), "frodo".into())],
            api_version: VERSIONS[0].into(),
            interactive_mode: "Never".into(),
            provide_cluster_info: true,
            ..Exec::default()
        };
        let mut cluster = Cluster { server: "https://gondor".into(), ..Cluster::default() };
        cluster.extensions.insert(CONFIG.into(), json!({"a": 1}));
        Call::new("u", &exec, Info::of(&cluster, &Some(b"pem".to_vec())))
    }

    async fn said(script: &str) -> String {
        call(script).credentials().await.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn it_is_told_about_the_cluster_and_its_token_is_taken() {
        let script = r#"printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$WHO $(printf %s "$KUBERNETES_EXEC_INFO" | base64 -w0)""#;
        let token = call(script).credentials().await.unwrap().token.unwrap();
        let (who, info) = token.split_once(' ').unwrap();
        assert_eq!(who, "frodo");
        let info: Value = serde_json::from_slice(&BASE64.decode(info).unwrap()).unwrap();
        let cluster = json!({"server": "https://gondor", "certificate-authority-data": BASE64.encode("pem"), "config": {"a": 1}});
        assert_eq!(info, json!({"apiVersion": VERSIONS[0], "kind": "ExecCredential", "spec": {"interactive": false, "cluster": cluster}}));
    }

    #[tokio::test]
    async fn issue7_case_26_it_runs_once_until_its_credentials_end() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("runs");
        let answer = |more: &str| {
            format!(
                r#"echo run >> {}; echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"t"{more}}}}}'"#,
                runs.display()
            )
        };
        let count = || std::fs::read_to_string(&runs).unwrap().lines().count();
        call(&answer("")).credentials().await.unwrap();
        let second = call(&answer("")).credentials().await.unwrap();
        assert_eq!(count(), 1, "another client of the same entry");
        call(&answer("")).refused(second.run).await;
        call(&answer("")).credentials().await.unwrap();
        assert_eq!(count(), 2, "after the server refused it");
        call(&answer("")).refused(second.run).await;
        call(&answer("")).credentials().await.unwrap();
        assert_eq!(count(), 2, "what an older run gave");
        let expired = answer(r#","expirationTimestamp":"2020-01-01T00:00:00Z""#);
        call(&expired).credentials().await.unwrap();
        call(&expired).credentials().await.unwrap();
        assert_eq!(count(), 4);
    }

    #[tokio::test]
    async fn what_it_does_wrong_is_told() {
        assert_eq!(said("exit 3").await, "user \"u\": exec: executable /bin/sh failed with exit code 3");
        assert!(said("echo s3cret").await.contains("decoding stdout: not an ExecCredential"));
        let of = |version: &str, status: &str| format!("echo '{{\"apiVersion\":\"{version}\",\"kind\":\"ExecCredential\"{status}}}'");
        assert!(said(&of(VERSIONS[1], "")).await.ends_with("plugin returned version client.authentication.k8s.io/v1beta1"));
        assert!(said(&of(VERSIONS[0], "")).await.ends_with("plugin didn't return a status field"));
        assert!(said(&of(VERSIONS[0], ",\"status\":{}")).await.ends_with("plugin didn't return a token or cert/key pair"));
        assert!(said(&of(VERSIONS[0], ",\"status\":{\"clientKeyData\":\"x\"}")).await.ends_with("only certificate or key, not both"));
    }

    #[tokio::test]
    async fn issue7_case_26_a_missing_plugin_is_named_with_the_advice_of_its_entry() {
        let exec = Exec {
            command: "palantir-auth-plugin".into(),
            install_hint: "palantir-auth-plugin is needed for this cluster.\nGet it from https://plugins.example.net/palantir\u{1b}[2J"
                .into(),
            api_version: VERSIONS[1].into(),
            interactive_mode: "IfAvailable".into(),
            ..Exec::default()
        };
        let error = Call::new("gondor-admin", &exec, Info::of(&Cluster::default(), &None)).credentials().await.err().unwrap();
        let failure = program::failure::Failure::from(error);
        assert_eq!(failure.message, "user \"gondor-admin\": exec: executable palantir-auth-plugin not found");
        assert_eq!(
            failure.hint.unwrap(),
            "palantir-auth-plugin is needed for this cluster. Get it from https://plugins.example.net/palantir [2J"
        );
    }
}
