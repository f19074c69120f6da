//! Taking over a name as it stands: its mark is written where all its sets are as they were read. Pure.

use crate::batch::{Adoption, CHANGED, LeftAlone};
use crate::mark::Mark;

use super::plan::{Step, mark_step};
use super::view::{View, held_at};

/// What marks a name; nothing where it is marked.
///
/// # Errors
/// Why the name is left alone.
pub(super) fn step(name: &Adoption<'_>, view: &View, owner: &str) -> Result<Option<Step>, LeftAlone> {
    let node = view.at(name.name);
    let marked = Mark { owner: owner.to_owned(), kinds: name.kinds() };
    let there = node.marked();
    if there.as_ref() == Some(&marked) {
        return Ok(None);
    }
    if !name.is_unchanged(&held_at(name.name, node, owner)) {
        return Err(LeftAlone(CHANGED.to_owned()));
    }
    match (&node.mark, there) {
        (None, _) => {}
        (Some(_), None) => return Err(LeftAlone("someone else's TXT record is where its mark would be; it is left alone".to_owned())),
        (Some(_), Some(mark)) if mark.owner == owner || Some(mark.owner.as_str()) == name.from() => {}
        (Some(_), Some(mark)) => return Err(LeftAlone(format!("it belongs to federation {}; it is left alone", mark.owner))),
    }
    Ok(mark_step(name.name, node, &marked)?)
}
