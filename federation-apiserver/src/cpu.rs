//! Work on large bodies and lists, off the workers that serve everybody, and fair between those who ask for it.

use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use machinery::status::ApiError;
use tokio::sync::oneshot;

use crate::auth::{MASTERS, UserInfo, Verb};

/// Work on fewer bytes than this takes a few milliseconds at most and is done at once.
const LIGHT: usize = 64 * 1024;

/// Lists and writes do not wait for each other, nor does the system, and who may mend it, for anybody else.
struct Lanes {
    reads: Arc<Lane>,
    writes: Arc<Lane>,
    system: Arc<Lane>,
}

/// In each lane one piece of heavy work for each processor but one, so that however much of it is asked for, small
/// requests and health checks go on; but two, so that nobody can take all of a lane.
static LANES: LazyLock<Lanes> = LazyLock::new(|| {
    let lane = || Lane::new(available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(2));
    Lanes { reads: lane(), writes: lane(), system: lane() }
});

/// Does `work` of a request on so many bytes. Who waits does so within the request's time; when the request ends before
/// its work began, it never begins. What began cannot be stopped and keeps its slot.
pub(crate) async fn run<T: Send + 'static>(
    user: &UserInfo,
    verb: &Verb,
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if bytes < LIGHT {
        return Ok(work());
    }
    let lane = match verb {
        _ if user.of_the_system() || user.in_group(MASTERS) => &LANES.system,
        verb if verb.reads() => &LANES.reads,
        _ => &LANES.writes,
    };
    let slot = lane.enter(&user.name).await;
    let done = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        work()
    });
    done.await.map_err(|e| match e.try_into_panic() {
        // The pipeline answers and logs it, as if it had happened here.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(e) => ApiError::internal(e),
    })
}

/// Slots that are given to users in turn. One may have half of them at most, so that work without end leaves the others
/// theirs.
struct Lane {
    slots: usize,
    share: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    by: HashMap<String, usize>,
    /// Never empty for a user.
    waiting: HashMap<String, VecDeque<oneshot::Sender<Slot>>>,
    /// Who waits, each once, who is next first.
    turns: VecDeque<String>,
}

/// The right to work, until it is dropped.
struct Slot {
    lane: Arc<Lane>,
    who: String,
}

impl Lane {
    fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self { slots, share: slots.div_ceil(2), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(self: &Arc<Self>, who: &str) -> Slot {
        let (give, given) = oneshot::channel();
        {
            let mut state = self.state();
            let queue = state.waiting.entry(who.to_owned()).or_default();
            queue.retain(|waiting| !waiting.is_closed());
            queue.push_back(give);
            if !state.turns.iter().any(|next| next == who) {
                state.turns.push_back(who.to_owned());
            }
        }
        self.give();
        match given.await {
            Ok(slot) => slot,
            // Only a sender that is dropped unused ends here, and none is.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives free slots to those who wait.
    fn give(self: &Arc<Self>) {
        loop {
            let next = self.state().next(self.slots, self.share);
            let Some((who, waiting)) = next else { return };
            // Whose request is gone meanwhile gives it back at once.
            drop(waiting.send(Slot { lane: Arc::clone(self), who }));
        }
    }
}

impl State {
    /// Takes a slot for who is next.
    fn next(&mut self, slots: usize, share: usize) -> Option<(String, oneshot::Sender<Slot>)> {
        if self.taken >= slots {
            return None;
        }
        for _ in 0..self.turns.len() {
            let who = self.turns.pop_front()?;
            if self.by.get(&who).is_some_and(|ours| *ours >= share) {
                self.turns.push_back(who);
                continue;
            }
            let queue = self.waiting.entry(who.clone()).or_default();
            let next = std::iter::from_fn(|| queue.pop_front()).find(|waiting| !waiting.is_closed());
            if queue.is_empty() {
                self.waiting.remove(&who);
            } else {
                self.turns.push_back(who.clone());
            }
            if let Some(next) = next {
                self.taken += 1;
                *self.by.entry(who.clone()).or_default() += 1;
                return Some((who, next));
            }
        }
        None
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.lane.state();
            state.taken -= 1;
            if let Some(ours) = state.by.get_mut(&self.who) {
                *ours -= 1;
                if *ours == 0 {
                    state.by.remove(&self.who);
                }
            }
        }
        self.lane.give();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn named(name: &str) -> UserInfo {
        UserInfo { name: name.into(), ..UserInfo::default() }
    }

    #[tokio::test]
    async fn d5_heavy_work_leaves_the_worker_free() {
        let worker = std::thread::current().id();
        let on = move || std::thread::current().id() == worker;
        assert!(run(&named("eve"), &Verb::Create, LIGHT - 1, on).await.unwrap());
        assert!(!run(&named("eve"), &Verb::Create, LIGHT, on).await.unwrap());
        // The only worker of this runtime answers others while one asks for as much heavy work as he likes.
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let heavy: Vec<_> = (0..20)
            .map(|_| {
                let ended = Arc::clone(&ended);
                tokio::spawn(async move { run(&named("eve"), &Verb::Create, LIGHT, move || ended.lock().unwrap().recv().is_ok()).await })
            })
            .collect();
        while !LANES.writes.state().by.contains_key("eve") {
            tokio::task::yield_now().await;
        }
        // Light work, that of others, reads, and that of the system go on.
        for (user, verb, bytes) in
            [("eve", "create", 1), ("sam", "create", LIGHT), ("eve", "list", LIGHT), ("system:apiserver", "update", LIGHT)]
        {
            assert!(run(&named(user), &Verb::from(verb), bytes, || true).await.unwrap(), "{user} {verb}");
        }
        (0..20).for_each(|_| end.send(()).unwrap());
        for work in heavy {
            assert!(work.await.unwrap().unwrap());
        }
    }

    #[tokio::test]
    async fn d6_users_take_turns_and_who_is_gone_has_none() {
        let lane = Lane::new(2);
        let (eves, sams) = (lane.enter("eve").await, lane.enter("sam").await);
        let mut waiting: Vec<_> = ["eve", "eve", "eve", "sam", "rosie"].map(|who| lane.enter(who).boxed()).into();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        assert_eq!(lane.state().turns, ["eve", "sam", "rosie"]);
        // Eve has her share, so the next are Sam and Rosie.
        drop(sams);
        let sams = waiting[3].as_mut().now_or_never().expect("Sam's turn");
        assert!(waiting[4].as_mut().now_or_never().is_none());
        drop(eves);
        let rosies = waiting[4].as_mut().now_or_never().expect("Rosie asked before Eve has a turn again");
        assert!(waiting[0].as_mut().now_or_never().is_none());
        // Her first request is gone: it never gets a slot.
        drop(waiting.remove(0));
        drop(rosies);
        let eves = waiting[0].as_mut().now_or_never().expect("Eve's turn");
        assert!(waiting[1].as_mut().now_or_never().is_none());
        // All requests are gone, also the one whose slot was given but not fetched.
        drop(eves);
        drop((waiting, sams));
        let state = lane.state();
        assert!(state.taken == 0 && state.by.is_empty() && state.waiting.is_empty() && state.turns.is_empty());
    }
}
