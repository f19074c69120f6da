//! What a kubeconfig says: the fields of client-go's `clientcmd/api`, an empty text being the same as none.

mod decode;
mod encode;
mod files;
mod model;
mod nearest;
mod paths;
pub(crate) mod validate;

pub use files::{Files, bytes};
pub use model::{AuthProvider, Cluster, Context, Exec, Extensions, Kubeconfig, Preferences, Source, User};
pub(crate) use nearest::list as nearest;
pub use paths::clean;

#[cfg(test)]
mod tests;
