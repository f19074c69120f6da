//! The user's kubeconfig: which files, which context, and how an entry of ours gets in and out.

mod edit;
mod files;
mod load;

pub use edit::{Entry, check, edit, holds, remove};
pub use files::Files;
pub use load::{Target, describe};
