//! `/scale`: an `autoscaling/v1` Scale over `spec.replicas`.

use bytes::Bytes;
use http::{Response, StatusCode};
use machinery::codec;
use machinery::schema::{Gvk, Types};
use machinery::selector::LabelSelector;
use machinery::status::{ApiError, FieldError};
use serde_json::{Value, json};

use super::call::Call;
use super::create::Stored;
use super::patch;
use super::prepare::Write;
use super::{body, update};
use crate::http::patch::PatchKind;
use crate::http::response::{self, Body};

/// Patches a Scale takes.
const PATCHES: [&str; 3] = ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

fn gvk() -> Gvk {
    Gvk::new("autoscaling", "v1", "Scale")
}

pub(super) async fn get(call: Call<'_>) -> Result<Response<Body>, ApiError> {
    let object = call.current().await?.ok_or_else(|| call.not_found())?.value()?;
    Ok(response::json(StatusCode::OK, &scale_of(&object)))
}

pub(super) async fn update(call: Call<'_>, bytes: Bytes, write: &Write) -> Result<Response<Body>, ApiError> {
    let weight = bytes.len();
    let scale = body::decode(call, gvk(), bytes).await?.value;
    let name = scale["metadata"]["name"].as_str().unwrap_or_default();
    if name != call.info.name {
        return Err(call.owned().misnamed(name));
    }
    store(call, weight, write, move |_| Ok(scale.clone())).await
}

pub(super) async fn patch(call: Call<'_>, kind: PatchKind, bytes: Bytes, write: &Write) -> Result<Response<Body>, ApiError> {
    if kind == PatchKind::Apply {
        // A Scale is no object of its own: there are no fields whose owners could be remembered.
        return Err(ApiError::unsupported_media_type(&PATCHES));
    }
    let validation = body::validation(call)?;
    let (about, weight) = (call.owned(), bytes.len());
    let change = patch::parse(call, kind, bytes).await?;
    let named = change["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    store(call, weight, write, move |old| {
        let new = patch::patched_plain(kind, &scale_of(old), &change)?;
        let mut new = codec::conform_patched(Types::builtin(), &gvk(), new, validation)?.value;
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        if name != about.name {
            return Err(about.misnamed(name));
        }
        new["metadata"]["resourceVersion"] = named.clone().map_or(Value::Null, Value::from);
        Ok(new)
    })
    .await
}

async fn store(
    call: Call<'_>,
    weight: usize,
    write: &Write,
    scale: impl Fn(&Value) -> Result<Value, ApiError> + Send + Sync + 'static,
) -> Result<Response<Body>, ApiError> {
    let part = Some(crate::registry::resource::Subresource::Scale);
    let about = call.owned();
    let stored = update::change(call, part, weight, write, false, move |old| {
        let scale = scale(old)?;
        let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
        if !(0..=i64::from(i32::MAX)).contains(&replicas) {
            let e = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
            return Err(ApiError::invalid("autoscaling", "Scale", &about.name, &[e]));
        }
        let mut new = old.clone();
        new["spec"]["replicas"] = replicas.into();
        new["metadata"]["resourceVersion"] = scale["metadata"]["resourceVersion"].clone();
        Ok(new)
    });
    let object = match stored.await? {
        Stored::Object(object) => object.value()?,
        Stored::DryRun(value) => value,
    };
    Ok(response::json(StatusCode::OK, &scale_of(&object)))
}

fn scale_of(object: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !object["metadata"][field].is_null() {
            metadata[field] = object["metadata"][field].clone();
        }
    }
    let mut status = json!({"replicas": object["status"]["replicas"].as_i64().unwrap_or(0)});
    let selector = selector_text(&object["spec"]["selector"]);
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    let mut spec = json!({});
    if let Some(replicas) = object["spec"]["replicas"].as_i64().filter(|r| *r != 0) {
        spec["replicas"] = replicas.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// A selector object as autoscalers read it: `a=b,c in (d,e)`.
fn selector_text(selector: &Value) -> String {
    LabelSelector::from_object(selector).map(|s| s.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_shows_replicas_and_selector() {
        let object = json!({"metadata": {"name": "web", "uid": "u", "labels": {"x": "y"}}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}},
            "status": {"replicas": 2}});
        assert_eq!(
            scale_of(&object),
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "web", "uid": "u"}, "spec": {"replicas": 3},
                "status": {"replicas": 2, "selector": "app=web"}})
        );
    }
}
