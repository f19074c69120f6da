//! What holds for every source file of the workspace.

mod circles;
mod errors;
mod pauses;
mod source;
