//! What is wrong with files as such.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use federation_client::Files;
use federation_client::config::{Entries, Fields, List, unknown_fields};
use federation_client::kubeconfig::bytes;

use super::finding::{Findings, Severity, entry, word};
use crate::error::Failure;

/// Entries of earlier files, and which those are.
type Earlier<'a> = BTreeMap<(List, String), (Fields, &'a Path)>;

/// Looks at every file. Whether all can be understood.
pub(super) fn look(files: &Files, findings: &mut Findings) -> bool {
    let mut earlier = Earlier::new();
    let mut understood = true;
    for path in files.paths() {
        let at = format!("file {}", path.display());
        match std::fs::metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let severity = if files.is_explicit() { Severity::Error } else { Severity::Note };
                findings.add(severity, at, "it is not there", "name the files that are with --kubeconfig or KUBECONFIG");
                continue;
            }
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
                readable(&at, path, findings);
            }
            _ => {}
        }
        let read = bytes(path).map_err(|e| Failure::new(e.to_string()).hint("check the path and its permissions"));
        match read.and_then(|text| Ok(Entries::read(&text, path)?)) {
            Ok(entries) => each(&entries, path, &mut earlier, findings),
            Err(failure) => {
                understood = false;
                findings.add(Severity::Error, at, failure.message, failure.hint.unwrap_or_default());
            }
        }
    }
    understood
}

/// A file with secrets that others can read, or write.
pub(super) fn readable(at: &str, path: &Path, findings: &mut Findings) {
    findings.add(Severity::Warning, at, "others than its owner can read it", format!("chmod 600 {}", word(&path.display().to_string())));
}

fn each<'a>(entries: &Entries, path: &'a Path, earlier: &mut Earlier<'a>, findings: &mut Findings) {
    for list in List::ALL {
        for (name, fields) in entries.of(list) {
            let at = format!("{} in {}", entry(list, name), path.display());
            for (field, nearest) in unknown_fields(list, fields) {
                let mend = nearest.map_or_else(
                    || "take it away with an editor, unless another program needs it".to_owned(),
                    |known| format!("call it {known} with an editor, if that is meant"),
                );
                findings.add(Severity::Warning, &at, format!("field {field:?} is not known, nobody looks at it"), mend);
            }
            match earlier.get(&(list, name.clone())) {
                Some((there, first)) if there != fields => {
                    let what = format!("it does not count: {} has another one of this name", first.display());
                    findings.add(Severity::Warning, &at, what, format!("kubefed config import {}", word(&path.display().to_string())));
                }
                Some(_) => {}
                None => drop(earlier.insert((list, name.clone()), (fields.clone(), path))),
            }
        }
    }
}
