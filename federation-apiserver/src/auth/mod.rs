//! Who is asking (authentication) and may they (authorization).

/// An authenticated user.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UserInfo {
    /// User name.
    pub name: String,
    /// Unique id, may be empty.
    pub uid: String,
    /// Groups, with `system:authenticated` or `system:unauthenticated` among them.
    pub groups: Vec<String>,
}

/// What a request wants, as RBAC sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// RBAC verb: get, list, watch, create, update, patch, delete, deletecollection; lower-case
    /// HTTP method for paths that are no resources.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource; empty for paths that are no resources.
    pub resource: String,
    /// Subresource, may be empty.
    pub subresource: String,
    /// Namespace, may be empty.
    pub namespace: String,
    /// Object name, may be empty.
    pub name: String,
    /// The path.
    pub path: String,
}
