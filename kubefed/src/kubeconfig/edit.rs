//! Changing a kubeconfig file: as a value, so that what we do not know survives; under a lock, in one step.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use crate::error::Failure;

/// One named entry of a kubeconfig.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `clusters`, `users` or `contexts`.
    pub list: &'static str,
    /// Its name.
    pub name: String,
    /// What it says; it replaces what was there.
    pub value: Value,
}

/// The lists entries stand in.
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

impl Entry {
    /// The key the value stands under: `cluster`, `user` or `context`.
    fn key(&self) -> &'static str {
        match self.list {
            "clusters" => "cluster",
            "users" => "user",
            _ => "context",
        }
    }
}

/// Makes sure that [`edit`] and [`remove`] will be able to change a file: it is read and locked, and its directory made.
///
/// # Errors
/// As [`edit`].
pub fn check(path: &Path) -> Result<(), Failure> {
    change(path, |config| LISTS.iter().try_for_each(|list| list_of(&mut config.clone(), list).map(drop))).map(drop)
}

/// Whether a file has one of these entries; it need not be writable for that.
///
/// # Errors
/// A file that cannot be read or understood.
pub fn holds(path: &Path, entries: &[(&str, &str)]) -> Result<bool, Failure> {
    let config = parse(path, &read(path)?)?;
    Ok(entries
        .iter()
        .any(|(list, name)| config.get(*list).and_then(Value::as_array).is_some_and(|l| l.iter().any(|e| e["name"] == **name))))
}

/// Puts entries in, replacing those of the same name. `current-context` stays. Returns whether the file changed.
///
/// # Errors
/// A file that cannot be read, understood, locked or written; it is then as it was.
pub fn edit(path: &Path, entries: &[Entry]) -> Result<bool, Failure> {
    change(path, |config| {
        for entry in entries {
            let list = list_of(config, entry.list)?;
            let new = json!({"name": entry.name, entry.key(): entry.value});
            match list.iter_mut().find(|item| item["name"] == *entry.name) {
                Some(item) => *item = new,
                None => list.push(new),
            }
        }
        Ok(())
    })
}

/// Takes entries out by list and name; `current-context` goes if it names one of them. Returns whether the file changed.
///
/// # Errors
/// As [`edit`].
pub fn remove(path: &Path, entries: &[(&str, &str)]) -> Result<bool, Failure> {
    change(path, |config| {
        for (list, name) in entries {
            if config.get(*list).is_some_and(|v| !v.is_null()) {
                list_of(config, list)?.retain(|item| item["name"] != **name);
            }
            if *list == "contexts" && config.get("current-context") == Some(&json!(name)) {
                config.insert("current-context".to_owned(), json!(""));
            }
        }
        Ok(())
    })
}

fn list_of<'a>(config: &'a mut Map<String, Value>, list: &str) -> Result<&'a mut Vec<Value>, Failure> {
    let value = config.entry(list).or_insert_with(|| json!([]));
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().ok_or_else(|| Failure::new(format!("{list} is not a list")).hint("the file is not a kubeconfig"))
}

fn change(path: &Path, edit: impl FnOnce(&mut Map<String, Value>) -> Result<(), Failure>) -> Result<bool, Failure> {
    try_change(path, edit).map_err(|f| f.or_hint("check that the file and its directory can be written, then repeat the command"))
}

fn try_change(path: &Path, edit: impl FnOnce(&mut Map<String, Value>) -> Result<(), Failure>) -> Result<bool, Failure> {
    let at = |doing: &str| format!("{doing} {}", path.display());
    // A link is kept: the file it points to is written.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = directory(&path);
    fs::create_dir_all(dir).map_err(|e| Failure::new(format!("{}: {e}", at("making the directory of"))))?;
    let _lock = Lock::take(&path)?;
    let before = read(&path)?;
    let mut config = parse(&path, &before)?;
    let original = config.clone();
    edit(&mut config).map_err(|e| e.during(&at("editing")))?;
    if config == original {
        return Ok(false);
    }
    for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        config.entry(key).or_insert_with(|| json!(value));
    }
    let text = serde_saphyr::to_string(&config).map_err(|e| Failure::new(format!("{}: {e}", at("writing"))))?;
    write(&path, dir, &text).map_err(|e| Failure::new(format!("{}: {e}", at("writing"))))?;
    Ok(true)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file's text; one that is not there is empty.
fn read(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
        text => text.map_err(|e| Failure::new(format!("reading {}: {e}", path.display()))),
    }
}

fn parse(path: &Path, text: &str) -> Result<Map<String, Value>, Failure> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let file = path.display().to_string();
    let bad = |what: String| {
        Failure::new(format!("reading kubeconfig {what}")).hint("mend the file, then repeat the command; it was left as it is")
    };
    match serde_saphyr::from_str(text).map_err(|e| bad(machinery::yaml::complaint(&file, &e)))? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(bad(format!("{file}:1: it is not a mapping"))),
    }
}

/// Writes beside the file and renames over it; the temporary file is readable by its owner only.
fn write(path: &Path, dir: &Path, text: &str) -> std::io::Result<()> {
    let mut new = NamedTempFile::new_in(dir)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// kubectl's lock: a file `<name>.lock` that only one process can create.
struct Lock(PathBuf);

impl Lock {
    const ATTEMPTS: u32 = 50;
    const PAUSE: Duration = Duration::from_millis(100);

    fn take(path: &Path) -> Result<Self, Failure> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        for _ in 0..Self::ATTEMPTS {
            match OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => sleep(Self::PAUSE),
                Err(e) => return Err(Failure::new(format!("locking {}: {e}", path.display()))),
            }
        }
        let hint = format!("if no kubectl or kubefed is writing it, remove {}", lock.display());
        Err(Failure::timed_out(format!("{} is locked", path.display())).hint(hint))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const MINE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: gondor\npreferences: {colors: true}\nmy-own: {deep: [1, 'yes', \"0x10\"]}\n\
        clusters:\n- name: gondor\n  cluster: {server: 'https://gondor', future-field: kept, extensions: [{name: e, extension: {a: b}}]}\n\
        users:\n- name: gondor\n  user: {exec: {apiVersion: v1, command: aws, args: [get, token], env: null}}\n\
        contexts:\n- name: gondor\n  context: {cluster: gondor, user: gondor}\n";

    fn entries(server: &str) -> Vec<Entry> {
        vec![
            Entry { list: "clusters", name: "fellowship".into(), value: json!({"server": server}) },
            Entry { list: "users", name: "fellowship".into(), value: json!({"token": "t"}) },
            Entry { list: "contexts", name: "fellowship".into(), value: json!({"cluster": "fellowship", "user": "fellowship"}) },
        ]
    }

    fn read(path: &Path) -> Value {
        serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn what_others_wrote_survives_an_edit_and_its_undoing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, MINE).unwrap();
        let before = read(&path);
        assert!(edit(&path, &entries("https://one")).unwrap());
        let after = read(&path);
        assert_eq!(after["current-context"], "gondor");
        assert_eq!(after["clusters"][0], before["clusters"][0]);
        assert_eq!(after["my-own"], before["my-own"]);
        assert_eq!(after["clusters"][1], json!({"name": "fellowship", "cluster": {"server": "https://one"}}));
        assert!(!edit(&path, &entries("https://one")).unwrap(), "the same again changes nothing");
        assert!(edit(&path, &entries("https://two")).unwrap());
        assert_eq!(read(&path)["clusters"].as_array().unwrap().len(), 2);
        let ours = [("clusters", "fellowship"), ("users", "fellowship"), ("contexts", "fellowship")];
        assert!(remove(&path, &ours).unwrap());
        assert_eq!(read(&path), before);
        assert!(!path.with_extension("lock").exists() && !dir.path().join("config.lock").exists());
    }

    #[test]
    fn a_new_file_is_for_its_owner_only_and_links_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("deep/config"), dir.path().join("link"));
        edit(&path, &entries("https://one")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::fs::symlink(&path, &link).unwrap();
        edit(&link, &entries("https://two")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(read(&path)["clusters"][0]["cluster"]["server"], "https://two");
        kube::config::Kubeconfig::read_from(&path).unwrap();
    }

    #[test]
    fn issue7_w5_a_file_is_checked_without_a_change_and_read_without_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        check(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, MINE).unwrap();
        check(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), MINE);
        // Nobody could write a file that lies below another file.
        let below = path.join("config");
        assert!(check(&below).unwrap_err().hint.unwrap().contains("can be written"));
        fs::write(dir.path().join("config.lock"), "").unwrap();
        assert!(holds(&path, &[("users", "gondor")]).unwrap());
        assert!(!holds(&path, &[("users", "fellowship"), ("contexts", "fellowship")]).unwrap());
        fs::write(&path, "clusters: 5\n").unwrap();
        fs::remove_file(dir.path().join("config.lock")).unwrap();
        assert!(check(&path).is_err());
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        for text in ["clusters: 5\n", "[1, 2]\n", "a: [\n"] {
            fs::write(&path, text).unwrap();
            assert!(edit(&path, &entries("https://one")).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn removing_the_current_context_leaves_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, MINE).unwrap();
        remove(&path, &[("contexts", "gondor")]).unwrap();
        assert_eq!(read(&path)["current-context"], "");
    }
}
