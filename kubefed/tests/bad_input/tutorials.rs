//! What tutorials tell people to type, typed as it is printed there: with the real kubectl, and with `kubefed config` where it says
//! `kubectl config`. Both leave the same kubeconfigs, the commands that make them at once leave the same too, and an API server
//! takes them.
//!
//! Other than printed are: `/etc/kubernetes` and the address 10.64.3.7:6443, which are places of the test; `sudo` and the other
//! machine of `scp`, which are this user and this machine; and what is printed as a choice ("or", comments between lines), of
//! which each is made.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kit::programs;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::credentials::{holder, runtime, signing};
use crate::support::{ADMIN, Apiserver, Place, create, until};

/// Kubeconfigs of a node's components.
const NODE: &str = r#"
export MASTER_IP=10.64.3.7 # 替换为 kubernetes master 集群任一机器 IP
export KUBE_APISERVER="https://${MASTER_IP}:6443"
export BOOTSTRAP_TOKEN=$(head -c 16 /dev/urandom | od -An -t x | tr -d ' ')

cat > token.csv <<EOF
${BOOTSTRAP_TOKEN},kubelet-bootstrap,10001,"system:kubelet-bootstrap"
EOF

sudo cp token.csv /etc/kubernetes/

# 设置集群参数
kubectl config set-cluster kubernetes \
  --certificate-authority=/etc/kubernetes/ssl/ca.pem \
  --embed-certs=true \
  --server=${KUBE_APISERVER} \
  --kubeconfig=bootstrap.kubeconfig
# 设置客户端认证参数
kubectl config set-credentials kubelet-bootstrap \
  --token=${BOOTSTRAP_TOKEN} \
  --kubeconfig=bootstrap.kubeconfig
# 设置上下文参数
kubectl config set-context default \
  --cluster=kubernetes \
  --user=kubelet-bootstrap \
  --kubeconfig=bootstrap.kubeconfig
# 设置默认上下文
kubectl config use-context default --kubeconfig=bootstrap.kubeconfig

# 设置集群参数
kubectl config set-cluster kubernetes \
  --certificate-authority=/etc/kubernetes/ssl/ca.pem \
  --embed-certs=true \
  --server=${KUBE_APISERVER} \
  --kubeconfig=kube-proxy.kubeconfig
# 设置客户端认证参数
kubectl config set-credentials kube-proxy \
  --client-certificate=/etc/kubernetes/ssl/kube-proxy.pem \
  --client-key=/etc/kubernetes/ssl/kube-proxy-key.pem \
  --embed-certs=true \
  --kubeconfig=kube-proxy.kubeconfig
# 设置上下文参数
kubectl config set-context default \
  --cluster=kubernetes \
  --user=kube-proxy \
  --kubeconfig=kube-proxy.kubeconfig
# 设置默认上下文
kubectl config use-context default --kubeconfig=kube-proxy.kubeconfig

sudo cp bootstrap.kubeconfig kube-proxy.kubeconfig /etc/kubernetes/
"#;

/// A kubeconfig made by hand to be shared; `{cluster}` and `{user}` stand for the choices of the text.
const SHARED: &str = r"
# create kubeconfig entry
kubectl config set-cluster $CLUSTER_NICK \
    --server=https://1.1.1.1 \
    {cluster} \
    --kubeconfig=/path/to/standalone/.kube/config

# create user entry
kubectl config set-credentials $USER_NICK \
    {user} \
    --kubeconfig=/path/to/standalone/.kube/config

# create context entry
kubectl config set-context $CONTEXT_NAME \
    --cluster=$CLUSTER_NICK \
    --user=$USER_NICK \
    --kubeconfig=/path/to/standalone/.kube/config
export KUBECONFIG=/path/to/standalone/.kube/config
";

/// Ways to use a kubeconfig that was copied.
const COPIED: [&str; 3] = [
    "mv /path/to/.kube/config $HOME/.kube/config\nkubectl get namespace\n",
    "# via environment variable\nexport KUBECONFIG=/path/to/.kube/config\nkubectl get namespace\n",
    "# via commandline flag\nkubectl get namespace --kubeconfig=/path/to/.kube/config\n",
];

/// Whose `kubectl config` is typed.
const SIDES: [&str; 2] = ["kubectl", "kubefed"];

/// A machine of the tutorials: a directory that is its file system, with the programs it needs.
struct Machine<'a>(&'a Place, &'static str);

impl<'a> Machine<'a> {
    fn new(place: &'a Place, side: &'static str) -> Self {
        let machine = Self(place, side);
        for dir in ["etc/kubernetes/ssl", "path/to/standalone/.kube", "path/to/.kube", "path/to/other/.kube", "home/.kube", "work"] {
            std::fs::create_dir_all(machine.path(dir)).unwrap();
        }
        let kubectl = programs::find("kubectl").unwrap();
        let config = if side == "kubefed" { env!("CARGO_BIN_EXE_kubefed").into() } else { kubectl.clone() };
        let kubectl = format!("if [ \"$1\" = config ]; then exec '{}' \"$@\"; fi\nexec '{}' \"$@\"", config.display(), kubectl.display());
        // The other machine is this one.
        let scp = "from=${1#*:}; exec cp \"$from\" \"${2#*:}\"";
        for (name, text) in [("kubectl", kubectl.as_str()), ("sudo", "exec \"$@\""), ("scp", scp)] {
            let path = place.file(&format!("{side}/bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path(&format!("{}/{name}", self.1))
    }

    /// Types lines; what they say.
    fn types(&self, lines: &str) -> String {
        let root = self.path("");
        let root = root.display().to_string();
        let root = root.trim_end_matches('/');
        let lines = lines.replace("/etc/kubernetes", &format!("{root}/etc/kubernetes")).replace("/path/to", &format!("{root}/path/to"));
        let line = format!("set -eu; export PATH=\"{root}/bin:$PATH\" HOME=\"{root}/home\"; cd \"{root}/work\"; unset KUBECONFIG\n{lines}");
        self.0.shell(&line).fine().out.clone()
    }

    /// What a kubeconfig says, without what is a default.
    fn kubeconfig(&self, name: &str) -> Value {
        meaning(&self.path(name))
    }
}

fn meaning(path: &Path) -> Value {
    let (text, _) = federation_client::yaml::decode(&std::fs::read(path).unwrap()).unwrap();
    let mut all = federation_client::yaml::parse(&text).unwrap().root.unwrap().json().unwrap();
    let fields = all.as_object_mut().unwrap();
    fields.remove("preferences");
    fields.retain(|_, value| *value != "");
    all
}

/// The server where the tutorial says there is one.
fn placed(server: &Apiserver, lines: &str) -> String {
    let (host, port) = server.url.trim_start_matches("https://").rsplit_once(':').unwrap();
    lines.replace("10.64.3.7", host).replace("6443", port)
}

/// The authority of the federation, and a certificate of kube-proxy as it is made before.
fn certificates(place: &Place, machine: &Machine<'_>, server: &Apiserver) {
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    let key = KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.crt"), key).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "system:kube-proxy");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let own = KeyPair::generate().unwrap();
    let cert = params.signed_by(&own, &issuer).unwrap();
    for (name, text) in [("ca.pem", &server.certificate), ("kube-proxy.pem", &cert.pem()), ("kube-proxy-key.pem", &own.serialize_pem())] {
        std::fs::write(machine.path(&format!("etc/kubernetes/ssl/{name}")), text).unwrap();
    }
}

#[test]
#[ignore = "needs a real kubectl (the kit's, or one in PATH): cargo xtask test --real"]
fn issue10_the_tutorial_on_kubeconfigs_of_components() {
    let place = Place::new();
    let (server, _) = signing(&place);
    let tokens = place.path("fellowship/tokens.csv");
    let admin = std::fs::read_to_string(&tokens).unwrap();
    for side in SIDES {
        let machine = Machine::new(&place, side);
        certificates(&place, &machine, &server);
        let said = machine.types(&placed(&server, NODE));
        let each = |user: &str| {
            format!("Cluster \"kubernetes\" set.\nUser \"{user}\" set.\nContext \"default\" created.\nSwitched to context \"default\".\n")
        };
        assert_eq!(said, each("kubelet-bootstrap") + &each("kube-proxy"), "{side}");

        // The same at once: the line of the file, and the kubeconfigs.
        let line = std::fs::read_to_string(machine.path("etc/kubernetes/token.csv")).unwrap();
        let token = place.file("token", line.split(',').next().unwrap());
        assert_eq!(place.kubefed(&["token", "csv", "--token-file", &token]).fine().out, line);
        let ssl = |name: &str| machine.path(&format!("etc/kubernetes/ssl/{name}")).display().to_string();
        let (url, ca) = (format!("--server={}", server.url), format!("--certificate-authority={}", ssl("ca.pem")));
        place.kubefed(&["kubeconfig", "bootstrap", &url, &ca, "--token-file", &token, "-o", "at-once", "--force"]).fine();
        assert_eq!(meaning(&place.path("at-once")), machine.kubeconfig("etc/kubernetes/bootstrap.kubeconfig"), "{side}");
        let both = std::fs::read_to_string(place.path("ca.crt")).unwrap() + &server.certificate;
        let both = format!("--certificate-authority={}", place.file("both.pem", &both));
        place.kubefed(&["kubeconfig", "component", "kube-proxy", &url, &both, "--ca-key=ca.key", "-o", "at-once", "--force"]).fine();
        let (mut ours, mut theirs) = (meaning(&place.path("at-once")), machine.kubeconfig("etc/kubernetes/kube-proxy.kubeconfig"));
        for config in [&mut ours, &mut theirs] {
            // Another certificate of the same name; and the authority that signed it.
            config["users"][0]["user"]["client-certificate-data"].take();
            config["users"][0]["user"]["client-key-data"].take();
            config["clusters"][0]["cluster"]["certificate-authority-data"].take();
        }
        assert_eq!(ours, theirs, "{side}");

        // kube-apiserver is started anew with the file; this one reads it.
        std::fs::write(&tokens, format!("{admin}{line}")).unwrap();
        let whoami = |kubeconfig: &str| {
            let shown = "-o jsonpath='{.status.userInfo.username}' 2>/dev/null || true";
            machine.types(&format!("kubectl auth whoami --kubeconfig=/etc/kubernetes/{kubeconfig} {shown}"))
        };
        until("the server to know the token", || (whoami("bootstrap.kubeconfig") == "kubelet-bootstrap").then_some(()));
        assert_eq!(whoami("kube-proxy.kubeconfig"), "system:kube-proxy", "{side}");
        assert_eq!(holder(&place.path("at-once")).0, "system:kube-proxy");
        let mode = machine.path("work/bootstrap.kubeconfig").metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{side}");
    }
    server.close();
}

#[test]
#[ignore = "needs a real kubectl (the kit's, or one in PATH): cargo xtask test --real"]
fn issue10_the_tutorial_on_shared_kubeconfigs_made_by_hand() {
    let place = Place::new();
    let clusters = ["--certificate-authority=/path/to/apiserver/ca_file --embed-certs=true", "--insecure-skip-tls-verify=true"];
    let users = [
        "--token=$token",
        "--username=$username --password=$password",
        "--client-certificate=/path/to/crt_file --client-key=/path/to/key_file --embed-certs=true",
        "--token=$token --client-certificate=/path/to/crt_file --client-key=/path/to/key_file --embed-certs=true",
    ];
    let machines = SIDES.map(|side| Machine::new(&place, side));
    let names = "CLUSTER_NICK=gondor USER_NICK=frodo CONTEXT_NAME=shire token=s3cret username=frodo password=mellon\n";
    for (cluster, user) in clusters.iter().flat_map(|cluster| users.iter().map(move |user| (cluster, user))) {
        let [theirs, ours] = machines.each_ref().map(|machine| {
            for name in ["apiserver/ca_file", "crt_file", "key_file"] {
                place.file(&format!("{}/path/to/{name}", machine.1), name);
            }
            let _ = std::fs::remove_file(machine.path("path/to/standalone/.kube/config"));
            let typed = SHARED.replace("{cluster}", cluster).replace("{user}", user);
            let said = machine.types(&format!("{names}{typed}kubectl config view"));
            (said, machine.kubeconfig("path/to/standalone/.kube/config"))
        });
        assert_eq!(ours.1, theirs.1, "{cluster} {user}");
        // The end shows what was made, each in its way.
        let [said, same] = [&ours.0, &theirs.0].map(|said| said.lines().take(3).collect::<Vec<_>>());
        assert_eq!(said, same, "{cluster} {user}");
        assert!(!ours.0.contains("s3cret") && !ours.0.contains("mellon"), "{}", ours.0);
    }
}

#[test]
#[ignore = "needs a real kubectl (the kit's, or one in PATH): cargo xtask test --real"]
fn issue10_the_tutorials_on_kubeconfigs_that_are_handed_over_or_end() {
    let place = Place::new();
    let (server, _) = signing(&place);
    place.kubefed(&["kubeconfig", "issue", "frodo", "--ttl=10m", "--group=hobbits", "-o", "temporary"]).fine();
    place.kubefed(&["kubeconfig", "component", "kube-proxy", "-o", "other"]).fine();
    let group = "rbac.authorization.k8s.io";
    let binding = json!({"metadata": {"name": "frodo"}, "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "frodo", "apiGroup": group}]});
    let path = format!("/apis/{group}/v1/clusterrolebindings");
    runtime().block_on(async { create(&server.client(ADMIN), &path, &binding).await });
    for side in SIDES {
        let machine = Machine::new(&place, side);
        for way in COPIED {
            std::fs::copy(place.path("temporary"), machine.path("home/.kube/config")).unwrap();
            // Step 2: to the new host.
            machine.types("scp $HOME/.kube/config user@remotehost:/path/to/.kube/config && rm $HOME/.kube/config");
            let listed = until("the right to count", || {
                let listed = machine.types(&format!("({way}) 2>/dev/null || true"));
                let back = machine.path("home/.kube/config");
                if listed.is_empty() && back.exists() {
                    std::fs::rename(back, machine.path("path/to/.kube/config")).unwrap();
                }
                (!listed.is_empty()).then_some(listed)
            });
            let heads: Vec<&str> = listed.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
            assert_eq!(heads, ["NAME", "default", "kube-public", "kube-system"], "{side} {way}");
        }
        // Two hosts' files, read as one.
        for (file, to) in [("temporary", "path/to/home1/.kube/config"), ("other", "home/.kube/config")] {
            std::fs::create_dir_all(machine.path(to).parent().unwrap()).unwrap();
            std::fs::copy(place.path(file), machine.path(to)).unwrap();
        }
        let merged = machine.types(
            "scp host1:/path/to/home1/.kube/config /path/to/other/.kube/config\n\
             export KUBECONFIG=/path/to/other/.kube/config:$HOME/.kube/config\nkubectl config get-contexts -o name",
        );
        assert_eq!(merged.lines().collect::<Vec<_>>(), ["default", "frodo@fellowship"], "{side}");
    }
    server.close();
}
