//! Addresses of load balancers that are known by host name only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;

use super::records::Addresses;

/// How long one name may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Names asked for at a time.
const AT_ONCE: usize = 16;

/// Why a host name has no addresses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// This machine names no name servers.
    #[error("this machine names no name servers")]
    NoNameServers,
    /// No answer within so many seconds.
    #[error("no answer in {0} s")]
    Silent(u64),
    /// The name has no addresses.
    #[error("it has no addresses")]
    Empty,
    /// Name servers say that it is none, or cannot be asked.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Resolves host names of load balancers.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a name.
    ///
    /// # Errors
    /// Why there are none.
    async fn resolve(&self, host: &str) -> Result<Addresses, LookupError>;
}

/// Asks the name servers of this machine.
pub struct System(Option<TokioResolver>);

impl Default for System {
    fn default() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.build()
        });
        let resolver = resolver.inspect_err(|error| tracing::warn!(%error, "host names of load balancers cannot be resolved"));
        Self(resolver.ok())
    }
}

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, host: &str) -> Result<Addresses, LookupError> {
        let resolver = self.0.as_ref().ok_or(LookupError::NoNameServers)?;
        // The final dot keeps search domains out of it.
        let absolute = format!("{}.", host.trim_end_matches('.'));
        let found = resolver.lookup_ip(absolute).await.map_err(|e| LookupError::Failed(e.into()))?;
        Ok(found.iter().collect())
    }
}

/// What names resolved to; a name that fails now keeps its last answer.
#[derive(Debug, Default)]
pub struct Resolved {
    known: BTreeMap<String, Addresses>,
}

impl Resolved {
    /// Asks for all these names and forgets all others. Returns the failures, by name.
    pub async fn refresh(&mut self, resolver: &dyn Resolve, hosts: &BTreeSet<String>) -> BTreeMap<String, LookupError> {
        self.known.retain(|host, _| hosts.contains(host));
        self.ask(resolver, hosts.iter().cloned().collect()).await
    }

    /// Asks for those of these names that are not known yet. Returns the failures, by name.
    pub async fn add(&mut self, resolver: &dyn Resolve, hosts: &BTreeSet<String>) -> BTreeMap<String, LookupError> {
        self.ask(resolver, hosts.iter().filter(|host| !self.known.contains_key(*host)).cloned().collect()).await
    }

    /// The last answer for a name.
    pub fn get(&self, host: &str) -> Option<&Addresses> {
        self.known.get(host)
    }

    async fn ask(&mut self, resolver: &dyn Resolve, hosts: Vec<String>) -> BTreeMap<String, LookupError> {
        let mut failures = BTreeMap::new();
        let one = |host: String| async move {
            let answer = tokio::time::timeout(TIMEOUT, resolver.resolve(&host)).await;
            (host, answer.unwrap_or_else(|_| Err(LookupError::Silent(TIMEOUT.as_secs()))))
        };
        let answers: Vec<_> = futures::stream::iter(hosts).map(one).buffer_unordered(AT_ONCE).collect().await;
        for (host, answer) in answers {
            match answer {
                Ok(addresses) if !addresses.is_empty() => drop(self.known.insert(host, addresses)),
                Ok(_) => drop(failures.insert(host, LookupError::Empty)),
                Err(error) => drop(failures.insert(host, error)),
            }
        }
        failures
    }
}
