//! The one command runner.
fn main() {}
