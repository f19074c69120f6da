//! The files of a machine: certificates, kubeconfigs and the settings of its programs.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::held::{Held, Site};
use crate::kubeconfig::{self, Context, Login};
use crate::process::output;

/// File name, subject and alternative names of each certificate.
fn certificates(m: &Held) -> Vec<(&'static str, String, String)> {
    let (name, ip, i) = (&m.name, m.address(), m.index);
    let client = |file: &'static str, subject: &str| (file, subject.to_owned(), format!("DNS:{file}"));
    vec![
        (
            "apiserver",
            "/CN=kube-apiserver".into(),
            format!("IP:{ip},IP:127.0.0.1,IP:198.19.{i}.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"),
        ),
        ("kubelet", format!("/O=system:nodes/CN=system:node:{name}"), format!("DNS:{name},IP:{ip}")),
        client("admin", "/O=system:masters/CN=admin"),
        client("controllers", "/CN=system:kube-controller-manager"),
        client("scheduler", "/CN=system:kube-scheduler"),
        client("proxy", "/CN=system:kube-proxy"),
        client("to-kubelet", "/O=system:masters/CN=apiserver-kubelet-client"),
    ]
}

/// Writes everything; certificates of an earlier boot are kept.
pub(super) fn write(m: &Held, site: &Site) -> Result<()> {
    if !m.dir.join("ca.crt").exists() {
        secrets(m)?;
    }
    let mut settings = String::new();
    for (key, value) in [("NAME", m.name.as_str()), ("REGION", &site.region), ("ZONE", &site.zone)] {
        writeln!(settings, "{key}={value}")?;
    }
    writeln!(settings, "I={}\nKIT_BIN='{}'", m.index, m.programs.display())?;
    std::fs::write(m.dir.join("settings"), settings)?;
    std::fs::write(m.dir.join("kubelet.yaml"), kubelet(m))?;
    std::fs::write(m.dir.join("containerd.toml"), containerd(m))?;
    std::fs::create_dir_all(m.dir.join("cni"))?;
    std::fs::write(m.dir.join("cni/10-kit.conflist"), cni(m))?;
    Ok(())
}

fn openssl(dir: &Path, args: &[&str]) -> Result<()> {
    output(Command::new("openssl").args(args).current_dir(dir)).map(drop)
}

fn secrets(m: &Held) -> Result<()> {
    let dir = &m.dir;
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = format!("/CN={}-ca", m.name);
    let mut ca = vec!["req", "-x509"];
    ca.extend(new_key);
    ca.extend(["-keyout", "ca.key", "-out", "ca.crt.new", "-days", "3650", "-subj", &authority]);
    ca.extend(["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]);
    openssl(dir, &ca)?;
    for (file, subject, names) in certificates(m) {
        let (key, request, certificate, extensions) =
            (format!("{file}.key"), format!("{file}.csr"), format!("{file}.crt"), format!("{file}.ext"));
        let mut req = vec!["req"];
        req.extend(new_key);
        req.extend(["-keyout", &key, "-out", &request, "-subj", &subject]);
        openssl(dir, &req)?;
        std::fs::write(dir.join(&extensions), format!("subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"))?;
        openssl(
            dir,
            &[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                "ca.crt.new",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "365",
                "-out",
                &certificate,
                "-extfile",
                &extensions,
            ],
        )?;
    }
    openssl(dir, &["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "sa.key"])?;
    for user in ["admin", "controllers", "scheduler", "kubelet", "proxy"] {
        let read = |file: String| std::fs::read(dir.join(&file)).with_context(|| format!("reading {file}"));
        let context = Context {
            name: m.name.clone(),
            server: format!("https://{}:6443", m.address()),
            ca: Some(read("ca.crt.new".into())?),
            login: Login::Certificate(read(format!("{user}.crt"))?, read(format!("{user}.key"))?),
        };
        kubeconfig::write(&[context], &dir.join(format!("{user}.kubeconfig")))?;
    }
    // The CA's certificate is what says that all of them are there.
    std::fs::rename(dir.join("ca.crt.new"), dir.join("ca.crt"))?;
    Ok(())
}

fn kubelet(m: &Held) -> String {
    let (name, index, dir) = (&m.name, m.index, m.dir.display());
    let old_cgroups = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "" } else { "failCgroupV1: false\n" };
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{old_cgroups}\
         cgroupDriver: cgroupfs\ncgroupRoot: /kit-{name}\nenforceNodeAllocatable: []\n\
         containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n\
         authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {dir}/ca.crt}}}}\n\
         authorization: {{mode: Webhook}}\nclusterDomain: cluster.local\nclusterDNS: [198.19.{index}.10]\nfailSwapOn: false\n\
         imageGCHighThresholdPercent: 100\n\
         evictionHard: {{memory.available: 100Mi, nodefs.available: \"0%\", imagefs.available: \"0%\", nodefs.inodesFree: \"0%\"}}\n\
         tlsCertFile: {dir}/kubelet.crt\ntlsPrivateKeyFile: {dir}/kubelet.key\nmaxPods: 60\n"
    )
}

fn containerd(m: &Held) -> String {
    format!(
        "version = 3\nroot = \"{dir}/containerd\"\nstate = \"/run/containerd\"\ndisabled_plugins = [\"io.containerd.nri.v1.nri\"]\n\
         [grpc]\n  address = \"/run/containerd/containerd.sock\"\n\
         [plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = \"docker.io/kit/pause:1\"\n\
         [plugins.'io.containerd.cri.v1.runtime']\n  restrict_oom_score_adj = true\n\
         [plugins.'io.containerd.cri.v1.runtime'.cni]\n  bin_dirs = [\"{programs}\"]\n  conf_dir = \"{dir}/cni\"\n",
        dir = m.dir.display(),
        programs = m.programs.display(),
    )
}

fn cni(m: &Held) -> String {
    let subnet = format!("198.18.{}.0/24", 100 + m.index);
    serde_json::json!({"cniVersion": "1.0.0", "name": "kit", "plugins": [
        {"type": "ptp", "ipMasq": true, "ipam": {
            "type": "host-local", "dataDir": "/run/ipam", "ranges": [[{"subnet": subnet}]], "routes": [{"dst": "0.0.0.0/0"}],
        }},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]})
    .to_string()
}

/// Removes the cgroups of a machine that ended; the kernel keeps them otherwise.
pub(super) fn remove_cgroups(name: &str) {
    for _ in 0..20 {
        let mut left = false;
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path());
        for root in hierarchies.map(|h| h.join(format!("kit-{name}"))).chain([Path::new("/sys/fs/cgroup").join(format!("kit-{name}"))]) {
            left |= !remove_tree(&root);
        }
        if !left {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Removes a cgroup and those below it, deepest first; whether it is gone.
fn remove_tree(dir: &Path) -> bool {
    let Ok(children) = std::fs::read_dir(dir) else { return true };
    for child in children.flatten().map(|e| e.path()).filter(|p| p.is_dir()) {
        remove_tree(&child);
    }
    std::fs::remove_dir(dir).is_ok()
}
