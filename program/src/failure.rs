//! What goes wrong, told once: one line saying what and where, one line saying what to do.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

/// Exit code of a command that did what it was asked.
pub const EXIT_OK: u8 = 0;
/// Exit code of a command that failed; repeating it after the cause is gone finishes the job.
pub const EXIT_FAILED: u8 = 1;
/// Exit code of a command whose wait ran out; what was waited for may still come.
pub const EXIT_TIMED_OUT: u8 = 2;
/// Exit code of a command line that cannot be understood (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// Exit code of a long-running program one of whose tasks ended that never should (`EX_SOFTWARE`):
/// a defect, told before; it is to be started again.
pub const EXIT_DEFECT: u8 = 70;

/// Why a command did not finish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What and where, on one line, without the leading `error: `.
    pub message: String,
    /// What to do next, on one line.
    pub hint: Option<String>,
    /// Exit code: one of the `EXIT_` constants.
    pub code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: one_line(&message.into()), hint: None, code: EXIT_FAILED }
    }

    /// Bad input found before anything was done, exit code 64.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: EXIT_USAGE, ..Self::new(message) }
    }

    /// A wait that ran out, exit code 2.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self { code: EXIT_TIMED_OUT, ..Self::new(message) }
    }

    /// The same failure with a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(one_line(&hint.into()));
        self
    }

    /// The same failure with a next step unless it has a better one already.
    #[must_use]
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| one_line(&hint.into()));
        self
    }

    /// Writes the two lines, without colour: `error: …` and, where there is one, `hint: …`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn tell(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "error: {}", visible(&self.message))?;
        self.hint.iter().try_for_each(|hint| writeln!(to, "hint: {}", visible(hint)))
    }

    /// The same failure, saying first what was being done.
    #[must_use]
    pub fn during(mut self, doing: &str) -> Self {
        self.message = format!("{}: {}", one_line(doing), self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl From<federation_api::names::InvalidName> for Failure {
    fn from(e: federation_api::names::InvalidName) -> Self {
        let example = e.example;
        Self::usage(e.to_string()).hint(format!("choose a name that fits, for example {example}; nothing was changed"))
    }
}

fn one_line(text: &str) -> String {
    visible(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The text with everything shown that would act on a terminal or break a line: what servers, logs and names of others say
/// cannot pretend to be ours. `ESC` is `^[` and a line end `\n`, as kubectl shows them; printable text stays as it is.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{1b}' => shown.push_str("^["),
            c if c.is_control() || reorders(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// Marks that change the order of what follows, or end a line for some readers (Unicode TR 36).
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The innermost causes of an error joined by `: `, each said once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(e) = next {
        let text = one_line(&e.to_string());
        if !parts.iter().any(|p| p.contains(&text)) {
            parts.push(text);
        }
        next = e.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_hints_stay_on_one_line() {
        let f = Failure::new("a\n  b").hint("c\nd");
        assert_eq!((f.message.as_str(), f.hint.as_deref(), f.code), ("a b", Some("c d"), EXIT_FAILED));
    }

    #[test]
    fn d30_what_would_act_on_a_terminal_is_shown() {
        let f = Failure::new("pod \u{1b}]0;title\u{7} said\u{9b}2J").hint("x\u{202e}y").during("reading a\u{1b}[2K\nerror: b");
        assert_eq!(f.message, "reading a^[[2K error: b: pod ^[]0;title\\u{7} said\\u{9b}2J");
        assert_eq!(f.hint.as_deref(), Some("x\\u{202e}y"));
        assert_eq!(visible("one\r\ntwo\tthree"), "one\\r\\ntwo\\tthree");
        assert_eq!(visible("Minas Tirith, Éowyn, 中 …"), "Minas Tirith, Éowyn, 中 …");
        let error = std::io::Error::other("said \u{1b}[31mred");
        assert_eq!(chain(&error), "said ^[[31mred");
    }

    #[test]
    fn it_is_told_in_two_lines() {
        let mut out = Vec::new();
        Failure::new("it broke").hint("mend it").tell(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "error: it broke\nhint: mend it\n");
    }

    #[test]
    fn a_better_hint_is_kept() {
        assert_eq!(Failure::new("x").hint("first").or_hint("second").hint.as_deref(), Some("first"));
    }

    #[test]
    fn an_invalid_name_is_a_usage_error() {
        let f = Failure::from(federation_api::names::cluster_name("Gondor").unwrap_err());
        assert_eq!(f.code, EXIT_USAGE);
        assert!(f.message.contains("RFC 1035"), "{f}");
    }
}
