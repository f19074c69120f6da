//! DNS providers of the federation: one small trait, one folder per provider.
//!
//! A provider holds zones. The DNS controller reads the part of a zone it publishes under, compares it
//! with what it wants, and hands back one batch of changes. A provider marks what it writes with the
//! name of the federation and never touches anything else.
//!
//! ```
//! use dns_providers::{Change, Data, Deployment, DnsName, Pod, Provider, RecordSet, driver, embedded, select_zone};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What it needs in a pod it says before it is opened.
//! let pod = Pod { config_dir: "/etc/dns", state_dir: "/var/lib/dns", dns_port: 10053 };
//! let needs = driver("embedded")?.deploys(&Deployment { zone: "example.com.", config: None, pod })?;
//! assert!(needs.answers && needs.state);
//!
//! let config = embedded::Config::new("127.0.0.1:0".parse()?, DnsName::parse("example.com")?);
//! let provider = embedded::Embedded::start(config).await?;
//! let zone = select_zone(&provider.zones().await?, "example.com", None)?;
//! let web = RecordSet {
//!     name: DnsName::parse("web.example.com")?,
//!     ttl: 180,
//!     data: Data::A(["192.0.2.1".parse()?].into_iter().collect()),
//! };
//! let rejected = provider.apply(&zone, &[Change::Upsert(web.clone())]).await?;
//! assert!(rejected.is_empty());
//! assert_eq!(provider.read(&zone, &zone.name).await?[0].set, web);
//! # Ok(())
//! # }
//! ```

mod batch;
mod capabilities;
mod deploy;
mod error;
mod ini;
mod mark;
mod name;
mod provider;
mod providers;
mod record;

pub use capabilities::{Capabilities, MAX_TTL, Marks};
pub use deploy::{Deployment, File, Pod, PodNeeds};
pub use error::Error;
pub use ini::{Entry, Ini};
pub use name::{DnsName, InvalidDnsName};
pub use provider::{Held, Owner, Provider, Rejected, Settings, Zone, select_zone};
// All of it, so that another provider is told in that one file.
pub use providers::*;
pub use record::{Change, Data, Kind, RecordSet};
