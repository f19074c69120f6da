//! One federation and its members in one process: real API servers in memory, the real controllers.
#![expect(clippy::disallowed_methods, reason = "real servers take real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod autoscaling;
mod away;
mod bed;
mod deletion;
mod healing;
mod identity;
mod jobs;
mod kinds;
mod propagation;
mod supervision;
