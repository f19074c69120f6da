//! Query parameters of reads, as Kubernetes understands them.

use std::sync::Arc;

use machinery::selector::{FieldSelector, LabelSelector};
use machinery::status::{ApiError, FieldError};

use super::call::Call;
use crate::http::query::Query;
use crate::registry::resource::Resource;
use crate::storage::head::Head;
use crate::storage::store::{Filter, ListOptions, ReadAt, WatchFrom, WatchOptions};

/// `?resourceVersion=` as a number; `None` when it is not given.
fn revision(query: &Query) -> Result<Option<u64>, ApiError> {
    let refuse = |e: ApiError| ApiError { message: format!("invalid resource version: {}", e.message), ..e };
    query.get("resourceVersion").map(|text| parse_revision(text).map_err(refuse)).transpose()
}

/// A resourceVersion somebody gave us.
pub(super) fn parse_revision(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        let e = FieldError::invalid("resourceVersion", text, "must be a number this server gave out");
        ApiError::bad_request(format!("{}: {}", e.field, e.message()))
    })
}

/// How old the answer to a `get` may be.
pub(super) fn read_at(query: &Query) -> Result<ReadAt, ApiError> {
    Ok(match revision(query)? {
        None => ReadAt::Latest,
        Some(0) => ReadAt::Any,
        Some(n) => ReadAt::NotOlderThan(n),
    })
}

/// Which part of a list, and how old it may be.
pub(super) fn list_options(query: &Query) -> Result<ListOptions, ApiError> {
    let limit = usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(0);
    let continue_token = query.get("continue").map(str::to_owned);
    let revision = revision(query)?;
    let matching = query.get("resourceVersionMatch");
    if continue_token.is_some() && (matching.is_some() || revision.is_some_and(|r| r != 0)) {
        return Err(invalid("resourceVersion", "must not be given together with continue"));
    }
    let at = match (matching, revision) {
        (None, None) => ReadAt::Latest,
        (None | Some("NotOlderThan"), Some(0)) => ReadAt::Any,
        // As etcd's store does: a page is read at the revision asked for.
        (None, Some(n)) if limit > 0 => ReadAt::Exact(n),
        (None | Some("NotOlderThan"), Some(n)) => ReadAt::NotOlderThan(n),
        (Some("Exact"), Some(n)) if n > 0 => ReadAt::Exact(n),
        (Some("Exact" | "NotOlderThan"), _) => {
            return Err(invalid("resourceVersionMatch", "needs a resourceVersion it can match"));
        }
        (Some(other), _) => return Err(invalid("resourceVersionMatch", &format!("{other:?} is neither Exact nor NotOlderThan"))),
    };
    Ok(ListOptions { at, limit, continue_token })
}

/// Where a watch begins and what it sends.
pub(super) fn watch_options(query: &Query) -> Result<WatchOptions, ApiError> {
    let bookmarks = query.flag("allowWatchBookmarks");
    let send_initial_events = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
    match (send_initial_events, query.get("resourceVersionMatch")) {
        (Some(_), Some("NotOlderThan")) | (None, None) => {}
        (Some(_), _) => return Err(invalid("resourceVersionMatch", "sendInitialEvents requires NotOlderThan")),
        (None, Some(_)) => return Err(invalid("resourceVersionMatch", "is forbidden for watch unless sendInitialEvents is given")),
    }
    let from = match revision(query)? {
        None => WatchFrom::Latest,
        Some(0) => WatchFrom::Any,
        Some(n) => WatchFrom::After(n),
    };
    Ok(WatchOptions { from, bookmarks, send_initial_events })
}

/// The filter of `labelSelector`, `fieldSelector` and the name in the path; `None` selects everything.
pub(super) fn filter(call: Call<'_>) -> Result<Option<Filter>, ApiError> {
    let resource = call.resource();
    let labels = call.query.get("labelSelector").map(LabelSelector::parse).transpose()?;
    let fields = call.query.get("fieldSelector").map(FieldSelector::parse).transpose()?;
    if let Some(fields) = &fields {
        fields.check(&resource.selectable.iter().collect::<Vec<_>>())?;
    }
    let labels = labels.filter(|l| !l.is_everything());
    let fields = fields.filter(|f| !f.is_everything());
    // The name may come from the path (`/watch/.../name`) or be the one a field selector fixes.
    let name = Some(call.info.name.clone()).filter(|n| !n.is_empty());
    if labels.is_none() && fields.is_none() && name.is_none() {
        return Ok(None);
    }
    let entry = Arc::clone(call.entry);
    Ok(Some(Arc::new(move |head: &Head| {
        name.as_deref().is_none_or(|n| head.name() == n)
            && labels.as_ref().is_none_or(|l| l.matches(|key| head.label(key)))
            && fields.as_ref().is_none_or(|f| f.matches(|path| field(&entry.resource, head, path)))
    })))
}

fn field<'a>(resource: &Resource, head: &'a Head, path: &str) -> Option<&'a str> {
    match path {
        "metadata.name" => Some(head.name()),
        "metadata.namespace" => Some(head.namespace()),
        _ => resource.selectable.iter().position(|p| p == path).map(|i| match (head.field(i), path) {
            ("", "status.successful") => "0",
            ("", "spec.unschedulable") => "false",
            (value, _) => value,
        }),
    }
}

fn invalid(field: &str, rule: &str) -> ApiError {
    let code = ApiError::invalid("meta.k8s.io", "ListOptions", "", &[FieldError::forbidden(field, rule)]);
    ApiError { message: code.message.clone(), ..code }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(query: &str) -> Result<ReadAt, u16> {
        list_options(&Query::parse(query)).map(|o| o.at).map_err(|e| e.code)
    }

    #[test]
    fn resource_versions_mean_what_they_mean_in_kubernetes() {
        assert_eq!(at(""), Ok(ReadAt::Latest));
        assert_eq!(at("resourceVersion=0"), Ok(ReadAt::Any));
        assert_eq!(at("resourceVersion=7"), Ok(ReadAt::NotOlderThan(7)));
        assert_eq!(at("resourceVersion=7&limit=5"), Ok(ReadAt::Exact(7)));
        assert_eq!(at("resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan"), Ok(ReadAt::NotOlderThan(7)));
        assert_eq!(at("resourceVersion=7&resourceVersionMatch=Exact"), Ok(ReadAt::Exact(7)));
        assert_eq!(at("resourceVersionMatch=Exact"), Err(422));
        assert_eq!(at("resourceVersion=0&resourceVersionMatch=Exact"), Err(422));
        assert_eq!(at("resourceVersion=x"), Err(400));
        assert_eq!(at("continue=abc&resourceVersion=7"), Err(422));
    }
}
