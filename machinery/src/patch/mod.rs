//! Patches: JSON, merge, strategic merge, apply. All of them are pure functions over JSON.

pub mod apply;
pub mod fields;
pub mod json;
pub mod merge;
pub mod strategic;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod recorded;
