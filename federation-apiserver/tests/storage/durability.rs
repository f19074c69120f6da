//! The embedded database across crashes, and with data directories that cannot be used.

use std::fs;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use federation_apiserver::storage::embedded::{Embedded, FILE, FORMAT, OpenError};
use federation_apiserver::storage::{Backend, Expect};

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
