//! Follows one collection of an API server: lists it in pages, watches on from there, and lists it again whenever
//! the watch may have missed something.
//!
//! kube's watcher was left for this because it takes a server's word: it resumes a watch from a version that a
//! restored store has not reached yet and then hears nothing, it gives up a whole collection for one object that
//! cannot be read, and it tells of a list neither the version nor the reason.

use std::time::Duration;

use daemon::backoff::Policy;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::members::request::query_value;

mod answer;
mod change;
mod lines;
mod list;
#[cfg(test)]
mod tests;
mod watch;

use answer::{Forms, METADATA, Problem, WHOLE};
pub(crate) use change::{Change, Head, Listing, Why};
use list::PAGE;
use watch::End;

/// A watch that lived for so long worked: nothing is wrong with the server when it ends.
const LIVES: Duration = Duration::from_secs(5);

/// Between tries of a collection that cannot be followed: it can be neither listed nor watched, its watches end at
/// once, or each of them makes another list necessary.
const RETRY: Policy = Policy::doubling(Duration::from_millis(500), Duration::from_secs(30));

/// Makes what is to be known of an object out of its JSON.
type Read<K> = Box<dyn Fn(&str) -> Result<K, serde_json::Error> + Send + Sync>;

/// What to follow.
pub(crate) struct Source<K> {
    client: kube::Client,
    path: String,
    selector: String,
    forms: Forms,
    compare: Option<Duration>,
    read: Read<K>,
    /// The version up to which everything was told.
    version: Option<u64>,
    page: usize,
    /// Why the next thing to do is a list, if it is.
    list: Option<Why>,
    /// When the next comparison is due.
    due: Option<Instant>,
    /// When the watch began.
    opened: Option<Instant>,
    /// It was told to be failing.
    failing: bool,
    /// The newest object that was told, and whether it is there: what a store that is another one does not have.
    newest: Option<(Head, bool)>,
    /// The last watch did not end in its time, so that the server may have been away.
    broken: bool,
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

    /// Tells all that happens, until it is dropped.
    pub(crate) async fn follow(mut self, mut tell: impl FnMut(Change<K>)) {
        // Tries in a row that led to nothing: what was known had to be listed again, or no watch lived.
        let mut vain = 0;
        loop {
            if self.is_due() {
                self.list.get_or_insert(Why::Comparison);
            }
            let result = self.step(&mut tell).await;
            let lived = self.opened.take().is_some_and(|at| at.elapsed() >= LIVES);
            let in_vain = match result {
                Ok(End::List(Why::Comparison)) => false,
                Ok(End::List(why)) => {
                    self.list = Some(why);
                    true
                }
                Ok(End::Resume) => !lived,
                Ok(End::Broken) => {
                    self.broken = true;
                    !lived
                }
                // Whatever is between us and the server cut what was idle.
                Err(Problem::Transport(_)) if lived => {
                    self.broken = true;
                    false
                }
                Err(problem) => {
                    // Who refuses was not away.
                    self.broken |= !matches!(problem, Problem::Refused(..) | Problem::NotFound(_));
                    self.failing = true;
                    tell(Change::Failing(problem.to_string()));
                    true
                }
            };
            if in_vain {
                sleep(RETRY.spread(vain)).await;
                vain += 1;
            } else if lived {
                vain = 0;
            }
        }
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Lists, where that is due, and watches on.
    async fn step(&mut self, tell: &mut impl FnMut(Change<K>)) -> Result<End, Problem> {
        let version = match self.list {
            Some(why) => {
                let (mut listing, version) = self.list(why).await?;
                if self.version.zip(listing.version).is_some_and(|(known, now)| now < known) {
                    // Whatever it was asked for: what was known is of a store that is no more.
                    listing.why = Why::WentBack;
                }
                self.version = listing.version;
                self.due = self.compare.map(|period| Instant::now() + spread(period));
                (self.list, self.failing, self.broken) = (None, false, false);
                tell(Change::Listed(listing));
                version
            }
            None => {
                // A store that was put back would answer the next watch with silence.
                let now = self.now().await?.parse::<u64>().ok();
                let (Some(now), Some(known)) = (now, self.version) else { return Ok(End::List(Why::Expired)) };
                if now < known {
                    tracing::warn!(
                        path = self.path,
                        known,
                        now,
                        "versions went back: the store is an older one; everything is looked at anew"
                    );
                    return Ok(End::List(Why::WentBack));
                }
                if self.broken && !self.is_as_known().await? {
                    tracing::info!(path = self.path, "the newest object changed while it was not watched; everything is listed");
                    return Ok(End::List(Why::Expired));
                }
                self.broken = false;
                known.to_string()
            }
        };
        self.watch(&version, tell).await
    }
}

/// Between half of a time and all of it, so that what begins together does not go on together.
fn spread(time: Duration) -> Duration {
    Policy { jitter: 0.5, ..Policy::steady(time) }.spread(0)
}
