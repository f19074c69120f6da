//! The API as a list of requests with the answers they must get, over any server.
//!
//! Each scenario runs in memory and over TLS; with `KUBE_SUBJECT_URL` (and `KUBE_SUBJECT_TOKEN` of an
//! administrator) it runs against that server instead, for example a real kube-apiserver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod certificates;
mod connections;
mod deletion;
mod failures;
mod hostile;
mod namespaces;
mod objects;
mod odd;
mod patches;
mod permissions;
mod property;
mod reads;
mod revocation;
mod service_accounts;
mod signing;
#[allow(dead_code, reason = "shared with the battery of stores, which uses all of it")]
#[path = "../storage/subject.rs"]
mod stores;
mod subject;
mod supervision;
mod tokens;
mod versions;
mod watches;
