//! Patches: JSON, merge, strategic merge, apply. All of them are pure functions over JSON.

pub mod json;
pub mod merge;

#[cfg(test)]
pub(crate) mod arbitrary;
