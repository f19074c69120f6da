//! The documents of the served resource table.

use machinery::openapi::{self, Served, ServedSubresource};
use machinery::schema::{Gvk, Types};

use super::Documents;
use crate::auth::Verb;
use crate::discovery::subresources;
use crate::registry::resource::Resource;
use crate::version;

/// Describes built-in kinds.
pub struct Builtin {
    resources: Vec<&'static Resource>,
}

impl Builtin {
    /// Of the resources a profile serves.
    pub fn new(resources: Vec<&'static Resource>) -> Self {
        Self { resources }
    }

    fn served(&self) -> Vec<Served<'static>> {
        self.resources.iter().map(|r| served(r)).collect()
    }
}

fn served(r: &'static Resource) -> Served<'static> {
    let sub = |s: crate::discovery::Sub| ServedSubresource {
        name: s.name,
        kind: if s.version.is_empty() { Gvk::new(r.group, r.version, s.kind) } else { Gvk::new(s.group, s.version, s.kind) },
        verbs: s.verbs.iter().map(Verb::as_str).collect(),
    };
    Served {
        group: r.group,
        version: r.version,
        kind: r.kind,
        plural: r.plural,
        namespaced: r.namespaced,
        verbs: r.verbs.iter().map(Verb::as_str).collect(),
        subresources: subresources(r).into_iter().map(sub).collect(),
    }
}

impl Documents for Builtin {
    fn versions(&self) -> Vec<(String, String)> {
        let mut out: Vec<_> = self.resources.iter().map(|r| (r.group.to_owned(), r.version.to_owned())).collect();
        out.sort();
        out.dedup();
        out
    }

    fn v3(&self, group: &str, version: &str) -> Vec<u8> {
        openapi::v3(Types::builtin(), group, version, &self.served())
    }

    fn v2(&self) -> Vec<u8> {
        openapi::v2(Types::builtin(), &self.served(), &version::git_version())
    }

    fn v2_protobuf(&self) -> Vec<u8> {
        openapi::v2_protobuf(Types::builtin(), &self.served(), &version::git_version())
    }
}
