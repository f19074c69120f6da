//! Real Kubernetes clusters on one machine, for tests.
//!
//! A [`Machine`] is a complete one-node cluster in namespaces of its own: etcd, API server,
//! controller manager, scheduler, containerd, kubelet, kube-proxy and CoreDNS, with real pods.
//! Killing the first process of the machine ends everything in it; it dies with the test too, so a
//! test that panics leaves nothing behind. [`ApiServer`] is a control plane without a node.
//!
//! Addresses come from 198.18.0.0/15, the range set aside for tests (RFC 2544): the test process is
//! 198.18.0.1 on bridge `kit0`, machine I is 198.18.0.(10+I), its pods 198.18.(100+I).0/24, its load
//! balancers 198.18.(200+I).0/24, its services 198.19.I.0/24. What no machine answers for is dropped
//! on the host, so no test talks to the outside.
#![expect(clippy::disallowed_methods, reason = "machines die with the thread that started them, which waits for them")]

mod apiserver;
mod build;
mod etcd;
pub mod kubeconfig;
mod machine;
mod network;
pub mod oci;
pub mod process;
pub mod programs;
pub mod setup;

pub use apiserver::{ApiServer, Options};
pub use etcd::Etcd;
pub use machine::{Held, Machine, Site};

use std::path::PathBuf;

/// Where things that outlive one run are kept, outside the work tree: `$KUBEFED_CACHE`, else
/// `$XDG_CACHE_HOME/kubefed`, else `~/.cache/kubefed`.
pub fn cache_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var("KUBEFED_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|d| d.join("kubefed")))
        .or_else(|| var("HOME").map(|d| d.join(".cache/kubefed")))
        .unwrap_or_else(|| std::env::temp_dir().join("kubefed-cache"))
}
