//! What goes wrong, told once: as every program of the federation tells it.

pub use program::failure::{EXIT_FAILED, EXIT_OK, EXIT_TIMED_OUT, EXIT_USAGE, Failure, chain, visible};

/// Exit code of `config lint` that found something, and of `config check` where a context does not work.
pub const EXIT_FOUND: u8 = 3;

/// Exit code of `dns diff` that found differences, as of kubectl diff.
pub const EXIT_DIFFERS: u8 = 1;
/// Exit code of `dns diff` that could not compare; above 1, as of kubectl diff.
pub const EXIT_NOT_COMPARED: u8 = 4;
