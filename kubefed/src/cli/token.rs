//! `kubefed token`: kubeadm's commands and flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use federation_api::{bootstrap, duration};

use super::values::Format;

/// Make, list and delete bootstrap tokens
///
/// With a bootstrap token a program that has no identity yet asks for a certificate. The federation's API server takes them
/// when it runs with --enable-bootstrap-token-auth, as kubefed init sets it up.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        # A token that is good for an hour\n  \
        kubefed token create --ttl=1h --description='nodes of gondor'\n\n  \
        # What the holder of a token runs to begin with\n  \
        kubefed token create --print-join-command\n\n  \
        # It is no longer needed\n  \
        kubefed token delete abcdef"
)]
pub struct TokenArgs {
    /// The command.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// The commands of `kubefed token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Store a token in the federation, and print it
    Create(TokenCreateArgs),
    /// List the tokens of the federation, without what is secret in them
    List(TokenListArgs),
    /// Delete tokens from the federation
    Delete(TokenDeleteArgs),
    /// Print a random token, and store nothing
    Generate,
    /// Make a line of an API server's token file (--token-auth-file)
    Csv(TokenCsvArgs),
}

/// Make a line of an API server's token file (--token-auth-file)
///
/// It holds a random token, and the user and groups it stands for. Such a token lasts until its line is taken out of the file:
/// where the API server takes bootstrap tokens, kubefed token create is better.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        # For the first requests of kubelets\n  \
        kubefed token csv --append=token.csv\n\n  \
        # For somebody else\n  \
        kubefed token csv --user=frodo --uid=4711 --group=hobbits > token.csv")]
pub struct TokenCsvArgs {
    /// User that the token stands for
    #[arg(long, value_name = "NAME", default_value = "kubelet-bootstrap")]
    pub user: String,
    /// The user's id, which no other has
    #[arg(long, value_name = "UID", default_value = "10001")]
    pub uid: String,
    /// Group of the user; can be repeated
    #[arg(long = "group", value_name = "GROUP", default_value = "system:kubelet-bootstrap")]
    pub groups: Vec<String>,
    /// File with the token, - for standard input; a random one if not given
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// File to add the line to, which is made if it is not there, readable by you alone; standard output if not given
    #[arg(long, value_name = "FILE")]
    pub append: Option<PathBuf>,
}

/// Make a token.
#[derive(Args, Debug)]
pub struct TokenCreateArgs {
    /// - to read the token from standard input, for arguments can be read by everybody on a machine; a random one if not given
    #[arg(value_name = "-")]
    pub given: Option<String>,
    /// How long it is good for; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration::parse)]
    pub ttl: Duration,
    /// What it can be used for
    #[arg(long, value_name = "USAGES", value_delimiter = ',', default_values = bootstrap::USAGES, value_parser = bootstrap::USAGES)]
    pub usages: Vec<String>,
    /// Groups of who uses it, besides system:bootstrappers; they begin with system:bootstrappers:
    #[arg(long, value_name = "GROUPS", value_delimiter = ',', default_value = bootstrap::DEFAULT_GROUP)]
    pub groups: Vec<String>,
    /// What it is for, for people
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub description: String,
    /// Print the command by which the token's holder gets a kubeconfig, and let everybody read the authority that it names
    #[arg(long, conflicts_with = "output")]
    pub print_join_command: bool,
    /// Print the token and what is known of it as an object
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// List tokens.
#[derive(Args, Debug)]
pub struct TokenListArgs {
    /// Print them as a list of objects
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Delete tokens.
#[derive(Args, Debug)]
pub struct TokenDeleteArgs {
    /// Ids of tokens, or whole tokens
    #[arg(value_name = "TOKEN", required = true)]
    pub tokens: Vec<String>,
}
