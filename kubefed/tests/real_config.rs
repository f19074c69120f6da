//! `kubefed config` beside a real `kubectl config`: random commands on random sets of files leave the same data in every
//! file, and say the same on stdout with the same exit code.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kit::programs;
use serde_json::{Map, Value};

/// Sequences that are tried: a run of kubectl takes some 50 ms. `CONFIG_SEQUENCES` makes more, `CONFIG_SEED` others.
const SEQUENCES: u64 = 60;
const COMMANDS: usize = 7;

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
                ("proxy-url", &["http://p:3128"]),
                ("disable-compression", &["true"]),
                ("extensions", &["[{name: e, extension: {a: [1, b], Z: {a10: 1.5, a2: null}}}]"]),
                ("unknown", &["{deep: [1]} # of another version"]),
            ],
        ),
        (
            "users",
            "user",
            &[
                ("token", &["t0ken", "\"007\""]),
                ("username", &["frodo"]),
                ("password", &["' a'", "'a: b'", "\"a\\nb\\n\"", "0x1F", "1:30", "2001-01-01", "it's"]),
                ("tokenFile", &["tf", "'- x'", "\"a\\tb\""]),
                ("as", &["sam"]),
                ("as-user-extra", &["{b: [c], a: [b, b]}"]),
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
    let begins = ["", "apiVersion: v1\nkind: Config\n", "# by hand\n", "preferences: {colors: true}\n", "unknown-top: {a: 1}\n"];
    let mut all =
        r.one(&begins).to_owned() + r.one(&["", "extensions: [{name: e, extension: {b: 1}}]\n", "preferences:\n  extensions: []\n"]);
    if all.matches("preferences").count() > 1 {
        all.clear();
    }
    for (list, key, known) in lists {
        let names: Vec<&str> = NAMES.into_iter().filter(|_| r.chance(4)).collect();
        if names.is_empty() {
            all += r.one(&["", "LIST: []\n", "LIST: null\n"]).replace("LIST", list).as_str();
            continue;
        }
        all += &format!("{list}:\n");
        for name in names {
            all += &format!("{}- name: '{name}'\n  {key}:{}", r.one(&["", "", "# another\n"]), fields(r, known));
        }
    }
    if r.chance(6) {
        all += &format!("current-context: '{}'\n", r.one(&["gondor", "arnor", "", "nobody"]));
    }
    all
}

/// A path of a property, of those that mean the same to both (docs/config.md).
fn property(r: &mut Random) -> String {
    let words: [(&str, &[&str]); 3] = [
        (
            "clusters",
            &[
                "server",
                "tls-server-name",
                "insecure-skip-tls-verify",
                "certificate-authority",
                "certificate-authority-data",
                "proxy-url",
                "nonsense",
            ],
        ),
        (
            "users",
            &[
                "client-certificate",
                "client-key-data",
                "token",
                "tokenFile",
                "act-as",
                "act-as-groups",
                "username",
                "password",
                "exec",
                "auth-provider",
            ],
        ),
        ("contexts", &["cluster", "user", "namespace", "namespace.more"]),
    ];
    let (list, fields) = words[r.below(3)];
    match r.below(12) {
        0 => r.one(&["current-context", "preferences.colors", "preferences"]).to_owned(),
        1 => r.one(&["current-context.a", "cluster.a.server", "", ".a"]).to_owned(),
        2 => list.to_owned(),
        3 => format!("{list}.{}", r.one(&NAMES)),
        _ => format!("{list}.{}.{}", r.one(&NAMES), r.one(fields)),
    }
}

const TEMPLATES: [&str; 9] = [
    "{.users[*].name}",
    "{.clusters}",
    "{range .users[*]}{.name}={.user.token}{\"\\n\"}{end}",
    "{.users[?(@.name==\"gondor\")].user}",
    "{.clusters[0].cluster['server','tls-server-name']}",
    "{.contexts[1:]..cluster}",
    "{.current-context}{.nope} text",
    "{.users[-1].user.as-groups[0]}",
    "{.kind",
];

fn view(r: &mut Random, args: &mut Vec<String>) {
    args.push("view".to_owned());
    for flag in ["--raw", "--minify", "--flatten"] {
        if r.chance(3) {
            args.push(format!("{flag}{}", r.one(&["", "=true", "=false"])));
        }
    }
    if r.chance(1) {
        args.push(format!("--merge={}", r.one(&["true", "false"])));
    }
    if r.chance(2) {
        args.push(format!("--context={}", r.one(&NAMES)));
    }
    match r.below(4) {
        0 => args.push("-ojson".to_owned()),
        1 => args.push(format!("--output={}={}", r.one(&["jsonpath", "jsonpath-as-json"]), r.one(&TEMPLATES))),
        _ => {}
    }
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
    match r.below(19) {
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
        11 | 12 => view(r, &mut args),
        13 | 14 => {
            // kubectl sets no lists.
            let property = property(r).replace("act-as-groups", "act-as-uid");
            let value = r.one(&["x", "https://b:1", "eA==", "true", "F", "sub/x.pem", "0", "a: b", ""]);
            args.extend(["set".to_owned(), property, value.to_owned()]);
            if r.chance(2) {
                args.push(r.one(&["--set-raw-bytes", "--set-raw-bytes=false"]).to_owned());
            }
        }
        15 | 16 => args.extend(["unset".to_owned(), property(r)]),
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
            let known = map.into_iter().filter(|(key, _)| !key.starts_with("unknown"));
            let mut map: Map<String, Value> = known.map(|(k, v)| (k, meaning(v))).filter(|(_, v)| !empty(v)).collect();
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

/// A file of the set as it is at the beginning.
struct Start {
    name: String,
    text: Option<String>,
    mode: u32,
    /// Reached by a link.
    linked: bool,
}

impl Start {
    fn of(r: &mut Random, number: usize) -> Self {
        let name = if r.chance(1) { format!("files/new/{number}") } else { format!("files/{number}") };
        let text = (r.chance(8) && !name.contains("new")).then(|| {
            let text = file(r);
            if r.chance(2) { as_json(r, &text) } else { text }
        });
        Self { name, text, mode: if r.chance(2) { 0o444 } else { 0o644 }, linked: r.chance(2) }
    }

    /// What stays in it, whatever is changed.
    fn kept(&self) -> impl Iterator<Item = &'static str> {
        let text = self.text.as_deref().unwrap_or_default();
        ["# by hand", "unknown-top"].into_iter().filter(move |mark| text.contains(mark))
    }
}

fn as_json(r: &mut Random, text: &str) -> String {
    let root = federation_client::yaml::parse(text).unwrap().root;
    let value = root.map_or(serde_json::json!({}), |root| root.json().unwrap());
    if r.chance(5) { value.to_string() } else { format!("{value:#}\n") }
}

impl Side {
    fn new(program: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for inner in ["files/sub", "real", "sub", "home"] {
            fs::create_dir_all(dir.path().join(inner)).unwrap();
        }
        for pem in ["x.pem", "sub/x.pem", "files/x.pem"] {
            fs::write(dir.path().join(pem), pem).unwrap();
        }
        Self { program, dir }
    }

    fn start(&self, start: &Start) {
        let Some(text) = &start.text else { return };
        let path = self.dir.path().join(&start.name);
        let real = if start.linked { self.dir.path().join(start.name.replace("files/", "real/")) } else { path.clone() };
        fs::write(&real, text).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(start.mode)).unwrap();
        if start.linked {
            std::os::unix::fs::symlink(Path::new("../real").join(real.file_name().unwrap()), path).unwrap();
        }
    }

    fn run(&self, args: &[String], list: &str) -> Output {
        let mut command = Command::new(&self.program);
        command.arg("config").args(args).current_dir(self.dir.path()).env("KUBECONFIG", list).env("HOME", self.dir.path().join("home"));
        command.output().unwrap()
    }

    /// What a file means, its mode, and whether a link leads to it.
    fn state(&self, name: &str) -> (Value, Option<u32>, bool) {
        let path = self.dir.path().join(name);
        let mode = fs::metadata(&path).ok().map(|m| m.permissions().mode() & 0o7777);
        (read(self.dir.path(), name), mode, path.is_symlink())
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// The answer without what is meant to differ (docs/config.md).
    fn said(&self, args: &[String], out: &Output) -> (String, i32) {
        let text = String::from_utf8(out.stdout.clone()).unwrap().replace(&self.dir.path().display().to_string(), "/DIR");
        // Of two files the one that was changed is named.
        let text = text.strip_prefix("deleted ").and_then(|t| t.rsplit_once(" from ")).map_or(text.clone(), |(what, _)| what.to_owned());
        let code = out.status.code().unwrap();
        // Ours of a command line that cannot be understood; kubectl's of a panic.
        let code = if [64, 2].contains(&code) { 1 } else { code };
        if args[0] == "view" {
            let raw = args.iter().any(|arg| ["--raw", "--raw=true", "--flatten", "--flatten=true"].contains(&arg.as_str()));
            return (if raw { without_empty(&text) } else { redacted(&without_empty(&text)) }, code);
        }
        let mut lines: Vec<&str> = text.lines().collect();
        // kubectl lists clusters in no order.
        if lines.first() == Some(&"NAME") {
            lines.sort_unstable();
        }
        (lines.join("\n"), code)
    }
}

/// Lists and mappings of a plugin that are there and empty are the same as none: kubectl tells which of the two was written.
fn without_empty(text: &str) -> String {
    let mut text = text.to_owned();
    for (key, empty) in [("config", "{}"), ("args", "[]"), ("env", "[]")] {
        for quote in ["", "\""] {
            for blank in ["", " "] {
                text = text.replace(&format!("{key}{quote}:{blank}{empty}"), &format!("{key}{quote}:{blank}null"));
            }
        }
    }
    text
}

/// Hides what kubectl does not hide: the settings of authentication providers, and the environment of plugins.
fn redacted(text: &str) -> String {
    const KEYS: [&str; 4] = ["A", "B", "id-token", "value"];
    let hidden = |line: &str| {
        let (key, value) = line.split_once(": ")?;
        let name = key.trim().trim_matches('"');
        let comma = if value.ends_with(',') { "," } else { "" };
        let quote = if key.ends_with('"') { "\"" } else { "" };
        KEYS.contains(&name).then(|| format!("{key}: {quote}REDACTED{quote}{comma}"))
    };
    let mut all = String::new();
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        all += &(hidden(line).unwrap_or_else(|| in_one_line(line)) + end);
    }
    all
}

/// The same in JSON without line breaks, as JSONPath prints it.
fn in_one_line(line: &str) -> String {
    let mut line = line.to_owned();
    for key in ["\"A\":\"", "\"B\":\"", "\"id-token\":\"", "\"value\":\""] {
        let parts: Vec<String> = line.split(key).map(str::to_owned).collect();
        let hidden = parts[1..].iter().map(|part| format!("REDACTED{}", &part[part.find('"').unwrap_or(0)..]));
        line = std::iter::once(parts[0].clone()).chain(hidden).collect::<Vec<_>>().join(key);
    }
    line
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
#[ignore = "needs a real kubectl (the kit's, or one in PATH): cargo xtask test --real"]
fn issue10_random_sequences_of_commands_end_as_with_kubectl() {
    let kubectl = programs::find("kubectl").unwrap();
    let seed = number("CONFIG_SEED", 10);
    for sequence in 0..number("CONFIG_SEQUENCES", SEQUENCES) {
        let mut r = Random(seed.wrapping_mul(1_000_003).wrapping_add(sequence));
        let sides = [Side::new(kubectl.clone()), Side::new(env!("CARGO_BIN_EXE_kubefed").into())];
        let files: Vec<Start> = (0..=r.below(3)).map(|number| Start::of(&mut r, number)).collect();
        for side in &sides {
            files.iter().for_each(|start| side.start(start));
        }
        let mut names: Vec<&str> = files.iter().map(|start| start.name.as_str()).collect();
        if r.chance(1) {
            names.push(names[0]);
        }
        let (list, mut story) = (names.join(":"), String::new());
        for _ in 0..COMMANDS {
            let mut args = command(&mut r);
            if r.chance(1) {
                args.push(format!("--kubeconfig={}", names[r.below(names.len())]));
            }
            let [theirs, ours] = sides.each_ref().map(|side| side.run(&args, &list));
            story += &format!("{args:?}\n");
            let told = || {
                let texts: Vec<String> = names.iter().map(|name| sides[1].text(name)).collect();
                let said = [&theirs, &ours].map(|out| String::from_utf8_lossy(&out.stderr).into_owned());
                format!("CONFIG_SEED={seed}, sequence {sequence}, {list}:\n{story}{said:?}\n{}", texts.join("\n----\n"))
            };
            assert_eq!(sides[1].said(&args, &ours), sides[0].said(&args, &theirs), "left is ours; {}", told());
            for name in &names {
                let [theirs, ours] = sides.each_ref().map(|side| side.state(name));
                assert_eq!(ours, theirs, "{name}: left is ours; {}", told());
            }
            for start in &files {
                let text = sides[1].text(&start.name);
                assert!(start.kept().all(|mark| text.contains(mark)), "{}: {}", start.name, told());
            }
        }
    }
}
