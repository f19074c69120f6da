//! Programs as a user runs them, in a directory of their own, ended with the test.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest wait for anything that should happen.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Token of an administrator of every server here.
pub(crate) const ADMIN: &str = "admin-token";
/// Token of somebody without any right.
pub(crate) const NOBODY: &str = "nobody-token";

/// A directory that is HOME and the working directory of what runs in it.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file; its path as text.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).env("HOME", self.0.path()).stdin(Stdio::null());
        for name in ["KUBECONFIG", "RUST_LOG", "POD_NAMESPACE", "KUBERNETES_SERVICE_HOST"] {
            command.env_remove(name);
        }
        for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `kubefed` to its end.
    pub(crate) fn kubefed(&self, args: &[&str]) -> Said {
        self.kubefed_in(&[], args)
    }

    /// Runs `kubefed` to its end with this in its environment.
    pub(crate) fn kubefed_in(&self, environment: &[(&str, &str)], args: &[&str]) -> Said {
        self.run(env!("CARGO_BIN_EXE_kubefed"), environment, args)
    }

    /// Runs `kubefed` to its end without a capability.
    pub(crate) fn without(&self, capability: &str, args: &[&str]) -> Said {
        let less = format!("--bounding-set=-{capability}");
        self.run("setpriv", &[], &[&[less.as_str(), env!("CARGO_BIN_EXE_kubefed")], args].concat())
    }

    /// Runs `fcp` to its end.
    pub(crate) fn fcp(&self, args: &[&str]) -> Said {
        self.run(env!("CARGO_BIN_EXE_fcp"), &[], args)
    }

    /// Runs a line of a shell in which `$kubefed` is the program.
    pub(crate) fn shell(&self, line: &str) -> Said {
        self.run("sh", &[("kubefed", env!("CARGO_BIN_EXE_kubefed"))], &["-c", line])
    }

    fn run(&self, program: &str, environment: &[(&str, &str)], args: &[&str]) -> Said {
        let begun = Instant::now();
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        let mut command = self.command(program);
        command.args(args).envs(environment.iter().copied());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let mut process = Process(command.spawn().unwrap());
        let status = until(&format!("the end of {args:?}"), || process.0.try_wait().unwrap());
        let name = program.rsplit('/').next().unwrap_or_default();
        Said {
            line: format!("$ {name} {}", args.join(" ")).replace(&self.0.path().display().to_string(), "DIR"),
            code: status.code().unwrap_or(-1),
            out: fs::read_to_string(out).unwrap(),
            err: fs::read_to_string(err).unwrap().replace(&self.0.path().display().to_string(), "DIR"),
            took: begun.elapsed(),
        }
    }

    /// Starts a program that goes on; what it says on stderr is in a file.
    pub(crate) fn start(&self, program: &str, args: &[&str], log: &str) -> (Process, PathBuf) {
        self.start_in(&[], program, args, log)
    }

    /// As [`Place::start`] with this in its environment.
    pub(crate) fn start_in(&self, environment: &[(&str, &str)], program: &str, args: &[&str], log: &str) -> (Process, PathBuf) {
        let path = self.path(log);
        let file = File::create(&path).unwrap();
        let mut command = self.command(program);
        command.args(args).envs(environment.iter().copied()).stdout(Stdio::null()).stderr(file);
        (Process(command.spawn().unwrap()), path)
    }

    /// Starts an API server for an administrator and a nobody and waits until it listens.
    pub(crate) fn apiserver(&self, name: &str, port: u16, extra: &[&str]) -> Apiserver {
        let tokens = format!(
            "{ADMIN},admin,u1,system:masters\n{NOBODY},frodo,u2\nmember-token,legolas,u3\n\
             account-token,system:serviceaccount:federation-system:gondor-rivendell,u4\n"
        );
        let tokens = self.file(&format!("{name}/tokens.csv"), &tokens);
        let flags = [
            "federation-apiserver".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", self.path(&format!("{name}/certs")).display()),
            format!("--token-auth-file={tokens}"),
        ];
        let data = format!("--data-dir={}", self.path(&format!("{name}/data")).display());
        let storage: &[&str] = if extra.iter().any(|f| f.starts_with("--etcd")) { &[] } else { &[&data] };
        let all: Vec<&str> = flags.iter().map(String::as_str).chain(storage.iter().copied()).chain(extra.iter().copied()).collect();
        let (process, log) = self.start(env!("CARGO_BIN_EXE_fcp"), &all, &format!("{name}.log"));
        let url = until(&format!("{name} to listen"), || {
            let text = fs::read_to_string(&log).unwrap();
            let at = text.rfind("serving on ")? + "serving on ".len();
            text[at..].lines().next().map(|l| l.trim().to_owned())
        });
        let certificate = fs::read_to_string(self.path(&format!("{name}/certs/apiserver.crt"))).unwrap();
        Apiserver { process, log, url, certificate }
    }

    /// Writes a kubeconfig with a context, cluster and user of each name: its server and its token.
    pub(crate) fn kubeconfig(&self, entries: &[(&str, &str, &str)]) -> String {
        let list = |key: &str, value: &dyn Fn(&str, &str, &str) -> Value| -> Vec<Value> {
            entries.iter().map(|(name, server, token)| json!({"name": name, key: value(name, server, token)})).collect()
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": entries[0].0,
            "clusters": list("cluster", &|_, server, _| json!({"server": server, "insecure-skip-tls-verify": true})),
            "users": list("user", &|_, _, token| json!({"token": token})),
            "contexts": list("context", &|name, _, _| json!({"cluster": name, "user": name})),
        });
        self.file(".kube/config", &config.to_string())
    }
}

/// A running API server.
pub(crate) struct Apiserver {
    process: Process,
    pub(crate) log: PathBuf,
    pub(crate) url: String,
    pub(crate) certificate: String,
}

impl Apiserver {
    /// Stops it in good order.
    pub(crate) fn close(mut self) {
        self.process.signal("TERM");
        let status = until("the end of the server", || self.process.0.try_wait().unwrap());
        assert!(status.success(), "{}", self.said());
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// A client with a token; it tries once.
    pub(crate) fn client(&self, token: &str) -> kube::Client {
        client(&self.url, token)
    }
}

/// A client that takes any certificate and tries once.
pub(crate) fn client(url: &str, token: &str) -> kube::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = kube::Config::new(url.parse().unwrap());
    config.accept_invalid_certs = true;
    config.default_retry = false;
    config.proxy_url = None;
    config.auth_info.token = Some(token.to_owned().into());
    kube::Client::try_from(config).unwrap()
}

/// One request; status, `Retry-After` and body.
pub(crate) async fn request(client: &kube::Client, method: &str, path: &str, body: &Value) -> (u16, Option<String>, String) {
    use http_body_util::BodyExt as _;
    let kind = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind).body(body.into()).unwrap();
    let response = client.send(request).await.unwrap();
    let retry = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, retry, String::from_utf8_lossy(&bytes).into_owned())
}

/// Creates an object and insists.
pub(crate) async fn create(client: &kube::Client, path: &str, object: &Value) {
    let (status, _, body) = request(client, "POST", path, object).await;
    assert_eq!(status, 201, "{path}: {body}");
}

/// A GET over plain HTTP; status and body, if anybody answers.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
}

/// A child process, killed with the value.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a program said and how it ended.
pub(crate) struct Said {
    line: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Said {
    /// Insists that it failed with `code` as all failures do; the command, the two lines and the code, for a snapshot.
    pub(crate) fn complaint(&self, code: i32) -> String {
        let told: Vec<&str> = self.err.lines().filter(|l| l.starts_with("error: ") || l.starts_with("hint: ")).collect();
        let starts: Vec<&str> = told.iter().map(|l| l.split(' ').next().unwrap_or_default()).collect();
        assert_eq!((self.code, starts.as_slice()), (code, ["error:", "hint:"].as_slice()), "{}\n{}{}", self.line, self.out, self.err);
        assert_eq!(self.err.lines().rev().take(2).collect::<Vec<_>>(), [told[1], told[0]], "they come last");
        assert!(!self.err.contains("panicked"), "{}", self.err);
        format!("{}\n{}\n{}\nexit code {code}\n\n", self.line, told[0], told[1])
    }

    /// Insists that it did what it was asked.
    pub(crate) fn fine(&self) -> &Self {
        assert_eq!(self.code, 0, "{}\n{}{}", self.line, self.out, self.err);
        self
    }
}

/// Looks until it is so.
#[expect(clippy::disallowed_methods, reason = "a process is waited for on the thread of its test")]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As [`until`] for what has to be asked for.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + SOON;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(seen) => assert!(Instant::now() < end, "not within {SOON:?}: {what}; last seen: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The complaint without a port.
pub(crate) fn hide(text: &str, port: u16) -> String {
    text.replace(&port.to_string(), "PORT")
}
