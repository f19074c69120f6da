//! What the commands do: resolve what was typed, then act.

mod agree;
mod certs;
mod config;
pub mod deinit;
mod dns;
mod given;
mod identity;
pub mod init;
pub mod join;
mod kubeconfig;
mod leaving;
mod names;
mod run;
mod session;
mod status;
mod stranger;
mod token;
pub mod unjoin;
mod version;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod v1_tests;

pub use run::{Run, Running};
pub use session::Session;

use clap::CommandFactory;

use crate::cli::{Cli, Command, CompletionArgs};
use crate::error::{EXIT_OK, Failure};

/// Carries a command out and answers with the exit code: 0, or one that says how the end differs from what was asked.
///
/// # Errors
/// Why it did not finish.
pub async fn run(session: &Session, command: Command) -> Result<u8, Failure> {
    // Checked here for all: nothing is done under flags that contradict each other. For `config` they are fields of entries.
    if !matches!(command, Command::Config(_)) {
        session.global.access.credentials()?;
    }
    let done = match command {
        Command::Init(args) => init::run(session, &args).await,
        Command::Join(args) => join::run(session, &args).await,
        Command::Unjoin(args) => return unjoin::run(session, &args).await,
        Command::Deinit(args) => deinit::run(session, &args).await,
        Command::Certs(args) => return certs::run(session, &args.command).await,
        Command::Status(args) => return status::run(session, &args).await,
        Command::Dns(args) => return dns::run(session, &args.command).await,
        Command::Up(args) => crate::up::run(session, &args, boxed).await,
        Command::Config(args) => return config::run(session, &args.command).await,
        Command::Kubeconfig(args) => kubeconfig::run(session, &args.command).await,
        Command::Token(args) => token::run(session, &args.command).await,
        Command::Version(args) => version::run(session, &args).await,
        Command::Options => {
            options(session);
            Ok(())
        }
        Command::Completion(args) => {
            completion(session, &args);
            Ok(())
        }
    };
    done.map(|()| EXIT_OK)
}

/// [`run()`] as a value, for who has to carry out commands and is one of them.
pub fn boxed(session: &Session, command: Command) -> Running<'_> {
    Box::pin(run(session, command))
}

fn options(session: &Session) {
    let mut lines = vec!["The following options can be passed to any command:".to_owned(), String::new()];
    let command = Cli::command();
    for arg in command.get_arguments().filter(|a| a.is_global_set() && !a.is_hide_set()) {
        let short = arg.get_short().map_or_else(|| "    ".to_owned(), |c| format!("-{c}, "));
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        lines.push(format!("  {short}--{:<22} {help}", arg.get_long().unwrap_or_default()));
    }
    session.printer.raw(&(lines.join("\n") + "\n"));
}

fn completion(session: &Session, args: &CompletionArgs) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kubefed", &mut script);
    session.printer.raw(&String::from_utf8_lossy(&script));
}
