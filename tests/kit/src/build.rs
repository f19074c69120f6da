//! Builds the programs of a real cluster from their Go modules, and the images every node needs.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::oci::{self, Entry, Image};
use crate::setup;

/// A pinned Go module and the programs it gives.
struct Module {
    name: &'static str,
    files: [(&'static str, &'static str); 3],
    /// Packages to build; a program is named by the last part of its package.
    packages: &'static [&'static str],
    ldflags: &'static str,
    /// New name of a program whose package is named otherwise.
    rename: Option<(&'static str, &'static str)>,
}

macro_rules! module {
    ($name:literal) => {
        [
            ("go.mod", include_str!(concat!("../go/", $name, "/go.mod"))),
            ("go.sum", include_str!(concat!("../go/", $name, "/go.sum"))),
            ("tools.go", include_str!(concat!("../go/", $name, "/tools.go"))),
        ]
    };
}

const MODULES: &[Module] = &[
    Module {
        name: "etcd",
        files: module!("etcd"),
        packages: &["go.etcd.io/etcd/server/v3"],
        ldflags: "",
        rename: Some(("server", "etcd")),
    },
    Module {
        name: "kubernetes",
        files: module!("kubernetes"),
        packages: &[
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubelet",
            "k8s.io/kubernetes/cmd/kube-proxy",
            "k8s.io/kubernetes/cmd/kubectl",
        ],
        ldflags: "-X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
        rename: None,
    },
    Module { name: "coredns", files: module!("coredns"), packages: &["github.com/coredns/coredns"], ldflags: "", rename: None },
    Module {
        name: "containerd",
        files: module!("containerd"),
        packages: &[
            "github.com/containerd/containerd/v2/cmd/containerd",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/ctr",
        ],
        ldflags: "",
        rename: None,
    },
    Module {
        name: "cni",
        files: module!("cni"),
        packages: &[
            "github.com/containernetworking/plugins/plugins/main/ptp",
            "github.com/containernetworking/plugins/plugins/main/loopback",
            "github.com/containernetworking/plugins/plugins/ipam/host-local",
            "github.com/containernetworking/plugins/plugins/meta/portmap",
        ],
        ldflags: "",
        rename: None,
    },
];

const PAUSE: &str = include_str!("../data/pause.c");
const ADDONS: &[(&str, &str)] =
    &[("coredns.yaml", include_str!("../data/addons/coredns.yaml")), ("volumes.yaml", include_str!("../data/addons/volumes.yaml"))];

/// Names everything that goes into the built folder, so that another version is another folder.
pub(crate) fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for module in MODULES {
        for (_, text) in module.files {
            hash.update(text);
        }
        hash.update(module.packages.join(" "));
        hash.update(module.ldflags);
    }
    for text in [PAUSE, include_str!("oci.rs"), include_str!("build.rs")] {
        hash.update(text);
    }
    ADDONS.iter().for_each(|(_, text)| hash.update(text));
    hash.finalize().iter().take(6).map(|b| format!("{b:02x}")).collect()
}

/// Builds everything into `dir`. A build that was interrupted is taken up again; Go keeps what it compiled.
pub(crate) fn all(dir: &Path, say: &dyn Fn(&str)) -> Result<()> {
    setup::ensure(&[setup::BUILD, setup::REAL], say)?;
    let go = setup::go(say)?;
    std::fs::create_dir_all(dir.join("images")).with_context(|| format!("creating {}", dir.display()))?;
    std::fs::create_dir_all(dir.join("addons"))?;
    for module in MODULES {
        say(&format!("building {} from its Go module", module.name));
        build(&go, module, dir)?;
    }
    say("making the images of pause, busybox, CoreDNS and etcd");
    images(dir)?;
    for (name, text) in ADDONS {
        std::fs::write(dir.join("addons").join(name), text)?;
    }
    std::fs::write(dir.join("complete"), "")?;
    Ok(())
}

fn build(go: &Path, module: &Module, out: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    for (name, text) in module.files {
        std::fs::write(work.path().join(name), text)?;
    }
    let mut command = Command::new(go);
    command.args(["build", "-mod=readonly", "-trimpath", "-ldflags"]).arg(format!("-s -w {}", module.ldflags));
    command.arg("-o").arg(format!("{}/", out.display())).args(module.packages);
    let done = command.current_dir(work.path()).env("CGO_ENABLED", "0").stdin(Stdio::null()).output().context("running go")?;
    if !done.status.success() {
        bail!("building {} failed:\n{}", module.name, String::from_utf8_lossy(&done.stderr));
    }
    if let Some((from, to)) = module.rename {
        std::fs::rename(out.join(from), out.join(to))?;
    }
    Ok(())
}

fn images(dir: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    let (source, pause) = (work.path().join("pause.c"), work.path().join("pause"));
    std::fs::write(&source, PAUSE)?;
    let done = Command::new("cc").args(["-static", "-Os", "-s", "-o"]).arg(&pause).arg(&source).output().context("running cc")?;
    if !done.status.success() {
        bail!("compiling pause.c failed:\n{}", String::from_utf8_lossy(&done.stderr));
    }
    let image = |name: &str, entrypoint: &str, entries: Vec<Entry>| {
        let image =
            Image { reference: format!("docker.io/kit/{name}:1"), entrypoint: vec![entrypoint.into()], user: String::new(), entries };
        oci::write(&image, &dir.join(format!("images/{name}.tar")))
    };
    image("pause", "/pause", vec![Entry::file(pause, "/pause")])?;
    let mut busybox = vec![Entry::file("/bin/busybox", "/bin/busybox")];
    for applet in ["sh", "sleep", "httpd", "wget", "nc", "cat", "nslookup", "chown", "mkdir", "ls"] {
        busybox.push(Entry::link("/bin/busybox", &format!("/bin/{applet}")));
    }
    busybox.push(Entry::Scratch { path: "/tmp".into() });
    image("busybox", "/bin/sh", busybox)?;
    image("coredns", "/coredns", vec![Entry::file(dir.join("coredns"), "/coredns")])?;
    image("etcd", "/bin/etcd", vec![Entry::file(dir.join("etcd"), "/bin/etcd")])
}
