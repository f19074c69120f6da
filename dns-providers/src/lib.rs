//! DNS providers of the federation: one small trait, one folder per provider.
//!
//! A provider holds zones. The DNS controller reads the part of a zone it publishes under, compares it
//! with what it wants, and hands back one batch of changes. A provider marks what it writes with the
//! name of the federation and never touches anything else.

pub mod coredns;
pub mod embedded;
mod error;
mod ini;
mod name;
mod provider;
mod record;
mod registry;

pub use error::Error;
pub use ini::{Entry, Ini};
pub use name::{DnsName, InvalidDnsName};
pub use provider::{Held, Provider, Rejected, Zone, select_zone};
pub use record::{Change, Data, Kind, RecordSet};
pub use registry::{KNOWN, Settings, open};
