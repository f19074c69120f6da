//! The flags that the documents tell of are those there are: tables, the page of `kubefed`'s flags, and examples.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::{Arg, Args, Command, CommandFactory, Parser as _, Subcommand};
use federation_controller_manager::options::Options as Manager;
use kubefed::cli::Cli;

/// Writes the page of `kubefed`'s flags instead of comparing it.
const UPDATE: &str = "UPDATE_DOCS";
const PAGE: &str = "docs/kubefed.md";

/// Flags of other programs that the documents show: kubectl, kubelet, etcd, curl, cargo and `cargo xtask`.
const OTHERS: [&str; 34] = [
    "advertise-client-urls",
    "applyset",
    "bootstrap-kubeconfig",
    "bound-object-kind",
    "bound-object-name",
    "bump-revision",
    "cacert",
    "cascade",
    "cert",
    "clusterrole",
    "duration",
    "for",
    "group",
    "key",
    "listen-client-urls",
    "mark-compacted",
    "members",
    "minify",
    "name",
    "objects",
    "package",
    "peer",
    "prune",
    "prune-allowlist",
    "raw",
    "real",
    "replicas",
    "resource",
    "resource-name",
    "revision",
    "template",
    "test",
    "type",
    "verb",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn kubefed() -> Command {
    Cli::command()
}

fn apiserver() -> Command {
    federation_apiserver::options::Options::augment_args(Command::new("federation-apiserver"))
}

/// Flags that help shows.
fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_long().is_some_and(|long| !matches!(long, "help" | "version")))
}

fn default_of(arg: &Arg) -> String {
    let values = arg.get_default_values().iter().filter(|_| arg.get_action().takes_values());
    values.map(|value| value.to_string_lossy().into_owned()).collect::<Vec<_>>().join(",")
}

/// Names and defaults that rows of a table with the columns flag, default and meaning tell, in their order.
fn told(document: &str, heading: &str) -> Vec<(String, String)> {
    let section = document.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let table = section.split("| flag | default | meaning |\n|---|---|---|\n").nth(1).unwrap_or_else(|| panic!("no table under {heading}"));
    let mut all = Vec::new();
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names: Vec<&str> = cells[1].split(", ").map(|name| name.trim_start_matches("• ").trim_matches('`')).collect();
        let names: Vec<&str> = names.into_iter().filter_map(|name| name.strip_prefix("--")).collect();
        let defaults: Vec<&str> = if names.len() == 1 { vec![cells[2]] } else { cells[2].split(", ").collect() };
        let defaults: Vec<&str> = defaults.into_iter().map(|value| value.trim_matches('`')).collect();
        assert!(defaults.len() == names.len() || defaults.len() == 1, "{row}");
        all.extend(names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), defaults[at.min(defaults.len() - 1)].to_owned())));
    }
    all
}

#[test]
fn issue8_the_tables_of_flags_are_those_of_the_programs() {
    let document = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for command in [apiserver(), Manager::command()] {
        let heading = format!("## Flags of {}", command.get_name());
        let table = told(&document, &heading);
        let mut names: Vec<&str> = table.iter().map(|(name, _)| name.as_str()).collect();
        let mut known: Vec<&str> = flags(&command).filter_map(Arg::get_long).collect();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known, "{heading}: left is what the document tells");
        for arg in flags(&command) {
            let (name, default) = (arg.get_long().unwrap(), default_of(arg));
            let told = &table.iter().find(|(told, _)| told == name).unwrap().1;
            assert!(default.is_empty() || *told == default, "{heading}: the default of --{name} is {default}, not {told}");
        }
    }
}

/// `docs/kubefed.md` as the definitions have it.
fn page() -> String {
    let mut page = "# Flags of kubefed\n\nThis page is made from the command line's definitions: change `kubefed/src/cli`, then run\n\
                    `UPDATE_DOCS=1 cargo test --package kubefed --test flags`. How the commands are used stands in\n\
                    [Set up a federation on your own clusters](on-prem.md).\n"
        .to_owned();
    let mut root = kubefed();
    root.build();
    section(&mut page, &root, "every command", flags(&root));
    for command in root.get_subcommands().filter(|c| c.get_name() != "help") {
        sections(&mut page, command, "kubefed");
    }
    page
}

/// A command, and the commands it has itself.
fn sections(page: &mut String, command: &Command, before: &str) {
    let title = format!("{before} {}", command.get_name());
    section(page, command, &title, flags(command).filter(|arg| !arg.is_global_set()));
    command.get_subcommands().filter(|c| c.get_name() != "help").for_each(|inner| sections(page, inner, &title));
}

fn section<'a>(page: &mut String, command: &Command, title: &str, flags: impl Iterator<Item = &'a Arg>) {
    let _ = write!(page, "\n## {title}\n\n");
    if title != "every command" {
        let _ = writeln!(page, "{}.", command.get_about().unwrap());
    }
    let mut rows = flags.map(row).peekable();
    if rows.peek().is_some() {
        let blank = if title == "every command" { "" } else { "\n" };
        let _ = write!(page, "{blank}| flag | default | meaning |\n|---|---|---|\n");
        rows.for_each(|row| page.push_str(&row));
    }
}

fn row(arg: &Arg) -> String {
    let long = arg.get_long().unwrap();
    let value = match arg.get_value_names() {
        Some([name]) if arg.get_action().takes_values() => format!("={name}"),
        _ => String::new(),
    };
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let aliases = arg.get_visible_aliases().unwrap_or_default().into_iter().map(|alias| format!(", `--{alias}`")).collect::<String>();
    let default = Some(default_of(arg)).filter(|default| !default.is_empty() && !arg.is_hide_default_value_set());
    let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    format!("| {short}`--{long}{value}`{aliases} | {default} | {help} |\n")
}

#[test]
fn issue8_the_page_of_kubefeds_flags_is_current() {
    let (path, page) = (root().join(PAGE), page());
    if env::var_os(UPDATE).is_some() {
        return fs::write(path, page).unwrap();
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    let differ = there.lines().zip(page.lines()).find(|(a, b)| a != b);
    assert!(there == page, "{PAGE} is stale ({differ:?}): run {UPDATE}=1 cargo test --package kubefed --test flags");
}

/// Every long flag of every program, hidden ones too: scripts of v1 have them.
fn known(command: &Command, names: &mut BTreeSet<String>) {
    for arg in command.get_arguments() {
        names.extend(arg.get_long_and_visible_aliases().unwrap_or_default().into_iter().map(str::to_owned));
        names.extend(arg.get_all_aliases().unwrap_or_default().into_iter().map(str::to_owned));
    }
    command.get_subcommands().for_each(|command| known(command, names));
}

/// Words that begin with two dashes and a letter.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    words.filter_map(|word| word.strip_prefix("--")).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[test]
fn issue8_every_flag_in_the_documents_exists() {
    let mut names = BTreeSet::from(["help".to_owned(), "version".to_owned()]);
    let store = federation_apiserver::store::Command::augment_subcommands(Command::new("store"));
    for command in [kubefed(), apiserver(), Manager::command(), store] {
        known(&command, &mut names);
    }
    let mut wrong = Vec::new();
    let mut unused: BTreeSet<&str> = OTHERS.into();
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The page of kubefed's flags is made from them.
    files.retain(|file| file.extension().is_some_and(|e| e == "md") && !file.ends_with(PAGE));
    files.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for name in mentioned(&text) {
            unused.remove(name);
            if !names.contains(name) && !OTHERS.contains(&name) {
                wrong.push(format!("{}: there is no --{name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(unused.is_empty(), "no document mentions {unused:?}");
}

/// The flags of Federation v1's commands, as its help lists them.
const V1: [(&str, &str); 4] = [
    (
        "kubefed init",
        "kubeconfig host-cluster-context federation-system-namespace credentials-kubeconfig dns-provider dns-zone-name \
         dns-provider-config image image-pull-policy image-pull-secrets etcd-servers etcd-image etcd-pv-capacity \
         etcd-pv-storage-class etcd-persistent-storage dry-run apiserver-arg-overrides controllermanager-arg-overrides \
         api-server-service-type api-server-advertise-address api-server-port apiserver-enable-basic-auth \
         apiserver-enable-token-auth node-selector",
    ),
    (
        "kubefed join",
        "kubeconfig host-cluster-context federation-system-namespace credentials-kubeconfig cluster-context secret-name dry-run \
         output sort-by show-labels show-all no-headers allow-missing-template-keys output-version save-config validate generator",
    ),
    ("kubefed unjoin", "kubeconfig host-cluster-context federation-system-namespace credentials-kubeconfig cluster-context"),
    (
        "Every command",
        "as as-group certificate-authority client-certificate client-key cluster context insecure-skip-tls-verify password \
         request-timeout server token user username v cache-dir match-server-version namespace alsologtostderr log-backtrace-at \
         log-dir log-flush-frequency logtostderr stderrthreshold vmodule",
    ),
];

/// Names of all functions in the sources below a directory.
fn functions(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
            functions(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            names.extend(text.lines().filter_map(|line| Some(line.split_once("fn ")?.1.split_once('(')?.0.to_owned())));
        }
    }
}

/// Each has a row that says what it is here, and a test that exists.
#[test]
fn v1_every_flag_is_taken() {
    let page = fs::read_to_string(root().join("docs/v1.md")).unwrap();
    let mut tests = BTreeSet::new();
    functions(&root(), &mut tests);
    let mut kubefed = kubefed();
    kubefed.build();
    for (title, flags) in V1 {
        let section = page.split(&format!("\n## {title}\n")).nth(1).unwrap_or_else(|| panic!("no {title}"));
        let rows = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `--"));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
        let told: Vec<&str> = rows.iter().map(|row| row[1].trim_matches('`').trim_start_matches('-')).collect();
        assert_eq!(told, flags.split(' ').collect::<Vec<_>>(), "{title}");
        let command = kubefed.find_subcommand(title.trim_start_matches("kubefed ")).unwrap_or(&kubefed);
        let mut taken = BTreeSet::new();
        known(command, &mut taken);
        for (flag, row) in told.iter().zip(&rows) {
            assert!(taken.contains(*flag), "{title} does not take --{flag}");
            assert!(!row[2].is_empty() && tests.contains(row[3].trim_matches('`')), "{title} --{flag}: {row:?}");
        }
    }
    let line = "kubefed version --cache-dir=a --match-server-version -n b --alsologtostderr --log-backtrace-at=a:1 --log-dir=c \
                --log-flush-frequency=5s --logtostderr=true --stderrthreshold=2 --vmodule=a=1 --v=2";
    Cli::try_parse_from(line.split_whitespace()).unwrap();
}
