//! The configuration format of v1's providers: `[Section]`, `key = value`, comments with `#` or `;`,
//! values plain or in double quotes. Unknown sections and keys are errors that name the line.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::Error;

/// One `key = value` of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The section it stands in.
    pub section: String,
    /// The key, lower case.
    pub key: String,
    /// The value without its quotes.
    pub value: String,
    /// Line, counted from 1.
    pub line: usize,
}

/// A parsed file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ini {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl Ini {
    /// Reads a file whose only section is `[Global]`, with these keys.
    ///
    /// # Errors
    /// [`Error::Unreadable`], or [`Error::Syntax`] with the first line that breaks a rule.
    pub fn read(path: &Path, keys: &[&str]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text, keys)
    }

    /// As [`Ini::read`], for text that is already here.
    ///
    /// # Errors
    /// [`Error::Syntax`] with the first line that breaks a rule.
    pub fn parse(path: &Path, text: &str, keys: &[&str]) -> Result<Self, Error> {
        let mut ini = Ini { path: path.to_owned(), entries: Vec::new() };
        let mut section: Option<String> = None;
        for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let (line, fail) = (index + 1, |message: String| Err(Error::syntax(path, index + 1, message)));
            let content = raw.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            if let Some(rest) = content.strip_prefix('[') {
                let Some((name, tail)) = rest.split_once(']') else {
                    return fail("a section begins with \"[\" but has no \"]\"".to_owned());
                };
                if !(tail.trim().is_empty() || tail.trim_start().starts_with(['#', ';'])) {
                    return fail(format!("unexpected \"{}\" after the section", tail.trim()));
                }
                if !name.trim().eq_ignore_ascii_case("global") {
                    return fail(format!("unknown section [{}], known: [Global]", name.trim()));
                }
                section = Some("Global".to_owned());
                continue;
            }
            let Some((key, value)) = content.split_once('=') else {
                return fail(format!("\"{content}\" is neither a [section] nor key = value"));
            };
            let key = key.trim().to_ascii_lowercase();
            let Some(section) = &section else {
                return fail(format!("key \"{key}\" stands before any [section]; begin the file with [Global]"));
            };
            if !keys.iter().any(|known| known.eq_ignore_ascii_case(&key)) {
                return fail(format!("unknown key \"{key}\", known: {}", keys.join(", ")));
            }
            if let Some(before) = ini.entries.iter().find(|e| e.key == key) {
                return fail(format!("key \"{key}\" was given before, on line {}", before.line));
            }
            let value = unquote(value.trim()).map_err(|message| Error::syntax(path, line, message))?;
            ini.entries.push(Entry { section: section.clone(), key, value, line });
        }
        Ok(ini)
    }

    /// The file it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a key, if it was given.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(key))
    }

    /// The parts of a comma list; empty parts are dropped.
    pub fn list(&self, key: &str) -> Vec<String> {
        let parts = self.get(key).map(|entry| entry.value.split(',')).into_iter().flatten();
        parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Parses the value of a key; what `parse` says becomes part of the message.
    ///
    /// # Errors
    /// [`Error::Syntax`] naming the line, if the value does not parse.
    pub fn parsed<T, E: Display>(&self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, Error> {
        let Some(entry) = self.get(key) else { return Ok(None) };
        parse(&entry.value).map(Some).map_err(|message| Error::syntax(&self.path, entry.line, format!("{key}: {message}")))
    }

    /// Parses each part of a comma list.
    ///
    /// # Errors
    /// [`Error::Syntax`] naming the line, for the first part that does not parse.
    pub fn parsed_list<T, E: Display>(&self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Vec<T>, Error> {
        let line = self.get(key).map_or(0, |entry| entry.line);
        let one = |part: &String| parse(part).map_err(|message| Error::syntax(&self.path, line, format!("{key}: {message}")));
        self.list(key).iter().map(one).collect()
    }
}

/// Takes a value out of its quotes (`\"` and `\\` are escapes) and off its trailing comment.
fn unquote(text: &str) -> Result<String, String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', '#']).unwrap_or(text.len());
        return Ok(text[..end].trim_end().to_owned());
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next() {
            None => return Err("a quoted value has no closing quote".to_owned()),
            Some('"') => break,
            Some('\\') => match chars.next() {
                Some(c @ ('"' | '\\')) => value.push(c),
                other => return Err(format!("unknown escape \"\\{}\"", other.map(String::from).unwrap_or_default())),
            },
            Some(c) => value.push(c),
        }
    }
    let rest = chars.as_str().trim();
    if rest.is_empty() || rest.starts_with(['#', ';']) { Ok(value) } else { Err(format!("unexpected \"{rest}\" after a quoted value")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["etcd-endpoints", "zones"];

    fn parse(text: &str) -> Result<Ini, Error> {
        Ini::parse(Path::new("coredns.conf"), text, KEYS)
    }

    #[test]
    fn the_tutorials_file_is_read() {
        let ini =
            parse("# on-prem\n[Global]\n  etcd-endpoints = http://a:2379, http://b:2379 ; two\n; none\nzones=\"example.com.\" # ours\n")
                .unwrap();
        assert_eq!(ini.list("etcd-endpoints"), ["http://a:2379", "http://b:2379"]);
        assert_eq!(ini.list("zones"), ["example.com."]);
        assert_eq!(ini.get("zones").unwrap().line, 5);
    }

    #[test]
    fn every_mistake_names_file_line_and_rule() {
        for (text, want) in [
            ("zones = a.", "coredns.conf:1: key \"zones\" stands before any [section]"),
            ("[Globl]", "coredns.conf:1: unknown section [Globl], known: [Global]"),
            ("[Global", "coredns.conf:1: a section begins with \"[\""),
            ("[Global] x", "coredns.conf:1: unexpected \"x\""),
            ("[Global]\n\nzone = a.", "coredns.conf:3: unknown key \"zone\", known: etcd-endpoints, zones"),
            ("[Global]\nzones", "coredns.conf:2: \"zones\" is neither"),
            ("[Global]\nzones = \"a.", "coredns.conf:2: a quoted value has no closing quote"),
            ("[Global]\nzones = \"a\\n\"", "coredns.conf:2: unknown escape"),
            ("[Global]\nzones = \"a.\" b", "coredns.conf:2: unexpected \"b\""),
            ("[Global]\nzones = a.\nZones = b.", "coredns.conf:3: key \"zones\" was given before, on line 2"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().starts_with(want), "{text:?}: {error}");
            assert!(error.is_configuration());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = parse(&format!("[Global]\n{text}"));
            let _ = parse(&text);
        }
    }
}
