//! Clusters without nodes, for a first look and for tests: the API server of the federation with the kinds of a
//! cluster, reached through a cable that can be pulled, and small simulators of what controllers and nodes do.
//!
//! ```
//! use federation_apiserver::Profile;
//! use hollow::{Appearance, Site};
//! use tokio_util::sync::CancellationToken;
//!
//! async fn cut_off(dir: &std::path::Path) -> Result<(), hollow::Error> {
//!     let stop = CancellationToken::new();
//!     let gondor = Site::start(dir, "gondor", Profile::Member, "federation-system:gondor", &stop).await?;
//!     let appearance = Appearance { region: "south".into(), zone: "minas-tirith".into(), addresses: [192, 0, 2] };
//!     let simulating = tokio::spawn(gondor.simulate(appearance));
//!     gondor.cable().pull();
//!     stop.cancel();
//!     simulating.await.expect("a simulator panicked");
//!     Ok(())
//! }
//! ```

mod cable;
mod simulators;
mod site;

pub use cable::Cable;
pub use simulators::Appearance;
pub use site::{Error, Site, write_private};
