//! A server as somebody sees it who has no credentials yet.

use std::time::Duration;

use federation_api::bootstrap;
use federation_client::{Access, Cluster, Environment, Kubeconfig, Target, User};
use http_body_util::{BodyExt as _, Limited};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use tokio::time::timeout;

use super::Session;
use super::session::timeouts;
use crate::connection::Connection;
use crate::discovery::Document;
use crate::error::{Failure, chain};

/// Most bytes of the document, which comes from a server that is not known yet.
const MOST: usize = 1 << 20;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the document's server showed instead of it.
pub(super) enum Hidden {
    /// It answers with this status: strangers may not read it, or it is not there.
    Status(u16),
    /// It cannot be asked, or says what is no document.
    Failed(Failure),
}

/// A connection with no more than this: authorities in PEM, or none to take any server.
///
/// # Errors
/// What cannot be used.
pub(super) async fn connection(
    session: &Session,
    server: &str,
    authorities: Option<&str>,
    token: Option<&str>,
) -> Result<Connection, Failure> {
    let cluster = Cluster {
        server: server.to_owned(),
        insecure_skip_tls_verify: authorities.is_none(),
        certificate_authority_data: authorities.map(|pem| pem.as_bytes().to_vec()).unwrap_or_default(),
        ..Cluster::default()
    };
    let user = User { token: token.map(str::to_owned).unwrap_or_default(), ..User::default() };
    let target = Target { timeouts: timeouts(session.global.request_timeout), ..Target::context(None) };
    Connection::to(&Access::resolve(&Kubeconfig::single("bootstrap", cluster, user), &target, &Environment::of_process())?).await
}

/// The public document of a server.
///
/// # Errors
/// What is seen instead.
pub(super) async fn document(at: &Connection) -> Result<Document, Hidden> {
    let path = format!("/api/v1/namespaces/{}/configmaps/{}", bootstrap::PUBLIC_NAMESPACE, bootstrap::CLUSTER_INFO);
    let failed = |why: String| {
        Hidden::Failed(
            Failure::new(format!("asking {} for its cluster-info: {why}", at.server))
                .hint("check the URL of --server; or name the authority with --certificate-authority"),
        )
    };
    let request = http::Request::get(path).header(http::header::ACCEPT, "application/json").body(Body::empty());
    let request = request.map_err(|e| failed(e.to_string()))?;
    let asked = async {
        let response = at.client.send(request).await.map_err(|e| Hidden::Failed(at.failed("asking for cluster-info", &e)))?;
        if !response.status().is_success() {
            return Err(Hidden::Status(response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MOST).collect().await.map_err(|e| failed(chain(&*e)))?;
        let object: ConfigMap =
            serde_json::from_slice(&body.to_bytes()).map_err(|_| failed("it answers with something else".to_owned()))?;
        Ok(object.data.unwrap_or_default())
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))))
}
