//! `/healthz`, `/livez`, `/readyz`: named checks, each also under a path of its own.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::logs::Said;
use daemon::supervise::{Death, Supervisor};
use futures::future::{BoxFuture, FutureExt as _, join_all};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::storage::{StorageError, Unready};

/// A check that has not answered by then has failed: probes give up after a few seconds.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a check fails. What it says is for the server's log, not for who asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unhealthy {
    /// Something is not there yet, or not any more.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// The store does not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Nothing can be written before a restart; why.
    #[error("{0}")]
    Unwritable(String),
    /// A task is dead that the server cannot do without.
    #[error(transparent)]
    Dead(#[from] Death),
    /// The check did not answer in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

type Run = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Unhealthy>> + Send + Sync>;

/// Which endpoints a check counts for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// All three: the process should be restarted when it fails.
    Live,
    /// `/readyz` and `/healthz`: no traffic until it passes.
    Ready,
}

#[derive(Clone)]
struct Check {
    name: String,
    scope: Scope,
    run: Run,
    /// Whether it failed last, for the log; nothing for who tells it himself.
    said: Option<Arc<Said>>,
}

/// The checks of a server.
pub struct Health {
    checks: Vec<Check>,
    tasks: Option<Supervisor>,
    timeout: Duration,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|c| &c.name)).finish()
    }
}

impl Default for Health {
    /// Only `ping`, which says that the process answers.
    fn default() -> Self {
        Self { checks: Vec::new(), tasks: None, timeout: CHECK_TIMEOUT }.with("ping", Scope::Live, || Ok(()))
    }
}

impl Health {
    /// Adds a check that answers at once. Why it fails is for the server's log.
    #[must_use]
    pub fn with(self, name: &str, scope: Scope, check: impl Fn() -> Result<(), Unhealthy> + Send + Sync + 'static) -> Self {
        self.with_async(name, scope, move || std::future::ready(check()).boxed())
    }

    /// Adds a check that takes its time, [`CHECK_TIMEOUT`] at most.
    #[must_use]
    pub fn with_async(
        mut self,
        name: &str,
        scope: Scope,
        check: impl Fn() -> BoxFuture<'static, Result<(), Unhealthy>> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Check { name: name.to_owned(), scope, run: Arc::new(check), said: Some(Arc::default()) });
        self
    }

    /// Adds a check of liveness for each task there is by the time of asking, `task-NAME`.
    #[must_use]
    pub fn with_tasks(self, tasks: Supervisor) -> Self {
        Self { tasks: Some(tasks), ..self }
    }

    /// All checks, those of tasks last.
    fn all(&self) -> Vec<Check> {
        let mut all = self.checks.clone();
        let Some(tasks) = &self.tasks else { return all };
        let dead = tasks.dead();
        for name in tasks.names() {
            let death = dead.iter().find(|death| death.task == name).cloned();
            let run: Run = Arc::new(move || std::future::ready(death.clone().map_or(Ok(()), |death| Err(death.into()))).boxed());
            all.push(Check { name: format!("task-{name}"), scope: Scope::Live, run, said: None });
        }
        all
    }

    /// Another patience than [`CHECK_TIMEOUT`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The answer to a GET of a health path, with its query; `None` when the path is not one.
    pub async fn respond(&self, path: &str, query: &str) -> Option<Response<Bytes>> {
        let (endpoint, rest) = path.strip_prefix('/')?.split_once('/').unwrap_or((path.strip_prefix('/')?, ""));
        let counts: fn(&Check) -> bool = match endpoint {
            "healthz" | "readyz" => |_| true,
            "livez" => |check| check.scope == Scope::Live,
            _ => return None,
        };
        let all = self.all();
        let mut checks: Vec<&Check> = all.iter().filter(|c| counts(c)).collect();
        if !rest.is_empty() {
            let name = rest.trim_end_matches('/');
            return Some(match checks.into_iter().find(|c| c.name == name) {
                Some(check) => match self.run(check).await {
                    Ok(()) => text(StatusCode::OK, "ok".to_owned()),
                    Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {why}\n")),
                },
                None => text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
            });
        }
        let (verbose, mut excluded) = parse(query);
        checks.retain(|c| !excluded.remove(&c.name) || c.name == "ping");
        let results = join_all(checks.iter().map(|c| self.run(c))).await;
        let left_out = all.iter().filter(|c| counts(c) && !checks.iter().any(|k| k.name == c.name)).map(|c| c.name.as_str());
        Some(report(endpoint, verbose, &excluded, &left_out.collect::<Vec<_>>(), checks.iter().zip(results)))
    }

    async fn run(&self, check: &Check) -> Result<(), Unhealthy> {
        let result = tokio::time::timeout(self.timeout, (check.run)()).await;
        let result = result.unwrap_or_else(|_| Err(Unhealthy::Silent(self.timeout)));
        match (&result, &check.said) {
            (Err(why), Some(said)) if said.changes("failed") => tracing::warn!(check = check.name, "health check failed: {why}"),
            (Ok(()), Some(said)) if said.recovers() => tracing::info!(check = check.name, "health check passes again"),
            _ => {}
        }
        result
    }
}

/// `?verbose` and the names of `?exclude=`.
fn parse(query: &str) -> (bool, BTreeSet<String>) {
    let mut verbose = false;
    let mut excluded = BTreeSet::new();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "verbose" => verbose = true,
            "exclude" => {
                let name = percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
                excluded.insert(name);
            }
            _ => {}
        }
    }
    (verbose, excluded)
}

fn report<'a>(
    endpoint: &str,
    verbose: bool,
    unknown: &BTreeSet<String>,
    left_out: &[&str],
    results: impl Iterator<Item = (&'a &'a Check, Result<(), Unhealthy>)>,
) -> Response<Bytes> {
    let (mut out, mut failed) = (String::new(), false);
    for (check, result) in results {
        failed |= result.is_err();
        // Why it failed is in the log: the answer may be read without credentials.
        let line = if result.is_ok() { format!("[+]{} ok\n", check.name) } else { format!("[-]{} failed: reason withheld\n", check.name) };
        out.push_str(&line);
    }
    for name in left_out {
        let _ = writeln!(out, "[+]{name} excluded: ok");
    }
    if !unknown.is_empty() {
        let names: Vec<String> = unknown.iter().map(|n| format!("{n:?}")).collect();
        let _ = writeln!(out, "warn: some health checks cannot be excluded: no matches for {}", names.join(", "));
    }
    if failed {
        let _ = writeln!(out, "{endpoint} check failed");
        return text(StatusCode::INTERNAL_SERVER_ERROR, out);
    }
    if !verbose {
        return text(StatusCode::OK, "ok".to_owned());
    }
    let _ = writeln!(out, "{endpoint} check passed");
    text(StatusCode::OK, out)
}

fn text(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(health: &Health, path: &str, query: &str) -> (u16, String) {
        let response = health.respond(path, query).await.expect("a health path");
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    fn broken() -> Health {
        Health::default().with("storage", Scope::Ready, || Err(Unhealthy::Unwritable("etcd is away".to_owned()))).with(
            "caches",
            Scope::Ready,
            || Ok(()),
        )
    }

    #[tokio::test]
    async fn a_failed_check_fails_readiness_but_not_liveness() {
        let health = broken();
        assert_eq!(get(&health, "/livez", "").await, (200, "ok".to_owned()));
        let expected = "[+]ping ok\n[-]storage failed: reason withheld\n[+]caches ok\nreadyz check failed\n";
        assert_eq!(get(&health, "/readyz", "").await, (500, expected.to_owned()));
        assert_eq!(get(&health, "/healthz", "").await.0, 500);
    }

    #[tokio::test]
    async fn checks_have_paths_of_their_own() {
        let health = broken();
        assert_eq!(get(&health, "/readyz/caches", "").await, (200, "ok".to_owned()));
        assert_eq!(get(&health, "/readyz/storage", "").await, (500, "internal server error: etcd is away\n".to_owned()));
        assert_eq!(get(&health, "/readyz/nonesuch", "").await.0, 404);
        assert_eq!(get(&health, "/livez/storage", "").await.0, 404);
        assert!(health.respond("/health", "").await.is_none());
    }

    #[tokio::test]
    async fn excluded_checks_do_not_count_and_unknown_ones_are_named() {
        let (code, said) = get(&broken(), "/readyz", "verbose&exclude=storage&exclude=zzz").await;
        let expected = "[+]ping ok\n[+]caches ok\n[+]storage excluded: ok\n\
                        warn: some health checks cannot be excluded: no matches for \"zzz\"\nreadyz check passed\n";
        assert_eq!((code, said.as_str()), (200, expected));
    }

    #[tokio::test]
    async fn a_failing_check_is_said_once_and_again_when_it_passes() {
        let failing = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let seen = Arc::clone(&failing);
        let health = Health::default().with("storage", Scope::Ready, move || {
            if seen.load(std::sync::atomic::Ordering::Relaxed) { Err(Unhealthy::Unwritable("etcd is away".to_owned())) } else { Ok(()) }
        });
        let said = Lines::default();
        let to = said.clone();
        let log = tracing_subscriber::fmt().with_writer(move || to.clone()).with_ansi(false).finish();
        let _logging = daemon::logs::here(log);
        for _ in 0..5 {
            get(&health, "/readyz", "").await;
        }
        failing.store(false, std::sync::atomic::Ordering::Relaxed);
        for _ in 0..5 {
            get(&health, "/readyz", "").await;
        }
        let text = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
        let mut lines = text.lines();
        assert!(lines.next().is_some_and(|l| l.contains("health check failed: etcd is away")), "{text}");
        assert!(lines.next().is_some_and(|l| l.contains("health check passes again")), "{text}");
        assert_eq!(lines.next(), None);
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_check_that_hangs_has_failed() {
        let health = Health::default()
            .with_timeout(Duration::from_millis(10))
            .with_async("storage", Scope::Ready, || std::future::pending().boxed());
        assert_eq!(get(&health, "/readyz", "").await.0, 500);
    }
}
