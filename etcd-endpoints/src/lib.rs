//! Several endpoints of one etcd cluster: which of them is asked, and what is tried again elsewhere.
//!
//! `etcd-client` spreads requests over its endpoints and asks dead ones too. Here each endpoint has a client of
//! its own, and one endpoint is used for as long as it answers. With several endpoints each is also asked for its
//! status all the time: one that hangs, or has lost its leader, is left within [`PROBE_EVERY`] and [`PROBE`].
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use etcd_endpoints::{Effort, Endpoint, Endpoints, Failure, Repeat};
//!
//! async fn read(endpoints: &Endpoints, key: &str) -> Result<usize, Failure> {
//!     let effort = Effort { limit: Duration::from_secs(5), each: Duration::from_secs(2), repeat: Repeat::Freely };
//!     let get = |endpoint: Arc<Endpoint>| async move { endpoint.client().kv_client().get(key, None).await };
//!     Ok(endpoints.call(effort, get).await?.kvs().len())
//! }
//! ```

mod endpoint;
mod failure;
mod refusal;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daemon::backoff::{Backoff, Policy};
use daemon::supervise::Supervisor;
use etcd_client::{Client, ConnectOptions, Error};
use tokio::time::{Instant, timeout, timeout_at};

pub use endpoint::{Endpoint, Observer, PROBE};
pub use failure::{Failure, Reach};
pub use refusal::Refusal;

/// How often an endpoint that is in use is asked for its status.
pub const PROBE_EVERY: Duration = Duration::from_millis(300);

/// How often the others are asked.
const PROBE_OTHERS: Duration = Duration::from_secs(1);
/// How long one may take that did not answer when it was last asked, where no better one is left.
const LAST_CHANCE: Duration = Duration::from_secs(1);
/// Pauses after rounds in which no endpoint answered: a new leader is elected in one to two seconds.
const ROUNDS: Policy = Policy::doubling(Duration::from_millis(25), Duration::from_millis(200));

/// How far a request may go to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Longest wait in all.
    pub limit: Duration,
    /// Longest wait for one endpoint, where there are others; an endpoint that is found dead is left sooner.
    pub each: Duration,
    /// Whether it may be sent again.
    pub repeat: Repeat,
}

/// Whether a request may be sent to another endpoint when one did not answer it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repeat {
    /// Only when the one before certainly did not get it.
    Never,
    /// It knows by itself that it was done, so one attempt at most does it. What one endpoint refuses says nothing of
    /// the attempts before: [`Failure::Unanswered`] is told instead.
    Once,
    /// It may be done twice: it is read only, or the second time changes nothing.
    Freely,
}

/// The endpoints of an etcd cluster. Dropping it ends the probes.
pub struct Endpoints {
    all: Arc<[Arc<Endpoint>]>,
    /// The one that answered last.
    preferred: Arc<AtomicUsize>,
    _probes: Supervisor,
}

impl Endpoints {
    /// Prepares a client for each URL; etcd need not be there yet. `observer` is told each change of an endpoint's
    /// state, and the first one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// There is no URL, one is none, or the TLS settings do not go with it.
    pub async fn connect<S: AsRef<str>>(urls: &[S], options: &ConnectOptions, observer: Observer) -> Result<Self, Error> {
        Self::supervised(urls, options, observer, Supervisor::default()).await
    }

    /// [`Endpoints::connect`] with an owner for the probes.
    ///
    /// # Errors
    /// As there.
    pub async fn supervised<S: AsRef<str>>(
        urls: &[S],
        options: &ConnectOptions,
        observer: Observer,
        probes: Supervisor,
    ) -> Result<Self, Error> {
        if urls.is_empty() {
            return Err(Error::InvalidArgs("no endpoint is given".into()));
        }
        let mut all = Vec::with_capacity(urls.len());
        for url in urls {
            let client = Client::connect([url.as_ref()], Some(options.clone())).await?;
            all.push(Arc::new(Endpoint::new(url.as_ref(), client, observer.clone())));
        }
        let (all, preferred): (Arc<[_]>, _) = (all.into(), Arc::new(AtomicUsize::new(0)));
        for at in (0..all.len()).filter(|_| all.len() > 1) {
            let (all, preferred) = (all.clone(), preferred.clone());
            probes.restart_always("etcd-probe", move || keep_probing(all.clone(), preferred.clone(), at));
        }
        Ok(Self { _probes: probes, all, preferred })
    }

    /// The endpoints in the order in which they are to be asked: the preferred first, those that do not answer
    /// only when no other is left.
    fn in_turn(&self) -> Vec<(usize, &Arc<Endpoint>)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let turn = (0..self.all.len()).map(|n| (first + n) % self.all.len()).map(|at| (at, &self.all[at]));
        let (up, down): (Vec<_>, Vec<_>) = turn.partition(|(_, endpoint)| endpoint.is_up());
        if up.is_empty() { down } else { up }
    }

    /// Makes a request at one endpoint after the other until one answers it. With one endpoint, or where no endpoint
    /// can be connected to, it fails at once; else it goes on to the limit, for a new leader may be under way.
    ///
    /// # Errors
    /// What etcd answered, or that it did not.
    pub async fn call<T, F>(&self, effort: Effort, mut request: impl FnMut(Arc<Endpoint>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let several = self.all.len() > 1;
        let deadline = Instant::now() + effort.limit;
        let (mut why, mut in_doubt, mut rounds) = (String::new(), false, Backoff::new(ROUNDS));
        loop {
            let mut reached = false;
            for (at, endpoint) in self.in_turn() {
                let watched = several && endpoint.is_up();
                let until = match (several, watched) {
                    (false, _) => deadline,
                    (true, true) => deadline.min(Instant::now() + effort.each),
                    (true, false) => deadline.min(Instant::now() + effort.each.min(LAST_CHANCE)),
                };
                let tried = tokio::select! {
                    biased;
                    answer = timeout_at(until, request(endpoint.clone())) => answer.ok(),
                    () = endpoint.lost(), if watched => None,
                };
                let failed = match tried {
                    Some(Ok(answer)) => {
                        self.preferred.store(at, Ordering::Relaxed);
                        if !several {
                            endpoint.tell(Ok(()));
                        }
                        return Ok(answer);
                    }
                    Some(Err(error)) => match failure::reach(&error) {
                        Reach::Answered if in_doubt && effort.repeat == Repeat::Once => {
                            let refusal = failure::describe(&error);
                            return Err(Failure::Unanswered(format!("{why}; then {}: {refusal}", endpoint.url())));
                        }
                        Reach::Answered => return Err(Failure::Refused(error)),
                        reach => {
                            why = format!("{}: {}", endpoint.url(), failure::describe(&error));
                            if reach.is_broken() {
                                endpoint.tell(Err(&failure::describe(&error)));
                            }
                            reach
                        }
                    },
                    None => {
                        why = format!("{}: no answer within {} s", endpoint.url(), effort.limit.as_secs_f32());
                        Reach::Lost
                    }
                };
                reached |= failed != Reach::NotConnected;
                in_doubt |= failed == Reach::Lost;
                if Instant::now() >= deadline || (failed == Reach::Lost && effort.repeat == Repeat::Never) {
                    return Err(Failure::new(in_doubt, why));
                }
            }
            if !several || !reached {
                return Err(Failure::new(in_doubt, why));
            }
            if timeout_at(deadline, rounds.pause()).await.is_err() {
                return Err(Failure::new(in_doubt, why));
            }
        }
    }
}

/// Asks one endpoint for its status, for ever.
async fn keep_probing(all: Arc<[Arc<Endpoint>]>, preferred: Arc<AtomicUsize>, at: usize) {
    loop {
        all[at].probe().await;
        let used = preferred.load(Ordering::Relaxed) == at;
        tokio::time::sleep(if used { PROBE_EVERY } else { PROBE_OTHERS }).await;
    }
}

/// A request with a limit of time, for what is said to one endpoint after [`Endpoints::call`] has chosen it.
///
/// # Errors
/// What etcd answered, or that it did not.
pub async fn limited<T>(limit: Duration, request: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match timeout(limit, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(match failure::reach(&error) {
            Reach::Answered => Failure::Refused(error),
            reach => Failure::new(reach == Reach::Lost, failure::describe(&error)),
        }),
        Err(_) => Err(Failure::new(true, format!("no answer within {} s", limit.as_secs_f32()))),
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};

    use super::*;

    async fn two() -> Endpoints {
        let urls = ["http://127.0.0.1:1", "http://127.0.0.1:2"];
        Endpoints::connect(&urls, &ConnectOptions::new(), Arc::new(|_, _| ())).await.unwrap()
    }

    fn effort(repeat: Repeat) -> Effort {
        Effort { limit: Duration::from_secs(60), each: Duration::from_secs(60), repeat }
    }

    /// One endpoint loses the request, and the next refuses it.
    async fn lost_then_refused(repeat: Repeat) -> Failure {
        let mut answers = vec![
            Status::new(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            Status::new(Code::Unavailable, "etcdserver: request timed out"),
        ];
        let request = |_| std::future::ready(Err::<(), _>(Error::GRpcStatus(answers.pop().expect("two requests at most"))));
        two().await.call(effort(repeat), request).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_refusal_says_nothing_of_an_attempt_that_is_in_doubt() {
        let failure = lost_then_refused(Repeat::Once).await;
        assert!(matches!(&failure, Failure::Unanswered(why) if why.contains("timed out") && why.contains("space exceeded")), "{failure:?}");
        assert!(matches!(lost_then_refused(Repeat::Never).await, Failure::Unanswered(_)), "it is not asked again");
        // Of a read only the answer counts.
        assert!(matches!(lost_then_refused(Repeat::Freely).await, Failure::Refused(_)));
        let refused =
            |_| std::future::ready(Err::<(), _>(Error::GRpcStatus(Status::new(Code::InvalidArgument, "etcdserver: request is too large"))));
        assert!(matches!(two().await.call(effort(Repeat::Once), refused).await, Err(Failure::Refused(_))), "nothing is in doubt");
    }
}
