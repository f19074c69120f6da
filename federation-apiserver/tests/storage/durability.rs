//! The embedded database across crashes, and with data directories that cannot be used.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use federation_apiserver::storage::embedded::check::{self, CheckError};
use federation_apiserver::storage::embedded::restore;
use federation_apiserver::storage::embedded::{Embedded, FILE, FORMAT, OpenError};
use federation_apiserver::storage::store::{ListOptions, ReadAt, Store};
use federation_apiserver::storage::{Backend, Event, Expect, StorageError};
use futures::StreamExt as _;
use redb::{ReadableDatabase as _, ReadableTable as _};

const DIR: &str = "STORAGE_TEST_CRASH_DIR";

/// Not a test of its own: what `answered_writes_survive_a_kill` starts and kills.
#[tokio::test]
async fn crash_child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let db = std::sync::Arc::new(Embedded::open(dir.as_ref()).unwrap());
    let writers = (0..4).map(|w| {
        let db = db.clone();
        async move {
            for n in 0.. {
                let key = format!("/registry/maps/{w}-{n:05}");
                let revision = db.put(&key, Bytes::from(n.to_string()), Expect::Absent, None).await.unwrap();
                println!("answered {key} {revision}");
            }
        }
    });
    futures::future::join_all(writers).await;
}

#[tokio::test]
async fn answered_writes_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["durability::crash_child", "--exact", "--nocapture"])
            .env(DIR, dir.path().join(round.to_string()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        answered.clear();
        while answered.len() < 60 * round {
            let line = lines.next().expect("the child ended").unwrap();
            answered.extend(line.split_once("answered ").map(|(_, rest)| rest.to_owned()));
        }
        child.kill().unwrap();
        // What it had said before it died counts as well; the last line may be cut short.
        let mut rest: Vec<_> = lines.map_while(Result::ok).collect();
        rest.pop();
        answered.extend(rest.iter().filter_map(|l| l.split_once("answered ")).map(|(_, rest)| rest.to_owned()));
        child.wait().unwrap();
        let db = Embedded::open(&dir.path().join(round.to_string())).unwrap();
        let newest = db.revision().await.unwrap();
        for line in &answered {
            let (key, revision) = line.split_once(' ').unwrap();
            let found = db.get(key).await.unwrap().0.unwrap_or_else(|| panic!("{key} was answered and is lost"));
            assert_eq!(found.revision, revision.parse::<u64>().unwrap());
            assert!(found.revision <= newest);
        }
        let next = db.put("/registry/maps/next", Bytes::new(), Expect::Absent, None).await.unwrap();
        assert_eq!(next, newest + 1);
    }
}

const OPEN: &str = "STORAGE_TEST_OPEN_DIR";

/// Not a test of its own: tells how many bytes it reads to open and write a database, and dies of it.
#[tokio::test]
async fn open_child() {
    let Ok(dir) = std::env::var(OPEN) else { return };
    let read = || {
        let io = fs::read_to_string("/proc/self/io").unwrap();
        io.lines().find_map(|l| l.strip_prefix("rchar: ")).unwrap().parse::<u64>().unwrap()
    };
    let before = read();
    let db = Embedded::open(dir.as_ref()).unwrap();
    let key = format!("/registry/maps/after-{}", db.revision().await.unwrap());
    db.put(&key, Bytes::from("1"), Expect::Absent, None).await.unwrap();
    println!("\nread {}", read() - before);
    std::process::abort();
}

/// What is read does not grow with what is there. After a kill everything is checked once.
#[tokio::test]
async fn a_large_database_that_was_closed_opens_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = Embedded::open(dir.path()).unwrap();
    let value = Bytes::from(vec![b'x'; 4000]);
    let keys: Vec<_> = (0..6000).map(|n| format!("/registry/maps/{n:05}")).collect();
    let puts = keys.iter().map(|key| db.put(key, value.clone(), Expect::Absent, None));
    futures::future::try_join_all(puts).await.unwrap();
    drop(db);
    let size = fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert!(size > 24_000_000, "{size} bytes are nothing");
    for last in ["closed", "killed"] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["durability::open_child", "--exact", "--nocapture"])
            .env(OPEN, dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        let read: u64 = said.lines().find_map(|l| l.strip_prefix("read ")).unwrap_or_else(|| panic!("{said}")).parse().unwrap();
        assert!(last != "closed" || read < size / 20, "{read} of {size} bytes were read");
    }
    let db = Embedded::open(dir.path()).unwrap();
    assert_eq!(db.list("/registry/maps/", None, 0, 0).await.unwrap().items.len(), 6002, "all is there");
}

#[tokio::test]
async fn a_database_is_the_same_when_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (id, revision) = {
        let db = Embedded::open(dir.path()).unwrap();
        let locked = Embedded::open(dir.path()).map(drop);
        assert!(matches!(locked, Err(OpenError::Locked { .. })), "{locked:?}");
        db.put("/registry/maps/expired", Bytes::from("1"), Expect::Absent, Some(Duration::from_millis(100))).await.unwrap();
        (db.cluster_id(), db.put("/registry/maps/a", Bytes::from("1"), Expect::Absent, None).await.unwrap())
    };
    tokio::time::sleep(Duration::from_millis(150)).await;
    let db = Embedded::open(dir.path()).unwrap();
    assert_eq!(db.cluster_id(), id);
    assert_ne!(Embedded::in_memory().cluster_id(), id);
    assert_eq!(db.get("/registry/maps/a").await.unwrap().0.unwrap().revision, revision);
    // Its time came while nobody was there to see it.
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while db.get("/registry/maps/expired").await.unwrap().0.is_some() {
        assert!(std::time::Instant::now() < deadline, "it should have expired");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Where a value lies in the file: once, since it was written once.
fn place_of(file: &Path, value: &[u8]) -> usize {
    let bytes = fs::read(file).unwrap();
    let mut found = bytes.windows(value.len()).enumerate().filter(|(_, window)| *window == value).map(|(at, _)| at);
    let at = found.next().expect("the value is in the file");
    assert!(found.next().is_none(), "it is there twice, and one place is not live");
    at
}

/// Flips a bit `before` bytes in front of a value.
fn flip(file: &Path, value: &[u8], before: usize) {
    let at = place_of(file, value) - before;
    let mut file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
}

fn object(name: &str, n: u64) -> Bytes {
    crate::subject::map(name, "x", n).to_string().into()
}

/// In the value, in what says that it is one, and in what the engine says that it is there.
#[tokio::test]
async fn issue7_a_flipped_bit_in_a_live_value_is_named_and_moved_out() {
    for before in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let (sound, hit) = ("/registry/configmaps/ns/sound", "/registry/configmaps/ns/hit");
        let mut revisions = Vec::new();
        {
            let db = Embedded::open(dir.path()).unwrap();
            let old = db.put(hit, object("hit", 1), Expect::Absent, None).await.unwrap();
            db.put(sound, object("sound", 1), Expect::Absent, Some(Duration::from_secs(3600))).await.unwrap();
            revisions.push(db.put(hit, object("hit", 2), Expect::Revision(old), None).await.unwrap());
        }
        assert!(check::check(dir.path()).unwrap().is_sound());
        assert!(check::repair(dir.path(), 1).unwrap().is_none());
        flip(&file, &object("hit", 2), before);
        let id = {
            let db = Arc::new(Embedded::open(dir.path()).unwrap());
            let locked = check::check(dir.path());
            assert!(matches!(locked, Err(CheckError::Open(OpenError::Locked { .. }))), "{locked:?}");
            let damaged: Vec<_> = db.list("/registry/", None, 0, 0).await.unwrap().items.into_iter().map(|v| (v.key, v.damaged)).collect();
            assert_eq!(damaged, [(hit.to_owned(), true), (sound.to_owned(), false)]);
            let store = Store::open(db.clone());
            let maps = store.resource("/registry/configmaps", &[], None);
            let refused = maps.get(Some("ns"), "hit", ReadAt::Latest).await;
            assert!(matches!(&refused, Err(StorageError::Corrupt(why)) if why.contains(hit)), "{refused:?}");
            let all = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
            let listed = maps.list(None, &all, None).await.unwrap().items;
            assert_eq!(listed.iter().map(|o| o.head.name()).collect::<Vec<_>>(), ["sound"]);
            let error = maps.create(Some("ns"), "hit", &crate::subject::map("hit", "x", 3)).await;
            assert!(matches!(error, Err(StorageError::Conflict { .. })), "{error:?}");
            db.cluster_id()
        };
        // The store lets go of the file when its last task has ended.
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while let Err(CheckError::Open(OpenError::Locked { .. })) = check::check(dir.path()) {
            assert!(std::time::Instant::now() < deadline, "it should be free");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let report = check::check(dir.path()).unwrap();
        let [found] = &report.damaged[..] else { panic!("{report:?}") };
        assert_eq!((found.key.as_str(), found.revision, found.current), (hit, revisions[0], true));
        assert_eq!((report.keys, report.values), (2, 3));
        // Whoever repairs need not be the user of the server; as root the test can show it.
        let _ = std::os::unix::fs::chown(&file, Some(65_534), Some(65_534));
        let owner = fs::metadata(&file).unwrap().uid();
        let done = check::repair(dir.path(), 7).unwrap().expect("there was damage");
        assert_eq!(fs::metadata(&file).unwrap().uid(), owner);
        assert!(check::check(dir.path()).unwrap().is_sound());
        assert!(fs::read_to_string(&done.moved).unwrap().contains(hit));
        for private in [&file, &done.backup, &done.moved] {
            assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o600, "{}", private.display());
        }
        let db = Embedded::open(dir.path()).unwrap();
        assert_ne!(db.cluster_id(), id, "it is another database now");
        let left: Vec<_> = db.list("/registry/", None, 0, 0).await.unwrap().items.into_iter().map(|v| v.key).collect();
        assert_eq!(left, [sound], "the older state does not come back as if it were current");
        assert!(matches!(db.watch("/registry/", revisions[0]).await.map(drop), Err(StorageError::Compacted { .. })));
        assert!(db.put(hit, object("hit", 9), Expect::Absent, None).await.unwrap() > revisions[0]);
        drop(db);
        // The copy is as it was.
        fs::rename(&done.backup, &file).unwrap();
        assert_eq!(check::check(dir.path()).unwrap().damaged.len(), 1);
    }
}

/// A database of before there were digests goes on, and has them where it is written.
#[tokio::test]
async fn a_database_without_digests_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    drop(Embedded::open(dir.path()).unwrap());
    {
        let meta: redb::TableDefinition<&str, u128> = redb::TableDefinition::new("meta");
        let data: redb::TableDefinition<(&str, u64), Option<&[u8]>> = redb::TableDefinition::new("data");
        let log: redb::TableDefinition<u64, &str> = redb::TableDefinition::new("log");
        let db = redb::Database::open(&path).unwrap();
        let tx = db.begin_write().unwrap();
        {
            let mut meta = tx.open_table(meta).unwrap();
            meta.insert("format", 1).unwrap();
            meta.remove("digests").unwrap();
            meta.insert("revision", 4).unwrap();
            let (mut data, mut log) = (tx.open_table(data).unwrap(), tx.open_table(log).unwrap());
            for (key, revision, value) in [
                ("/registry/maps/a", 2, Some(object("a", 1))),
                ("/registry/maps/b", 3, Some(object("b", 1))),
                ("/registry/maps/b", 4, None),
            ] {
                data.insert((key, revision), value.as_deref()).unwrap();
                log.insert(revision, key).unwrap();
            }
        }
        tx.commit().unwrap();
    }
    let report = check::check(dir.path()).unwrap();
    assert!(report.is_sound() && report.unguarded == 3, "{report:?}");
    let db = Embedded::open(dir.path()).unwrap();
    assert_eq!(db.get("/registry/maps/a").await.unwrap().0.unwrap().value, object("a", 1));
    assert_eq!(db.get("/registry/maps/b").await.unwrap().0, None);
    assert_eq!(db.put("/registry/maps/a", object("a", 2), Expect::Revision(2), None).await.unwrap(), 5);
    drop(db);
    flip(&path, &object("a", 2), 0);
    let db = Embedded::open(dir.path()).unwrap();
    assert!(db.get("/registry/maps/a").await.unwrap().0.unwrap().damaged);
    assert!(!db.list("/registry/maps/", None, 0, 4).await.unwrap().items[0].damaged, "what it was before");
}

/// A repair gives the values of before there were digests one.
#[tokio::test]
async fn values_of_before_there_were_digests_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    drop(Embedded::open(dir.path()).unwrap());
    {
        let db = redb::Database::open(&path).unwrap();
        let tx = db.begin_write().unwrap();
        {
            let mut meta = tx.open_table(redb::TableDefinition::<&str, u128>::new("meta")).unwrap();
            meta.insert("revision", 2).unwrap();
            meta.insert("digests", 2).unwrap();
            let mut data = tx.open_table(redb::TableDefinition::<(&str, u64), Option<&[u8]>>::new("data")).unwrap();
            data.insert(("/registry/maps/a", 2), Some(&object("a", 1)[..])).unwrap();
            tx.open_table(redb::TableDefinition::<u64, &str>::new("log")).unwrap().insert(2, "/registry/maps/a").unwrap();
        }
        tx.commit().unwrap();
    }
    assert_eq!(check::check(dir.path()).unwrap().unguarded, 1);
    assert!(check::repair(dir.path(), 1).unwrap().is_none());
    let report = check::check(dir.path()).unwrap();
    assert!(report.is_sound() && (report.unguarded, report.values) == (0, 1), "{report:?}");
    let db = redb::Database::open(&path).unwrap();
    let tx = db.begin_write().unwrap();
    {
        let mut data = tx.open_table(redb::TableDefinition::<(&str, u64), Option<&[u8]>>::new("data")).unwrap();
        let mut cell = data.get(("/registry/maps/a", 2)).unwrap().unwrap().value().unwrap().to_vec();
        cell[3] ^= 1;
        data.insert(("/registry/maps/a", 2), Some(&cell[..])).unwrap();
    }
    tx.commit().unwrap();
    drop(db);
    assert!(Embedded::open(dir.path()).unwrap().get("/registry/maps/a").await.unwrap().0.unwrap().damaged);
}

/// Also when the copy has been written to until it is further than the store was.
#[tokio::test]
async fn d21_no_version_of_before_a_restore_goes_on() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, copy) = (dir.path().join(FILE), elsewhere.path().join("copy"));
    let (key, later) = ("/registry/configmaps/ns/a", "/registry/configmaps/ns/later");
    let (id, kept) = {
        let db = Embedded::open(dir.path()).unwrap();
        (db.cluster_id(), db.put(key, object("a", 1), Expect::Absent, None).await.unwrap())
    };
    fs::copy(&path, &copy).unwrap();
    let told = {
        let db = Embedded::open(dir.path()).unwrap();
        let locked = restore::restore(&copy, dir.path(), 1);
        assert!(matches!(locked, Err(CheckError::Open(OpenError::Locked { .. }))), "{locked:?}");
        db.put(later, object("later", 1), Expect::Absent, None).await.unwrap()
    };
    let missing = restore::restore(&elsewhere.path().join("none"), dir.path(), 1);
    assert!(matches!(missing, Err(CheckError::Read { .. })), "{missing:?}");
    fs::write(elsewhere.path().join("other"), "no database").unwrap();
    assert!(matches!(restore::restore(&elsewhere.path().join("other"), dir.path(), 1), Err(CheckError::Open(_))));
    let done = restore::restore(&copy, dir.path(), 2).unwrap();
    assert!(done.report.is_sound() && done.report.keys == 1, "{done:?}");
    {
        let db = Embedded::open(dir.path()).unwrap();
        assert_ne!(db.cluster_id(), id);
        assert_eq!(db.get(key).await.unwrap().0.unwrap().revision, kept);
        assert!(db.get(later).await.unwrap().0.is_none());
        let new = db.put(later, object("later", 2), Expect::Absent, None).await.unwrap();
        assert!(new > told);
        for version in [kept, told, told + 1000] {
            let watched = db.watch("/registry/", version).await.map(drop);
            assert!(matches!(watched, Err(StorageError::Compacted { .. })), "{version}: {watched:?}");
        }
        let mut changes = db.watch("/registry/", new - 1).await.unwrap();
        assert!(matches!(changes.next().await, Some(Ok(Event::Put { new: found, .. })) if found.revision == new));
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // What was there is kept, and one that cannot be read is no hindrance.
    fs::write(&path, "no database").unwrap();
    restore::restore(&done.backup.unwrap(), dir.path(), 3).unwrap();
    assert!(Embedded::open(dir.path()).unwrap().get(later).await.unwrap().0.is_some());
}

/// A bit in what the log, or the list of what vanishes, says of a key: it names another one, or is no text any more.
#[tokio::test]
async fn damage_beside_the_values_is_found_survived_and_repaired() {
    let (key, other) = ("/registry/configmaps/ns/web-1", "/registry/configmaps/ns/web-0");
    const LOG: redb::TableDefinition<'_, u64, &str> = redb::TableDefinition::new("log");
    const EXPIRY: redb::TableDefinition<'_, (u64, u64), &str> = redb::TableDefinition::new("expiry");
    for (table, text) in [("log", true), ("log", false), ("expiry", true), ("expiry", false)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        {
            let db = Embedded::open(dir.path()).unwrap();
            db.put(other, object("web-0", 1), Expect::Absent, None).await.unwrap();
            assert_eq!(db.put(key, object("web-1", 1), Expect::Absent, Some(Duration::from_secs(3600))).await.unwrap(), 3);
            db.put("/registry/configmaps/ns/last", object("last", 1), Expect::Absent, None).await.unwrap();
        }
        {
            let db = redb::Database::open(&path).unwrap();
            let tx = db.begin_write().unwrap();
            {
                let wrong = if text { other } else { "/registry/configmaps/ns/mark" };
                if table == "log" {
                    tx.open_table(LOG).unwrap().insert(3, wrong).unwrap();
                } else {
                    let mut expiry = tx.open_table(EXPIRY).unwrap();
                    let at = expiry.first().unwrap().unwrap().0.value();
                    expiry.insert(at, wrong).unwrap();
                }
            }
            tx.commit().unwrap();
        }
        let mut bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            if bytes[at..].starts_with(b"/ns/mark") {
                bytes[at + 4] = 0xff;
            }
        }
        fs::write(&path, bytes).unwrap();
        let report = check::check(dir.path()).unwrap();
        assert!(report.damaged.is_empty() && report.lists.len() == 1, "{table}: {report:?}");
        {
            let db = Embedded::open(dir.path()).unwrap();
            let mut changes = db.watch("/registry/", 1).await.unwrap();
            let told = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap().unwrap();
            assert_eq!(matches!(told, Err(StorageError::Compacted { .. })), table == "log", "{told:?}");
            drop(changes);
            db.compact(4).await.unwrap();
            let newest = db.put("/registry/configmaps/ns/later", object("later", 1), Expect::Absent, None).await.unwrap();
            db.compact(newest).await.unwrap();
            assert_eq!(db.list("/registry/", None, 0, 0).await.unwrap().items.len(), 4, "{table}");
        }
        let unsound = !check::check(dir.path()).unwrap().is_sound();
        // What was wrong of the log was history, and is forgotten.
        assert_eq!(unsound, table == "expiry");
        assert_eq!(check::repair(dir.path(), 1).unwrap().is_some(), unsound);
        assert!(check::check(dir.path()).unwrap().is_sound());
        let db = redb::Database::open(&path).unwrap();
        let tx = db.begin_read().unwrap();
        let vanishing = tx.open_table(EXPIRY).unwrap().first().unwrap().map(|(at, key)| (at.value().1, key.value().to_owned()));
        assert_eq!(vanishing, Some((3, key.to_owned())), "{table}");
    }
}

#[tokio::test]
async fn unusable_directories_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| Embedded::open(&dir.path().join(name)).map(drop).unwrap_err();
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(open("file"), OpenError::NotWritable { .. }));
    assert!(matches!(open("file/below"), OpenError::NotWritable { .. }));

    let garbage = dir.path().join("garbage");
    fs::create_dir(&garbage).unwrap();
    fs::write(garbage.join(FILE), "this is no database, whatever its name says".repeat(500)).unwrap();
    let error = open("garbage");
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains(FILE) && !error.to_string().contains('\n'), "{error}");

    for (name, cut) in [("damaged", false), ("cut", true)] {
        let path = dir.path().join(name);
        let db = Embedded::open(&path).unwrap();
        for n in 0..200 {
            db.put(&format!("/registry/maps/{n}"), Bytes::from(vec![b'x'; 2000]), Expect::Absent, None).await.unwrap();
        }
        drop(db);
        let mut file = fs::File::options().write(true).open(path.join(FILE)).unwrap();
        let length = file.metadata().unwrap().len();
        if cut {
            file.set_len(length / 3).unwrap();
        } else {
            for at in (8192..length).step_by(4096) {
                file.seek(SeekFrom::Start(at + 100)).unwrap();
                file.write_all(b"scribbled over").unwrap();
            }
        }
        let error = open(name);
        assert!(matches!(error, OpenError::Corrupt { .. }), "{name}: {error:?}");
    }

    let newer = dir.path().join("newer");
    drop(Embedded::open(&newer).unwrap());
    let db = redb::Database::open(newer.join(FILE)).unwrap();
    let tx = db.begin_write().unwrap();
    tx.open_table(redb::TableDefinition::<&str, u128>::new("meta")).unwrap().insert("format", 7).unwrap();
    tx.commit().unwrap();
    drop(db);
    let error = open("newer");
    assert!(matches!(error, OpenError::Newer { found: 7, known: FORMAT, .. }), "{error:?}");
}
