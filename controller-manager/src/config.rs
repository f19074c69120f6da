//! What the controller manager was told, resolved and checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// How often a member that is well is asked for its health.
pub const PROBE_PERIOD: Duration = Duration::from_secs(2);
/// How long a member may take to answer about its health.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between questions once an answer failed to come.
pub const PROBE_RETRY: Duration = Duration::from_millis(500);
/// Failures in a row after which a member is away. With the three values above a silent member is
/// noticed after at most 2 + 3 × 2 + 2 × 0.5 = 9 seconds.
pub const PROBE_FAILURES: u32 = 3;
/// How long replicas wait for a lost member before they move. v1 waited 60 s after up to 40 s of not noticing.
pub const LOSS_DELAY: Duration = Duration::from_secs(20);
/// v1's `--cluster-monitor-period`: zones and region are read again, and `lastProbeTime` is written, this often.
pub const MONITOR_PERIOD: Duration = Duration::from_secs(40);

/// How often what is known of a member's copies is compared with what the member holds, at most; each kind of each
/// member at a time of its own between half of this and all of it.
pub const COMPARISON: Duration = Duration::from_secs(600);

/// How long a workload may be unready before its pods are looked at, and replicas moved: v1's review delay.
pub const REVIEW: Duration = Duration::from_secs(10);

/// How long nothing is concluded from an autoscaler that scaled: v1's forbidden window.
pub const SCALE_WINDOW: Duration = Duration::from_secs(120);

/// Configuration of all controllers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the federation: label value on member objects, and part of DNS names.
    pub federation_name: String,
    /// DNS zone name to publish under; empty is none.
    pub zone_name: String,
    /// Provider's id of the zone, where names are not unique; empty is none.
    pub zone_id: String,
    /// Suffix of Service names; empty is the zone's name.
    pub service_dns_suffix: String,
    /// Name of the DNS provider; empty is none.
    pub dns_provider: String,
    /// Path of the provider's configuration; empty is none.
    pub dns_provider_config: String,
    /// Where `/healthz`, `/readyz` and `/metrics` are served; absent is nowhere.
    pub listen: Option<SocketAddr>,
    /// Controllers switched on or off by name; what is not named is on.
    pub controllers: BTreeMap<String, bool>,
    /// How health is watched.
    pub monitor: Monitor,
    /// Election among several controller managers; absent is none.
    pub election: Option<Election>,
    /// When deletions nobody asked for stop and ask.
    pub brake: Brake,
    /// Namespaces that nothing is propagated in: the federation's own, in the host and so in the members, and what
    /// the operator names.
    pub left_out: BTreeSet<String>,
    /// See [`REVIEW`].
    pub review: Duration,
    /// See [`SCALE_WINDOW`].
    pub scale_window: Duration,
    /// See [`COMPARISON`].
    pub comparison: Duration,
}

/// How the health of members is watched.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// Between two questions to a member that is well.
    pub period: Duration,
    /// For one answer.
    pub timeout: Duration,
    /// Between two questions to a member that did not answer.
    pub retry: Duration,
    /// Failures in a row that make a member lost.
    pub failures: u32,
    /// From lost until its replicas move.
    pub loss_delay: Duration,
    /// Between two readings of zones and region.
    pub topology_period: Duration,
}

/// Leader election by Lease.
#[derive(Clone, Debug)]
pub struct Election {
    /// Name of this process among its rivals.
    pub identity: String,
    /// How long a lease holds without being renewed.
    pub lease_duration: Duration,
    /// How long the leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Between two tries.
    pub retry_period: Duration,
}

/// The brake on deletions that no deleted federated object explains.
#[derive(Clone, Copy, Debug)]
pub struct Brake {
    /// Up to so many within the window are always allowed.
    pub allowed: usize,
    /// Up to this share of what the member holds is always allowed.
    pub share: f64,
    /// The window; what goes in it adds up, over restarts too.
    pub window: Duration,
    /// How long deletions are collected before the first is carried out, so that a large batch is seen as one.
    pub settle: Duration,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            period: PROBE_PERIOD,
            timeout: PROBE_TIMEOUT,
            retry: PROBE_RETRY,
            failures: PROBE_FAILURES,
            loss_delay: LOSS_DELAY,
            topology_period: MONITOR_PERIOD,
        }
    }
}

impl Default for Brake {
    fn default() -> Self {
        Self { allowed: 3, share: 0.5, window: Duration::from_secs(24 * 3600), settle: Duration::from_millis(500) }
    }
}

impl Default for Config {
    /// For a federation in this process: no DNS, no listener, no election.
    fn default() -> Self {
        Self {
            federation_name: "federation".into(),
            zone_name: String::new(),
            zone_id: String::new(),
            service_dns_suffix: String::new(),
            dns_provider: String::new(),
            dns_provider_config: String::new(),
            listen: None,
            controllers: BTreeMap::new(),
            monitor: Monitor::default(),
            election: None,
            brake: Brake::default(),
            left_out: [federation_api::keys::DEFAULT_SYSTEM_NAMESPACE.to_owned()].into(),
            review: REVIEW,
            scale_window: SCALE_WINDOW,
            comparison: COMPARISON,
        }
    }
}

impl Config {
    /// Whether a controller is to run; controllers nobody named are on.
    pub fn enabled(&self, controller: &str) -> bool {
        self.controllers.get(controller).copied().unwrap_or(true)
    }
}
