//! What a document describes.

use crate::schema::Gvk;

/// A resource to describe.
#[derive(Clone, Debug)]
pub struct Served<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Plural name in paths.
    pub plural: &'a str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs of the main resource, as in discovery.
    pub verbs: Vec<&'a str>,
    /// Subresources.
    pub subresources: Vec<ServedSubresource<'a>>,
}

/// A subresource to describe.
#[derive(Clone, Debug)]
pub struct ServedSubresource<'a> {
    /// Last part of the path, such as `status`.
    pub name: &'a str,
    /// What it takes and gives.
    pub kind: Gvk,
    /// Verbs, as in discovery.
    pub verbs: Vec<&'a str>,
}
