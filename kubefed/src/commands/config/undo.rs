//! `kubefed config undo`.

use std::path::Path;

use federation_client::config::differences;
use federation_client::edit::undo::{self, Journal, Undone};
use federation_client::{Kubeconfig, Source};

use crate::commands::Session;
use crate::error::Failure;

const WORD: &str = "undo of ";

pub(super) fn run(session: &Session) -> Result<(), Failure> {
    let files = session.files();
    let kept = undo::last(files.paths())?;
    let Some(change) = undo::change(&kept) else {
        let looked: Vec<String> = files.paths().map(|path| path.display().to_string()).collect();
        return Err(
            Failure::new("there is nothing to take back").hint(format!("no change of kubefed config is kept beside {}", looked.join(", ")))
        );
    };
    // An undo is taken back by doing again what it took back.
    let (verb, did, now) = match change.did.strip_prefix(WORD) {
        Some(did) => ("Did again", did, did.to_owned()),
        None => ("Took back", change.did.as_str(), format!("{WORD}{}", change.did)),
    };
    let journal = Journal::new(&now);
    for undone in undo::undo(&kept, &journal)? {
        session.printer.data(&format!("{verb} {did:?} in {}:", undone.file.display()));
        for line in told(&undone) {
            session.printer.data(&format!("  {line}"));
        }
    }
    Ok(())
}

fn told(undone: &Undone) -> Vec<String> {
    let read = |bytes: &[u8], file: &Path| Kubeconfig::read(bytes, Source::File(file)).ok();
    let Some((was, is)) = read(&undone.was, &undone.file).zip(read(&undone.is, &undone.file)) else {
        return vec!["its contents of before are back; one of the two cannot be understood".to_owned()];
    };
    let lines = differences(&was, &is);
    if lines.is_empty() { vec!["it says the same, written in another way".to_owned()] } else { lines }
}
