//! The command line as data: what can be typed, and nothing of what it does.

mod access;
mod certs;
mod completion;
mod config;
mod deinit;
mod dns;
mod global;
mod init;
mod join;
mod kubeconfig;
mod status;
mod token;
mod unjoin;
mod up;
mod values;
mod version;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub use access::AccessArgs;
pub use certs::{CertsArgs, CertsCheckArgs, CertsCommand, CertsRenewArgs};
pub use completion::CompletionArgs;
pub use config::{
    CheckArgs, ConfigArgs, ConfigCommand, ExportArgs, GetContextsArgs, ImportArgs, LintArgs, PruneArgs, SetClusterArgs, SetContextArgs,
    SetCredentialsArgs, SplitArgs, ViewArgs, ViewFormat,
};
pub use deinit::DeinitArgs;
pub use dns::{
    DnsAdoptArgs, DnsCheckArgs, DnsCommand, DnsCommandArgs, DnsDiffArgs, DnsListArgs, DnsPurgeArgs, DnsVerifyArgs, QueryArgs, WideFormat,
    ZoneArgs,
};
pub use global::{Global, HostArgs};
pub use init::{DnsArgs, EtcdArgs, ImageArgs, InitArgs, PodArgs, ServiceArgs};
pub use join::JoinArgs;
pub use kubeconfig::{
    BootstrapArgs, ComponentArgs, CredentialListArgs, IssueArgs, KubeconfigArgs, KubeconfigCommand, OutputArgs, RevokeArgs,
};
pub use status::StatusArgs;
pub use token::{TokenArgs, TokenCommand, TokenCreateArgs, TokenCsvArgs, TokenDeleteArgs, TokenListArgs};
pub use unjoin::UnjoinArgs;
pub use up::UpArgs;
pub use values::{DryRun, Format, NamedFormat};
pub use version::VersionArgs;

/// kubefed controls a Kubernetes Cluster Federation.
#[derive(Debug, Parser)]
#[command(
    name = "kubefed",
    version,
    disable_version_flag = true,
    infer_long_args = false,
    arg_required_else_help = true,
    max_term_width = 120,
    after_help = "Exit codes: 0 done, 1 failed, 2 a wait ran out, 3 unjoin, dns purge and dns adopt: done, but something remains; certs\n\
                  check: something ends soon; status, config lint, config check, dns verify and dns check: something was found; dns\n\
                  diff: 1 something differs, 4 it could not be compared, 64 the command line is wrong.\n\
                  Every command can be repeated: it carries on where it stopped and changes nothing that is right already."
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Initialise a federation control plane in a host cluster
    Init(Box<InitArgs>),
    /// Join a cluster to a federation
    Join(Box<JoinArgs>),
    /// Take a cluster out of a federation
    Unjoin(UnjoinArgs),
    /// Remove a federation control plane from its host cluster
    Deinit(DeinitArgs),
    /// Show and renew the certificates of a control plane
    Certs(CertsArgs),
    /// Say how a federation is doing, and what to do about what is not right
    Status(StatusArgs),
    /// Look at the federation's names in DNS, and mend them
    Dns(Box<DnsCommandArgs>),
    /// Run a federation with hollow members in this process, to try things out
    Up(UpArgs),
    /// Show and change kubeconfig files, as kubectl config does
    Config(ConfigArgs),
    /// Give others access to the federation
    Kubeconfig(KubeconfigArgs),
    /// Make, list and delete bootstrap tokens
    Token(TokenArgs),
    /// Print the versions of kubefed and of the federation
    Version(VersionArgs),
    /// List the flags every command takes
    Options,
    /// Print a completion script for a shell
    Completion(CompletionArgs),
}

/// Rewrites `--some_flag` to `--some-flag`, as v1 accepted it; the second part names what was rewritten.
pub fn normalise(args: Vec<OsString>) -> (Vec<OsString>, Vec<(String, String)>) {
    let mut renamed = Vec::new();
    let mut literal = false;
    let args = args.into_iter().map(|arg| {
        let Some(text) = arg.to_str().filter(|_| !literal) else { return arg };
        literal = text == "--";
        let (flag, value) = text.split_once('=').map_or((text, None), |(f, v)| (f, Some(v)));
        if !flag.starts_with("--") || !flag.contains('_') {
            return arg;
        }
        let name = flag.replace('_', "-");
        renamed.push((flag[2..].to_owned(), name[2..].to_owned()));
        value.map_or_else(|| name.clone(), |v| format!("{name}={v}")).into()
    });
    (args.collect(), renamed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn underscores_are_understood() {
        let args = ["kubefed", "join", "--secret_name=a_b", "--", "--x_y"].map(OsString::from).to_vec();
        let (args, renamed) = normalise(args);
        assert_eq!(args, ["kubefed", "join", "--secret-name=a_b", "--", "--x_y"]);
        assert_eq!(renamed, [("secret_name".to_owned(), "secret-name".to_owned())]);
    }

    #[test]
    fn help_is_as_it_was() {
        let mut command = Cli::command().term_width(100);
        command.build();
        insta::assert_snapshot!("help_kubefed", command.render_long_help().to_string());
        for name in ["init", "join", "unjoin", "deinit", "certs", "status", "dns", "up", "config", "kubeconfig", "token", "version"] {
            let sub = command.find_subcommand_mut(name).unwrap();
            insta::assert_snapshot!(format!("help_{name}"), sub.clone().term_width(100).render_long_help().to_string());
        }
        for name in ["config", "dns", "kubeconfig", "token"] {
            // Without the flags of every command, which stand in the others.
            let own = command.find_subcommand(name).unwrap().get_subcommands().map(|sub| {
                let help = sub.clone().term_width(100).render_long_help().to_string();
                let (own, rest) = help.split_once("\nGlobal Options:").unwrap_or((&help, ""));
                own.to_owned() + rest.find("\nExamples:").map_or("", |at| &rest[at..])
            });
            insta::assert_snapshot!(format!("help_{name}_commands"), own.collect::<Vec<_>>().join("\n----\n"));
        }
    }
}
