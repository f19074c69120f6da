//! A member's lane: carries out what was decided for one member, with its own concurrency, and never
//! makes another member wait.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use daemon::trace::field;
use futures::FutureExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::Instrument;

use super::{
    exchange::Exchange,
    job::{Done, Job, Outcome, Session, Work},
    limiter::{Limiter, Report as Asked},
};

/// Where a lane tells what came of a job.
pub(crate) type Report = Box<dyn Fn(Done) + Send>;

/// What a lane needs to know.
pub(crate) struct Lane {
    pub(crate) cluster: String,
    pub(crate) federation: Arc<str>,
    pub(crate) session: watch::Receiver<Option<Session>>,
    pub(crate) jobs: mpsc::UnboundedReceiver<Job>,
    /// Is told what came of each job.
    pub(crate) done: Report,
}

impl Lane {
    /// Runs until the sender of jobs is gone.
    pub(crate) async fn run(mut self) {
        let mut limiter = Limiter::default();
        // A job of a session that is still on its way here.
        let mut early: Option<Job> = None;
        let current = self.session.clone();
        let mut running: JoinSet<(Job, Outcome, Duration, Vec<Asked>)> = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(done) = running.join_next(), if !running.is_empty() => {
                    let Ok((job, outcome, took, reports)) = done else { continue };
                    reports.into_iter().for_each(|report| limiter.take(report));
                    metrics::histogram!("federation_member_request_seconds", "cluster" => self.cluster.clone()).record(took.as_secs_f64());
                    metrics::gauge!("federation_member_concurrency_limit", "cluster" => self.cluster.clone()).set(limiter.limit() as f64);
                    (self.done)(Done { cluster: self.cluster.clone(), epoch: job.epoch, key: job.key, uid: job.uid, digest: job.digest, outcome });
                }
                changed = self.session.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Whoever lost the session forgot what was under way in it. What was learnt was of another stretch.
                    running.abort_all();
                    limiter = Limiter::default();
                }
                job = next(&mut early, &mut self.jobs, &current), if running.len() < limiter.limit() => {
                    let Some(job) = job else { return };
                    let session = current.borrow().clone();
                    let session = match session {
                        Some(session) if session.epoch == job.epoch => session,
                        Some(session) if session.epoch > job.epoch => continue,
                        // Who gives out jobs heard of the session before the lane did; dropped, the job would never be answered.
                        _ => {
                            early = Some(job);
                            continue;
                        }
                    };
                    let federation = self.federation.clone();
                    let span = job.span(&self.cluster);
                    let work = async move {
                        let start = Instant::now();
                        let mut exchange = Exchange::new(session.client, federation);
                        // A panic must not leave the object busy for ever.
                        let outcome = AssertUnwindSafe(exchange.carry_out(&job)).catch_unwind().await.unwrap_or_else(|_| panicked(&job));
                        tracing::Span::current().record(field::OUTCOME, outcome.word());
                        (job, outcome, start.elapsed(), exchange.reports)
                    };
                    running.spawn(work.instrument(span));
                }
            }
        }
    }
}

/// The next job. One that came early waits until its session, or a later one, is here; the others wait behind it.
async fn next(early: &mut Option<Job>, jobs: &mut mpsc::UnboundedReceiver<Job>, session: &watch::Receiver<Option<Session>>) -> Option<Job> {
    if let Some(epoch) = early.as_ref().map(|job| job.epoch) {
        if session.borrow().as_ref().is_none_or(|s| s.epoch < epoch) {
            // `run` looks again when the session changes.
            std::future::pending::<()>().await;
        }
        return early.take();
    }
    jobs.recv().await
}

/// What a job comes to whose code is wrong; the panic itself is told where it happened.
fn panicked(job: &Job) -> Outcome {
    let (kind, name) = (job.key.kind().kind, job.key.full_name());
    tracing::error!(kind, name, "a job panicked; it is tried again");
    let reason = "an error inside the controller; its log says more".to_owned();
    match job.work {
        Work::Survey { .. } => Outcome::Unsurveyed(reason),
        Work::Apply { .. } | Work::Delete | Work::LetGo { .. } => Outcome::Failed { reason, retry_after: None },
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::tests::not_found;
    use super::*;
    use crate::{compact::Digest, kinds::ObjectKey};

    fn report(done: mpsc::UnboundedSender<Done>) -> Report {
        // The test may have ended.
        Box::new(move |answer| drop(done.send(answer)))
    }

    #[tokio::test]
    async fn d24_a_job_that_comes_before_its_session_waits_for_it() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let body = kube::client::Body::from(not_found().to_string().into_bytes());
            http::Response::builder().status(404).body(body).map_err(std::io::Error::other)
        });
        let client = kube::Client::new(service, "default");
        let (session, receiver) = watch::channel(None);
        let (jobs, queue) = mpsc::unbounded_channel();
        let (done, mut inbox) = mpsc::unbounded_channel();
        let lane = Lane { cluster: "gondor".into(), federation: "fellowship".into(), session: receiver, jobs: queue, done: report(done) };
        let running = tokio::spawn(lane.run());
        let key = Arc::new(ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "demo".into(), name: "ring".into() });
        let job = |epoch| Job { key: key.clone(), epoch, uid: "u".into(), version: None, digest: Digest::default(), work: Work::Delete };
        // One of a session that never was, one of the session before, and one of the session to come.
        for epoch in [1, 2] {
            jobs.send(job(epoch)).unwrap_or_else(|_| panic!("the lane ended"));
        }
        tokio::task::yield_now().await;
        session.send_replace(Some(Session { epoch: 2, client }));
        let answer = tokio::time::timeout(Duration::from_secs(5), inbox.recv()).await.unwrap();
        assert!(matches!(answer, Some(Done { epoch: 2, outcome: Outcome::Gone, .. })));
        running.abort();
    }

    #[tokio::test]
    async fn a_job_that_panics_is_answered() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            None::<http::Response<kube::client::Body>>.map(Ok::<_, std::io::Error>).expect("a bug")
        });
        let session = Session { epoch: 1, client: kube::Client::new(service, "default") };
        let (_session, receiver) = watch::channel(Some(session));
        let (jobs, queue) = mpsc::unbounded_channel();
        let (done, mut inbox) = mpsc::unbounded_channel();
        let lane = Lane { cluster: "gondor".into(), federation: "fellowship".into(), session: receiver, jobs: queue, done: report(done) };
        let running = tokio::spawn(lane.run());
        let key = Arc::new(ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "demo".into(), name: "ring".into() });
        jobs.send(Job { key, epoch: 1, uid: "u".into(), version: None, digest: Digest::default(), work: Work::Delete })
            .unwrap_or_else(|_| panic!("the lane ended"));
        let answer = tokio::time::timeout(Duration::from_secs(60), inbox.recv()).await.unwrap();
        assert!(matches!(answer, Some(Done { outcome: Outcome::Failed { .. }, .. })));
        running.abort();
    }
}
