//! Follows one collection of an API server: lists it in pages, watches on from there, and lists it again whenever
//! the watch may have missed something.
//!
//! kube's watcher was left for this because it takes a server's word: it resumes a watch from a version that a
//! restored store has not reached yet and then hears nothing, it gives up a whole collection for one object that
//! cannot be read, and it tells of a list neither the version nor the reason.

use std::time::Duration;

use daemon::backoff::Policy;
use tokio::time::{Instant, sleep};

mod answer;
mod change;
mod lines;
mod list;
mod source;
#[cfg(test)]
mod tests;
mod watch;

use answer::Problem;
pub(crate) use change::{Change, Head, Listing, Why};
pub(crate) use source::Source;
use source::{LIVES, spread};
use watch::End;

/// Between tries of a collection that cannot be followed: it can be neither listed nor watched, its watches end at
/// once, or each of them makes another list necessary.
const RETRY: Policy = Policy::doubling(Duration::from_millis(500), Duration::from_secs(30));

impl<K> Source<K> {
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
