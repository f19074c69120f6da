//! What users get wrong, tried on the real programs: one `error:` line saying what and where, one `hint:` line, a
//! documented exit code, and nothing half-written: the same command succeeds once the cause is gone.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod apiserver;
mod bootstrap;
mod config;
mod config_beyond;
mod config_health;
mod credentials;
mod deinit;
mod discovery;
mod dns;
mod etcd;
mod host;
mod kubeconfig;
mod manager;
mod member;
mod member_token;
mod names;
mod proxies;
mod support;
mod tutorials;
mod up;
mod usage;
