//! What every long-running program of the federation is made of: tasks that somebody owns
//! ([`supervise`]), pauses between tries ([`backoff`]), the log ([`logs`]), traces ([`trace`]) and an ear for the
//! signals that end it ([`signals`]).
//!
//! ```
//! use std::time::Duration;
//!
//! use daemon::supervise::Supervisor;
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! async fn watch() {
//!     panic!("the palantir is dark");
//! }
//!
//! let tasks = Supervisor::new(CancellationToken::new());
//! tasks.spawn("watch", watch());
//! // The program ends with it; until then its health says why.
//! let death = tasks.death().await;
//! assert_eq!(death.to_string(), "task watch panicked: the palantir is dark");
//! assert!(tasks.live().is_err());
//! tasks.stop(Duration::from_secs(1)).await;
//! # }
//! ```

pub mod backoff;
pub mod logs;
pub mod signals;
pub mod supervise;
pub mod trace;
