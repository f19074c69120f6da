//! What is known of autoscalers in members, and the status of the federated one. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::planner::bounds::{Activity, Bounds, ScalerState};

/// An autoscaler in one member.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scaler {
    /// `spec.minReplicas` and `spec.maxReplicas`.
    pub(crate) bounds: Bounds,
    current: i64,
    desired: i64,
    last: Option<Timestamp>,
    metrics: Box<[Utilization]>,
}

/// Utilization of a resource, in percent of what pods asked for.
#[derive(Clone, Debug, PartialEq)]
struct Utilization {
    source: Box<str>,
    percent: i64,
}

/// What a metric is about, for those whose utilization of several clusters has a mean: of pods, and of containers of a
/// name. Whatever else is measured is a number whose meaning only the member knows.
fn source(metric: &Value) -> Option<(&'static str, Value, Box<str>)> {
    let (kind, field) = match metric["type"].as_str()? {
        "Resource" => ("Resource", "resource"),
        "ContainerResource" => ("ContainerResource", "containerResource"),
        _ => return None,
    };
    let named = metric.get(field)?;
    let mut about = Map::new();
    for key in ["name", "container"] {
        about.extend(named.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let id = format!("{field}/{}/{}", named["name"].as_str().unwrap_or_default(), named["container"].as_str().unwrap_or_default());
    Some((kind, json!({field: about}), id.into()))
}

impl Scaler {
    /// From an object, without metadata.
    pub(crate) fn read(data: &Value) -> Self {
        let number = |path: &str| data.pointer(path).and_then(Value::as_i64);
        let metrics = data.pointer("/status/currentMetrics").and_then(Value::as_array);
        let utilization = |metric: &Value| {
            let (_, about, source) = source(metric)?;
            let field = about.as_object()?.keys().next()?.clone();
            Some(Utilization { source, percent: metric[&field]["current"]["averageUtilization"].as_i64()? })
        };
        Self {
            bounds: Bounds { min: number("/spec/minReplicas").unwrap_or(1), max: number("/spec/maxReplicas").unwrap_or_default() },
            current: number("/status/currentReplicas").unwrap_or_default(),
            desired: number("/status/desiredReplicas").unwrap_or_default(),
            last: data.pointer("/status/lastScaleTime").and_then(Value::as_str).and_then(|at| at.parse().ok()),
            metrics: metrics.into_iter().flatten().filter_map(utilization).collect(),
        }
    }

    /// What the planner is told of it, and until when that is so if it scaled a while ago only. A time that is to come
    /// is a clock of the member that goes wrong, and counts as now.
    pub(crate) fn state(&self, bounds: Bounds, now: Timestamp, window: Duration) -> (ScalerState, Option<Timestamp>) {
        let end = self.last.and_then(|last| last.min(now).checked_add(window).ok());
        let activity = match end {
            None => Activity::Never,
            Some(end) if end > now => Activity::Recent,
            Some(_) => Activity::Settled,
        };
        let state = ScalerState { bounds: Some(bounds), current: self.current, desired: self.desired, activity };
        (state, end.filter(|end| *end > now))
    }
}

/// Completes the status of a federated autoscaler: when one scaled last, and utilizations as v1 had them, the mean of all
/// by replicas. Like in any cluster they are in the order of `spec.metrics`, which `wanted` is; they end before the first
/// that has no mean.
pub(crate) fn merge<'a>(status: &mut Map<String, Value>, scalers: impl Iterator<Item = &'a Scaler>, wanted: &Value) {
    let scalers: Vec<&Scaler> = scalers.collect();
    if let Some(last) = scalers.iter().filter_map(|scaler| scaler.last).max() {
        status.insert("lastScaleTime".into(), last.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
    }
    let mean = |id: &str| {
        let of = |scaler: &&Scaler| Some((scaler.metrics.iter().find(|m| *m.source == *id)?.percent, scaler.current.max(0)));
        let known: Vec<(i64, i64)> = scalers.iter().filter_map(of).collect();
        let replicas = known.iter().fold(0_i128, |sum, (_, replicas)| sum + i128::from(*replicas));
        let percents = known.iter().fold(0_i128, |sum, (percent, replicas)| sum + i128::from(*percent) * i128::from(*replicas));
        percents.checked_div(replicas).and_then(|mean| i64::try_from(mean).ok())
    };
    let metric = |wanted: &Value| {
        let (kind, mut metric, id) = source(wanted)?;
        let current = json!({"averageUtilization": mean(&id)?});
        metric.as_object_mut()?.values_mut().for_each(|about| about["current"] = current.clone());
        metric["type"] = kind.into();
        Some(metric)
    };
    let metrics: Vec<Value> = wanted.as_array().into_iter().flatten().map_while(metric).collect();
    status.insert("currentMetrics".into(), if metrics.is_empty() { Value::Null } else { metrics.into() });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler(current: i64, percent: i64, last: &str) -> Scaler {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent, "averageValue": "1"}}});
        Scaler::read(&json!({
            "spec": {"minReplicas": 2, "maxReplicas": 5},
            "status": {"currentReplicas": current, "desiredReplicas": current, "lastScaleTime": last, "currentMetrics": [cpu]},
        }))
    }

    #[test]
    fn utilization_is_a_mean_by_replicas_and_the_last_time_counts() {
        let (gondor, rohan) = (scaler(3, 80, "2026-01-01T00:00:00Z"), scaler(1, 40, "2026-01-01T01:00:00Z"));
        let target = json!({"type": "Utilization", "averageUtilization": 50});
        let (cpu, memory) = (json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}), "memory");
        let other = json!({"type": "Resource", "resource": {"name": memory, "target": target}});
        let mut status = Map::new();
        merge(&mut status, [&gondor, &rohan].into_iter(), &json!([cpu, other]));
        let mean = json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 70}}}]);
        assert_eq!((&status["lastScaleTime"], &status["currentMetrics"]), (&json!("2026-01-01T01:00:00Z"), &mean));
        // Nothing runs, nothing is known, or what is first has no mean: none are told.
        let told = |scalers: &[&Scaler], wanted: &Value| {
            let mut status = Map::new();
            merge(&mut status, scalers.iter().copied(), wanted);
            status["currentMetrics"].clone()
        };
        assert_eq!(told(&[&scaler(0, 80, "")], &json!([cpu])), Value::Null);
        assert_eq!(told(&[], &json!([cpu])), Value::Null);
        assert_eq!(told(&[&gondor], &json!([other, cpu])), Value::Null);
        assert_eq!(told(&[&gondor], &json!([{"type": "External"}, cpu])), Value::Null);
    }

    #[test]
    fn what_scaled_within_the_window_is_looked_at_when_it_is_over() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let window = Duration::from_secs(120);
        let state = |now: &str| scaler(3, 80, "2026-01-01T00:00:00Z").state(Bounds::default(), at(now), window);
        let (recent, again) = state("2026-01-01T00:01:59Z");
        assert_eq!((recent.activity, again), (Activity::Recent, Some(at("2026-01-01T00:02:00Z"))));
        let (settled, again) = state("2026-01-01T00:02:00Z");
        assert_eq!((settled.activity, again), (Activity::Settled, None));
        let (ahead, again) = state("2025-12-31T23:00:00Z");
        assert_eq!((ahead.activity, again), (Activity::Recent, Some(at("2025-12-31T23:02:00Z"))));
        let (never, again) = scaler(3, 80, "").state(Bounds::default(), at("2026-01-01T00:00:00Z"), window);
        assert_eq!((never.activity, again), (Activity::Never, None));
    }
}
