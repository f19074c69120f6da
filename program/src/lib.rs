//! What every program of the federation begins and ends with: a command line that is read ([`command_line`]), and a
//! failure that is told in two lines and becomes the exit code ([`failure`]).
//!
//! ```
//! use clap::Parser;
//! use program::command_line::{self, Instead};
//!
//! /// A program.
//! #[derive(Parser)]
//! struct Palantir {
//!     /// Where to look
//!     #[arg(long)]
//!     at: String,
//! }
//!
//! let args = ["palantir", "--to=gondor"].map(Into::into).to_vec();
//! let Err(Instead::Wrong(failure)) = command_line::parse::<Palantir>(args, "palantir --help lists flags") else {
//!     panic!("there is no such flag");
//! };
//! assert_eq!(failure.code, program::failure::EXIT_USAGE);
//! let mut told = Vec::new();
//! failure.tell(&mut told)?;
//! assert!(told.starts_with(b"error: unexpected argument '--to' found\nhint: "));
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod command_line;
pub mod failure;
