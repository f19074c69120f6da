//! What goes wrong, told once: as every program of the federation tells it.

pub use program::failure::{EXIT_FAILED, EXIT_OK, EXIT_TIMED_OUT, EXIT_USAGE, Failure, chain, visible};
