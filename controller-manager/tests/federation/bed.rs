//! The test bed: API servers in memory, a switch for each member's network, and waiting.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use federation_api::cluster::ClusterSpec;
use federation_apiserver::{
    auth::UserInfo,
    config::{Config as ServerConfig, Profile, StorageConfig},
    server::Server,
};
use federation_controller_manager::{Config, ConnectError, Connection, MemberConnector, RunError, run_with};
use futures::StreamExt;
use http::{Method, Request};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// What happens at once takes no longer, on a slow machine with other work too.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// One API server and how to reach it.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) client: kube::Client,
    current: Current,
    pub(crate) link: Arc<Link>,
    /// Where its store is, and where copies of it are put.
    dir: Arc<tempfile::TempDir>,
    profile: Profile,
}

/// The server that answers now: another one after its store was put back.
#[derive(Clone)]
struct Current(Arc<Mutex<Arc<Server>>>);

impl Current {
    fn get(&self) -> Arc<Server> {
        self.0.lock().unwrap().clone()
    }
}

/// The network between the controllers and one member.
#[derive(Default)]
pub(crate) struct Link {
    cut: AtomicBool,
    /// Whether the credentials are refused, though everybody is told its health.
    pub(crate) locked: AtomicBool,
    deaf: AtomicBool,
    /// Whose account the controllers have in the member, if they are no administrators.
    account: Mutex<Option<String>>,
    forbidden: Mutex<Option<String>>,
    ended: watch::Sender<()>,
    /// Watches of ConfigMaps that panic from now on.
    pub(crate) panics: AtomicUsize,
    writes: AtomicUsize,
}

/// A client's service that hangs while the link is cut, as a lost network does.
#[derive(Clone)]
struct Linked {
    current: Current,
    link: Arc<Link>,
}

impl Service<Request<Body>> for Linked {
    type Response = http::Response<AnyBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<AnyBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let link = self.link.clone();
        // A question that is asked by POST writes nothing.
        if request.method() != Method::GET && !request.uri().path().starts_with("/apis/authorization.k8s.io/") {
            link.writes.fetch_add(1, Ordering::SeqCst);
        }
        let path = request.uri().to_string();
        if link.deaf.load(Ordering::SeqCst) && path.contains("watch=true") {
            let silence = AnyBody::new(StreamBody::new(futures::stream::pending()));
            return Box::pin(async move { Ok(http::Response::new(silence)) });
        }
        if link.locked.load(Ordering::SeqCst) && path != "/healthz" {
            return Box::pin(async move { refusal(401, "Unauthorized") });
        }
        if link.forbidden.lock().unwrap().as_ref().is_some_and(|part| path.contains(part)) {
            return Box::pin(async move { refusal(403, "Forbidden") });
        }
        let less = |left: usize| left.checked_sub(1);
        let watches = path.contains("/configmaps?") && path.contains("watch=true");
        let panics = watches && link.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        let server = self.current.get();
        let account = link.account.lock().unwrap().clone();
        let user = |name| UserInfo { name, uid: String::new(), groups: vec!["system:authenticated".into()] };
        let mut service = account.map_or_else(|| server.admin_service(), |name| server.service(user(name)));
        let answer = service.call(request);
        Box::pin(async move {
            assert!(!panics, "a panic for a test");
            while link.cut.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let response = answer.await.map_err(BoxError::from)?;
            let mut ended = link.ended.subscribe();
            let end = async move { drop(ended.changed().await) };
            let frames = |body| BodyStream::new(body).map(|frame| frame.map_err(BoxError::from)).take_until(Box::pin(end));
            Ok(response.map(|body| AnyBody::new(StreamBody::new(frames(body)))))
        })
    }
}

type AnyBody = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, BoxError>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn refusal(code: u16, reason: &str) -> Result<http::Response<AnyBody>, BoxError> {
    let status =
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "not allowed"});
    let body = AnyBody::new(status.to_string().map_err(|e| match e {}));
    Ok(http::Response::builder().status(code).body(body)?)
}

impl Api {
    async fn start(profile: Profile) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage =
            if profile == Profile::Member { StorageConfig::Embedded { dir: dir.path().join("now") } } else { StorageConfig::Memory };
        let current = Current(Arc::new(Mutex::new(serve(profile, storage).await)));
        let link = Arc::new(Link::default());
        let client = kube::Client::new(Linked { current: current.clone(), link: Arc::default() }, "default");
        Self { client, current, link, dir: Arc::new(dir), profile }
    }

    /// The server that answers now.
    pub(crate) fn server(&self) -> Arc<Server> {
        self.current.get()
    }

    /// Copies the store of this member, as a backup does.
    pub(crate) fn back_up(&self, name: &str) {
        let to = self.dir.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(self.dir.path().join("now")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    /// Starts this member anew with the copy of its store. Watches end, as they do when a server ends.
    pub(crate) async fn restore(&self, name: &str) {
        self.put_back(name).await.stop_watches();
    }

    /// As [`Self::restore`], with the server of before, whose watches go on until they are stopped.
    pub(crate) async fn put_back(&self, name: &str) -> Arc<Server> {
        let server = serve(self.profile, StorageConfig::Embedded { dir: self.dir.path().join(name) }).await;
        std::mem::replace(&mut *self.current.0.lock().unwrap(), server)
    }

    /// From now on watches of this member are silent.
    pub(crate) fn deafen(&self) {
        self.link.deaf.store(true, Ordering::SeqCst);
        self.end_watches();
    }

    /// Ends all watches of this member; new ones work.
    pub(crate) fn end_watches(&self) {
        self.link.ended.send_replace(());
    }

    /// Answers 403 to the controllers where the path contains this.
    pub(crate) fn forbid(&self, part: Option<&str>) {
        *self.link.forbidden.lock().unwrap() = part.map(str::to_owned);
    }

    /// From now on the controllers have in this member the account of a user, who may do what `rules` say.
    pub(crate) async fn admit(&self, user: &str, rules: Value) {
        const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
        let api = "rbac.authorization.k8s.io";
        let object = |kind: &str| json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": {"name": user}});
        let (mut role, mut binding) = (object("ClusterRole"), object("ClusterRoleBinding"));
        role["rules"] = rules;
        binding["roleRef"] = json!({"apiGroup": api, "kind": "ClusterRole", "name": user});
        binding["subjects"] = json!([{"apiGroup": api, "kind": "User", "name": user}]);
        self.create(&format!("{RBAC}/clusterroles"), role).await;
        self.create(&format!("{RBAC}/clusterrolebindings"), binding).await;
        *self.link.account.lock().unwrap() = Some(user.to_owned());
    }

    /// What the user of [`Self::admit`] may do from now on.
    pub(crate) async fn allow(&self, user: &str, rules: Value) {
        self.merge(&format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{user}"), json!({"rules": rules})).await;
    }

    /// Sends one request; the status code and the body.
    pub(crate) async fn call(&self, method: Method, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", content_type).body(Body::from(body)).unwrap();
        let response = self.client.send(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.call(Method::GET, path, "application/json", &Value::Null).await;
        (status == 200).then_some(body)
    }

    /// Creates an object; panics when that is refused.
    pub(crate) async fn create(&self, collection: &str, object: Value) -> Value {
        let (status, body) = self.call(Method::POST, collection, "application/json", &object).await;
        assert_eq!(status, 201, "{body}");
        body
    }

    pub(crate) async fn merge(&self, path: &str, patch: Value) -> Value {
        let (status, body) = self.call(Method::PATCH, path, "application/merge-patch+json", &patch).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Deletes an object with a propagation policy, or none.
    pub(crate) async fn delete(&self, path: &str, policy: Option<&str>) {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        let (status, body) = self.call(Method::DELETE, path, "application/json", &options).await;
        assert!(status < 300, "{body}");
    }

    /// Waits until what is at `path` satisfies `done`, at most a minute.
    pub(crate) async fn until(&self, path: &str, done: impl Fn(Option<&Value>) -> bool) -> Duration {
        let start = Instant::now();
        loop {
            let found = self.get(path).await;
            if done(found.as_ref()) {
                return start.elapsed();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{path} stayed {}", found.unwrap_or(Value::Null));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn until_there(&self, path: &str) -> Duration {
        self.until(path, |found| found.is_some()).await
    }

    pub(crate) async fn until_gone(&self, path: &str) -> Duration {
        self.until(path, |found| found.is_none()).await
    }

    /// Cuts the network to this member, or mends it.
    pub(crate) fn cut(&self, cut: bool) {
        self.link.cut.store(cut, Ordering::SeqCst);
    }

    /// Requests of the controllers to this member that were not GET.
    pub(crate) fn writes(&self) -> usize {
        self.link.writes.load(Ordering::SeqCst)
    }
}

async fn serve(profile: Profile, storage: StorageConfig) -> Arc<Server> {
    let finalizers = profile == Profile::Federation;
    let server = Server::start(ServerConfig { storage, finalizers, ..ServerConfig::in_memory(profile) }).await.unwrap();
    server.wait_ready(Duration::from_secs(30)).await.unwrap();
    Arc::new(server)
}

struct Members(HashMap<String, Api>);

#[async_trait]
impl MemberConnector for Members {
    async fn connect(&self, cluster: &str, _: &ClusterSpec, _: bool, known: Option<&str>) -> Result<Option<Connection>, ConnectError> {
        let api = self.0.get(cluster).ok_or_else(|| ConnectError::Other("no such member".into()))?;
        if known.is_some() {
            return Ok(None);
        }
        let service = Linked { current: api.current.clone(), link: api.link.clone() };
        Ok(Some(Connection { client: kube::Client::new(service, "default"), fingerprint: "in memory".into(), credential: None }))
    }
}

/// A federation with members and running controllers.
pub(crate) struct Bed {
    pub(crate) federation: Api,
    pub(crate) gondor: Api,
    pub(crate) rohan: Api,
    /// Gondor under another name and over another link, for who joins it.
    pub(crate) twin: Api,
    config: Config,
    running: Option<(CancellationToken, JoinHandle<Result<(), RunError>>)>,
}

pub(crate) const CLUSTERS: &str = "/apis/federation/v1beta1/clusters";
pub(crate) const RECORDS: &str = "/apis/federation/v1beta1/propagationrecords";

impl Bed {
    /// Two members, both joined and ready.
    pub(crate) async fn start() -> Self {
        Self::start_with(config()).await
    }

    /// As [`Bed::start`], with other paces.
    pub(crate) async fn start_with(config: Config) -> Self {
        let mut bed = Self::new(config).await;
        bed.run();
        for name in ["gondor", "rohan"] {
            bed.until_cluster(name, "Ready").await;
        }
        bed
    }

    /// Two members, both joined, without controllers yet.
    pub(crate) async fn new(config: Config) -> Self {
        let gondor = Api::start(Profile::Member).await;
        let bed = Self {
            federation: Api::start(Profile::Federation).await,
            twin: Api { link: Arc::default(), ..gondor.clone() },
            gondor,
            rohan: Api::start(Profile::Member).await,
            config,
            running: None,
        };
        for name in ["gondor", "rohan"] {
            bed.federation.create(CLUSTERS, cluster(name)).await;
        }
        bed
    }

    /// Starts the controllers.
    pub(crate) fn run(&mut self) {
        self.run_through(self.federation.client.clone());
    }

    /// As [`Bed::run`], with another client of the federation.
    pub(crate) fn run_through(&mut self, federation: kube::Client) {
        let shutdown = CancellationToken::new();
        let named = [("gondor", &self.gondor), ("rohan", &self.rohan), ("twin", &self.twin)];
        let members = named.into_iter().map(|(name, api)| (name.to_owned(), api.clone())).collect();
        let work = run_with(self.config.clone(), federation, Arc::new(Members(members)), shutdown.clone());
        self.running = Some((shutdown, tokio::spawn(work)));
    }

    /// From the next start on a controller is off.
    pub(crate) fn switch_off(&mut self, controller: &str) {
        self.config.controllers.insert(controller.to_owned(), false);
    }

    /// Waits until the controllers end by themselves.
    pub(crate) async fn ended(&mut self) -> Result<(), RunError> {
        let (_shutdown, handle) = self.running.take().unwrap();
        tokio::time::timeout(Duration::from_secs(60), handle).await.expect("they go on").unwrap()
    }

    /// Stops the controllers and waits for them.
    pub(crate) async fn stop(&mut self) {
        let (shutdown, handle) = self.running.take().unwrap();
        shutdown.cancel();
        handle.await.unwrap().unwrap();
    }

    /// Waits until the records of so many objects say that both members answered what was last decided: what was not
    /// answered before a stop is written again after it.
    /// Waits until these members have what was wanted after all the rest, twice over: whatever is to follow from what
    /// happened before has followed then.
    pub(crate) async fn has_settled(&self, members: &[&Api]) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        for _ in 0..2 {
            let name = format!("after-all-{}", COUNT.fetch_add(1, Ordering::SeqCst));
            self.federation.create(MAPS, config_map(&name)).await;
            for member in members {
                member.until_there(&format!("{MAPS}/{name}")).await;
            }
        }
    }

    pub(crate) async fn until_recorded(&self, objects: usize) {
        let answered = |record: &Value| {
            ["gondor", "rohan"].iter().all(|cluster| {
                let told = &record["spec"]["clusters"][cluster];
                told["state"] == "Applied" && told["applied"] == told["desired"]
            })
        };
        let recorded = |all: &Value| all["items"].as_array().unwrap().iter().filter(|record| answered(record)).count();
        self.federation.until(RECORDS, |all| all.is_some_and(|all| recorded(all) == objects)).await;
    }

    /// Waits until a Cluster has the condition `True`.
    pub(crate) async fn until_cluster(&self, name: &str, condition: &str) -> Duration {
        let has = |cluster: &Value| {
            let conditions = cluster["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|c| c["type"] == condition && c["status"] == "True")
        };
        self.federation.until(&format!("{CLUSTERS}/{name}"), |c| c.is_some_and(has)).await
    }

    /// Creates namespace `demo` and waits until both members have it.
    pub(crate) async fn namespace(&self) {
        self.federation.create("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})).await;
        self.gondor.until_there("/api/v1/namespaces/demo").await;
        self.rohan.until_there("/api/v1/namespaces/demo").await;
    }
}

/// All that is left of a record once its object and all copies are deleted.
pub(crate) fn is_a_memory(record: Option<&Value>) -> bool {
    record.is_some_and(|r| r["spec"]["deleted"].is_string() && r["spec"]["clusters"].as_object().is_none_or(serde_json::Map::is_empty))
}

/// Fast enough for tests; the relations between the values are those of real life.
pub(crate) fn config() -> Config {
    let mut config = Config { federation_name: "fellowship".into(), ..Config::default() };
    config.monitor.period = Duration::from_millis(200);
    config.monitor.timeout = Duration::from_millis(500);
    config.monitor.retry = Duration::from_millis(50);
    config.monitor.loss_delay = Duration::from_millis(500);
    config.brake.settle = Duration::from_millis(100);
    config
}

/// A Cluster, as it is joined.
pub(crate) fn cluster(name: &str) -> Value {
    let spec = json!({"serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "https://in.memory"}]});
    json!({"apiVersion": "federation/v1beta1", "kind": "Cluster", "metadata": {"name": name, "labels": {"name": name}}, "spec": spec})
}

pub(crate) const MAPS: &str = "/api/v1/namespaces/demo/configmaps";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/demo/deployments";

pub(crate) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "demo"}, "data": {"ring": "one"}})
}

pub(crate) fn deployment(name: &str, replicas: i64, preferences: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "demo", "annotations": {"federation.kubernetes.io/deployment-preferences": preferences.to_string()}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
        },
    })
}
