//! Bearer tokens as headers, and one that changes while it is in use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;

/// A token that is changed while clients use it: each request says the newest.
#[derive(Clone)]
pub struct Bearer(Arc<ArcSwap<HeaderValue>>);

impl Bearer {
    /// A token.
    ///
    /// # Errors
    /// That it has characters that no header may have.
    pub fn new(token: &str) -> Result<Self, http::header::InvalidHeaderValue> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(bearer(token)?))))
    }

    /// From the next request on this token counts.
    ///
    /// # Errors
    /// That it has characters that no header may have; the one before counts on then.
    pub fn set(&self, token: &str) -> Result<(), http::header::InvalidHeaderValue> {
        self.0.store(Arc::new(bearer(token)?));
        Ok(())
    }

    /// What a request says now.
    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::clone(&self.0.load())
    }
}

pub(super) fn bearer(token: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    sensitive(&format!("Bearer {}", token.trim()))
}

pub(super) fn sensitive(text: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}
