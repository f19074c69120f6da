//! Asking before something is done that cannot be taken back.

use std::io::{IsTerminal as _, stdin};

use super::Session;
use crate::error::Failure;

/// Whether the person at the terminal types `yes`.
///
/// # Errors
/// There is no terminal; `hint` says how it is done without one.
pub(super) fn agreed(session: &Session, question: &str, hint: &str) -> Result<bool, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::new("nobody can be asked: standard input is no terminal").hint(hint));
    }
    session.printer.note(&format!("{question} Only \"yes\" does it."));
    let mut line = String::new();
    stdin().read_line(&mut line).map_err(|e| Failure::new(format!("reading the answer: {e}")).hint(hint))?;
    Ok(line.trim() == "yes")
}
