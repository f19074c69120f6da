//! `kubefed config prune`.

use federation_client::config::Config;

use super::check::{State, ask};
use crate::cli::PruneArgs;
use crate::commands::Session;
use crate::commands::agree::agreed;
use crate::error::Failure;

pub(super) async fn run(session: &Session, config: &Config, args: &PruneArgs) -> Result<(), Failure> {
    let printer = &session.printer;
    let mut silent = Vec::new();
    for answer in ask(session, config, &args.contexts, args.timeout).await? {
        match answer.answers {
            State::No => {
                let problem = answer.problem.unwrap_or_default();
                printer.data(&format!("context {:?} does not answer ({}): {problem}", answer.context, answer.server.unwrap_or_default()));
                silent.push(answer.context);
            }
            // It may be a typing error, or a plugin that is not logged in: nothing to delete for.
            State::Unusable => {
                printer.note(&format!("context {:?} cannot be asked and stays: {}", answer.context, answer.problem.unwrap_or_default()))
            }
            State::Yes | State::Refuses => {}
        }
    }
    if silent.is_empty() {
        printer.data("Nothing to do: every context that can be asked answers.");
        return Ok(());
    }
    let question = format!("Delete {} contexts, with the clusters and users that only they use?", silent.len());
    if !args.yes.unwrap_or_default() && !agreed(session, &question, "--yes deletes them without asking; nothing was deleted")? {
        printer.data("Nothing was deleted.");
        return Ok(());
    }
    for (list, name) in config.prune(&silent)? {
        printer.data(&format!("deleted {} {name:?}", list.word()));
    }
    printer.note("kubefed config undo brings them back");
    Ok(())
}
