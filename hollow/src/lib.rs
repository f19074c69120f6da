//! Clusters without nodes, for a first look and for tests: the API server of the federation with the kinds of a
//! cluster, reached through a cable that can be pulled, and small simulators of what controllers and nodes do.
//!
//! ```
//! use daemon::supervise::Supervisor;
//! use federation_apiserver::Profile;
//! use hollow::{Appearance, Site};
//!
//! async fn cut_off(dir: &std::path::Path) -> Result<(), hollow::Error> {
//!     let tasks = Supervisor::default();
//!     let gondor = Site::start(dir, "gondor", Profile::Member, "federation-system:gondor", &tasks).await?;
//!     let appearance = Appearance { region: "south".into(), zone: "minas-tirith".into(), addresses: [192, 0, 2] };
//!     tasks.spawn("simulator", gondor.simulate(appearance));
//!     gondor.cable().pull();
//!     tasks.stop(std::time::Duration::from_secs(10)).await;
//!     Ok(())
//! }
//! ```

mod cable;
mod simulators;
mod site;

pub use cable::Cable;
pub use simulators::Appearance;
pub use site::{Error, Site, write_private};
