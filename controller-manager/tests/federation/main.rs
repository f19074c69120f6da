//! One federation and its members in one process: real API servers in memory, the real controllers.

mod away;
mod bed;
mod deletion;
mod propagation;
