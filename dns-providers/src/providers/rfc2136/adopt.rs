//! Taking over a name as it stands: its mark is written where all its sets are as they were read. Pure.

use crate::batch::{Adoption, LeftAlone};

use super::held;
use super::mark::Mark;
use super::plan::{Step, mark_step};
use super::view::View;

/// What marks a name; nothing where it is marked.
///
/// # Errors
/// Why the name is left alone.
pub(super) fn step(name: &Adoption<'_>, view: &View, owner: &str) -> Result<Option<Step>, LeftAlone> {
    let node = view.at(name.name);
    let Some(mark) = name.mark(node.mark.as_ref().map(Mark::read), &held::at(name.name, node, owner), owner)? else { return Ok(None) };
    Ok(mark_step(name.name, node, &mark)?)
}
