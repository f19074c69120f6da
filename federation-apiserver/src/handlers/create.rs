//! CREATE, and the reviews that are asked by creating.

use http::{Response, StatusCode};
use machinery::schema::metadata::generated_prefix;
use machinery::status::ApiError;
use serde_json::Value;

use super::call::Call;
use super::prepare::{self, Write};
use super::{body, encode};
use crate::admission;
use crate::auth::reviews::Reviewer;
use crate::http::request::{self, RequestBody};
use crate::http::response::{self, Body};
use crate::http::warnings::with_warnings;
use crate::storage::StorageError;

/// Names generated anew after a collision, at most.
const GENERATE_TRIES: usize = 8;
/// No vowels and nothing that looks like something else: no words come up by chance.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

pub(super) async fn create(call: Call<'_>, request_body: RequestBody) -> Result<Response<Body>, ApiError> {
    let write = Write::new(call)?;
    let bytes = request::read(request_body).await?;
    let weight = bytes.len();
    let decoded = body::decode(call, call.entry.gvk.clone(), bytes).await?;
    let stored = store_new(call, decoded.value, weight, &write, false).await?;
    Ok(with_warnings(stored.answer(call, StatusCode::CREATED).await?, &decoded.warnings))
}

/// What was stored, or would have been.
pub(super) enum Stored {
    /// The stored object.
    Object(std::sync::Arc<crate::storage::object::Object>),
    /// A dry run's result.
    DryRun(Value),
}

impl Stored {
    pub(super) async fn answer(&self, call: Call<'_>, code: StatusCode) -> Result<Response<Body>, ApiError> {
        match self {
            Self::Object(object) => encode::object(call, code, object).await,
            Self::DryRun(value) => encode::value(call, code, value),
        }
    }
}

/// Default, admit, validate, store. `weight` is about the object's size in bytes; `applied`: it comes from server-side apply.
pub(super) async fn store_new(call: Call<'_>, mut object: Value, weight: usize, write: &Write, applied: bool) -> Result<Stored, ApiError> {
    let resource = call.resource();
    prepare::settle_namespace(&mut object, resource.namespaced, &call.info.namespace)?;
    let generate = object["metadata"]["generateName"].as_str().unwrap_or_default().to_owned();
    let generated = !generate.is_empty() && object["metadata"]["name"].as_str().is_none_or(str::is_empty);
    let mut tries = 0;
    loop {
        tries += 1;
        let mut candidate = object.clone();
        if generated {
            prepare::metadata(&mut candidate)?.insert("name".into(), generate_name(&generate).into());
        }
        admission::create(&call.api.registry, resource, &call.info.namespace).await?;
        let (about, how) = (call.owned(), write.clone());
        let prepared = call.work(weight, move || {
            prepare::create(&about.entry, &mut candidate, &about.user, &how, applied)?;
            about.check_escalation(&candidate, None)?;
            Ok::<Value, ApiError>(candidate)
        });
        let candidate = prepared.await??;
        let name = candidate["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let exists = || ApiError::already_exists(resource.group, resource.plural, &name);
        if write.dry_run {
            let current = call.store().get(call.namespace(), &name, crate::storage::store::ReadAt::Latest).await?;
            return if current.is_some() { Err(exists()) } else { Ok(Stored::DryRun(candidate)) };
        }
        match call.store().create(call.namespace(), &name, &candidate).await {
            Ok(stored) => {
                admission::created(&call.api.registry, call.entry, &stored).await?;
                return Ok(Stored::Object(stored));
            }
            Err(StorageError::Conflict { .. }) if generated && tries < GENERATE_TRIES => {}
            Err(StorageError::Conflict { .. }) => return Err(exists()),
            Err(e) => return Err(e.into()),
        }
    }
}

fn generate_name(prefix: &str) -> String {
    let random = uuid::Uuid::new_v4();
    let suffix = random.as_bytes().iter().take(5).map(|b| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()]));
    generated_prefix(prefix).chars().chain(suffix).collect()
}

/// Answers an access or token review; nothing is stored.
pub(super) async fn answer_question(call: Call<'_>, request_body: RequestBody) -> Result<Response<Body>, ApiError> {
    let bytes = request::read(request_body).await?;
    let decoded = body::decode(call, call.entry.gvk.clone(), bytes).await?;
    let reviewer = Reviewer { authn: &call.api.authn, authz: &call.api.authz };
    let answer = reviewer.answer(call.resource().plural, &call.info.namespace, call.user, decoded.value)?;
    Ok(with_warnings(response::json(StatusCode::CREATED, &answer), &decoded.warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_into_a_label() {
        let name = generate_name(&"a".repeat(100));
        assert_eq!(name.len(), 63);
        assert!(generate_name("web-").starts_with("web-") && generate_name("web-").len() == 9);
    }
}
