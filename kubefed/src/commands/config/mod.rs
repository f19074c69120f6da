//! `kubefed config`: kubeconfig files shown and changed, as kubectl does it.

mod list;
mod patch;

use std::path::Path;

use federation_client::config::{Config, ContextPatch, List};

use super::Session;
use crate::cli::{ConfigCommand, SetContextArgs};
use crate::error::Failure;

/// Carries out a command on kubeconfig files.
///
/// # Errors
/// Files that cannot be read, understood or written, and what kubectl refuses too.
pub(super) fn run(session: &Session, command: &ConfigCommand) -> Result<(), Failure> {
    let config = Config::load(session.files())?;
    let say = |line: String| {
        session.printer.data(&line);
        Ok(())
    };
    match command {
        ConfigCommand::CurrentContext => say(config.current_context()?.to_owned()),
        ConfigCommand::GetContexts(args) => list::contexts(session, &config, args),
        ConfigCommand::GetClusters => list::names(session, &config.names(List::Clusters)),
        ConfigCommand::GetUsers => list::names(session, &config.names(List::Users)),
        ConfigCommand::UseContext(args) => {
            config.use_context(&args.name)?;
            say(format!("Switched to context {:?}.", args.name))
        }
        ConfigCommand::RenameContext(args) => {
            if args.new.is_empty() {
                return Err(Failure::new("You must specify a new non-empty context name").hint("give the new name after the old one"));
            }
            config.rename_context(&args.old, &args.new)?;
            say(format!("Context {:?} renamed to {:?}.", args.old, args.new))
        }
        ConfigCommand::DeleteContext(args) => {
            let file = config.delete(List::Contexts, &args.name)?;
            if config.merged.current_context == args.name {
                session.printer.warn("this removed your active context, use \"kubefed config use-context\" to select a different one");
            }
            say(deleted(List::Contexts, &args.name, &file))
        }
        ConfigCommand::DeleteCluster(args) => say(deleted(List::Clusters, &args.name, &config.delete(List::Clusters, &args.name)?)),
        ConfigCommand::DeleteUser(args) => say(deleted(List::Users, &args.name, &config.delete(List::Users, &args.name)?)),
        ConfigCommand::SetCluster(args) => {
            let patch = patch::cluster(args)?;
            config.set(List::Clusters, &args.name, &|fields| patch.apply(fields))?;
            say(format!("Cluster {:?} set.", args.name))
        }
        ConfigCommand::SetCredentials(args) => {
            let patch = patch::user(args)?;
            config.set(List::Users, &args.name, &|fields| patch.apply(fields))?;
            say(format!("User {:?} set.", args.name))
        }
        ConfigCommand::SetContext(args) => {
            let name = context_name(&config, args)?;
            let patch = ContextPatch { cluster: args.cluster.clone(), user: args.user.clone(), namespace: args.namespace.clone() };
            let was_there = config.set(List::Contexts, name, &|fields| patch.apply(fields))?;
            say(format!("Context {name:?} {}.", if was_there { "modified" } else { "created" }))
        }
    }
}

fn deleted(list: List, name: &str, file: &Path) -> String {
    format!("deleted {} {name} from {}", list.word(), file.display())
}

fn context_name<'a>(config: &'a Config, args: &'a SetContextArgs) -> Result<&'a str, Failure> {
    const HINT: &str = "kubefed config set-context NAME, or kubefed config set-context --current for the current one";
    let name = args.name.as_deref().unwrap_or_default();
    match (name, args.current.unwrap_or_default()) {
        ("", false) => Err(Failure::new("you must specify a non-empty context name or --current").hint(HINT)),
        ("", true) if config.merged.current_context.is_empty() => {
            Err(Failure::new("no current context is set").hint("choose one: kubefed config use-context NAME"))
        }
        ("", true) => Ok(&config.merged.current_context),
        (_, true) => Err(Failure::new("you cannot specify both a context name and --current").hint(HINT)),
        (name, false) => Ok(name),
    }
}
