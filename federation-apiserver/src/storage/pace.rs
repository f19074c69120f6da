//! How far the caches are, and who waits for them to be further.
//!
//! Each write waits until the caches have it. Were all told of each step, as by a `watch` channel, many writers at once
//! would wake all others with each write; here a step wakes those whose revision it reached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// How far the caches are.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Every change up to here is in the caches.
    pub(super) applied: u64,
    /// Why they do not follow the backend at the moment.
    pub(super) trouble: Option<Arc<str>>,
    /// Since when.
    since: Option<Instant>,
}

/// The feed's progress, and those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    now: Progress,
    /// By the revision that is waited for, and a number that makes each its own.
    waiting: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    entered: u64,
}

/// A place among those who wait, left when it is dropped.
struct Place<'a> {
    pace: &'a Pace,
    key: (u64, u64),
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest revision the caches have reached.
    pub(super) fn applied(&self) -> u64 {
        self.state().now.applied
    }

    /// Why the caches do not follow the backend at the moment.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        self.state().now.trouble.clone()
    }

    /// For how long they do not.
    pub(super) fn lost_for(&self) -> Option<Duration> {
        self.state().now.since.map(|since| since.elapsed())
    }

    /// The caches have reached a revision.
    pub(super) fn advance(&self, applied: u64) {
        let mut state = self.state();
        state.now.applied = applied;
        let later = state.waiting.split_off(&(applied, u64::MAX));
        let reached = std::mem::replace(&mut state.waiting, later);
        drop(state);
        wake(reached);
    }

    /// Something else is as it was not: a cache is loaded, or there is trouble or none any more. All who wait look again.
    pub(super) fn turn(&self, change: impl FnOnce(&mut Progress)) {
        let mut state = self.state();
        change(&mut state.now);
        let now = &mut state.now;
        now.since = now.trouble.is_some().then(|| now.since.unwrap_or_else(Instant::now));
        let all = std::mem::take(&mut state.waiting);
        drop(state);
        wake(all);
    }

    /// Waits until `settled` answers; it is asked again when the caches have reached `revision`, and at each turn.
    pub(super) async fn until<T>(&self, revision: u64, settled: impl Fn(&Progress) -> Option<T>) -> T {
        loop {
            let (_place, reached) = {
                let mut state = self.state();
                if let Some(answer) = settled(&state.now) {
                    return answer;
                }
                state.entered += 1;
                let key = (revision, state.entered);
                let (tell, told) = oneshot::channel();
                state.waiting.insert(key, tell);
                (Place { pace: self, key }, told)
            };
            // An end without a word is one, too: it is asked again.
            let _ = reached.await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pace.state().waiting.remove(&self.key);
    }
}

fn wake(waiting: BTreeMap<(u64, u64), oneshot::Sender<()>>) {
    for tell in waiting.into_values() {
        // Who gave up does not listen.
        let _ = tell.send(());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt;
    use futures::future::LocalBoxFuture;

    use super::*;

    #[test]
    fn issue8_a_step_wakes_those_whose_revision_it_reached() {
        let (pace, asked) = (Pace::default(), Cell::new(0));
        let settled = |wanted: u64| {
            let asked = &asked;
            move |progress: &Progress| {
                asked.set(asked.get() + 1);
                (progress.applied >= wanted).then_some(progress.applied)
            }
        };
        let mut waiting: Vec<LocalBoxFuture<'_, u64>> = Vec::new();
        for wanted in [5, 7, 7, 9] {
            waiting.push(pace.until(wanted, settled(wanted)).boxed_local());
        }
        let woken =
            |waiting: &mut [LocalBoxFuture<'_, u64>]| -> Vec<Option<u64>> { waiting.iter_mut().map(|w| w.now_or_never()).collect() };
        assert_eq!((woken(&mut waiting), asked.take()), (vec![None; 4], 4));
        pace.advance(4);
        assert_eq!((woken(&mut waiting), asked.take()), (vec![None; 4], 0));
        pace.advance(5);
        assert_eq!((woken(&mut waiting[..1]), asked.take()), (vec![Some(5)], 1));
        pace.advance(8);
        assert_eq!((woken(&mut waiting[1..]), asked.take()), (vec![Some(8), Some(8), None], 2));
        // Who waits for what never comes leaves nothing behind.
        assert_eq!(pace.state().waiting.len(), 1);
        drop(waiting);
        assert!(pace.state().waiting.is_empty());
    }

    #[test]
    fn all_look_again_when_there_is_trouble() {
        let pace = Pace::default();
        let mut waiting = Box::pin(pace.until(5, |progress| progress.trouble.clone()));
        assert!(waiting.as_mut().now_or_never().is_none());
        pace.turn(|progress| progress.trouble = Some("away".into()));
        assert_eq!(waiting.as_mut().now_or_never().as_deref(), Some("away"));
    }
}
