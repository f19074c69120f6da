use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kubeconfig::Preferences;

/// Other people's entries, whatever they look like.
const MINE: &str = "# mine, and dear to me\napiVersion: v1\nkind: Config\nclusters: # where\n- name: gondor # the white city\n  cluster:\n    \
    server: https://gondor\n    future-field: 1.30\n    other: [007, no, 12345678901234567890123, ~, 0x1F]\n    extensions:\n    - name: e\n      \
    extension: {a: 1e3, b: 'y', c: \"1.30\"}\n  # after the cluster\ncurrent-context: gondor\npreferences: {colors: true}\nmy-own: {deep: [1, 'yes', \"0x10\", yes]}\n\
    users:\n- name: gondor\n  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, args: [get, token], env: null}}\n\
    contexts:\n- name: gondor\n  context: {cluster: gondor, user: gondor}\n# the end\n";

fn entries(server: &str) -> Vec<Entry> {
    vec![
        Entry { list: "clusters", name: "fellowship".into(), value: json!({"server": server, "certificate-authority-data": "aGk="}) },
        Entry { list: "users", name: "fellowship".into(), value: json!({"token": "t"}) },
        Entry { list: "contexts", name: "fellowship".into(), value: json!({"cluster": "fellowship", "user": "fellowship"}) },
    ]
}

const OURS: [(&str, &str); 3] = [("clusters", "fellowship"), ("users", "fellowship"), ("contexts", "fellowship")];

fn change(text: &[u8], changes: &[Change]) -> Result<Option<Vec<u8>>, Error> {
    changed(Path::new("config"), text, changes)
}

fn with(text: impl AsRef<[u8]>) -> Vec<u8> {
    change(text.as_ref(), &puts(&entries("https://one"))).unwrap().unwrap()
}

fn without(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    change(text.as_ref(), &removals(&OURS)).unwrap()
}

fn string(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn issue7_case_07_what_others_wrote_is_byte_for_byte_what_it_was_after_an_edit_and_its_undoing() {
    let after = string(with(MINE));
    for line in MINE.lines() {
        assert!(after.lines().any(|l| l == line), "{line}\n{after}");
    }
    assert!(after.contains("- cluster:\n    certificate-authority-data: aGk=\n    server: https://one\n  name: fellowship\n"), "{after}");
    assert_eq!(change(after.as_bytes(), &puts(&entries("https://one"))).unwrap(), None, "the same again changes nothing");
    let other = string(change(after.as_bytes(), &puts(&entries("https://two"))).unwrap().unwrap());
    assert_eq!(other, after.replace("https://one", "https://two"));
    assert_eq!(string(without(&other).unwrap()), MINE);
    assert_eq!(without(MINE), None, "nothing of ours is there");
}

#[test]
fn issue7_case_07_a_file_that_kubectl_does_not_read_is_not_edited() {
    for text in [
        "clusters:\n- name: 1.30\n",
        "users: [{name: no}]\n",
        "clusters: 5\n",
        "[1, 2]\n",
        "a: [\n",
        "users: [{name: a, user: {password: 12345678901234567890123}}]\n",
    ] {
        assert!(change(text.as_bytes(), &puts(&entries("https://one"))).is_err(), "{text}");
    }
}

#[test]
fn issue7_case_06_what_can_be_read_can_be_edited() {
    let second = "---\napiVersion: v1\nkind: Config\nclusters:\n- {name: other, cluster: {server: 'https://x'}}\n# end\n";
    let two = format!("{MINE}{second}");
    let after = string(with(&two));
    assert!(after.ends_with(second));
    assert_eq!(string(without(&after).unwrap()), two);
    let windows = MINE.replace('\n', "\r\n");
    assert_eq!(string(without(with(&windows)).unwrap()), windows);
    assert!(!string(with(&windows)).replace("\r\n", "").contains('\n'));
    for encoding in [yaml::Encoding::Utf8Marked, yaml::Encoding::Utf16Little, yaml::Encoding::Utf16Big] {
        let bytes = encoding.encode(&windows);
        let after = with(&bytes);
        assert_eq!(yaml::decode(&after).unwrap().1, encoding);
        assert_eq!(without(&after).unwrap(), bytes);
    }
    for empty in
        ["", "# a comment\n", "---\n", "---\n---\nother: [\n", "null\n", "{}", "clusters: null\nusers: []\n", "clusters:\nusers:\n", "a: b"]
    {
        let after = change(empty.as_bytes(), &puts(&entries("https://one"))).unwrap_or_else(|e| panic!("{empty:?}: {e}")).unwrap();
        let config = Kubeconfig::read(&after, Source::File(Path::new("config"))).unwrap();
        assert_eq!(config.clusters["fellowship"].server, "https://one", "{empty:?}");
        assert!(config.users.contains_key("fellowship") && config.contexts.contains_key("fellowship"));
    }
}

#[test]
fn json_stays_json() {
    let root = yaml::parse(MINE).unwrap().root.unwrap().json().unwrap();
    for text in [root.to_string(), format!("{root:#}\n"), "{\n\t\"clusters\": []\n}".to_owned()] {
        let before: serde_json::Value = serde_json::from_str(&text).unwrap();
        let after: serde_json::Value = serde_json::from_slice(&with(&text)).unwrap();
        assert_eq!(after["clusters"].as_array().unwrap().len(), before["clusters"].as_array().unwrap().len() + 1);
        let back: serde_json::Value = serde_json::from_slice(&without(with(&text)).unwrap()).unwrap();
        assert_eq!(back["clusters"], before["clusters"]);
        assert_eq!(back.get("my-own"), before.get("my-own"));
    }
}

#[test]
fn layouts_that_no_cut_fits_are_written_anew_with_all_values() {
    // Others refer to what stands in our entry.
    let anchored = "clusters:\n- name: fellowship\n  cluster:\n    server: https://zero\n    certificate-authority-data: &ca eA==\n- name: gondor\n  \
        cluster:\n    server: https://gondor\n    certificate-authority-data: *ca\n    odd: [1.30, no, 'a, b', a,b]\nusers: []\n";
    let after = with(anchored);
    let config = Kubeconfig::read(&after, Source::File(Path::new("config"))).unwrap();
    assert_eq!(config.clusters["gondor"].certificate_authority_data, b"x");
    assert_eq!(config.clusters["fellowship"].server, "https://one");
    assert!(string(after).contains("[1.30, no, \"a, b\""));
    assert_eq!(Kubeconfig::read(&without(anchored).unwrap(), Source::File(Path::new("config"))).unwrap().clusters.len(), 1);
    // A merge, doubled keys, dashes on lines of their own.
    for text in [
        "x: &x\n  clusters: [{name: a, cluster: {server: b}}]\n<<: *x\n",
        "clusters: [{name: a}]\nclusters: [{name: b}]\n",
        "clusters:\n-\n  name: a\n-\n  name: b\n",
        "clusters:\n  - name: a\n    cluster: {}\n  - {name: b}\n",
        "? clusters\n: - name: a\n",
    ] {
        let names = |bytes: &[u8]| Kubeconfig::read(bytes, Source::File(Path::new("c"))).unwrap().clusters.into_keys().collect::<Vec<_>>();
        let mut all = names(text.as_bytes());
        let after = with(text);
        assert_eq!(names(&without(&after).unwrap()), all, "{text}");
        all.push("fellowship".into());
        all.sort();
        assert_eq!(names(&after), all, "{text}");
    }
}

#[test]
fn removing_the_current_context_leaves_none() {
    let after = string(change(MINE.as_bytes(), &removals(&[("contexts", "gondor")])).unwrap().unwrap());
    assert!(after.contains("current-context: \"\"\n") && after.contains("contexts: []\n"), "{after}");
    assert!(after.contains("# mine, and dear to me"));
}

#[test]
fn a_new_file_is_for_its_owner_only_and_links_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("deep/config"), dir.path().join("link"));
    symlink("deep/config", &link).unwrap();
    assert!(put(&link, &entries("https://one")).unwrap(), "a link to what is not there yet");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    put(&link, &entries("https://two")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    assert!(fs::read_to_string(&path).unwrap().contains("https://two"));
    let left: Vec<_> = fs::read_dir(dir.path().join("deep")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["config"], "no lock and no copy stays");
}

#[test]
fn d28_mode_owner_and_hard_links_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("config"), dir.path().join("other"));
    fs::write(&path, MINE).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // Only root may give a file away; everybody else has no foreign file that is writable here.
    let owner = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(4711), Some(4712)).map(|()| (4711, 4712)).ok()
    } else {
        None
    };
    put(&path, &entries("https://one")).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
    if let Some(owner) = owner {
        assert_eq!((metadata.uid(), metadata.gid()), owner);
    }
    fs::hard_link(&path, &other).unwrap();
    put(&path, &entries("https://two")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), fs::metadata(&other).unwrap().ino());
    assert!(fs::read_to_string(&other).unwrap().contains("https://two"));
}

#[test]
fn d28_attributes_as_an_access_list_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    fs::write(&path, MINE).unwrap();
    rustix::fs::setxattr(&path, "user.note", b"mine", rustix::fs::XattrFlags::empty()).unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    put(&path, &entries("https://one")).unwrap();
    let mut value = [0; 8];
    let length = rustix::fs::getxattr(&path, "user.note", &mut value).unwrap();
    assert_eq!((&value[..length], fs::metadata(&path).unwrap().ino()), (&b"mine"[..], before));
    assert!(fs::read_to_string(&path).unwrap().contains("https://one"));
    // A file without such is replaced in one step.
    rustix::fs::removexattr(&path, "user.note").unwrap();
    put(&path, &entries("https://two")).unwrap();
    assert_ne!(fs::metadata(&path).unwrap().ino(), before);
}

#[test]
fn w5_whether_a_file_can_be_written_is_known_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    fs::write(&path, MINE).unwrap();
    can_put(&path, &entries("https://one")).unwrap();
    can_remove(&path, &[("clusters", "gondor")]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), MINE);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no lock and no copy stays");
    let missing = dir.path().join("none");
    can_put(&missing, &entries("https://one")).unwrap();
    assert!(!missing.exists());
    assert!(can_put(dir.path(), &entries("https://one")).is_err(), "a directory");
    assert!(can_put(&path.join("below"), &entries("https://one")).is_err(), "below a file");
    fs::write(&path, "clusters: [{name: 5}]").unwrap();
    assert!(can_put(&path, &entries("https://one")).is_err());
}

#[test]
fn issue7_case_05_a_file_without_our_entries_is_not_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    fs::write(&path, MINE).unwrap();
    fs::write(dir.path().join("config.lock"), "").unwrap();
    assert!(!remove(&path, &OURS).unwrap());
    let error = put(&path, &entries("https://one")).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }) && error.to_string().contains("is locked since "), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), MINE);
    assert!(dir.path().join("config.lock").exists(), "somebody else's lock stays");
}

#[test]
fn no_update_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    std::thread::scope(|scope| {
        for i in 0..8 {
            let path = &path;
            scope.spawn(move || put(path, &[Entry { list: "users", name: format!("u{i}"), value: json!({"token": "t"}) }]).unwrap());
        }
    });
    let config = Kubeconfig::read(&fs::read(&path).unwrap(), Source::File(&path)).unwrap();
    assert_eq!(config.users.len(), 8);
}

/// A scalar as somebody may write it.
fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1.30".to_owned()),
        Just("007".into()),
        Just("no".into()),
        Just("~".into()),
        Just("".into()),
        Just("12345678901234567890123".into()),
        Just("'it''s'".into()),
        Just("\"a\\tb\"".into()),
        Just("!!str 5".into()),
        Just("a b".into()),
        Just("[1, {a: yes}]".into()),
        Just("{a: 'b', c: 0x1F}".into()),
        Just("|\n        two\n        lines\n".into()),
        Just(">-\n        two\n        lines".into()),
        "[a-z]{1,5}".prop_map(|s| format!("x{s}")),
    ]
}

/// A list of entries in one of the layouts people write.
fn list(key: &'static str, inner: &'static str) -> impl Strategy<Value = String> {
    let names = proptest::collection::btree_set("[b-e]{1,2}x", 0..4);
    (names, proptest::collection::vec(scalar(), 4), 0..5_usize, any::<bool>(), any::<bool>()).prop_map(
        move |(names, odd, style, ours, comments)| {
            let mut names: Vec<String> = names.into_iter().collect();
            if ours {
                names.insert(names.len() / 2, "fellowship".into());
            }
            let comment = if comments { "# a: comment\n" } else { "" };
            if names.is_empty() {
                return format!("{key}:{}\n", ["", " []", " null", " ~", " [ ]"][style]);
            }
            if style == 4 {
                let all: Vec<String> = names.iter().map(|n| format!("{{\"name\": \"{n}\", {inner}: {{odd: 1.30}}}}")).collect();
                return format!("{key}: [{}]\n", all.join(",\n  "));
            }
            let pad = ["", "  ", "", " "][style];
            let items: String = names
                .iter()
                .zip(odd.iter().cycle())
                .map(|(n, odd)| match style {
                    2 => format!("{comment}{pad}- {inner}:\n{pad}      odd: {}\n{pad}  name: {n}\n", odd.trim_end()),
                    _ => format!("{pad}- name: {n} # here\n{pad}  {inner}:\n{pad}      odd: {}\n{comment}", odd.trim_end()),
                })
                .collect();
            format!("{key}:\n{items}")
        },
    )
}

fn file() -> impl Strategy<Value = String> {
    let parts = (list("clusters", "cluster"), list("users", "user"), list("contexts", "context"), proptest::collection::vec(scalar(), 2));
    (parts, 0..4_usize, any::<bool>(), any::<bool>(), Just([0, 1, 2]).prop_shuffle()).prop_map(
        |((c, u, k, odd), ends, start, missing, order)| {
            let lists = [c, u, if missing { String::new() } else { k }];
            let tail = ["", "# the end\n", "---\nclusters: 5\n", "...\n\tanything: [\n"][ends];
            let own = format!("my-own:\n    odd: {}\nkind: Config\n", odd[0].trim_end());
            format!("{}{own}{}{}{}{tail}", if start { "---\n" } else { "" }, lists[order[0]], lists[order[1]], lists[order[2]])
        },
    )
}

proptest! {
    /// Whatever the file looks like: other people's entries stay, ours come and go, and what was cut and put back is as before.
    #[test]
    fn issue7_case_07_every_file_that_is_read_is_edited_and_others_entries_stay(text in file()) {
        let read = |bytes: &[u8]| Kubeconfig::read(bytes, Source::File(Path::new("config")));
        prop_assume!(read(text.as_bytes()).is_ok());
        let theirs = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let root = yaml::parse(&text).unwrap().root.unwrap();
            let spelt = |n: &Node| { let mut out = String::new(); emit::node(n, &mut out); out };
            let lists = ["clusters", "users", "contexts"].map(|l| items(Some(&root), l).iter().filter(|i| i.name().as_deref() != Some("fellowship")).map(&spelt).collect::<Vec<_>>());
            (lists, root.get("my-own").map(&spelt))
        };
        let before = theirs(text.as_bytes());
        let after = change(text.as_bytes(), &puts(&entries("https://one"))).unwrap().unwrap();
        prop_assert_eq!(&theirs(&after), &before);
        let config = read(&after).unwrap();
        prop_assert_eq!(&config.clusters["fellowship"].server, "https://one");
        let gone = without(&after).unwrap();
        prop_assert_eq!(&theirs(&gone), &before);
        prop_assert!(!read(&gone).unwrap().users.contains_key("fellowship"));
    }
}

/// What a change of one entry leaves of its comments, its order and other people's fields.
#[test]
fn issue10_comments_within_a_changed_entry_stay() {
    let text = "users:\n- name: gondor # the white city\n  colour: white\n  user: # who\n    token: old # from Minas Tirith\n    # a plugin once\n    \
        username: x\n    as-groups: # both\n    - a\n    - b\n    future: {a: 1} # keep\n    password: z\n- name: flow\n  user: {token: a, x: 1} # there\n";
    let put = |name: &str, value| Change::Put(Entry { list: "users", name: name.into(), value });
    let changes = [
        put("gondor", json!({"token": "new", "as-groups": ["c"], "future": {"a": 1}, "exec": {"command": "p", "args": ["q"]}})),
        put("flow", json!({"token": "b: c", "x": 1})),
        Change::Rename { list: "users", old: "flow".into(), new: "no".into() },
        Change::Preferences(Preferences { colors: true, ..Preferences::default() }),
    ];
    let after = changed(Path::new("config"), text.as_bytes(), &changes).unwrap().unwrap();
    insta::assert_snapshot!(string(after));
}

#[test]
fn issue10_an_entry_is_renamed_where_it_stands() {
    let rename = |text: &str| {
        let change = Change::Rename { list: "contexts", old: "a".into(), new: "b".into() };
        changed(Path::new("config"), text.as_bytes(), &[change]).unwrap().map(string)
    };
    let only = "contexts:\n- context:\n    cluster: c # c\n  name: a # the only one\n";
    assert_eq!(rename(only).unwrap(), only.replace("name: a", "name: b"));
    assert_eq!(rename("contexts: [{\"name\": \"a\"}]\n").unwrap(), "contexts: [{\"name\": \"b\"}]\n");
    assert_eq!(rename("contexts: [{name: c}]\n"), None);
    let anchored = rename("contexts:\n- name: &n a\n  context: {cluster: *n}\n").unwrap();
    let config = Kubeconfig::read(anchored.as_bytes(), Source::File(Path::new("config"))).unwrap();
    assert_eq!(config.contexts["b"].cluster, "a");
}
