//! A collection to follow, and how far it was followed.

use std::time::Duration;

use daemon::backoff::Policy;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::change::{Head, Why};
use crate::request::query_value;

/// A watch that lived for so long worked: nothing is wrong with the server when it ends.
pub(super) const LIVES: Duration = Duration::from_secs(5);

/// Objects per page; halved as long as a page is too large or too slow.
pub(super) const PAGE: usize = 500;

/// Forms of an answer: of a list, and of a watch, whose events are single objects. A server that is asked for the
/// wrong one of the two forms of metadata refuses.
pub(super) struct Forms {
    pub(super) list: &'static str,
    pub(super) watch: &'static str,
}

pub(super) const WHOLE: Forms = Forms { list: "application/json", watch: "application/json" };
pub(super) const METADATA: Forms = Forms {
    list: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
    watch: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
};

/// Makes what is to be known of an object out of its JSON.
pub(super) type Read<K> = Box<dyn Fn(&str) -> Result<K, serde_json::Error> + Send + Sync>;

/// What to follow.
pub(crate) struct Source<K> {
    pub(super) client: kube::Client,
    pub(super) path: String,
    pub(super) selector: String,
    pub(super) forms: Forms,
    pub(super) compare: Option<Duration>,
    pub(super) read: Read<K>,
    /// The version up to which everything was told.
    pub(super) version: Option<u64>,
    pub(super) page: usize,
    /// Why the next thing to do is a list, if it is.
    pub(super) list: Option<Why>,
    /// When the next comparison is due.
    pub(super) due: Option<Instant>,
    /// When the watch began.
    pub(super) opened: Option<Instant>,
    /// It was told to be failing.
    pub(super) failing: bool,
    /// The newest object that was told, and whether it is there: what a store that is another one does not have.
    pub(super) newest: Option<(Head, bool)>,
    /// The last watch did not end in its time, so that the server may have been away.
    pub(super) broken: bool,
}

impl<K: DeserializeOwned + 'static> Source<K> {
    /// The collection at `path`, narrowed by a label selector unless that is empty.
    pub(crate) fn new(client: kube::Client, path: String, selector: &str) -> Self {
        Self::reading(client, path, selector, |text| serde_json::from_str(text))
    }
}

impl<K> Source<K> {
    /// As [`Source::new`], with what is to be known of each object: no more than that is kept of a list.
    pub(crate) fn reading(
        client: kube::Client,
        path: String,
        selector: &str,
        read: impl Fn(&str) -> Result<K, serde_json::Error> + Send + Sync + 'static,
    ) -> Self {
        let selector = if selector.is_empty() { String::new() } else { format!("&labelSelector={}", query_value(selector)) };
        Self {
            client,
            path,
            selector,
            forms: WHOLE,
            compare: None,
            read: Box::new(read),
            version: None,
            page: PAGE,
            list: Some(Why::First),
            due: None,
            opened: None,
            failing: false,
            newest: None,
            broken: false,
        }
    }

    /// Metadata alone is asked for.
    pub(crate) fn metadata_only(mut self) -> Self {
        self.forms = METADATA;
        self
    }

    /// Lists again once in a while, spread over `period`, whatever the watch says.
    pub(crate) fn compared_every(mut self, period: Duration) -> Self {
        self.compare = Some(period);
        self
    }
}

/// Between half of a time and all of it, so that what begins together does not go on together.
pub(super) fn spread(time: Duration) -> Duration {
    Policy { jitter: 0.5, ..Policy::steady(time) }.spread(0)
}
