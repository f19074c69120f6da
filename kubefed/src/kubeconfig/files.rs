//! Which kubeconfig files are meant: `--kubeconfig`, else `KUBECONFIG`, else `~/.kube/config`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, KubeconfigError};

use crate::error::{Failure, chain};

/// The files, first one strongest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// Named on the command line: it has to exist when it is read.
    explicit: bool,
}

impl Files {
    /// What the command line and the environment say.
    pub fn choose(flag: Option<&Path>) -> Self {
        Self::from(flag, env::var_os("KUBECONFIG").as_ref(), env::var_os("HOME"))
    }

    /// As [`Files::choose`] with the environment given.
    pub fn from(flag: Option<&Path>, list: Option<&OsString>, home: Option<OsString>) -> Self {
        if let Some(path) = flag.filter(|p| !p.as_os_str().is_empty()) {
            return Self { paths: vec![path.to_owned()], explicit: true };
        }
        let listed: Vec<PathBuf> = list.into_iter().flat_map(env::split_paths).filter(|p| !p.as_os_str().is_empty()).collect();
        let paths = if listed.is_empty() { home.map(|h| Path::new(&h).join(".kube/config")).into_iter().collect() } else { listed };
        Self { paths, explicit: false }
    }

    /// All files merged; the first to name something wins.
    ///
    /// # Errors
    /// A file that cannot be read or understood; that there is none at all.
    pub fn load(&self) -> Result<Kubeconfig, Failure> {
        let mut all: Option<Kubeconfig> = None;
        for path in &self.paths {
            if !self.explicit && !path.exists() {
                continue;
            }
            let one = Kubeconfig::read_from(path).map_err(|e| explain(path, &e))?;
            all = Some(match all.take() {
                Some(before) => before.merge(one).map_err(|e| {
                    Failure::new(format!("merging kubeconfig {}: {e}", path.display())).hint("name one file with --kubeconfig")
                })?,
                None => one,
            });
        }
        all.ok_or_else(|| {
            let looked: Vec<String> = self.paths.iter().map(|p| p.display().to_string()).collect();
            Failure::new("no configuration has been provided")
                .hint(format!("no kubeconfig at {}; name one with --kubeconfig or KUBECONFIG", looked.join(", ")))
        })
    }

    /// The file a new entry goes into: the only one, else the first that exists, else the last.
    ///
    /// # Errors
    /// When no file is named and there is no home directory.
    pub fn to_write(&self) -> Result<&Path, Failure> {
        let existing = self.paths.iter().find(|p| p.exists());
        let nowhere = || Failure::new("there is no kubeconfig to write").hint("name one with --kubeconfig or set HOME");
        existing.or(self.paths.last()).map(PathBuf::as_path).ok_or_else(nowhere)
    }

    /// Every file that exists.
    pub fn existing(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().filter(|p| p.exists()).map(PathBuf::as_path)
    }
}

fn explain(path: &Path, error: &KubeconfigError) -> Failure {
    let file = path.display().to_string();
    match error {
        KubeconfigError::Parse(e) => Failure::new(format!("reading kubeconfig {}", machinery::yaml::complaint(&file, e)))
            .hint("mend the file; kubectl config view reads the same format"),
        KubeconfigError::ReadConfig(e, _) => {
            Failure::new(format!("reading kubeconfig {file}: {e}")).hint("name another one with --kubeconfig or KUBECONFIG")
        }
        e => Failure::new(format!("reading kubeconfig {file}: {}", chain(e)))
            .hint("mend the file; kubectl config view reads the same format"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(context: &str) -> String {
        format!("contexts: [{{name: {context}, context: {{cluster: c, user: u}}}}]\ncurrent-context: {context}\n")
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_the_home_comes_last() {
        let flag = Files::from(Some(Path::new("/a")), Some(&"/b:/c".into()), Some("/h".into()));
        assert_eq!(flag.paths, [Path::new("/a")]);
        assert_eq!(Files::from(None, Some(&"/b::/c".into()), Some("/h".into())).paths, [Path::new("/b"), Path::new("/c")]);
        assert_eq!(Files::from(None, Some(&"".into()), Some("/h".into())).paths, [Path::new("/h/.kube/config")]);
    }

    #[test]
    fn files_are_merged_and_missing_ones_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: &str| dir.path().join(n);
        fs::write(path("one"), config("gondor")).unwrap();
        fs::write(path("two"), config("rohan")).unwrap();
        let list = env::join_paths([path("none"), path("one"), path("two")]).unwrap();
        let files = Files::from(None, Some(&list), None);
        let merged = files.load().unwrap();
        assert_eq!(merged.contexts.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["gondor", "rohan"]);
        assert_eq!(merged.current_context.as_deref(), Some("gondor"));
        assert_eq!(files.to_write().unwrap(), path("one"), "the first that exists");
        let fresh = Files::from(None, Some(&env::join_paths([path("x"), path("y")]).unwrap()), None);
        assert_eq!(fresh.to_write().unwrap(), path("y"), "the last where none exists");
    }

    #[test]
    fn a_named_file_has_to_exist() {
        let failure = Files::from(Some(Path::new("/nowhere/config")), None, None).load().unwrap_err();
        assert!(failure.message.starts_with("reading kubeconfig /nowhere/config: "), "{failure}");
        let failure = Files::from(None, None, Some("/nowhere".into())).load().unwrap_err();
        assert_eq!(failure.message, "no configuration has been provided");
    }
}
