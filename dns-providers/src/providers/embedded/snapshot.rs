//! The file that keeps the records over a restart.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DnsName, RecordSet};

/// All zones, as they stood when the file was written.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Snapshot {
    pub(super) zones: BTreeMap<DnsName, ZoneSnapshot>,
}

/// One zone.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct ZoneSnapshot {
    pub(super) serial: u32,
    pub(super) records: Vec<RecordSet>,
}

/// Reads the file; a missing one is empty. A file that is no snapshot is kept aside under
/// `<name>.unreadable` and reported: the records come back from the members, the file may explain why.
pub(super) fn load(path: &Path) -> io::Result<Snapshot> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshot::default()),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&text) {
        Ok(snapshot) => Ok(snapshot),
        Err(error) => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".unreadable");
            std::fs::rename(path, &aside)?;
            tracing::warn!(file = %path.display(), aside = %aside.display(), %error, "the DNS snapshot is unreadable and was set aside");
            Ok(Snapshot::default())
        }
    }
}

/// Writes the file whole or not at all, and makes it durable.
pub(super) fn store(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let mut text = serde_json::to_vec(snapshot)?;
    text.push(b'\n');
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Makes sure the file can be written, creating its directory.
pub(super) fn prepare(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    if std::fs::metadata(path)?.len() == 0 { store(path, &Snapshot::default()) } else { Ok(()) }
}
