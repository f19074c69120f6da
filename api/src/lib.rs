//! What the federation adds to Kubernetes: its kinds, annotation keys and name rules, and the words its programs share.
//!
//! Pure data and pure functions; nothing here does IO.
//!
//! ```
//! use federation_api::kinds::KINDS;
//! use federation_api::{duration, names};
//!
//! let deployments = KINDS.iter().find(|kind| kind.kind == "Deployment").expect("a federated kind");
//! assert_eq!((deployments.group, deployments.resource), ("apps", "deployments"));
//!
//! assert!(names::cluster_name("gondor").is_ok());
//! let refused = names::cluster_name("Minas_Tirith").expect_err("no label of RFC 1035");
//! assert!(refused.to_string().contains("Minas_Tirith"));
//!
//! assert_eq!(duration::parse("1m30s")?.as_secs(), 90);
//! # Ok::<(), duration::InvalidDuration>(())
//! ```

pub mod bootstrap;
pub mod cluster;
pub mod credential;
pub mod duration;
pub mod keys;
pub mod kinds;
pub mod member_token;
pub mod names;
pub mod preferences;
pub mod record;
