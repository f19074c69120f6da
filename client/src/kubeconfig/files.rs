//! Which kubeconfig files are meant: `--kubeconfig`, else `KUBECONFIG`, else `~/.kube/config`.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::{Kubeconfig, Source};
use crate::Error;
use crate::yaml::MAX_BYTES;

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
        let mut paths: Vec<PathBuf> = Vec::new();
        for path in list.into_iter().flat_map(env::split_paths).filter(|p| !p.as_os_str().is_empty()) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            // Without a home directory kubectl looks in the working directory.
            paths.push(home.map_or_else(PathBuf::new, PathBuf::from).join(".kube/config"));
        }
        Self { paths, explicit: false }
    }

    /// All files merged; the first to name something wins.
    ///
    /// # Errors
    /// A file that cannot be read or understood, whichever it is; that there is none at all.
    pub fn load(&self) -> Result<Kubeconfig, Error> {
        self.merged(|path| Source::File(path))
    }

    /// As [`Files::load`], to be shown: paths are as they are written.
    ///
    /// # Errors
    /// As [`Files::load`].
    pub fn load_shown(&self) -> Result<Kubeconfig, Error> {
        self.merged(|path| Source::Shown(path))
    }

    fn merged(&self, source: fn(&Path) -> Source<'_>) -> Result<Kubeconfig, Error> {
        let mut all: Option<Kubeconfig> = None;
        for path in &self.paths {
            let Some(one) = self.read(path, source)? else { continue };
            match &mut all {
                Some(all) => all.merge(one),
                None => all = Some(one),
            }
        }
        all.ok_or_else(|| {
            let looked: Vec<String> = self.paths.iter().map(|p| p.display().to_string()).collect();
            Error::None { looked: looked.join(", ") }
        })
    }

    /// As [`Files::load`], nothing where there is no file.
    ///
    /// # Errors
    /// A file that is there and cannot be read or understood.
    pub fn load_any(&self) -> Result<Kubeconfig, Error> {
        or_empty(self.optional().load())
    }

    /// As [`Files::load_shown`], nothing where there is no file.
    ///
    /// # Errors
    /// As [`Files::load_any`].
    pub fn load_any_shown(&self) -> Result<Kubeconfig, Error> {
        or_empty(self.optional().load_shown())
    }

    fn optional(&self) -> Self {
        Self { explicit: false, ..self.clone() }
    }

    /// Whether one file was named on the command line.
    pub fn is_explicit(&self) -> bool {
        self.explicit
    }

    /// All files, first one strongest.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    fn read(&self, path: &Path, source: fn(&Path) -> Source<'_>) -> Result<Option<Kubeconfig>, Error> {
        match bytes(path) {
            Ok(bytes) => Kubeconfig::read(&bytes, source(path)).map(Some),
            Err(e) if e.kind() == ErrorKind::NotFound && !self.explicit => Ok(None),
            Err(cause) => Err(Error::Read { file: path.display().to_string(), cause }),
        }
    }

    /// The file a new entry goes into: the only one, else the first that exists, else the last.
    pub fn to_write(&self) -> &Path {
        let existing = self.paths.iter().find(|p| p.exists());
        existing.or(self.paths.last()).map_or(Path::new(""), PathBuf::as_path)
    }

    /// Every file that exists.
    pub fn existing(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().filter(|p| p.exists()).map(PathBuf::as_path)
    }
}

fn or_empty(loaded: Result<Kubeconfig, Error>) -> Result<Kubeconfig, Error> {
    match loaded {
        Err(Error::None { .. }) => Ok(Kubeconfig::default()),
        other => other,
    }
}

/// All of a file, up to what is looked at: a device or a pipe does not fill the memory.
///
/// # Errors
/// What the system says.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut all)?;
    Ok(all)
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
        assert_eq!(Files::from(None, Some(&"/b::/c:/b".into()), Some("/h".into())).paths, [Path::new("/b"), Path::new("/c")]);
        assert_eq!(Files::from(None, Some(&"".into()), Some("/h".into())).paths, [Path::new("/h/.kube/config")]);
        assert_eq!(Files::from(None, None, None).paths, [Path::new(".kube/config")]);
    }

    #[test]
    fn files_are_merged_and_missing_ones_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: &str| dir.path().join(n);
        fs::write(path("one"), config("gondor")).unwrap();
        fs::write(path("two"), config("rohan")).unwrap();
        fs::write(path("empty"), "# nothing\n").unwrap();
        let list = env::join_paths([path("none"), path("empty"), path("one"), path("two")]).unwrap();
        let files = Files::from(None, Some(&list), None);
        let merged = files.load().unwrap();
        assert_eq!(merged.context_names(""), "gondor, rohan");
        assert_eq!(merged.current_context, "gondor");
        assert_eq!(files.to_write(), path("empty"), "the first that exists");
        let fresh = Files::from(None, Some(&env::join_paths([path("x"), path("y")]).unwrap()), None);
        assert_eq!(fresh.to_write(), path("y"), "the last where none exists");
        assert_eq!(fresh.load_any().unwrap(), Kubeconfig::default());
    }

    #[test]
    fn issue7_case_16_an_empty_current_context_does_not_hide_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: &str| dir.path().join(n);
        fs::write(path("one"), "contexts: [{name: rohan, context: {cluster: c, user: u}}]\ncurrent-context: \"\"\n").unwrap();
        fs::write(path("two"), config("gondor")).unwrap();
        let merged = Files::from(None, Some(&env::join_paths([path("one"), path("two")]).unwrap()), None).load().unwrap();
        assert_eq!(merged.current_context, "gondor");
    }

    #[test]
    fn one_bad_file_of_a_list_fails_all_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: &str| dir.path().join(n);
        fs::write(path("one"), config("gondor")).unwrap();
        fs::write(path("two"), "clusters: 5\n").unwrap();
        let list = env::join_paths([path("one"), path("two")]).unwrap();
        let error = Files::from(None, Some(&list), None).load().unwrap_err().to_string();
        assert_eq!(
            error,
            format!("reading kubeconfig {}:1: clusters is a number (without quotes), it must be a list", path("two").display())
        );
        let list = env::join_paths([path("one"), dir.path().to_owned()]).unwrap();
        assert!(Files::from(None, Some(&list), None).load().is_err(), "a directory");
    }

    #[test]
    fn relative_paths_are_relative_to_their_own_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("deep")).unwrap();
        let file = dir.path().join("deep/config");
        let text = "clusters: [{name: c, cluster: {certificate-authority: ../ca.pem}}]\n\
            users: [{name: u, user: {tokenFile: t, client-key: /k, exec: {command: bin/x}}}, {name: v, user: {exec: {command: x}}}]\n";
        fs::write(&file, text).unwrap();
        let config = Files::from(Some(&file), None, None).load().unwrap();
        let at = |n: &str| dir.path().join(n).display().to_string();
        assert_eq!(config.clusters["c"].certificate_authority, at("ca.pem"));
        let user = &config.users["u"];
        assert_eq!((&user.token_file, user.client_key.as_str()), (&at("deep/t"), "/k"));
        assert_eq!(user.exec.as_ref().unwrap().command, at("deep/bin/x"));
        assert_eq!(config.users["v"].exec.as_ref().unwrap().command, "x");
    }

    #[test]
    fn a_named_file_has_to_exist() {
        let error = Files::from(Some(Path::new("/nowhere/config")), None, None).load().unwrap_err().to_string();
        assert!(error.starts_with("reading kubeconfig /nowhere/config: "), "{error}");
        let error = Files::from(None, None, Some("/nowhere".into())).load().unwrap_err().to_string();
        assert_eq!(error, "no configuration has been provided");
    }
}
