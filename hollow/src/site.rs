//! One API server on loopback, behind a cable.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::supervise::{Done, Supervisor};
use federation_apiserver::auth::UserInfo;
use federation_apiserver::config::{StorageConfig, TlsConfig};
use federation_apiserver::storage::Unready;
use federation_apiserver::{Config, Profile, Server};
use kube::Client;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cable::Cable;
use crate::simulators::{self, Appearance, Identity};

/// Starting is a matter of milliseconds; a loaded machine takes longer.
const START: Duration = Duration::from_secs(20);

/// Why a site did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory cannot be written.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server refuses its configuration, or its store or address cannot be used.
    #[error("{site}: {message} ({hint})")]
    Config {
        /// Name of the site.
        site: String,
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The server started and does not answer.
    #[error("{site} did not become ready: {why}")]
    NotReady {
        /// Name of the site.
        site: String,
        /// What it waits for.
        why: Unready,
    },
    /// No loopback port can be had for the cable.
    #[error("{site} has no cable: {source}")]
    Cable {
        /// Name of the site.
        site: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// One API server with its cable. It ends with the tasks it was started among.
pub struct Site {
    name: String,
    server: Server,
    cable: Cable,
    certificate: Vec<u8>,
    token: String,
    stop: CancellationToken,
}

impl Site {
    /// Starts a server whose objects, certificates and tokens are kept under `dir`/`name`; what is there from a run
    /// before is taken up. `account` is the service account (`NAMESPACE:NAME`) that token secrets are filled for.
    /// `tasks` owns the server: its death is told there, and its end is asked for there.
    ///
    /// # Errors
    /// When its files cannot be written or it does not answer within 20 seconds.
    pub async fn start(dir: &Path, name: &str, profile: Profile, account: &str, tasks: &Supervisor) -> Result<Self, Error> {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).map_err(|source| Error::Write { path: dir.clone(), source })?;
        let file = dir.join("tokens.csv");
        let token = kept_token(&file).unwrap_or_else(|| Uuid::new_v4().to_string());
        let (namespace, account_name) = account.split_once(':').unwrap_or(("default", account));
        let tokens = format!(
            "{token},admin,admin,system:masters\n{account_token},system:serviceaccount:{namespace}:{account_name},{name},\"system:serviceaccounts,system:serviceaccounts:{namespace}\"\n",
            account_token = account_token(&token),
        );
        write_private(&file, &tokens)?;
        let config = Config {
            storage: StorageConfig::Embedded { dir: dir.join("data") },
            tls: TlsConfig::SelfSigned { dir: dir.join("certs") },
            token_auth_file: Some(file),
            finalizers: profile == Profile::Federation,
            ..Config::in_memory(profile)
        };
        let site = || name.to_owned();
        let fail = |e: federation_apiserver::ConfigError| Error::Config { site: site(), message: e.message, hint: e.hint };
        let server = Server::start(config).await.map_err(fail)?;
        server.wait_ready(START).await.map_err(|e| Error::NotReady { site: site(), why: e })?;
        let listening = server.listen().await.map_err(fail)?;
        let (address, certificate) = (listening.address(), listening.certificate_pem());
        let (stop, named) = (tasks.stopping(), name.to_owned());
        let serving = listening.serve(stop.clone().cancelled_owned());
        tasks.spawn("api-server", async move { serving.await.map(|()| Done).map_err(|death| format!("{named}: {death}")) });
        let cable = Cable::to(address).await.map_err(|source| Error::Cable { site: site(), source })?;
        Ok(Self { name: name.to_owned(), server, cable, certificate, token, stop })
    }

    /// Simulates what controllers and nodes of a cluster do, until the site ends.
    pub fn simulate(&self, appearance: Appearance) -> impl Future<Output = ()> + use<> {
        let identity = Identity { name: self.name.clone(), token: account_token(&self.token), ca: self.certificate.clone() };
        simulators::simulate(self.admin(), identity, appearance, self.stop.clone())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is reached through.
    pub fn cable(&self) -> &Cable {
        &self.cable
    }

    /// Its certificate, PEM.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A client that is `system:masters`, without a connection: it sees the site also when the cable is pulled.
    pub fn admin(&self) -> Client {
        Client::new(self.server.admin_service(), "default")
    }

    /// A client of an ordinary user, without a connection.
    pub fn as_user(&self, name: &str) -> Client {
        let groups = vec!["system:authenticated".to_owned()];
        Client::new(self.server.service(UserInfo { name: name.into(), uid: String::new(), groups }), "default")
    }
}

/// The token the server takes for the account.
fn account_token(admin_token: &str) -> String {
    format!("account-{admin_token}")
}

/// The administrator's token of before. Members and kubeconfigs have it, and so has a server that still runs on the
/// directory: another one there fails, and must not lock out the first.
fn kept_token(file: &Path) -> Option<String> {
    let tokens = std::fs::read_to_string(file).ok()?;
    let token = tokens.split(',').next()?;
    Uuid::try_parse(token).ok().map(|_| token.to_owned())
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = std::fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| Error::Write { path: path.to_owned(), source })
}
