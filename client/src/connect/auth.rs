//! What a request says about who it comes from, renewed as client-go renews it.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::access::Login;
use super::bearer::{Bearer, bearer, sensitive};
use super::exec;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A token read from a file is read again after this long: a minute, ten seconds early.
const TOKEN_FILE_LIFE: Duration = Duration::from_secs(50);

/// Makes the `Authorization` header.
pub(super) enum Authorizer {
    None,
    Fixed(HeaderValue),
    Shared(Bearer),
    File(TokenFile),
    Plugin(Box<exec::Call>),
}

/// A header, and what it was made from.
pub(super) struct Authorization {
    pub(super) header: Option<HeaderValue>,
    /// What a plugin gave.
    pub(super) given: Option<exec::Given>,
}

impl Authorizer {
    pub(super) fn new(login: &Login) -> Result<Self, http::header::InvalidHeaderValue> {
        Ok(match login {
            Login::None => Self::None,
            Login::Token(token) => Self::Fixed(bearer(token)?),
            Login::Shared(bearer) => Self::Shared(bearer.clone()),
            Login::TokenFile(path, inline) => {
                Self::File(TokenFile { path: path.clone(), inline: inline.clone(), cached: Mutex::default() })
            }
            Login::Basic(name, password) => Self::Fixed(sensitive(&format!("Basic {}", BASE64.encode(format!("{name}:{password}"))))?),
            Login::Exec(call) => Self::Plugin(call.clone()),
        })
    }

    pub(super) async fn authorization(&self) -> Result<Authorization, BoxError> {
        let plain = |header| Authorization { header, given: None };
        Ok(match self {
            Self::None => plain(None),
            Self::Fixed(header) => plain(Some(header.clone())),
            Self::Shared(bearer) => plain(Some(bearer.header())),
            Self::File(file) => plain(Some(bearer(&file.token().await?)?)),
            Self::Plugin(call) => {
                let given = call.credentials().await?;
                Authorization { header: given.token.as_deref().map(bearer).transpose()?, given: Some(given) }
            }
        })
    }

    /// The server answered 401.
    pub(super) async fn refused(&self, given: Option<&exec::Given>) {
        match (self, given) {
            (Self::File(file), _) => file.forget().await,
            (Self::Plugin(call), Some(given)) => call.refused(given.run).await,
            _ => {}
        }
    }
}

/// A file with a token.
pub(super) struct TokenFile {
    path: PathBuf,
    /// What to use while the file cannot be read.
    inline: Option<String>,
    cached: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
    token: Option<String>,
    read: Option<Instant>,
}

impl TokenFile {
    async fn token(&self) -> Result<String, BoxError> {
        let mut cached = self.cached.lock().await;
        if let (Some(token), Some(read)) = (&cached.token, cached.read)
            && read.elapsed() < TOKEN_FILE_LIFE
        {
            return Ok(token.clone());
        }
        let path = self.path.clone();
        let bytes = tokio::task::spawn_blocking(move || crate::kubeconfig::bytes(&path)).await?;
        let problem = match bytes.map(|b| String::from_utf8_lossy(&b).trim().to_owned()) {
            Ok(token) if !token.is_empty() => {
                *cached = Cached { token: Some(token.clone()), read: Some(Instant::now()) };
                return Ok(token);
            }
            Ok(_) => format!("read empty token from file \"{}\"", self.path.display()),
            Err(e) => format!("open {}: {e}", self.path.display()),
        };
        // The last token may still be good.
        let last = cached.token.clone().or_else(|| self.inline.clone());
        last.ok_or_else(|| problem.into())
    }

    async fn forget(&self) {
        self.cached.lock().await.read = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn issue7_case_09_a_token_file_is_trimmed_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let file = TokenFile { path: path.clone(), inline: Some("inline".into()), cached: Mutex::default() };
        assert_eq!(file.token().await.unwrap(), "inline");
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(file.token().await.unwrap(), "one", "the file counts more");
        std::fs::write(&path, "two\n").unwrap();
        assert_eq!(file.token().await.unwrap(), "one");
        tokio::time::advance(TOKEN_FILE_LIFE).await;
        assert_eq!(file.token().await.unwrap(), "two");
        std::fs::write(&path, "three\n").unwrap();
        file.forget().await;
        assert_eq!(file.token().await.unwrap(), "three", "after a 401");
        std::fs::remove_file(&path).unwrap();
        file.forget().await;
        assert_eq!(file.token().await.unwrap(), "three", "the last good one");
        let file = TokenFile { path, inline: None, cached: Mutex::default() };
        assert!(file.token().await.unwrap_err().to_string().starts_with("open "));
    }
}
