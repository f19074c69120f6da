//! Divides replicas, and the work of Jobs, among the clusters that count.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    copies::{Copy, Surveyed},
    desired::{Split, wanted_completions, wanted_replicas},
    effect::Effect,
    entry::Tracked,
    expiry::end_of,
    grace::is_over,
    member::Member,
    reconcile::{Pass, World},
    timers::Timer,
};
use crate::{
    compact::{Digest, Version},
    kinds::Family,
    members::job::{Job, Work},
    placement::Placement,
    planner::{ClusterState, Share, plan},
};

/// Pods of one workload are not looked at more often.
const SURVEY_PAUSE: Duration = Duration::from_secs(1);
/// While a workload is not ready its pods are looked at again: some may turn out not to be schedulable.
const SURVEY_AGAIN: Duration = Duration::from_secs(30);

impl Pass<'_> {
    /// The share of each cluster that counts, or nothing as long as something has to be asked first.
    /// Members that need no copy (a Job without work for them) leave `selected`.
    pub(super) fn schedule(
        &mut self,
        live: &mut Tracked,
        placement: &Placement,
        selected: &mut BTreeSet<String>,
    ) -> Option<BTreeMap<String, Split>> {
        let (key, loss_delay, now) = (self.key, self.world.settings.loss_delay, self.world.now);
        let object = live.tree()?;
        if key.kind().family == Family::Job && end_of(&object).is_some() {
            // It ran: who joins later, or was away, has no part in it any more.
            selected.retain(|cluster| live.copies.get(cluster).is_some_and(|copy| !copy.record.applied.is_empty()));
        }
        let chosen = selected.iter().filter_map(|name| self.cluster(name));
        if !is_over(chosen.map(|member| member.unheard_until), now) {
            return None;
        }
        // What nobody could see to counts as little as what is lost.
        let counts =
            |member: &Member| member.counts && !member.is_blind(key.kind, loss_delay, now) && !member.is_barred(key.kind, loss_delay, now);
        let counting: Vec<String> = selected.iter().filter(|c| self.cluster(c).is_some_and(counts)).cloned().collect();
        let mut states = BTreeMap::new();
        for cluster in counting {
            let member = self.cluster(&cluster)?;
            if !member.ever_listed[key.kind] {
                // Ends with the list, with its failure for a while, or with the loss of the cluster.
                return None;
            }
            let state = match key.kind().family {
                Family::Job | Family::Autoscaler => ClusterState::default(),
                _ => self.state(live, &cluster)?,
            };
            states.insert(cluster, state);
        }
        if key.kind().family == Family::Autoscaler {
            return Some(self.split_autoscaler(live, &states, selected));
        }
        let (name, wanted) = (key.full_name(), wanted_replicas(key.kind(), &object));
        if let Some(splits) = self.split_scaled(wanted, &states) {
            return Some(splits);
        }
        let shares = plan(&name, wanted, &placement.preferences, &states);
        let splits = if key.kind().family == Family::Job {
            let completions = wanted_completions(&object).map(|n| plan(&name, n, &placement.preferences, &states));
            let finished = |cluster: &str| live.copies.get(cluster).is_some_and(|copy| copy.record.finished.is_some());
            self.split_job(&shares, completions.as_ref(), selected, finished)
        } else {
            shares.iter().map(|(c, share)| (c.clone(), Split { replicas: share.replicas(), ..Split::default() })).collect()
        };
        tracing::debug!(kind = key.kind().kind, name, plan = Self::describe(&splits), reasons = ?shares, "divided");
        Some(splits)
    }

    /// What the planner is told of a cluster, by v1's rules; nothing while its pods are being looked at.
    fn state(&mut self, live: &mut Tracked, cluster: &str) -> Option<ClusterState> {
        let World { members, settings, now, .. } = *self.world;
        let (name, member) = members.get_key_value(cluster)?;
        let Some(seen) = self.seen.get(cluster).filter(|s| !s.deleting) else { return Some(ClusterState::default()) };
        let Some(workload) = seen.workload.as_deref() else { return Some(ClusterState::default()) };
        let version = live.version();
        let copy = live.copies.or_default(name);
        if workload.replicas == workload.ready {
            copy.survey = None;
            copy.unready = None;
            return Some(ClusterState { current: Some(workload.ready), capacity: None });
        }
        let (ready, replicas) = (workload.ready, workload.replicas);
        let unready = now.saturating_duration_since(*copy.unready.get_or_insert(now));
        if let Some(rest) = settings.review.checked_sub(unready).filter(|rest| !rest.is_zero()) {
            // A pod that restarts moves nothing.
            self.later(rest, Timer::Key(self.key.clone()));
            return Some(ClusterState { current: Some(replicas), capacity: None });
        }
        if let Some(epoch) = member.epoch
            && !copy.surveying
        {
            let wait = wait(copy, &seen.resource_version, now);
            if wait.is_zero() {
                let result = copy.survey.take().and_then(|s| s.result);
                copy.survey = Some(Box::new(Surveyed { result, at: now, resource_version: seen.resource_version.clone() }));
                copy.surveying = true;
                let work = Work::Survey { selector: workload.pod_selector.clone(), replicas, workload: seen.uid.to_string() };
                let job = Job { key: self.key.clone(), epoch, uid: live.uid.clone(), version, digest: Digest::default(), work };
                self.effects.push(Effect::Job(name.clone(), Box::new(job)));
            } else {
                self.effects.push(Effect::Later(wait, Timer::Key(self.key.clone())));
            }
        }
        match copy.survey.as_ref().and_then(|s| s.result) {
            Some(survey) => Some(ClusterState { current: Some(survey.running.max(ready)), capacity: survey.capacity }),
            None if copy.surveying => None,
            // Pods cannot be listed there: what the workload itself reports is all there is.
            None => Some(ClusterState { current: Some(ready), capacity: None }),
        }
    }

    fn split_job(
        &self,
        parallelism: &BTreeMap<String, Share>,
        completions: Option<&BTreeMap<String, Share>>,
        selected: &mut BTreeSet<String>,
        finished: impl Fn(&str) -> bool,
    ) -> BTreeMap<String, Split> {
        let mut splits = BTreeMap::new();
        for (cluster, share) in parallelism {
            let existing = self.cluster(cluster).and_then(|_| self.seen.get(cluster)?.workload.as_deref());
            let planned = completions.and_then(|c| c.get(cluster)).map(Share::replicas);
            // Completions cannot be changed once a Job exists.
            let completions = existing.map_or(planned, |w| w.completions);
            let replicas = share.replicas();
            // What finished there counts, even if it was deleted since.
            if existing.is_none() && !finished(cluster) && (replicas == 0 || completions == Some(0)) {
                selected.remove(cluster);
            } else {
                splits.insert(cluster.clone(), Split { replicas, completions, ..Split::default() });
            }
        }
        splits
    }
}

/// How long the next look at the pods has to wait; zero when it is due.
fn wait(copy: &Copy, resource_version: &Version, now: Instant) -> Duration {
    copy.survey.as_ref().map_or(Duration::ZERO, |survey| {
        let pause = if survey.resource_version == *resource_version { SURVEY_AGAIN } else { SURVEY_PAUSE };
        pause.saturating_sub(now.saturating_duration_since(survey.at))
    })
}
