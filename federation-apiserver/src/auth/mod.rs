//! Who is asking (authentication) and may they (authorization).

pub mod authn;
pub mod authz;
pub mod reviews;
mod verb;

use federation_api::keys::CONTROLLER_MANAGER_USER;

pub use verb::Verb;

/// Group of everybody who proved an identity.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Group of everybody who did not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Name of a user who gave no credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// The API server itself.
const APISERVER: &str = "system:apiserver";
/// Group that may do everything, whatever the roles say.
pub const MASTERS: &str = "system:masters";

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

impl UserInfo {
    /// Whether the user is a member of the group.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The federation's own components. Other names with `system:`, of nodes, bootstrap tokens and service accounts, are
    /// other people's programs.
    pub fn of_the_system(&self) -> bool {
        [APISERVER, CONTROLLER_MANAGER_USER].contains(&self.name.as_str())
    }
}

/// What a request wants, as RBAC sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// What it does.
    pub verb: Verb,
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
