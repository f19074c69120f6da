//! Tasks with names and an owner: none ends without being noticed.
//!
//! A task of [`Supervisor::spawn`] is one that the program cannot do without: when it panics or comes
//! back, [`Supervisor::death`] resolves and the program ends with [`EXIT_DEFECT`]; until then
//! [`Supervisor::dead`] names it to the health endpoint. A task of [`Supervisor::restart`] is made
//! again instead, with growing pauses and a counter, until it has ended [`HOPELESS`] times in a row: then
//! it is dead as well. One of [`Supervisor::restart_always`] is never given up. A task whose work can be
//! done comes back with [`Done`]. What ends after [`Supervisor::stop`] was asked to.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use program::failure::{EXIT_DEFECT, Failure};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::{Backoff, Policy};

/// Pauses before a task that ended is made again.
pub const RESTART: Policy = Policy::doubling(Duration::from_millis(250), Duration::from_secs(30));

/// So many ends in a row, without a quiet time of [`RESTART`] between them, and a task is dead: after some
/// two minutes.
pub const HOPELESS: u32 = 10;

/// Counter of tasks made again, by `task`.
pub const RESTARTS: &str = "federation_task_restarts_total";

/// Counter of panics, by `task`.
pub const PANICS: &str = "federation_panics_total";

/// The work of a task is done, and it ends in good order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Done;

/// What a task comes back with. `()` says nothing, so it is an end that was not expected.
pub trait Ending {
    /// Whether the end was expected.
    ///
    /// # Errors
    /// It was not; the reason where there is one.
    fn judge(self) -> Result<Done, Option<String>>;
}

impl Ending for () {
    fn judge(self) -> Result<Done, Option<String>> {
        Err(None)
    }
}

impl Ending for Done {
    fn judge(self) -> Result<Done, Option<String>> {
        Ok(self)
    }
}

impl<E: Display> Ending for Result<Done, E> {
    fn judge(self) -> Result<Done, Option<String>> {
        self.map_err(|e| Some(e.to_string()))
    }
}

/// A task that ended and never should have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Death {
    /// Name of the task.
    pub task: &'static str,
    /// What happened, half a sentence: `panicked: …`, `came back`, `failed: …`.
    pub why: String,
    /// Whether our own code is to blame, and not what the task found.
    pub defect: bool,
}

impl Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} {}", self.task, self.why)
    }
}

impl std::error::Error for Death {}

/// All tasks that do not live, told on one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dead(pub Vec<Death>);

impl Display for Dead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Death::to_string).collect::<Vec<_>>().join("; "))
    }
}

impl std::error::Error for Dead {}

impl From<Death> for Failure {
    fn from(death: Death) -> Self {
        let (blame, hint) = match death.defect {
            true => ("; this is a defect", "start the program again, and report this with its log"),
            false => ("", "mend what it says and start the program again"),
        };
        Self { code: EXIT_DEFECT, ..Self::new(format!("{death}{blame}")) }.hint(hint)
    }
}

/// What all supervisors of a program share.
struct Shared {
    /// Ends asked for.
    stopping: CancellationToken,
    first: watch::Sender<Option<Death>>,
    /// Every name there was, with what is wrong with it.
    names: Mutex<BTreeMap<&'static str, Option<Death>>>,
    hearts: Mutex<Vec<(&'static str, Weak<Heart>)>>,
    #[cfg(feature = "faults")]
    fault: watch::Sender<Option<&'static str>>,
}

impl Shared {
    /// The work of a task; with the feature `faults` it panics when a test asks for that.
    async fn carry_out<F: Future>(&self, task: &'static str, work: F) -> F::Output {
        #[cfg(feature = "faults")]
        let work = async {
            let mut fault = self.fault.subscribe();
            tokio::select! {
                done = work => done,
                // What it answers is a lock on the value, and would be held while that is replaced.
                () = async { drop(fault.wait_for(|fault| *fault == Some(task)).await) } => {
                    self.fault.send_replace(None);
                    panic!("a test asked for it");
                }
            }
        };
        let _ = task;
        work.await
    }

    fn died(&self, task: &'static str, end: &End) {
        let death = Death { task, why: end.to_string(), defect: !matches!(end, End::Failed(_)) };
        tracing::error!(task, "a task ended that never should: it {end}");
        lock(&self.names).insert(task, Some(death.clone()));
        self.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(death);
            is_first
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owns tasks. Dropping it ends them at once, in good order.
pub struct Supervisor {
    shared: Arc<Shared>,
    tracker: TaskTracker,
    running: Mutex<Vec<AbortHandle>>,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.shared.names).keys()).finish()
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new(CancellationToken::new())
    }
}

impl Supervisor {
    /// Without tasks yet. Ends after `stopping` was cancelled are in good order.
    pub fn new(stopping: CancellationToken) -> Self {
        let shared = Shared {
            stopping,
            first: watch::Sender::default(),
            names: Mutex::default(),
            hearts: Mutex::default(),
            #[cfg(feature = "faults")]
            fault: watch::Sender::default(),
        };
        Self { shared: Arc::new(shared), tracker: TaskTracker::new(), running: Mutex::default() }
    }

    /// A supervisor for tasks that live shorter than the program: dropping it ends only its own. What
    /// dies is told to all alike.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), tracker: TaskTracker::new(), running: Mutex::default() }
    }

    /// Starts a task the program cannot do without. Several may have one name.
    pub fn spawn<F>(&self, task: &'static str, work: F)
    where
        F: Future + Send + 'static,
        F::Output: Ending,
    {
        let shared = Arc::clone(&self.shared);
        // Boxed: what is wrapped by value several times over does not fit a small stack.
        let work = Box::pin(work);
        self.own(task, async move {
            match outcome(task, shared.carry_out(task, work)).await {
                // Who was asked to end may come back, but nobody may panic.
                Err(End::CameBack | End::Failed(_)) if shared.stopping.is_cancelled() => {}
                Err(end) => shared.died(task, &end),
                Ok(Done) => {}
            }
        });
    }

    /// Starts a task that shows it lives: when it does not [`Heart::beat`] for longer than `limit`, it
    /// counts as dead for [`Supervisor::dead`].
    pub fn spawn_beating<F>(&self, task: &'static str, limit: Duration, work: impl FnOnce(Arc<Heart>) -> F)
    where
        F: Future + Send + 'static,
        F::Output: Ending,
    {
        let heart = Arc::new(Heart { limit, last: Mutex::new(Instant::now()) });
        let mut hearts = lock(&self.shared.hearts);
        hearts.retain(|(_, heart)| heart.strong_count() > 0);
        hearts.push((task, Arc::downgrade(&heart)));
        drop(hearts);
        self.spawn(task, work(heart));
    }

    /// Starts a task that is made again when it ends, with pauses as of [`RESTART`], and counted in
    /// [`RESTARTS`]. It is over when it comes back with [`Done`], or at all after the stop; and dead when it
    /// ended [`HOPELESS`] times in a row, for then what it did is not done any more.
    pub fn restart<F>(&self, task: &'static str, make: impl FnMut() -> F + Send + 'static)
    where
        F: Future + Send + 'static,
        F::Output: Ending,
    {
        self.made_again(task, Some(HOPELESS), make);
    }

    /// As [`Supervisor::restart`], but never given up: one of many, or one that others can do without, so
    /// that what it works on cannot end the program.
    pub fn restart_always<F>(&self, task: &'static str, make: impl FnMut() -> F + Send + 'static)
    where
        F: Future + Send + 'static,
        F::Output: Ending,
    {
        self.made_again(task, None, make);
    }

    fn made_again<F>(&self, task: &'static str, hopeless: Option<u32>, mut make: impl FnMut() -> F + Send + 'static)
    where
        F: Future + Send + 'static,
        F::Output: Ending,
    {
        let shared = Arc::clone(&self.shared);
        self.own(task, async move {
            let mut backoff = Backoff::new(RESTART);
            loop {
                // Making it may panic as well.
                let end = match std::panic::catch_unwind(AssertUnwindSafe(&mut make)) {
                    Ok(work) => outcome(task, shared.carry_out(task, work)).await,
                    Err(panic) => Err(End::panicked(task, &*panic)),
                };
                let Err(end) = end else { return };
                if shared.stopping.is_cancelled() {
                    return;
                }
                let pause = backoff.failed();
                if hopeless.is_some_and(|most| backoff.failures() >= most) {
                    return shared.died(task, &end);
                }
                metrics::counter!(RESTARTS, "task" => task).increment(1);
                tracing::error!(task, "a task ended and is started again in {pause:.1?}: it {end}");
                tokio::time::sleep(pause).await;
            }
        });
    }

    fn own(&self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.shared.names).entry(task).or_default();
        let handle = self.tracker.spawn(work).abort_handle();
        let mut running = lock(&self.running);
        running.retain(|handle| !handle.is_finished());
        running.push(handle);
    }

    /// The first death, when there is one; to be waited for beside the program's work.
    pub async fn death(&self) -> Death {
        let mut first = self.shared.first.subscribe();
        let died = first.wait_for(Option::is_some).await.ok().and_then(|death| death.clone());
        match died {
            Some(death) => death,
            None => std::future::pending().await,
        }
    }

    /// Makes a task of that name panic.
    #[cfg(feature = "faults")]
    pub fn fault(&self, task: &'static str) {
        self.shared.fault.send_replace(Some(task));
    }

    /// Names of all tasks there were, each once.
    pub fn names(&self) -> Vec<&'static str> {
        lock(&self.shared.names).keys().copied().collect()
    }

    /// The tasks that are dead or do not show that they live, and why.
    pub fn dead(&self) -> Vec<Death> {
        let silent = |(task, heart): &(&'static str, Weak<Heart>)| {
            let silence = heart.upgrade()?.silence()?;
            Some((*task, Death { task, why: format!("gave no sign of life for {} s", silence.as_secs()), defect: true }))
        };
        let mut all: BTreeMap<&'static str, Death> = lock(&self.shared.hearts).iter().filter_map(silent).collect();
        all.extend(lock(&self.shared.names).iter().filter_map(|(task, death)| Some((*task, death.clone()?))));
        all.into_values().collect()
    }

    /// Whether all tasks live; for `/livez`.
    ///
    /// # Errors
    /// Who does not and why.
    pub fn live(&self) -> Result<(), Dead> {
        let dead = self.dead();
        if dead.is_empty() { Ok(()) } else { Err(Dead(dead)) }
    }

    /// Cancelled when the end was asked for: what tasks listen to.
    pub fn stopping(&self) -> CancellationToken {
        self.shared.stopping.clone()
    }

    /// Asks all tasks to end, waits for our own, `grace` at most, and ends those that did not.
    pub async fn stop(&self, grace: Duration) {
        self.shared.stopping.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            self.abort();
        }
    }

    fn abort(&self) {
        lock(&self.running).drain(..).for_each(|task| task.abort());
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Sign of life of a task that could hang.
#[derive(Debug)]
pub struct Heart {
    limit: Duration,
    last: Mutex<Instant>,
}

impl Heart {
    /// The task lives now.
    pub fn beat(&self) {
        *lock(&self.last) = Instant::now();
    }

    fn silence(&self) -> Option<Duration> {
        let silence = lock(&self.last).elapsed();
        (silence > self.limit).then_some(silence)
    }
}

/// Runs `work` and beats between its turns, as long as it gives others theirs.
pub async fn beating<T>(work: impl Future<Output = T>, heart: &Heart) -> T {
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => heart.beat(),
        }
    }
}

/// How a task ended that did not say it was done.
enum End {
    CameBack,
    Failed(String),
    Panicked(String),
}

impl End {
    fn panicked(task: &'static str, panic: &(dyn Any + Send)) -> Self {
        metrics::counter!(PANICS, "task" => task).increment(1);
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Panicked(text.unwrap_or_else(|| "without a message".to_owned()))
    }
}

impl Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CameBack => f.write_str("came back"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
        }
    }
}

async fn outcome<F>(task: &'static str, work: F) -> Result<Done, End>
where
    F: Future,
    F::Output: Ending,
{
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(ending) => ending.judge().map_err(|why| why.map_or(End::CameBack, End::Failed)),
        Err(panic) => Err(End::panicked(task, &*panic)),
    }
}

/// Runs what is one of many, such as a request or a connection: a panic ends only it, is told and
/// counted in [`PANICS`], and gives nothing.
pub async fn guarded<T>(task: &'static str, work: impl Future<Output = T>) -> Option<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => Some(done),
        Err(panic) => {
            // Outside the event, whose arguments are not looked at where nobody listens: it is counted all the same.
            let end = End::panicked(task, &*panic);
            tracing::error!(task, "one of these {end}; this is a defect");
            None
        }
    }
}

#[cfg(test)]
#[path = "supervise_tests.rs"]
mod tests;
