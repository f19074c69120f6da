//! The test bed: API servers in memory, a switch for each member's network, and waiting.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use federation_api::cluster::ClusterSpec;
use federation_apiserver::{
    config::{Config as ServerConfig, Profile},
    server::Server,
};
use federation_controller_manager::{Config, ConnectError, Connection, MemberConnector, run_with};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// One API server and how to reach it.
#[derive(Clone)]
pub(crate) struct Api {
    client: kube::Client,
    _server: Arc<Server>,
    pub(crate) link: Arc<Link>,
}

/// The network between the controllers and one member.
#[derive(Default)]
pub(crate) struct Link {
    cut: AtomicBool,
    /// Whether the credentials are refused, though everybody is told its health.
    pub(crate) locked: AtomicBool,
    writes: AtomicUsize,
}

type Answer = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, tower::BoxError>;

/// A client's service that hangs while the link is cut, as a lost network does.
#[derive(Clone)]
struct Linked<S> {
    inner: S,
    link: Arc<Link>,
}

impl<S, B> Service<Request<Body>> for Linked<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Send,
    S::Future: Send + 'static,
    S::Error: Send,
    B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let link = self.link.clone();
        // A question that is asked by POST writes nothing.
        if request.method() != Method::GET && !request.uri().path().starts_with("/apis/authorization.k8s.io/") {
            link.writes.fetch_add(1, Ordering::SeqCst);
        }
        if link.locked.load(Ordering::SeqCst) && request.uri().path() != "/healthz" {
            let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401});
            let body = http_body_util::Full::new(bytes::Bytes::from(refusal.to_string()));
            let mut response = Response::new(Answer::new(body.map_err(Into::into)));
            *response.status_mut() = http::StatusCode::UNAUTHORIZED;
            return Box::pin(async move { Ok(response) });
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            while link.cut.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            answer.await.map(|response| response.map(|body| Answer::new(body.map_err(Into::into))))
        })
    }
}

impl Api {
    async fn start(profile: Profile) -> Self {
        let server = Server::start(ServerConfig::in_memory(profile)).await.unwrap();
        server.wait_ready(Duration::from_secs(10)).await.unwrap();
        let link = Arc::new(Link::default());
        let client = kube::Client::new(server.admin_service(), "default");
        Self { client, _server: Arc::new(server), link }
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

    /// Waits until what is at `path` satisfies `done`, at most 15 seconds.
    pub(crate) async fn until(&self, path: &str, done: impl Fn(Option<&Value>) -> bool) -> Duration {
        let start = Instant::now();
        loop {
            let found = self.get(path).await;
            if done(found.as_ref()) {
                return start.elapsed();
            }
            assert!(start.elapsed() < Duration::from_secs(15), "{path} stayed {}", found.unwrap_or(Value::Null));
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

struct Members(HashMap<String, Api>);

#[async_trait]
impl MemberConnector for Members {
    async fn connect(&self, cluster: &str, _: &ClusterSpec, _: bool, known: Option<&str>) -> Result<Option<Connection>, ConnectError> {
        let api = self.0.get(cluster).ok_or_else(|| ConnectError::Other("no such member".into()))?;
        if known.is_some() {
            return Ok(None);
        }
        let service = Linked { inner: api._server.admin_service(), link: api.link.clone() };
        Ok(Some(Connection { client: kube::Client::new(service, "default"), fingerprint: "in memory".into() }))
    }
}

/// A federation with members and running controllers.
pub(crate) struct Bed {
    pub(crate) federation: Api,
    pub(crate) gondor: Api,
    pub(crate) rohan: Api,
    config: Config,
    running: Option<(CancellationToken, JoinHandle<anyhow::Result<()>>)>,
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
        let mut bed = Self {
            federation: Api::start(Profile::Federation).await,
            gondor: Api::start(Profile::Member).await,
            rohan: Api::start(Profile::Member).await,
            config,
            running: None,
        };
        for name in ["gondor", "rohan"] {
            bed.federation.create(CLUSTERS, cluster(name)).await;
        }
        bed.run();
        for name in ["gondor", "rohan"] {
            bed.until_cluster(name, "Ready").await;
        }
        bed
    }

    /// Starts the controllers.
    pub(crate) fn run(&mut self) {
        let shutdown = CancellationToken::new();
        // The twin is gondor under another name, for who joins it.
        let named = [("gondor", &self.gondor), ("rohan", &self.rohan), ("twin", &self.gondor)];
        let members = named.into_iter().map(|(name, api)| (name.to_owned(), api.clone())).collect();
        let work = run_with(self.config.clone(), self.federation.client.clone(), Arc::new(Members(members)), shutdown.clone());
        self.running = Some((shutdown, tokio::spawn(work)));
    }

    /// Stops the controllers and waits for them.
    pub(crate) async fn stop(&mut self) {
        let (shutdown, handle) = self.running.take().unwrap();
        shutdown.cancel();
        handle.await.unwrap().unwrap();
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
