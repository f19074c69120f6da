//! `kubefed config` beside a real `kubectl config`: random commands on random sets of files leave the same data in every
//! file, and say the same on stdout with the same exit code.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kit::programs;
use serde_json::{Map, Value};

/// Sequences that are tried: a run of kubectl takes some 50 ms. `CONFIG_SEQUENCES` makes more, `CONFIG_SEED` others.
const SEQUENCES: u64 = 60;
const COMMANDS: usize = 6;

/// Numbers that look random and are the same each time (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % most as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn chance(&mut self, in_ten: usize) -> bool {
        self.below(10) < in_ten
    }
}

const NAMES: [&str; 6] = ["gondor", "arnor", "my.dotted.name", "y", "with blank", "Lothlórien"];

fn text(r: &mut Random) -> &'static str {
    r.one(&["gondor", "x.pem", "sub/x.pem", "https://a.example:6443", "007", "no", "a: b", "é", ""])
}

/// A field and what may stand there.
type Field<'a> = (&'a str, &'a [&'a str]);

/// The fields of an entry as a person may have written them.
fn fields(r: &mut Random, all: &[Field]) -> String {
    let mut text = String::new();
    for (key, values) in all {
        if r.chance(5) {
            text += &format!("    {key}: {}\n", r.one(values));
        }
    }
    if text.is_empty() { " {}\n".to_owned() } else { format!("\n{text}") }
}

fn file(r: &mut Random) -> String {
    let lists: [(&str, &str, &[Field]); 3] = [
        (
            "clusters",
            "cluster",
            &[
                ("server", &["https://a.example:6443", "'http://b'"]),
                ("certificate-authority", &["x.pem", "../x.pem", "/etc/x.pem"]),
                ("insecure-skip-tls-verify", &["true", "false"]),
                ("tls-server-name", &["a.example"]),
                ("certificate-authority-data", &["eA=="]),
                ("extensions", &["[{name: e, extension: {a: [1, b]}}]"]),
            ],
        ),
        (
            "users",
            "user",
            &[
                ("token", &["t0ken", "\"007\""]),
                ("username", &["frodo"]),
                ("client-certificate", &["sub/c.pem"]),
                ("client-key-data", &["eA=="]),
                ("as-groups", &["[a, b]"]),
                ("auth-provider", &["{name: oidc}", "{name: oidc, config: {id-token: i, client-id: c}}"]),
                (
                    "exec",
                    &[
                        "{command: plugin, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, args: [a], env: [{name: A, value: '1'}]}",
                        "{command: plugin, apiVersion: client.authentication.k8s.io/v1beta1}",
                    ],
                ),
            ],
        ),
        ("contexts", "context", &[("cluster", &["gondor", "arnor"]), ("user", &["gondor"]), ("namespace", &["default"])]),
    ];
    let mut all = r.one(&["", "apiVersion: v1\nkind: Config\n", "# by hand\n", "preferences: {colors: true}\n"]).to_owned();
    for (list, key, known) in lists {
        let names: Vec<&str> = NAMES.into_iter().filter(|_| r.chance(4)).collect();
        if names.is_empty() {
            all += r.one(&["", "LIST: []\n", "LIST: null\n"]).replace("LIST", list).as_str();
            continue;
        }
        all += &format!("{list}:\n");
        for name in names {
            all += &format!("- name: '{name}'\n  {key}:{}", fields(r, known));
        }
    }
    if r.chance(6) {
        all += &format!("current-context: '{}'\n", r.one(&["gondor", "arnor", "", "nobody"]));
    }
    all
}

fn command(r: &mut Random) -> Vec<String> {
    let name = r.one(&NAMES);
    let mut args: Vec<String> = Vec::new();
    let flags = |r: &mut Random, args: &mut Vec<String>, all: &[&str]| {
        for flag in all {
            if r.chance(3) {
                let value = match *flag {
                    "insecure-skip-tls-verify" | "embed-certs" | "exec-provide-cluster-info" => r.one(&["true", "false"]),
                    "auth-provider-arg" | "exec-env" => r.one(&["A=1", "B=x=y", "A-", "id-token-"]),
                    "exec-interactive-mode" => r.one(&["Never", "IfAvailable", "Always", "Sometimes"]),
                    "exec-api-version" => "client.authentication.k8s.io/v1",
                    "exec-arg" => r.one(&["a", "a,b", "--region=x"]),
                    "exec-command" | "auth-provider" => r.one(&["plugin", "oidc"]),
                    "certificate-authority" | "client-certificate" | "client-key" => {
                        r.one(&["x.pem", "sub/x.pem", "../x.pem", "/etc/x.pem", "nowhere.pem"])
                    }
                    _ => text(r),
                };
                args.push(format!("--{flag}={value}"));
            }
        }
    };
    match r.below(13) {
        0 => args.push("current-context".to_owned()),
        1 => args.extend(["get-contexts".to_owned(), name.to_owned()]),
        2 => args.extend(["get-contexts", r.one(&["--no-headers", "-o=name", "--output=name"])].map(str::to_owned)),
        3 => args.push(r.one(&["get-contexts", "get-users", "get-clusters"]).to_owned()),
        4 => args.extend([r.one(&["use-context", "use"]), name].map(str::to_owned)),
        5 => args.extend(["rename-context", name, r.one(&NAMES)].map(str::to_owned)),
        6 => args.extend([r.one(&["delete-context", "delete-cluster", "delete-user"]), name].map(str::to_owned)),
        7 | 8 => {
            args.extend(["set-context".to_owned(), if r.chance(2) { "--current" } else { name }.to_owned()]);
            flags(r, &mut args, &["cluster", "user", "namespace"]);
        }
        9 | 10 => {
            // Always: kubectl takes the flag for given, and false, where it is not (docs/config.md).
            let insecure = r.one(&["--insecure-skip-tls-verify=false", "--insecure-skip-tls-verify=false", "--insecure-skip-tls-verify"]);
            args.extend(["set-cluster", name, insecure].map(str::to_owned));
            flags(r, &mut args, &["server", "tls-server-name", "certificate-authority", "embed-certs", "proxy-url"]);
        }
        _ => {
            args.extend(["set-credentials", name].map(str::to_owned));
            let exec = ["exec-command", "exec-api-version", "exec-arg", "exec-env", "exec-interactive-mode", "exec-provide-cluster-info"];
            let own = ["client-certificate", "client-key", "embed-certs", "token", "username", "password", "auth-provider"];
            flags(r, &mut args, &[&own[..], &["auth-provider-arg"], &exec].concat());
        }
    }
    args
}

/// What a file means: without what is empty, entries by name, and with the default that kubectl writes down.
fn meaning(value: Value) -> Value {
    let empty = |v: &Value| v.is_null() || *v == false || *v == "" || v.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Object(map) => {
            let mut map: Map<String, Value> = map.into_iter().map(|(k, v)| (k, meaning(v))).filter(|(_, v)| !empty(v)).collect();
            map.retain(|_, v| !v.as_object().is_some_and(Map::is_empty));
            if map.get("apiVersion").is_some_and(|v| v == "client.authentication.k8s.io/v1beta1") {
                map.entry("interactiveMode").or_insert_with(|| "IfAvailable".into());
            }
            Value::Object(map)
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(meaning).collect();
            if items.iter().all(|item| item["name"].is_string()) {
                items.sort_by_key(|item| item["name"].as_str().unwrap().to_owned());
            }
            Value::Array(items)
        }
        other => other,
    }
}

/// What a file of a side's directory means.
fn read(dir: &Path, name: &str) -> Value {
    let Ok(bytes) = fs::read(dir.join(name)) else { return Value::Null };
    let (text, _) = federation_client::yaml::decode(&bytes).unwrap();
    let text = text.replace(&dir.display().to_string(), "/DIR");
    let root = federation_client::yaml::parse(&text).unwrap().root;
    let mut all = meaning(root.map_or(Value::Null, |root| root.json().unwrap()));
    if let Some(all) = all.as_object_mut() {
        // Both may be left out.
        all.remove("apiVersion");
        all.remove("kind");
        if all.is_empty() {
            return Value::Null;
        }
    }
    all
}

struct Side {
    program: PathBuf,
    dir: tempfile::TempDir,
}

impl Side {
    fn new(program: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for inner in ["files/sub", "sub", "home"] {
            fs::create_dir_all(dir.path().join(inner)).unwrap();
        }
        for pem in ["x.pem", "sub/x.pem", "files/x.pem"] {
            fs::write(dir.path().join(pem), pem).unwrap();
        }
        Self { program, dir }
    }

    fn run(&self, args: &[String], list: &str) -> Output {
        let mut command = Command::new(&self.program);
        command.arg("config").args(args).current_dir(self.dir.path()).env("KUBECONFIG", list).env("HOME", self.dir.path().join("home"));
        command.output().unwrap()
    }

    /// The answer without what is meant to differ: of two files the one that was changed is named (docs/config.md).
    fn said(&self, out: &Output) -> (String, Option<i32>) {
        let text = String::from_utf8(out.stdout.clone()).unwrap();
        let text = text.strip_prefix("deleted ").and_then(|t| t.rsplit_once(" from ")).map_or(text.clone(), |(what, _)| what.to_owned());
        let mut lines: Vec<&str> = text.lines().collect();
        // kubectl lists clusters in no order.
        if lines.first() == Some(&"NAME") {
            lines.sort_unstable();
        }
        (lines.join("\n"), out.status.code())
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn issue10_random_sequences_of_commands_end_as_with_kubectl() {
    let kubectl = programs::find("kubectl").unwrap();
    let seed = number("CONFIG_SEED", 10);
    for sequence in 0..number("CONFIG_SEQUENCES", SEQUENCES) {
        let mut r = Random(seed.wrapping_mul(1_000_003).wrapping_add(sequence));
        let sides = [Side::new(kubectl.clone()), Side::new(env!("CARGO_BIN_EXE_kubefed").into())];
        let files: Vec<String> = (0..=r.below(3)).map(|n| format!("files/{n}")).collect();
        for name in &files {
            if r.chance(8) {
                let text = file(&mut r);
                sides.iter().for_each(|side| fs::write(side.dir.path().join(name), &text).unwrap());
            }
        }
        let (list, mut story) = (files.join(":"), String::new());
        for _ in 0..COMMANDS {
            let args = command(&mut r);
            let [theirs, ours] = sides.each_ref().map(|side| side.run(&args, &list));
            story += &format!("{}\n", args.join(" "));
            let told = || {
                let texts = files.iter().map(|name| fs::read_to_string(sides[1].dir.path().join(name)).unwrap_or_default());
                let said = [&theirs, &ours].map(|out| String::from_utf8_lossy(&out.stderr).into_owned());
                format!("CONFIG_SEED={seed}, sequence {sequence}, {list}:\n{story}{said:?}\n{}", texts.collect::<Vec<_>>().join("\n----\n"))
            };
            assert_eq!(sides[1].said(&ours), sides[0].said(&theirs), "left is ours; {}", told());
            for name in &files {
                let [theirs, ours] = sides.each_ref().map(|side| read(side.dir.path(), name));
                assert_eq!(ours, theirs, "{name}: left is ours; {}", told());
            }
        }
    }
}
