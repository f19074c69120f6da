//! DNS providers of the federation: one small trait, one folder per provider.
//!
//! A provider holds zones. The DNS controller reads the part of a zone it publishes under, compares it
//! with what it wants, and hands back one batch of changes. A provider marks what it writes with the
//! name of the federation and never touches anything else.

mod deploy;
mod error;
mod ini;
mod name;
mod provider;
mod providers;
mod record;

pub use deploy::{Deployment, File, Pod, PodNeeds};
pub use error::Error;
pub use ini::{Entry, Ini};
pub use name::{DnsName, InvalidDnsName};
pub use provider::{Held, Provider, Rejected, Zone, select_zone};
// All of it, so that another provider is told in that one file.
pub use providers::*;
pub use record::{Change, Data, Kind, RecordSet};
