//! Where a machine stands and how it is found.

use std::path::PathBuf;

/// Where a machine pretends to stand.
#[derive(Clone, Debug)]
pub struct Site {
    /// Label `topology.kubernetes.io/region` of its node.
    pub region: String,
    /// Label `topology.kubernetes.io/zone` of its node.
    pub zone: String,
}

impl Site {
    /// A zone in a region.
    pub fn new(region: &str, zone: &str) -> Self {
        Self { region: region.into(), zone: zone.into() }
    }
}

/// A machine by its folder, whoever holds it.
#[derive(Clone, Debug)]
pub struct Held {
    pub(super) name: String,
    pub(super) index: u8,
    pub(super) dir: PathBuf,
    pub(super) programs: PathBuf,
}
