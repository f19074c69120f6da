//! What the end-to-end suites share.

pub mod dns;
pub mod http;
pub mod program;
