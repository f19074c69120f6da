//! OCI image archives without a container engine. The same input gives the same bytes.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What goes into an image.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Full reference, `registry/name:tag`.
    pub reference: String,
    /// Entry point.
    pub entrypoint: Vec<String>,
    /// Numeric `uid:gid`; empty for root.
    pub user: String,
    /// Files and links of the one layer, in this order.
    pub entries: Vec<Entry>,
}

/// One entry of the layer.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A file, mode 0755.
    File {
        /// Where it comes from.
        source: PathBuf,
        /// Absolute path in the image.
        path: String,
    },
    /// A symbolic link.
    Link {
        /// What it points at.
        target: String,
        /// Absolute path in the image.
        path: String,
    },
    /// An empty directory anybody may write to, mode 1777.
    Scratch {
        /// Absolute path in the image.
        path: String,
    },
}

impl Entry {
    /// A file.
    pub fn file(source: impl Into<PathBuf>, path: &str) -> Self {
        Self::File { source: source.into(), path: path.into() }
    }

    /// A symbolic link at `path`.
    pub fn link(target: &str, path: &str) -> Self {
        Self::Link { target: target.into(), path: path.into() }
    }
}

/// Writes the archive to `out`, by way of a temporary file beside it.
pub fn write(image: &Image, out: &Path) -> Result<()> {
    let layer = layer(&image.entries)?;
    let mut blobs = vec![];
    let diff_id = format!("sha256:{}", digest(&layer));
    let fs = blob(&mut blobs, "layer.v1.tar+gzip", gzip(&layer)?);
    let mut config = json!({"Entrypoint": image.entrypoint, "Env": ["PATH=/bin:/"]});
    if !image.user.is_empty() {
        config["User"] = image.user.clone().into();
    }
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let config = blob(&mut blobs, "config.v1+json", config.to_string().into_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [fs],
    });
    let mut manifest = blob(&mut blobs, "manifest.v1+json", manifest.to_string().into_bytes());
    manifest["annotations"] = json!({"io.containerd.image.name": image.reference, "org.opencontainers.image.ref.name": image.reference});
    blobs.push(("oci-layout".into(), json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes()));
    blobs.push(("index.json".into(), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string().into_bytes()));

    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("writing to {}", folder.display()))?;
    let mut tar = tar::Builder::new(&mut file);
    for (path, data) in blobs {
        append(&mut tar, &path, 0o644, &data)?;
    }
    tar.finish()?;
    drop(tar);
    file.flush()?;
    file.persist(out).with_context(|| format!("writing {}", out.display()))?;
    Ok(())
}

fn layer(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(vec![]);
    for entry in entries {
        match entry {
            Entry::File { source, path } => {
                let data = std::fs::read(source).with_context(|| format!("reading {}", source.display()))?;
                append(&mut tar, path.trim_start_matches('/'), 0o755, &data)?;
            }
            Entry::Link { target, path } => {
                let mut header = header(0o777, 0);
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, path.trim_start_matches('/'), target)?;
            }
            Entry::Scratch { path } => {
                let mut header = header(0o1777, 0);
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, path.trim_start_matches('/'), &[][..])?;
            }
        }
    }
    Ok(tar.into_inner()?)
}

/// A header with nothing in it that differs between two runs.
fn header(mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append<W: Write>(tar: &mut tar::Builder<W>, path: &str, mode: u32, data: &[u8]) -> Result<()> {
    let mut header = header(mode, data.len());
    header.set_entry_type(tar::EntryType::Regular);
    tar.append_data(&mut header, path, data).with_context(|| format!("adding {path}"))
}

fn digest(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|b| format!("{b:02x}")).collect()
}

/// Compresses without a time stamp or file name in the header.
fn gzip(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(data)?;
    Ok(encoder.finish()?)
}

/// Adds a blob and answers its descriptor.
fn blob(blobs: &mut Vec<(String, Vec<u8>)>, kind: &str, data: Vec<u8>) -> Value {
    let digest = digest(&data);
    let descriptor = json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": format!("sha256:{digest}"), "size": data.len(),
    });
    blobs.push((format!("blobs/sha256/{digest}"), data));
    descriptor
}

/// Size of a file in bytes, for reports.
pub fn size(path: &Path) -> Result<u64> {
    Ok(File::open(path)?.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        std::fs::write(&program, "a program").unwrap();
        let entries = vec![Entry::file(&program, "/program"), Entry::link("/program", "/bin/p"), Entry::Scratch { path: "/tmp".into() }];
        let image =
            Image { reference: "docker.io/kit/a:1".into(), entrypoint: vec!["/program".into()], user: "65532:65532".into(), entries };
        let (a, b) = (dir.path().join("a.tar"), dir.path().join("b.tar"));
        write(&image, &a).unwrap();
        // Another time stamp and mode on the source must not matter.
        std::fs::write(&program, "a program").unwrap();
        write(&image, &b).unwrap();
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        let mut names: Vec<String> = vec![];
        for entry in tar::Archive::new(File::open(&a).unwrap()).entries().unwrap() {
            names.push(entry.unwrap().path().unwrap().display().to_string());
        }
        assert!(names.contains(&"index.json".to_owned()) && names.contains(&"oci-layout".to_owned()), "{names:?}");
    }
}
