//! The names a command takes.

use crate::error::Failure;

/// The one name a command takes.
///
/// # Errors
/// v1's sentence about any other number of names.
pub(super) fn one_name<'a>(command: &str, names: &'a [String]) -> Result<&'a str, Failure> {
    match names {
        [name] => Ok(name),
        _ => Err(Failure::usage(format!("exactly one NAME is required, got {}", names.len()))
            .hint(format!("See 'kubefed {command} -h' for help and examples."))),
    }
}
