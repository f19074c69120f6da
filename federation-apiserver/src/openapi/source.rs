//! The documents of what is served at one moment.

use std::sync::Arc;

use machinery::openapi::{self, Served, ServedSubresource};
use machinery::schema::Gvk;

use super::Documents;
use crate::auth::Verb;
use crate::discovery::subresources;
use crate::registry::Catalog;
use crate::registry::resource::Resource;
use crate::version;

/// Describes what a catalog serves.
pub struct Source {
    catalog: Arc<Catalog>,
}

impl Source {
    /// Of all resources of a catalog.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }

    fn served(&self) -> Vec<Served<'_>> {
        self.catalog.entries().iter().map(|e| served(&e.resource)).collect()
    }
}

fn served(r: &Resource) -> Served<'_> {
    let sub = |s: crate::discovery::Sub<'_>| ServedSubresource {
        name: s.name,
        kind: if s.version.is_empty() { Gvk::new(&*r.group, &*r.version, s.kind) } else { Gvk::new(s.group, s.version, s.kind) },
        verbs: s.verbs.iter().map(Verb::as_str).collect(),
    };
    Served {
        group: &r.group,
        version: &r.version,
        kind: &r.kind,
        plural: &r.plural,
        namespaced: r.namespaced,
        verbs: r.verbs.iter().map(Verb::as_str).collect(),
        subresources: subresources(r).into_iter().map(sub).collect(),
    }
}

impl Documents for Source {
    fn versions(&self) -> Vec<(String, String)> {
        let mut out: Vec<_> =
            self.catalog.entries().iter().map(|e| (e.resource.group.to_string(), e.resource.version.to_string())).collect();
        out.sort();
        out.dedup();
        out
    }

    fn v3(&self, group: &str, version: &str) -> Vec<u8> {
        openapi::v3(self.catalog.types(), group, version, &self.served())
    }

    fn v2(&self) -> Vec<u8> {
        openapi::v2(self.catalog.types(), &self.served(), &version::git_version())
    }

    fn v2_protobuf(&self) -> Vec<u8> {
        openapi::v2_protobuf(self.catalog.types(), &self.served(), &version::git_version())
    }
}
