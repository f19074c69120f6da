//! `kubefed config`: kubeconfig files shown and changed, as kubectl does it.

mod check;
mod export;
mod import;
mod lint;
mod list;
mod patch;
mod prune;
mod undo;
mod view;

use std::path::Path;

use federation_client::config::{Config, ContextPatch, List};

use super::Session;
use crate::cli::{ConfigCommand, SetContextArgs};
use crate::error::{EXIT_OK, Failure};

/// Carries out a command on kubeconfig files and answers with the exit code.
///
/// # Errors
/// Files that cannot be read, understood or written, and what kubectl refuses too.
pub(super) async fn run(session: &Session, command: &ConfigCommand) -> Result<u8, Failure> {
    // These look at files that cannot be understood, too.
    match command {
        ConfigCommand::Undo => return undo::run(session).map(|()| EXIT_OK),
        ConfigCommand::Lint(args) => return lint::run(session, args),
        _ => {}
    }
    let config = Config::load(session.files(), &told(command))?;
    match command {
        ConfigCommand::Check(args) => Box::pin(check::run(session, &config, args)).await,
        ConfigCommand::Prune(args) => Box::pin(prune::run(session, &config, args)).await.map(|()| EXIT_OK),
        command => on_files(session, &config, command).map(|()| EXIT_OK),
    }
}

/// What needs nothing but files.
fn on_files(session: &Session, config: &Config, command: &ConfigCommand) -> Result<(), Failure> {
    let say = |line: String| {
        session.printer.data(&line);
        Ok(())
    };
    match command {
        ConfigCommand::CurrentContext => say(config.current_context()?.to_owned()),
        ConfigCommand::GetContexts(args) => list::contexts(session, config, args),
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
        ConfigCommand::Set(args) => {
            config.set_property(&args.property, &args.value, args.set_raw_bytes.unwrap_or_default())?;
            say(format!("Property {:?} set.", args.property))
        }
        ConfigCommand::Unset(args) => {
            config.unset_property(&args.property)?;
            say(format!("Property {:?} unset.", args.property))
        }
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
            let name = context_name(config, args)?;
            let patch = ContextPatch { cluster: args.cluster.clone(), user: args.user.clone(), namespace: args.namespace.clone() };
            let was_there = config.set(List::Contexts, name, &|fields| patch.apply(fields))?;
            say(format!("Context {name:?} {}.", if was_there { "modified" } else { "created" }))
        }
        ConfigCommand::View(args) => view::run(session, args),
        ConfigCommand::Export(args) => export::export(session, args),
        ConfigCommand::Split(args) => export::split(session, args),
        ConfigCommand::Import(args) => import::run(session, config, args),
        ConfigCommand::Undo | ConfigCommand::Lint(_) | ConfigCommand::Check(_) | ConfigCommand::Prune(_) => Ok(()),
    }
}

/// A command as `undo` tells it, without anything secret.
fn told(command: &ConfigCommand) -> String {
    match command {
        ConfigCommand::UseContext(args) => format!("use-context {}", args.name),
        ConfigCommand::RenameContext(args) => format!("rename-context {} {}", args.old, args.new),
        ConfigCommand::DeleteContext(args) => format!("delete-context {}", args.name),
        ConfigCommand::DeleteCluster(args) => format!("delete-cluster {}", args.name),
        ConfigCommand::DeleteUser(args) => format!("delete-user {}", args.name),
        ConfigCommand::Set(args) => format!("set {}", args.property),
        ConfigCommand::Unset(args) => format!("unset {}", args.property),
        ConfigCommand::SetCluster(args) => format!("set-cluster {}", args.name),
        ConfigCommand::SetCredentials(args) => format!("set-credentials {}", args.name),
        ConfigCommand::SetContext(args) => format!("set-context {}", args.name.as_deref().unwrap_or("--current")),
        ConfigCommand::Import(args) => format!("import {}", args.file.display()),
        ConfigCommand::Prune(_) => "prune".to_owned(),
        ConfigCommand::Check(_)
        | ConfigCommand::Lint(_)
        | ConfigCommand::CurrentContext
        | ConfigCommand::GetClusters
        | ConfigCommand::GetContexts(_)
        | ConfigCommand::GetUsers
        | ConfigCommand::Export(_)
        | ConfigCommand::Split(_)
        | ConfigCommand::View(_)
        | ConfigCommand::Undo => String::new(),
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
