//! `PUT /debug/flags/v`: the log level of the running process. Who may is the business of whoever serves it.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use tracing_subscriber::filter::EnvFilter;

/// Path of the endpoint.
pub const PATH: &str = "/debug/flags/v";

/// Why the level stays as it is.
#[derive(Debug, thiserror::Error)]
enum LevelError {
    #[error("empty; give a number, a level or target=level")]
    Empty,
    #[error("{0:?} is no level; known are error, warn, info, debug, trace and off")]
    Unknown(String),
    #[error(transparent)]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error(transparent)]
    Log(#[from] tracing_subscriber::reload::Error),
}

type Apply = Arc<dyn Fn(EnvFilter) -> Result<(), LevelError> + Send + Sync>;
type Now = Arc<dyn Fn() -> Result<String, LevelError> + Send + Sync>;

/// Changes the filter of the process' log.
#[derive(Clone)]
pub struct LogLevel {
    apply: Apply,
    now: Now,
}

impl std::fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogLevel({})", self.now())
    }
}

impl LogLevel {
    /// Over a handle of `tracing_subscriber::reload`.
    pub fn reloading<S: 'static>(handle: tracing_subscriber::reload::Handle<EnvFilter, S>) -> Self {
        let of_now = handle.clone();
        Self {
            apply: Arc::new(move |filter| Ok(handle.reload(filter)?)),
            now: Arc::new(move || Ok(of_now.with_current(EnvFilter::to_string)?)),
        }
    }

    /// What is let through now, as a list of `target=level`; why it is not known, after the log has ended.
    pub fn now(&self) -> String {
        (self.now)().unwrap_or_else(|why| why.to_string())
    }

    /// Answers a request to [`PATH`]. The body is a number that means what it means to `-v`, a level,
    /// or a list of `target=level`.
    pub fn respond(&self, method: &Method, body: &[u8]) -> Response<Bytes> {
        if method != Method::PUT {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use PUT\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("PUT"));
            return response;
        }
        let wanted = String::from_utf8_lossy(body);
        match filter(wanted.trim()).and_then(|f| (self.apply)(f)) {
            Ok(()) => {
                tracing::info!("log level is now {}", wanted.trim());
                text(StatusCode::OK, format!("log level set to {}\n", wanted.trim()))
            }
            Err(why) => text(StatusCode::BAD_REQUEST, format!("log level {:?}: {why}\n", wanted.trim())),
        }
    }
}

/// Our own code, as targets of log lines. Libraries are not asked: who calls them tells what they said.
const OWN: [&str; 13] = [
    "daemon",
    "dns_providers",
    "etcd_endpoints",
    "federation_api",
    "federation_apiserver",
    "federation_client",
    "federation_controller_manager",
    "hollow",
    "kubefed",
    "machinery",
    "program",
    "request",
    crate::trace::TARGET,
];

/// What a number as of Kubernetes' `-v` lets through: of our own code 0 and 1 info, 2 to 5 debug, more
/// trace; of libraries warnings, and info with trace. Spans are shown from 2 on.
fn of_verbosity(level: u32) -> String {
    let (own, libraries) = match level {
        0 | 1 => ("info", "warn"),
        2..=5 => ("debug", "warn"),
        _ => ("trace", "info"),
    };
    let mut filter = format!("{libraries},kube_client=off");
    for target in OWN {
        let at = if target == crate::trace::TARGET && level < 2 { "off" } else { own };
        let _ = write!(filter, ",{target}={at}");
    }
    filter
}

/// The filter of a starting process: `RUST_LOG` where it is set and understood, else the verbosity's.
pub(super) fn at_start(rust_log: Option<&str>, verbosity: u8) -> EnvFilter {
    let set = rust_log.map(str::trim).filter(|text| !text.is_empty());
    set.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(of_verbosity(verbosity.into())))
}

fn filter(wanted: &str) -> Result<EnvFilter, LevelError> {
    if wanted.is_empty() {
        return Err(LevelError::Empty);
    }
    let directives = match wanted.parse::<u32>() {
        Ok(level) => of_verbosity(level),
        Err(_) => wanted.to_owned(),
    };
    // A bare word that is no level would be taken for a target and silence everything else.
    let level = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    if let Some(bad) = directives.split(',').find(|d| !d.contains('=') && !level(d.trim())) {
        return Err(LevelError::Unknown(bad.to_owned()));
    }
    Ok(EnvFilter::try_new(directives)?)
}

fn text(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_put_changes_what_is_logged() {
        let (layer, handle) = tracing_subscriber::reload::Layer::new(EnvFilter::new("info"));
        let subscriber = tracing_subscriber::registry().with(layer);
        let level = LogLevel::reloading(handle);
        crate::logs::within(subscriber, || {
            assert!(!tracing::enabled!(tracing::Level::DEBUG));
            assert_eq!(level.respond(&Method::PUT, b"4\n").status(), 200);
            assert!(tracing::enabled!(tracing::Level::DEBUG));
            assert_eq!(level.respond(&Method::PUT, b"warn").status(), 200);
            assert!(!tracing::enabled!(tracing::Level::INFO));
        });
    }

    /// Whether request lines and debug lines of one program and trace lines of the other get through.
    fn lets_through(filter: EnvFilter) -> [bool; 3] {
        let subscriber = tracing_subscriber::registry().with(filter);
        crate::logs::within(subscriber, || {
            [
                tracing::enabled!(target: "request", tracing::Level::DEBUG),
                tracing::enabled!(target: "federation_apiserver::server", tracing::Level::DEBUG),
                tracing::enabled!(target: "federation_controller_manager", tracing::Level::TRACE),
            ]
        })
    }

    #[test]
    fn a_number_means_the_same_at_the_start_and_later() {
        for (level, want) in [(0, [false; 3]), (1, [false; 3]), (2, [true, true, false]), (5, [true, true, false]), (6, [true; 3])] {
            assert_eq!(lets_through(at_start(None, level)), want, "--v={level}");
            assert_eq!(lets_through(filter(&level.to_string()).unwrap()), want, "PUT {level}");
        }
    }

    /// The crates of the workspace that run for users, as targets of log lines.
    fn crates() -> Vec<String> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
        let members = members.split('"').skip(1).step_by(2).filter(|m| !m.starts_with("tests") && *m != "xtask");
        let package = |member: &str| {
            let manifest = std::fs::read_to_string(root.join(member).join("Cargo.toml")).unwrap();
            manifest.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap().trim_end_matches('"').replace('-', "_")
        };
        let mut crates: Vec<String> = members.map(package).collect();
        crates.sort();
        crates
    }

    #[test]
    fn issue8_every_crate_of_ours_is_asked() {
        let asked: Vec<&str> = OWN.into_iter().filter(|target| !["request", crate::trace::TARGET].contains(target)).collect();
        assert_eq!(asked, crates());
    }

    #[test]
    fn spans_are_shown_with_debug_and_libraries_only_warn() {
        for (level, want) in [(0, [false, true, false]), (2, [true, true, false]), (6, [true, true, true])] {
            let subscriber = tracing_subscriber::registry().with(at_start(None, level));
            let seen = crate::logs::within(subscriber, || {
                [
                    tracing::enabled!(target: "span", tracing::Level::INFO),
                    tracing::enabled!(target: "h2", tracing::Level::WARN),
                    tracing::enabled!(target: "h2", tracing::Level::INFO),
                ]
            });
            assert_eq!(seen, want, "--v={level}");
        }
    }

    #[test]
    fn rust_log_goes_before_the_verbosity() {
        assert_eq!(lets_through(at_start(Some("info,request=debug"), 6)), [true, false, false]);
        for not_given in [Some(""), Some("a=loud"), None] {
            assert_eq!(lets_through(at_start(not_given, 2)), [true, true, false], "{not_given:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_and_changes_nothing() {
        let (_layer, handle) = tracing_subscriber::reload::Layer::<EnvFilter, tracing_subscriber::Registry>::new(EnvFilter::new("info"));
        let level = LogLevel::reloading(handle);
        for bad in ["", "loud", "info,loud", "a=loud"] {
            assert_eq!(level.respond(&Method::PUT, bad.as_bytes()).status(), 400, "{bad}");
        }
        assert_eq!(level.respond(&Method::GET, b"").status(), 405);
    }
}
