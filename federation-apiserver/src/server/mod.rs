//! The server: built from a [`Config`], used as a service in memory or over TLS.

mod caller;
#[cfg(test)]
mod catalog_tests;
mod certificate;
mod connected;
mod fixed;
pub mod health;
mod inflight;
mod listener;
mod open_requests;
mod pipeline;
mod request_info;
mod room;
mod served;
pub mod service;
mod standing;
pub(crate) mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use daemon::supervise::{Death, Done, Supervisor};
use federation_api::{credential, keys};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::auth::authn::revoked::Revoked;
use crate::auth::authn::service_account::{Keys, ServiceAccounts};
use crate::auth::authn::{Authentication, AuthnConfig};
use crate::auth::authz::feed::{self, RbacStores};
use crate::auth::authz::{Authorization, Rbac};
use crate::auth::{AUTHENTICATED, MASTERS, UserInfo};
use crate::background;
use crate::background::certificates::authority::Authority;
use crate::background::certificates::own::Own;
use crate::config::{Config, StorageConfig};
use crate::error::ConfigError;
use crate::handlers::Api;
use crate::metrics;
use crate::registry::Registry;
use crate::storage::Backend;
use crate::storage::Unready;
use crate::storage::embedded::{Embedded, OpenError};
use crate::storage::etcd::Etcd;
use crate::storage::measured::Measured;
use crate::storage::store::{Store, Tuning};
use caller::Caller;
use health::{Health, Unhealthy};
use inflight::Inflight;
use served::{Published, Served};
use service::ApiService;
use tls::Tls;

/// How often it is asked whether the store can still be written.
const WRITABLE_EVERY: Duration = Duration::from_secs(1);

/// A running server. Dropping it ends its background work and, with it, every watch.
pub struct Server {
    served: Arc<Served>,
    ready: watch::Receiver<bool>,
    tasks: Supervisor,
}

/// A server that listens.
pub struct Listening {
    listener: TcpListener,
    tls: Arc<Tls>,
    service: ApiService,
    address: SocketAddr,
    tasks: Supervisor,
}

impl Server {
    /// Opens storage and starts the background work. Must be called within a tokio runtime. The
    /// server answers at once; until [`Server::wait_ready`] it may refuse what needs roles.
    ///
    /// # Errors
    /// What of the configuration cannot work, and a hint.
    pub async fn start(config: Config) -> Result<Self, ConfigError> {
        // Before anything that has figures: what is told without a recorder is lost.
        let metrics = metrics::Metrics::global();
        let authn = Authentication::load(&AuthnConfig {
            token_auth_file: config.token_auth_file.clone(),
            basic_auth_file: config.basic_auth_file.clone(),
            anonymous: config.anonymous_auth,
        });
        let authn = authn.map_err(|e| ConfigError::new(e.to_string(), "each line is: secret,user,uid,\"group1,group2\""))?;
        let accounts = config.service_accounts.as_ref().map(Keys::load).transpose()?;
        let authority = config.signing.clone().map(Authority::load).transpose()?.map(Arc::new);
        let authz = Arc::new(Authorization::new(config.authorization.clone(), Rbac::new()));
        let stopping = CancellationToken::new();
        let tasks = Supervisor::new(stopping.clone());
        let backend = Measured::new(backend(&config.storage, &tasks).await?, config.storage.name());
        let store = Store::supervised(Arc::new(backend), Tuning::default(), tasks.child());
        let registry = Registry::open(&store, config.profile, config.event_ttl);
        let secrets = registry.find("", "v1", "secrets").filter(|_| config.bootstrap_tokens);
        let authn = match &secrets {
            Some(entry) => authn.with_bootstrap_tokens(Arc::clone(entry)),
            None => authn,
        };
        let issued = registry.find(keys::GROUP, keys::VERSION, credential::PLURAL);
        let revoked = Arc::new(Revoked::new(issued.is_none()));
        if let Some(path) = &config.revocations {
            background::revocations::load(&revoked, path)?;
        }
        let accounts = config.service_accounts.clone().zip(accounts);
        let accounts = accounts.and_then(|(config, keys)| ServiceAccounts::new(config, keys, Arc::clone(&revoked), &registry));
        let authn = Arc::new(authn.with_service_accounts(accounts).with_revoked(revoked, issued));
        let published = ArcSwap::from_pointee(Published::of(registry.catalog(), &config.advertised()));
        let (ready_sender, ready) = watch::channel(false);
        let health = health_checks(&store, &authz, &authn, ready.clone()).with_tasks(tasks.child());
        let audit = config.audit.as_ref().map(|audit| Audit::open(audit, config.request_timeout, &tasks)).transpose()?;
        let api = Arc::new(Api { store, registry, authn, authz, finalizers: config.finalizers, stopping });
        let inflight = Inflight::new(config.limits);
        let served = Arc::new(Served { api: Arc::clone(&api), config, audit, inflight, published, health });
        let roles = RbacStores::of(&api.store);
        let (rbac, followed) = (Arc::clone(api.authz.rbac()), roles.clone());
        tasks.restart("rbac", move || feed::follow(Arc::clone(&rbac), followed.clone()));
        let known = Arc::clone(&api);
        tasks.restart("bootstrap", move || background::bootstrap::run(Arc::clone(&known), roles.clone(), ready_sender.clone()));
        let known = Arc::clone(&api);
        tasks.restart("namespaces", move || background::namespaces::run(Arc::clone(&known)));
        let (known, signs, own) = (Arc::clone(&api), authority, Own::of(&served.config));
        tasks.restart_always("certificate-requests", move || background::certificates::run(Arc::clone(&known), signs.clone(), own.clone()));
        let known = Arc::clone(&api);
        tasks.restart_always("old-certificate-requests", move || background::certificates::old::run(Arc::clone(&known)));
        let (known, file) = (Arc::clone(&api), served.config.revocations.clone());
        tasks.restart_always("revocations", move || background::revocations::run(Arc::clone(&known), file.clone()));
        let known = Arc::clone(&api);
        tasks.restart_always("expired-credentials", move || background::credentials::run(Arc::clone(&known)));
        let known = Arc::clone(&api);
        tasks.restart_always("used-credentials", move || background::used::run(Arc::clone(&known)));
        if secrets.is_some() {
            let known = Arc::clone(&api);
            tasks.restart_always("bootstrap-tokens", move || background::tokens::run(Arc::clone(&known)));
        }
        let known = Arc::clone(&api);
        tasks.restart_always("damage", move || background::damage::run(Arc::clone(&known)));
        let authn = Arc::clone(&api.authn);
        tasks.restart("credentials", move || Arc::clone(&authn).follow_files());
        tasks.restart_always("metrics", || metrics.upkeep());
        tasks.spawn("storage-writer", until_unwritable(Arc::clone(&api.store)));
        Ok(Self { served, ready, tasks })
    }

    /// The server as a service for callers in this process: a `kube::Client` can be made of it. Each
    /// request is made by the [`UserInfo`] among its extensions, or else by `user`.
    pub fn service(&self, user: UserInfo) -> ApiService {
        ApiService { served: Arc::clone(&self.served), caller: Caller::Process(Arc::new(user)) }
    }

    /// [`Server::service`] for a member of `system:masters`, who may do everything.
    pub fn admin_service(&self) -> ApiService {
        let groups = vec![MASTERS.to_owned(), AUTHENTICATED.to_owned()];
        self.service(UserInfo { name: "system:admin".into(), uid: String::new(), groups })
    }

    /// Waits until storage is there, the first namespaces and roles are stored and authorization
    /// knows them.
    ///
    /// # Errors
    /// What it still waits for after `limit`.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), Unready> {
        let mut ready = self.ready.clone();
        let waiting = async {
            let _ = ready.wait_for(|r| *r).await;
            while !self.served.api.authz.rbac().synced() || !self.served.api.authn.revoked().loaded() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.served.api.store.ready().err().unwrap_or(Unready::Bootstrap)),
        }
    }

    /// Reads or makes the certificate and binds the port.
    ///
    /// # Errors
    /// A certificate that cannot be used or an address that cannot be bound, and a hint.
    pub async fn listen(&self) -> Result<Listening, ConfigError> {
        let tls = Arc::new(Tls::load(&self.served.config)?);
        let listener = listener::bind(self.served.config.bind).await?;
        let address = listener.local_addr().map_err(|e| ConfigError::new(e.to_string(), "choose another address"))?;
        let service = ApiService { served: Arc::clone(&self.served), caller: Caller::Connection(Arc::default()) };
        Ok(Listening { listener, tls, service, address, tasks: self.tasks.child() })
    }

    /// Ends every watch; what [`Listening::serve`] does first when it shuts down.
    pub fn stop_watches(&self) {
        self.served.api.stopping.cancel();
    }

    /// What requests are carried out with.
    #[cfg(test)]
    pub(crate) fn api(&self) -> &Arc<Api> {
        &self.served.api
    }

    /// The tasks of the server.
    pub fn tasks(&self) -> &Supervisor {
        &self.tasks
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("config", &self.served.config).finish_non_exhaustive()
    }
}

impl Listening {
    /// The address bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The serving certificate as PEM, for clients that should trust it.
    pub fn certificate_pem(&self) -> Vec<u8> {
        self.tls.certificate_pem()
    }

    /// Serves until `shutdown` resolves; then takes no new connections, ends watches and lets open
    /// requests finish, for the configured grace at most.
    ///
    /// # Errors
    /// A task of the server ended that it cannot do without; the shutdown was because of it.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), Death> {
        let tls = Arc::clone(&self.tls);
        self.tasks.restart("certificates", move || Arc::clone(&tls).follow_files());
        let served = Arc::clone(&self.service.served);
        let (patience, grace) = (served.config.patience, served.config.shutdown_grace);
        let stopping = served.api.stopping.clone();
        let connections = listener::Connections { tls: self.tls, service: self.service, stopping, patience };
        let accepting = self.tasks.child();
        accepting.spawn("listener", listener::serve(self.listener, connections, grace));
        let death = tokio::select! {
            () = shutdown => None,
            death = self.tasks.death() => Some(death),
        };
        accepting.stop(grace + listener::LAST).await;
        death.map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Comes back when only a restart lets the store be written again.
async fn until_unwritable(store: Arc<Store>) -> Result<Done, String> {
    loop {
        if let Some(why) = store.failure() {
            return Err(why);
        }
        tokio::time::sleep(WRITABLE_EVERY).await;
    }
}

async fn backend(config: &StorageConfig, tasks: &Supervisor) -> Result<Arc<dyn Backend>, ConfigError> {
    match config {
        StorageConfig::Memory => Ok(Arc::new(Embedded::in_memory())),
        StorageConfig::Embedded { dir } => {
            let dir = dir.clone();
            let opened = tokio::task::spawn_blocking(move || Embedded::open(&dir)).await;
            let opened = opened.map_err(|e| ConfigError::new(format!("--data-dir: {e}"), "this is a defect"))?;
            opened.map(|e| Arc::new(e) as Arc<dyn Backend>).map_err(|e| ConfigError::new(format!("--data-dir: {e}"), data_dir_hint(&e)))
        }
        StorageConfig::Etcd(etcd) => {
            let connected = Etcd::supervised(etcd, tasks.child()).await;
            let hint = "check --etcd-servers, --etcd-cafile, --etcd-certfile and --etcd-keyfile";
            connected.map(|e| Arc::new(e) as Arc<dyn Backend>).map_err(|e| ConfigError::new(format!("etcd: {e}"), hint))
        }
    }
}

fn data_dir_hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::NotWritable { .. } => "name a directory with --data-dir that the user of this process may write to",
        OpenError::Locked { .. } => "stop the other process or choose another directory with --data-dir",
        OpenError::Corrupt { .. } => {
            "restore the directory from a copy, or begin anew in another one with --data-dir; it was left as it is"
        }
        OpenError::Newer { .. } => "run the newer version that wrote it, or choose another directory with --data-dir; it was left as it is",
    }
}

fn health_checks(store: &Arc<Store>, authz: &Arc<Authorization>, authn: &Arc<Authentication>, ready: watch::Receiver<bool>) -> Health {
    let (written, stored, latest) = (Arc::clone(store), Arc::clone(store), Arc::clone(store));
    let (authz, authn) = (Arc::clone(authz), Arc::clone(authn));
    Health::default()
        .with("storage-writer", health::Scope::Live, move || written.failure().map_or(Ok(()), |why| Err(Unhealthy::Unwritable(why))))
        .with_async("storage", health::Scope::Ready, move || {
            let store = Arc::clone(&latest);
            Box::pin(async move { Ok(store.latest().await.map(drop)?) })
        })
        .with("caches", health::Scope::Ready, move || Ok(stored.ready()?))
        .with(
            "authorization",
            health::Scope::Ready,
            move || {
                if authz.rbac().synced() { Ok(()) } else { Err(Unready::Authorization.into()) }
            },
        )
        .with("revocations", health::Scope::Ready, move || if authn.revoked().loaded() { Ok(()) } else { Err(Unready::Revocations.into()) })
        .with("bootstrap", health::Scope::Ready, move || if *ready.borrow() { Ok(()) } else { Err(Unready::Bootstrap.into()) })
}
