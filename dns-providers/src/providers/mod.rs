//! The providers there are: the one place that names them.

use std::pin::Pin;
use std::sync::Arc;

use crate::{Capabilities, Deployment, Error, PodNeeds, Provider, Settings};

pub mod coredns;
pub mod embedded;
pub mod rfc2136;
pub mod route53;

/// Every provider; messages list them in this order.
pub const DRIVERS: &[Driver] = &[
    Driver {
        name: coredns::NAME,
        summary: "CoreDNS with its etcd plugin",
        capabilities: &coredns::CAPABILITIES,
        shared: true,
        deploys: coredns::deploys,
        open: |settings| Box::pin(coredns::open(settings)),
    },
    Driver {
        name: embedded::NAME,
        summary: "a DNS server inside the controller manager",
        capabilities: &embedded::CAPABILITIES,
        shared: false,
        deploys: embedded::deploys,
        open: |settings| Box::pin(embedded::open(settings)),
    },
    Driver {
        name: rfc2136::NAME,
        summary: "a DNS server that takes updates, as BIND does",
        capabilities: &rfc2136::CAPABILITIES,
        shared: true,
        deploys: rfc2136::deploys,
        open: |settings| Box::pin(rfc2136::open(settings)),
    },
    Driver {
        name: route53::NAME,
        summary: "Amazon Route 53",
        capabilities: &route53::CAPABILITIES,
        shared: true,
        deploys: route53::deploys,
        open: |settings| Box::pin(route53::open(settings)),
    },
];

type Opening<'a> = Pin<Box<dyn Future<Output = Result<Arc<dyn Provider>, Error>> + Send + 'a>>;

/// What is known of a provider before it is opened.
#[derive(Debug)]
pub struct Driver {
    /// The name people choose it by.
    pub name: &'static str,
    /// What it is, to stand behind "NAME for" in a help text.
    pub summary: &'static str,
    /// What it can do.
    pub capabilities: &'static Capabilities,
    /// Whether its records are kept where another process reaches them too: people look at them and mend them while the
    /// controller manager runs, or when there is none any more. Else they are in the memory of the process that opened it.
    pub shared: bool,
    deploys: fn(&Deployment<'_>) -> Result<PodNeeds, Error>,
    open: fn(&Settings) -> Opening<'_>,
}

impl Driver {
    /// What it needs in a pod. Its configuration is checked, and files it names are read.
    ///
    /// # Errors
    /// What would fail in the pod: [`Error::Undeployable`], or anything wrong with the configuration.
    pub fn deploys(&self, wanted: &Deployment<'_>) -> Result<PodNeeds, Error> {
        (self.deploys)(wanted)
    }

    /// Opens the provider. Nothing is asked of a remote backend yet.
    ///
    /// # Errors
    /// Anything wrong with the configuration; for a provider that answers queries also an address in use.
    pub async fn open(&self, settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
        (self.open)(settings).await
    }
}

/// The names of all providers.
pub fn known() -> Vec<&'static str> {
    DRIVERS.iter().map(|driver| driver.name).collect()
}

/// Finds a provider by its name.
///
/// # Errors
/// [`Error::UnknownProvider`].
pub fn driver(name: &str) -> Result<&'static Driver, Error> {
    let found = DRIVERS.iter().find(|driver| driver.name == name);
    found.ok_or_else(|| Error::UnknownProvider { name: name.to_owned(), known: known() })
}

/// Opens a provider. Nothing is asked of a remote backend yet.
///
/// # Errors
/// Anything wrong with the name or the configuration; for `embedded` also an address in use.
pub async fn open(settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
    driver(&settings.provider)?.open(settings).await
}
