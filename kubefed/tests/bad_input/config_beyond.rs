//! What `kubefed config` has beyond kubectl's commands: what it does to files, and what it says when it does nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::Place;

const MINE: &str = "# mine\ncurrent-context: gondor\ncontexts:\n- name: gondor\n  context: {cluster: kubernetes, user: admin}\n\
    clusters:\n- name: kubernetes # the white city\n  cluster: {server: 'https://gondor'}\nusers:\n- name: admin\n  user: {token: s3cret}\n";
const THEIRS: &str = "clusters: [{name: kubernetes, cluster: {server: 'https://rohan', certificate-authority: ca.pem, future: 1}}]\n\
    users: [{name: admin, user: {token: s3cret-too, exec: {command: ./plugin}}}]\ncontexts: [{name: gondor, context: {cluster: kubernetes, user: admin}}]\n";

fn mode(place: &Place, name: &str) -> u32 {
    fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777
}

/// Commands with what they print.
fn story(place: &Place, commands: &[&[&str]]) -> String {
    let mut all = String::new();
    for args in commands {
        let args = [&["config"], *args].concat();
        let said = place.kubefed(&args);
        let out = said.fine().out.replace(&place.path("").display().to_string(), "DIR/");
        all += &format!("$ kubefed {}\n{out}{}\n", args.join(" "), said.err);
    }
    all
}

#[test]
fn issue10_what_is_wrong_with_import_export_split_and_undo_is_told() {
    let place = Place::new();
    let path = place.file(".kube/config", MINE);
    place.file("two", "contexts: [{name: a, context: {}}, {name: b, context: {}}]\n");
    place.file("alone", "contexts: [{name: a, context: {user: s3cret}}]\n");
    place.file("broken", "contexts: [{name: a\n");
    place.file("theirs", THEIRS);
    place.file("there.yaml", "mine");
    place.file("out/gondor.yaml", "mine");
    let mut all = String::new();
    for args in [
        &["import"][..],
        &["import", "theirs", "--dryrun"],
        &["import", "theirs", "--dry-run=maybe"],
        &["export"],
        &["split"],
        &["undo", "twice"],
        &["lint", "--within=soon"],
        &["lint", "-o", "xml"],
        &["check", "--timeout=soon"],
        &["prune", "--yes=maybe"],
        &["udno"],
    ] {
        all += &place.kubefed(&[&["config"], args].concat()).complaint(64);
    }
    for args in [
        &["import", "nowhere"][..],
        &["import", "-"],
        &["import", "broken"],
        &["import", "two", "--as=c"],
        &["import", "theirs", "--as=gondor"],
        &["import", "theirs", "--as="],
        &["import", "alone"],
        &["export", "gondr"],
        &["export", "gondor", "Lothl\u{f3}rien"],
        &["export", "gondor", "--kubeconfig=theirs"],
        &["export", "gondor", "--output=there.yaml"],
        &["split", "out"],
        &["split", "new", "nobody"],
        &["split", "new", "--kubeconfig=nowhere"],
        &["undo"],
        &["check", "gondr"],
        &["prune", "Lothl\u{f3}rien"],
    ] {
        all += &place.kubefed(&[&["config"], args].concat()).complaint(1);
    }
    insta::assert_snapshot!(all);
    assert_eq!(fs::read_to_string(path).unwrap(), MINE);
    assert!(!place.path("new").exists() && fs::read_to_string(place.path("there.yaml")).unwrap() == "mine");
}

#[test]
fn issue10_import_renames_what_collides_and_loses_nothing() {
    let place = Place::new();
    let path = place.file(".kube/config", MINE);
    place.file("theirs", THEIRS);
    let mut all = story(&place, &[&["import", "theirs", "--dry-run"]]);
    assert_eq!(fs::read_to_string(&path).unwrap(), MINE);
    all += &story(&place, &[&["import", "theirs"], &["import", "theirs"], &["import", "theirs", "--as=rohan"]]);
    all += &fs::read_to_string(&path).unwrap().replace(&place.path("").display().to_string(), "DIR/");
    insta::assert_snapshot!(all);
}

#[test]
fn issue10_what_is_exported_is_imported_again() {
    let place = Place::new();
    place.file(".kube/config", &MINE.replace("server: 'https://gondor'", "server: 'https://gondor', certificate-authority: ca.pem"));
    place.file(".kube/ca.pem", "a certificate");
    let mut all = story(
        &place,
        &[&["export", "gondor", "--output=new/gondor.yaml"], &["split", "all"], &["view", "--raw", "--kubeconfig=all/gondor.yaml"]],
    );
    assert_eq!((mode(&place, "new/gondor.yaml"), mode(&place, "all/gondor.yaml")), (0o600, 0o600));
    let piped = place.shell("$kubefed config export gondor | $kubefed config import - --as=south --kubeconfig=other");
    all += &piped.fine().out;
    assert_eq!(mode(&place, "other"), 0o600);
    all += &fs::read_to_string(place.path("other")).unwrap();
    insta::assert_snapshot!(all);
}

#[test]
fn issue10_undo_takes_the_last_change_back_in_every_file() {
    let place = Place::new();
    place.file("one", MINE);
    let two = "users: [{name: admin, user: {token: other}}, {name: sam, user: {}}]\n";
    place.file("two", two);
    let list = format!("{}:{}", place.path("one").display(), place.path("two").display());
    let run = |args: &[&str]| {
        let said = place.kubefed_in(&[("KUBECONFIG", &list)], &[&["config"], args].concat());
        let out = said.out.replace(&place.path("").display().to_string(), "DIR/");
        format!("$ kubefed config {}\n{out}{}", args.join(" "), said.err)
    };
    let texts = || ["one", "two"].map(|name| fs::read_to_string(place.path(name)).unwrap());
    let before = texts();
    let mut all = run(&["unset", "users"]);
    let after = texts();
    assert_ne!((&before[0], &before[1]), (&after[0], &after[1]), "both files have users");
    assert_eq!((mode(&place, "one.undo"), mode(&place, "two.undo")), (0o600, 0o600));
    all += &run(&["undo"]);
    assert_eq!(texts(), before, "byte for byte");
    all += &run(&["undo"]);
    assert_eq!(texts(), after);
    all += &run(&["undo"]);
    // What another program wrote since is not lost.
    all += &run(&["use-context", "gondor", "--kubeconfig=fresh"]);
    all += &run(&["set-context", "gondor", "--kubeconfig=fresh"]);
    all += &run(&["undo", "--kubeconfig=fresh"]);
    assert!(!place.path("fresh").exists(), "it was not there before");
    all += &run(&["set-context", "gondor", "--namespace=s3cret", "--kubeconfig=one"]);
    place.file("one", "# written by hand\n");
    all += &run(&["undo", "--kubeconfig=one"]);
    assert_eq!(texts()[0], "# written by hand\n");
    insta::assert_snapshot!(all);
}
