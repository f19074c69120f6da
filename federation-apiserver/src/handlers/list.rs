//! LIST: the stored bytes of the objects that match, never decoded.

use http::Response;
use machinery::status::ApiError;

use super::call::Call;
use super::{encode, options};
use crate::http::response::{self, Body};
use crate::storage::StorageError;

pub(super) async fn list(call: Call<'_>) -> Result<Response<Body>, ApiError> {
    let filter = options::filter(call)?;
    let wanted = options::list_options(call.query)?;
    match call.store().list(call.namespace(), &wanted, filter.as_deref().map(|f| f as _)).await {
        Ok(listing) => encode::list(call, listing).await,
        Err(StorageError::ContinueExpired { token }) => {
            // The client may go on at the newest state with the token in the Status' metadata.
            let e = ApiError::from(StorageError::ContinueExpired { token: String::new() });
            let mut status = e.to_value();
            status["metadata"]["continue"] = token.into();
            Ok(response::json(http::StatusCode::GONE, &status))
        }
        Err(e) => Err(e.into()),
    }
}
