//! `kubefed config export` and `split`.

use std::fmt::Write as _;
use std::path::PathBuf;

use federation_client::config::{Entries, Export, List, export as make};
use federation_client::edit::create;
use federation_client::yaml::to_yaml;

use crate::cli::{ExportArgs, SplitArgs};
use crate::commands::Session;
use crate::error::Failure;

pub(super) fn export(session: &Session, args: &ExportArgs) -> Result<(), Failure> {
    let made = make(&Entries::of_files(&session.files())?, &args.contexts)?;
    remark(session, &made);
    let text = to_yaml(&made.config);
    match &args.output {
        None => session.printer.raw(&text),
        Some(file) => {
            create(file, text.as_bytes())?;
            let contexts = args.contexts.join(", ");
            session.printer.data(&format!("Wrote {contexts} to {}; it has secrets in it, and only you can read it.", file.display()));
        }
    }
    Ok(())
}

/// Nothing is written before all is made, and no file in the place of another.
pub(super) fn split(session: &Session, args: &SplitArgs) -> Result<(), Failure> {
    let all = Entries::of_files(&session.files())?;
    let names: Vec<String> =
        if args.contexts.is_empty() { all.of(List::Contexts).keys().cloned().collect() } else { args.contexts.clone() };
    if names.is_empty() {
        return Err(Failure::new("there are no contexts").hint("kubefed config get-contexts lists them"));
    }
    let mut files: Vec<(PathBuf, Export)> = Vec::new();
    for name in names {
        let path = args.directory.join(format!("{}.yaml", file_name(&name)));
        if files.iter().any(|(there, _)| *there == path) {
            continue;
        }
        if path.symlink_metadata().is_ok() {
            return Err(Failure::new(format!("{} is there already", path.display())).hint("choose another directory; nothing was written"));
        }
        files.push((path, make(&all, std::slice::from_ref(&name))?));
    }
    for (path, made) in &files {
        remark(session, made);
        create(path, to_yaml(&made.config).as_bytes())?;
        session.printer.data(&path.display().to_string());
    }
    Ok(())
}

fn remark(session: &Session, made: &Export) {
    made.remarks.iter().for_each(|remark| session.printer.warn(remark));
}

/// A context's name as that of a file: what is more than letters, digits and `-_.@` as `%` and hexadecimal digits.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'@' => file.push(byte.into()),
            b'.' if at > 0 => file.push('.'),
            byte => {
                let _ = write!(file, "%{byte:02X}");
            }
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_a_file() {
        for (name, file) in [("gondor", "gondor"), ("arn:aws:eks/x", "arn%3Aaws%3Aeks%2Fx"), ("..", "%2E."), ("é%", "%C3%A9%25"), ("", "")]
        {
            assert_eq!(file_name(name), file);
        }
    }
}
