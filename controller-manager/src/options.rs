//! Flags of `federation-controller-manager`, named as v1's, and their resolution into a [`Config`].

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgAction, Parser};
use daemon::logs::LogOptions;
use federation_api::duration;
use federation_api::kinds::KINDS;
use federation_api::names;
use federation_client::connect::Timeouts;
use federation_client::{Access, Cluster, Environment, Error, Files, Kubeconfig, Target, User};
use program::failure::{EXIT_USAGE, Failure};

use crate::config::{Config, Election, Monitor};

#[cfg(test)]
mod tests;

/// The controller that publishes Services in DNS, beside those named after the kinds they propagate.
const SERVICE_DNS: &str = "service-dns";

/// Controllers that `--controllers` can name, as in v1.
fn controllers() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.resource).chain([SERVICE_DNS])
}

/// Watches the federation and makes the member clusters follow.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "federation-controller-manager",
    version,
    after_help = "Exit codes: 0 stopped in good order, 1 it could not start or lost the lead, 64 the command line or a file it names is wrong, 70 a part of it died, which is a defect."
)]
pub struct Options {
    /// URL of the federation API server; overrides the kubeconfig.
    #[arg(long, default_value = "")]
    pub master: String,
    /// Kubeconfig with access to the federation API server.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Kubeconfig of the host cluster, where members' credentials are; default is the pod's own service account.
    #[arg(long, value_name = "FILE")]
    pub host_kubeconfig: Option<PathBuf>,
    /// Namespace of the host cluster with the members' credentials; default is $POD_NAMESPACE.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub host_namespace: Option<String>,
    /// Port for health and metrics (plain HTTP); 0 serves none.
    #[arg(long, default_value_t = 10253)]
    pub port: u16,
    /// Address for health and metrics.
    #[arg(long, default_value = "0.0.0.0")]
    pub address: IpAddr,
    /// Name of the federation.
    #[arg(long, default_value = "")]
    pub federation_name: String,
    /// DNS zone that Services are published under.
    #[arg(long, default_value = "")]
    pub zone_name: String,
    /// The DNS provider's id of the zone.
    #[arg(long, default_value = "")]
    pub zone_id: String,
    /// Suffix of the Services' DNS names; default is the zone's name.
    #[arg(long, default_value = "")]
    pub service_dns_suffix: String,
    /// DNS provider.
    #[arg(long, default_value = "")]
    pub dns_provider: String,
    /// Configuration file of the DNS provider.
    #[arg(long, default_value = "", value_name = "FILE")]
    pub dns_provider_config: String,
    /// How often zones and region of members are read; health is asked for every 2 seconds.
    #[arg(long, default_value = "40s", value_parser = duration::parse)]
    pub cluster_monitor_period: Duration,
    /// From a member being noticed lost until its replicas move to others.
    #[arg(long, default_value = "20s", value_parser = duration::parse)]
    pub cluster_loss_delay: Duration,
    /// For this long after an autoscaler of a member scaled its bounds do not move.
    #[arg(long, default_value = "2m", value_parser = duration::parse, value_name = "DURATION")]
    pub hpa_scale_forbidden_window: Duration,
    /// Controllers to switch on or off: name=true|false, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = switch)]
    pub controllers: Vec<(String, bool)>,
    /// Namespaces in which nothing is propagated, separated by commas, beside the federation's own and those Kubernetes keeps for itself.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub left_out_namespaces: Vec<String>,
    /// Elect a leader among several controller managers.
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    pub leader_elect: bool,
    /// How long a leader's lease holds without being renewed.
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    pub leader_elect_lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    #[arg(long, default_value = "6s", value_parser = duration::parse)]
    pub leader_elect_renew_deadline: Duration,
    /// Between two tries to get or renew the lease.
    #[arg(long, default_value = "1s", value_parser = duration::parse)]
    pub leader_elect_retry_period: Duration,
    /// What to log and trace.
    #[command(flatten)]
    pub log: LogOptions,
    #[command(flatten)]
    ignored: Ignored,
}

/// Flags of v1 that have nothing left to set: work is not limited by worker counts or fixed request rates.
#[derive(Clone, Debug, clap::Args)]
struct Ignored {
    #[arg(long, hide = true)]
    concurrent_service_syncs: Option<String>,
    #[arg(long, hide = true)]
    concurrent_job_syncs: Option<String>,
    #[arg(long, hide = true)]
    concurrent_replicaset_syncs: Option<String>,
    #[arg(long, hide = true)]
    federated_api_qps: Option<String>,
    #[arg(long, hide = true)]
    federated_api_burst: Option<String>,
    #[arg(long, hide = true)]
    kube_api_content_type: Option<String>,
    #[arg(long, hide = true)]
    federation_only_namespace: Option<String>,
    #[arg(long, hide = true)]
    leader_elect_resource_lock: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    profiling: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    contention_profiling: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    logtostderr: Option<String>,
}

fn switch(text: &str) -> Result<(String, bool), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("\"{text}\" is not name=true or name=false"))?;
    if !controllers().any(|known| known == name) {
        return Err(format!("there is no controller \"{name}\"; there are {}", controllers().collect::<Vec<_>>().join(", ")));
    }
    let value = value.parse().map_err(|_| format!("\"{text}\" is not {name}=true or {name}=false"))?;
    Ok((name.to_owned(), value))
}

impl Options {
    /// Checks the flags and resolves them. `hostname` identifies this process in the election.
    ///
    /// # Errors
    /// Which flag is wrong, and what to write instead.
    pub fn resolve(&self, hostname: &str) -> Result<Config, Failure> {
        if !self.federation_name.is_empty() {
            names::federation_name(&self.federation_name)?;
        }
        for zone in [&self.zone_name, &self.service_dns_suffix].into_iter().filter(|z| !z.is_empty()) {
            names::zone_name(zone)?;
        }
        self.check_dns()?;
        let wrong = |flag: &str, rule: &str, example: &str| {
            Err(Failure::usage(format!("{flag} must be {rule}")).hint(format!("for example {flag}={example}")))
        };
        if self.leader_elect_renew_deadline >= self.leader_elect_lease_duration {
            return wrong("--leader-elect-renew-deadline", "shorter than --leader-elect-lease-duration", "6s");
        }
        if self.leader_elect_retry_period.is_zero() || self.leader_elect_retry_period >= self.leader_elect_renew_deadline {
            return wrong("--leader-elect-retry-period", "longer than 0 and shorter than --leader-elect-renew-deadline", "1s");
        }
        if self.cluster_monitor_period.is_zero() {
            return wrong("--cluster-monitor-period", "longer than 0", "40s");
        }
        let defaults = Config::default();
        // Two processes of one machine may have the same hostname, and in containers the same process id.
        let identity = format!("{hostname}_{}", uuid::Uuid::new_v4());
        Ok(Config {
            federation_name: if self.federation_name.is_empty() { defaults.federation_name } else { self.federation_name.clone() },
            zone_name: self.zone_name.clone(),
            zone_id: self.zone_id.clone(),
            service_dns_suffix: self.service_dns_suffix.clone(),
            dns_provider: self.dns_provider.clone(),
            dns_provider_config: self.dns_provider_config.clone(),
            listen: (self.port != 0).then(|| SocketAddr::new(self.address, self.port)),
            controllers: self.controllers.iter().cloned().collect::<BTreeMap<_, _>>(),
            monitor: Monitor { topology_period: self.cluster_monitor_period, loss_delay: self.cluster_loss_delay, ..defaults.monitor },
            election: self.leader_elect.then_some(Election {
                identity,
                lease_duration: self.leader_elect_lease_duration,
                renew_deadline: self.leader_elect_renew_deadline,
                retry_period: self.leader_elect_retry_period,
            }),
            brake: defaults.brake,
            left_out: defaults
                .left_out
                .into_iter()
                .chain(self.host_namespace.clone())
                .chain(self.left_out_namespaces.iter().cloned())
                .collect(),
            review: defaults.review,
            scale_window: self.hpa_scale_forbidden_window,
            comparison: defaults.comparison,
        })
    }

    /// v1's rules about names in DNS.
    fn check_dns(&self) -> Result<(), Failure> {
        if self.controllers.iter().any(|(name, on)| name == SERVICE_DNS && !on) {
            return Ok(());
        }
        if !self.dns_provider.is_empty() && self.federation_name.is_empty() {
            return Err(Failure::usage("DNSController should not be run without federationName: --dns-provider needs --federation-name")
                .hint("give --federation-name, or do without DNS: --controllers=service-dns=false"));
        }
        if self.dns_provider.is_empty() && !self.zone_name.is_empty() {
            return Err(Failure::usage("DNSController should not be run without a dnsprovider: --zone-name needs --dns-provider")
                .hint(format!("give --dns-provider, one of: {}", dns_providers::known().join(", "))));
        }
        Ok(())
    }

    /// The client for the federation API server. Nothing is sent yet.
    ///
    /// # Errors
    /// Which flag or file is missing or wrong.
    pub async fn federation(&self) -> Result<kube::Client, Failure> {
        let server = if self.master.is_empty() { None } else { Some(self.uri()?.to_string()) };
        let target = Target { server, ..Target::default() };
        let access = match &self.kubeconfig {
            Some(path) => from_file("--kubeconfig", path, &target)?,
            None if target.server.is_some() => {
                let nothing = Kubeconfig::single("--master", Cluster::default(), User::default());
                Access::resolve(&nothing, &target, &Environment::of_process()).map_err(|e| wrong("--master", e))?
            }
            None => {
                return Err(Failure::usage("neither --kubeconfig nor --master says where the federation API server is")
                    .hint("name a kubeconfig with --kubeconfig"));
            }
        };
        access.client().await.map_err(|e| wrong("--kubeconfig", e))
    }

    fn uri(&self) -> Result<http::Uri, Failure> {
        let uri = self.master.parse::<http::Uri>().ok().filter(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some());
        uri.ok_or_else(|| {
            Failure::usage(format!("--master: \"{}\" is not a URL", self.master)).hint("for example --master=https://10.0.0.1")
        })
    }

    /// The client for the host cluster and the namespace there, if the host can be known. Nothing is sent yet.
    ///
    /// # Errors
    /// What is wrong with the kubeconfig.
    pub async fn host(&self) -> Result<Option<crate::HostCredentials>, Failure> {
        let access = match &self.host_kubeconfig {
            Some(path) => from_file("--host-kubeconfig", path, &Target::default())?,
            None => match Access::in_cluster(Timeouts::default(), &Environment::of_process()) {
                Ok(access) => access,
                Err(Error::Missing { .. }) => return Ok(None),
                Err(e) => return Err(wrong("the pod's account", e)),
            },
        };
        let namespace = self.host_namespace.clone().unwrap_or_else(|| access.namespace.clone());
        let client = access.client().await.map_err(|e| wrong("--host-kubeconfig", e))?;
        Ok(Some(crate::HostCredentials { client, namespace }))
    }
}

/// What a kubeconfig's current context leads to.
fn from_file(flag: &str, path: &std::path::Path, target: &Target) -> Result<Access, Failure> {
    let access = Files::choose(Some(path)).load().and_then(|config| Access::resolve(&config, target, &Environment::of_process()));
    access.map_err(|e| wrong(flag, e))
}

/// The command line, or a file it names, is wrong.
fn wrong(flag: &str, error: Error) -> Failure {
    let unread = matches!(error, Error::Read { .. });
    let failure = Failure { code: EXIT_USAGE, ..Failure::from(error).during(flag) };
    if unread { failure.hint("check the path and that the user of this process may read it") } else { failure }
}
