//! Commands as a value.

use std::pin::Pin;

use super::Session;
use crate::cli::Command;
use crate::error::Failure;

/// A command that is carried out; it answers with the exit code.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<u8, Failure>> + 'a>>;

/// What carries commands out.
pub type Run = for<'a> fn(&'a Session, Command) -> Running<'a>;
