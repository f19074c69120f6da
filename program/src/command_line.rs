//! Command lines of all programs, read one way: what is wrong is told in two lines, and the exit code is 64.

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::{EXIT_FAILED, EXIT_OK, Failure};

/// Why there is nothing to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Instead {
    /// Help or a version was asked for: text for stdout.
    Text(String),
    /// The command line cannot be understood.
    Wrong(Failure),
}

/// Reads a command line, the program's name first. `help` is the hint where clap has none.
///
/// # Errors
/// What to say instead of running.
pub fn parse<P: Parser>(args: Vec<OsString>, help: &str) -> Result<P, Instead> {
    P::try_parse_from(args).map_err(|e| instead(&e, help))
}

fn instead(error: &clap::Error, help: &str) -> Instead {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Instead::Text(error.render().to_string())
        }
        _ => Instead::Wrong(usage(error, help)),
    }
}

/// clap's report on one line, its advice on the next.
fn usage(error: &clap::Error, help: &str) -> Failure {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim().trim_start_matches("error: ");
    let failure = Failure::usage(first).hint(meant(error).unwrap_or_else(|| help.to_owned()));
    if error.kind() == ErrorKind::Io { Failure { code: EXIT_FAILED, ..failure } } else { failure }
}

/// What may have been meant. clap's other advice, how a flag is passed as a value, helps nobody who mistyped one.
fn meant(error: &clap::Error) -> Option<String> {
    let kinds =
        [(ContextKind::SuggestedArg, "argument"), (ContextKind::SuggestedSubcommand, "subcommand"), (ContextKind::SuggestedValue, "value")];
    kinds.into_iter().find_map(|(kind, what)| match error.get(kind)? {
        ContextValue::String(one) => Some(format!("a similar {what} exists: '{one}'")),
        ContextValue::Strings(all) => match all.as_slice() {
            [] => None,
            [one] => Some(format!("a similar {what} exists: '{one}'")),
            all => Some(format!("some similar {what}s exist: '{}'", all.join("', '"))),
        },
        _ => None,
    })
}

impl Instead {
    /// Says it, text on `out` and a failure on `err`; the exit code. A reader that went away is no error.
    pub fn say(&self, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
        match self {
            Self::Text(text) => {
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                EXIT_OK
            }
            Self::Wrong(failure) => {
                let _ = failure.tell(err);
                failure.code
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program.
    #[derive(Debug, Parser)]
    #[command(name = "program", version = "1.2.3")]
    struct Program {
        #[arg(long, requires = "key")]
        cert: Option<String>,
        #[arg(long)]
        key: Option<u8>,
        /// What a mistyped flag could be taken for.
        name: Option<String>,
    }

    fn said(args: &[&str]) -> (u8, String, String) {
        let args = std::iter::once("program").chain(args.iter().copied()).map(OsString::from).collect();
        let instead = parse::<Program>(args, "program --help lists flags").unwrap_err();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = instead.say(&mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn what_is_not_understood_is_told_in_two_lines() {
        let wrong = |args: &[&str]| {
            let (code, out, err) = said(args);
            assert_eq!((code, out.as_str()), (64, ""));
            err
        };
        assert_eq!(wrong(&["--certs=1"]), "error: unexpected argument '--certs' found\nhint: a similar argument exists: '--cert'\n");
        assert_eq!(wrong(&["--nonsense"]), "error: unexpected argument '--nonsense' found\nhint: program --help lists flags\n");
        assert!(wrong(&["--key=x"]).starts_with("error: invalid value 'x' for '--key <KEY>': invalid digit"));
        assert_eq!(
            wrong(&["--cert=a"]),
            "error: the following required arguments were not provided: --key <KEY>\nhint: program --help lists flags\n"
        );
    }

    #[test]
    fn help_and_version_are_no_errors() {
        assert_eq!(said(&["--version"]), (0, "program 1.2.3\n".into(), String::new()));
        assert!(said(&["--help"]).1.contains("--cert"));
    }
}
