//! One request as an `Event`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response, header};
use jiff::Timestamp;
use machinery::codec::{self, MediaType};
use machinery::schema::Types;
use serde_json::{Map, Value, json};

use super::log::Audit;
use super::policy::{Level, Stage, Verdict};
use super::sink::Sink;
use crate::auth::{Attributes, UserInfo};
use crate::cpu;
use crate::http::patch::PatchKind;
use crate::http::response::{Body, Revoked, Written};

/// Annotation: the resourceVersion a write made. It and the object's uid lead to what was done for it.
const RESOURCE_VERSION: &str = "federation.kubernetes.io/resource-version";
/// Annotation: whose credential was revoked, where that is known.
const REVOKED_USER: &str = "federation.kubernetes.io/revoked-user";
/// Annotation: why it was, where that was said.
const REVOKED_REASON: &str = "federation.kubernetes.io/revoked-reason";
/// Annotation: the uid of the object written.
const UID: &str = "federation.kubernetes.io/uid";
/// Longest `User-Agent` that is recorded, as in kube-apiserver.
const LONGEST_AGENT: usize = 1024;
/// Longest path with query that is recorded.
const LONGEST_URI: usize = 8 << 10;

/// Largest body that is recorded, in bytes.
const LARGEST_BODY: usize = 256 << 10;

const TOO_LARGE: &str = "which are too many to be recorded";

/// Stands in place of a token, as `kubectl config view` writes it.
const REDACTED: &str = "REDACTED";

/// A request being answered. It is complete when this is dropped.
pub(crate) struct Record {
    sink: Arc<Sink>,
    /// How long the reading of a body may take.
    patience: Duration,
    verdict: Verdict,
    event: Map<String, Value>,
    /// The last stage, and whether it was reached.
    last: Option<Stage>,
}

impl Record {
    pub(super) fn new(
        audit: &Audit,
        verdict: Verdict,
        id: &str,
        parts: &Parts,
        wants: &Attributes,
        user: &UserInfo,
        from: Option<IpAddr>,
    ) -> Self {
        let mut event = Map::new();
        event.insert("kind".into(), "Event".into());
        event.insert("apiVersion".into(), "audit.k8s.io/v1".into());
        event.insert("level".into(), verdict.level.as_str().into());
        event.insert("auditID".into(), id.into());
        let uri = parts.uri.path_and_query().map_or(parts.uri.path(), http::uri::PathAndQuery::as_str);
        event.insert("requestURI".into(), cut(uri, LONGEST_URI).into());
        event.insert("verb".into(), wants.verb.as_str().into());
        event.insert("user".into(), user_info(user));
        if let Some(from) = from {
            event.insert("sourceIPs".into(), json!([from.to_string()]));
        }
        if let Some(agent) = parts.headers.get(header::USER_AGENT) {
            event.insert("userAgent".into(), cut(&String::from_utf8_lossy(agent.as_bytes()), LONGEST_AGENT).into());
        }
        if !wants.resource.is_empty() {
            event.insert("objectRef".into(), object_ref(wants));
        }
        event.insert("requestReceivedTimestamp".into(), now().into());
        event.insert("annotations".into(), json!({}));
        Self { sink: Arc::clone(&audit.sink), patience: audit.patience, verdict, event, last: Some(Stage::ResponseComplete) }
    }

    /// The request is carried out as somebody else.
    pub(crate) fn impersonated(&mut self, user: &UserInfo) {
        self.event.insert("impersonatedUser".into(), user_info(user));
    }

    /// What authorization said.
    pub(crate) fn decided(&mut self, allowed: bool) {
        self.event["annotations"]["authorization.k8s.io/decision"] = if allowed { "allow" } else { "forbid" }.into();
    }

    /// The request's body, where the policy wants it.
    pub(crate) async fn asked(&mut self, parts: &Parts, body: &Bytes, info: &Attributes, user: &UserInfo) {
        if self.verdict.level >= Level::Request && !body.is_empty() {
            self.body("requestObject", media(&parts.headers), body, info, user).await;
        }
    }

    /// The answer. That of a watch is complete when its last event is sent, and takes the record with it.
    pub(crate) async fn answered(mut self, response: &mut Response<Body>, panicked: bool, info: &Attributes, user: &UserInfo) {
        let code = response.status().as_u16();
        let outcome = if response.status().is_success() { "Success" } else { "Failure" };
        self.event.insert("responseStatus".into(), json!({"metadata": {}, "status": outcome, "code": code}));
        if let Some(Written { uid, revision }) = response.extensions().get() {
            self.event["annotations"][UID] = uid.as_str().into();
            self.event["annotations"][RESOURCE_VERSION] = revision.to_string().into();
        }
        if let Some(Revoked { user, reason }) = response.extensions().get() {
            for (annotation, text) in [(REVOKED_USER, user), (REVOKED_REASON, reason)] {
                if !text.is_empty() {
                    self.event["annotations"][annotation] = text.as_str().into();
                }
            }
        }
        let whole = match response.body() {
            Body::Full(bytes) => Some(bytes.clone()),
            Body::Chunks(parts, size) if *size <= LARGEST_BODY as u64 => Some(parts.iter().flatten().copied().collect()),
            Body::Chunks(_, size) if self.verdict.level >= Level::RequestResponse => {
                self.left_out("responseObject", *size, TOO_LARGE);
                None
            }
            _ => None,
        };
        if let Some(bytes) = whole {
            if !response.status().is_success()
                && bytes.len() <= LARGEST_BODY
                && let Ok(status) = serde_json::from_slice::<Value>(&bytes)
            {
                for part in ["reason", "message"] {
                    if let Some(text) = status[part].as_str() {
                        self.event["responseStatus"][part] = text.into();
                    }
                }
            }
            if self.verdict.level >= Level::RequestResponse {
                self.body("responseObject", media(response.headers()), &bytes, info, user).await;
            }
        }
        if panicked {
            self.last = Some(Stage::Panic);
        }
        if let Body::Stream(_) = response.body() {
            self.say(Stage::ResponseStarted);
            *response.body_mut() = std::mem::take(response.body_mut()).keeping(self);
        }
    }

    /// Bodies are recorded as JSON, whatever form they came in; of those that are not, the size is told.
    async fn body(&mut self, field: &str, media: Option<MediaType>, bytes: &Bytes, info: &Attributes, user: &UserInfo) {
        let value = match media {
            _ if bytes.len() > LARGEST_BODY => Err(TOO_LARGE),
            None => Err("of a kind that is not recorded"),
            Some(media) => {
                let (body, omit, secret) = (bytes.clone(), self.verdict.omit_managed_fields, holds_token(info));
                let reading = cpu::run(user, &info.verb, bytes.len(), move || recorded(media, &body, omit, secret));
                match tokio::time::timeout(self.patience, reading).await {
                    Ok(Ok(value)) => value.ok_or("that cannot be read"),
                    Ok(Err(_)) | Err(_) => Err("that could not be read in time"),
                }
            }
        };
        match value {
            Ok(value) => drop(self.event.insert(field.into(), value)),
            Err(why) => self.left_out(field, bytes.len() as u64, why),
        }
    }

    /// Says why a body of so many bytes is not recorded.
    fn left_out(&mut self, field: &str, size: u64, why: &str) {
        self.event["annotations"][format!("federation.kubernetes.io/{field}")] = format!("{size} bytes {why}").into();
    }

    /// Writes the event of a stage unless the policy leaves it out.
    pub(super) fn say(&self, stage: Stage) {
        if self.verdict.omit_stages.contains(&stage) {
            return;
        }
        let mut event = self.event.clone();
        event.insert("stage".into(), stage.as_str().into());
        event.insert("stageTimestamp".into(), now().into());
        if event["annotations"].as_object().is_some_and(Map::is_empty) {
            event.remove("annotations");
        }
        let mut line = Value::Object(event).to_string();
        line.push('\n');
        self.sink.put(line);
    }
}

/// How a body of these headers is read: as the handlers do, so that none is carried out and not recorded.
fn media(headers: &HeaderMap) -> Option<MediaType> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    MediaType::parse(kind).or_else(|| PatchKind::media(kind))
}

/// Whether bodies of such requests hold a token that lets in who reads it: the one that is made for a service account, and
/// the one that is asked about. kube-apiserver leaves that to its policy; here no policy gets them into the log.
fn holds_token(info: &Attributes) -> bool {
    info.resource == "tokenreviews" || (info.resource == "serviceaccounts" && info.subresource == "token")
}

/// Takes away what is called `token`, wherever it stands and however it is written: who misspells a field has sent it as well.
/// The depth was bounded when the body was decoded.
fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                if key.eq_ignore_ascii_case("token") { *inner = REDACTED.into() } else { redact(inner) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// What is recorded of a body.
fn recorded(media: MediaType, body: &[u8], omit_managed_fields: bool, secret: bool) -> Option<Value> {
    let mut value = codec::read(Types::builtin(), body, media).ok()?;
    if secret {
        redact(&mut value);
    }
    if omit_managed_fields && let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
    }
    Some(value)
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(last) = self.last.take() {
            self.say(last);
        }
    }
}

fn user_info(user: &UserInfo) -> Value {
    let mut info = json!({});
    for (key, text) in [("username", &user.name), ("uid", &user.uid)] {
        if !text.is_empty() {
            info[key] = text.as_str().into();
        }
    }
    if !user.groups.is_empty() {
        info["groups"] = json!(user.groups);
    }
    info
}

fn object_ref(wants: &Attributes) -> Value {
    let parts = [
        ("resource", &wants.resource),
        ("namespace", &wants.namespace),
        ("name", &wants.name),
        ("apiGroup", &wants.group),
        ("apiVersion", &wants.version),
        ("subresource", &wants.subresource),
    ];
    parts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), Value::from(text.as_str()))).collect()
}

fn cut(text: &str, longest: usize) -> String {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
