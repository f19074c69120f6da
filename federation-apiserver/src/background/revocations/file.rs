//! The file of what was revoked: a JSON list of objects, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::error::ConfigError;

/// Longest file that is read, in bytes: hundreds of thousands of credentials.
const LONGEST: u64 = 256 << 20;

/// Reads it; nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Vec<Value>, ConfigError> {
    let bad = |why: String| {
        let hint = "without it nobody knows what was revoked: put it right, or take it away to trust what the store says";
        ConfigError::new(format!("{}: {why}", path.display()), hint)
    };
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(bad(e.to_string())),
        Ok(found) if found.len() > LONGEST => return Err(bad("it is too long".to_owned())),
        Ok(_) => {}
    }
    let text = fs::read(path).map_err(|e| bad(e.to_string()))?;
    serde_json::from_slice(&text).map_err(|e| bad(format!("it is no list of revoked credentials: {e}")))
}

/// Writes objects, which are JSON, to it.
pub(super) fn write<'a>(path: &Path, all: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let draft = Path::new(&name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)?;
    let all: Vec<&str> = all.collect();
    write!(file, "[{}]", all.join(",\n"))?;
    file.sync_all()?;
    fs::rename(draft, path)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn issue10_the_file_is_read_as_it_was_written_and_a_broken_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("revoked.json");
        assert!(read(&path).unwrap().is_empty());
        let all = ["certificate-1", "token-2"].map(|name| json!({"metadata": {"name": name}}));
        let texts = all.clone().map(|object| object.to_string());
        write(&path, texts.iter().map(String::as_str)).unwrap();
        assert_eq!(read(&path).unwrap(), all);
        for broken in ["", "{", "{}"] {
            fs::write(&path, broken).unwrap();
            assert!(read(&path).is_err(), "{broken:?}");
        }
    }
}
