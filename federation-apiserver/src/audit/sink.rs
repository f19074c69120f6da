//! Where events go: a bounded queue, and one thread that writes lines into a file and rotates it.
//!
//! Requests never wait for the disk. What does not fit into the queue or cannot be written is counted
//! in `apiserver_audit_error_total` and told once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use daemon::logs::Said;
use daemon::supervise::{Done, Supervisor};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ConfigError;
use crate::metrics;

/// Events that may wait to be written.
const QUEUE: usize = 10_000;
/// Bytes of them.
const QUEUE_BYTES: usize = 64 << 20;
/// Pause after a rotation that failed.
const ROTATE_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// Lines written together.
const BATCH: usize = 256;

/// Where to write, and what to keep of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Destination {
    /// The file; nothing for standard output, which is not rotated.
    pub path: Option<PathBuf>,
    /// Bytes a file may have before the next is begun; 0 is without limit.
    pub max_size: u64,
    /// How many old files are kept; 0 is all of them.
    pub max_backups: usize,
    /// How long old files are kept; zero is for ever.
    pub max_age: Duration,
}

/// Takes events.
pub(super) struct Sink {
    queue: SyncSender<(String, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    said: Said,
}

impl Sink {
    /// Opens the file and starts the writer.
    pub(super) fn open(to: Destination, tasks: &Supervisor) -> Result<Self, ConfigError> {
        let writer = Writer::open(to)?;
        let (queue, inbox) = sync_channel(QUEUE);
        tasks.spawn("audit-log", async move { tokio::task::spawn_blocking(move || writer.run(&inbox)).await.map(|()| Done) });
        Ok(Self { queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)), said: Said::default() })
    }

    /// Takes one event, or counts that it was lost.
    pub(super) fn put(&self, line: String) {
        let size = u32::try_from(line.len()).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).try_acquire_many_owned(size).ok();
        let taken = permit.is_some_and(|permit| self.queue.try_send((line, permit)).is_ok());
        if taken {
            self.said.recovers();
            return;
        }
        metrics::audit_error(1);
        if self.said.changes("full") {
            tracing::error!("the audit log cannot keep up; events are lost and counted in apiserver_audit_error_total");
        }
    }
}

struct Writer {
    to: Destination,
    file: Option<File>,
    size: u64,
    said: Said,
    /// When a rotation that failed is tried again.
    again: Option<Timestamp>,
    rotation: Said,
    pruning: Said,
}

impl Writer {
    fn open(to: Destination) -> Result<Self, ConfigError> {
        let (file, size) = match &to.path {
            None => (None, 0),
            Some(path) => {
                let opened = append(path);
                let (file, size) = opened.map_err(|e| {
                    ConfigError::new(
                        format!("--audit-log-path: cannot write {}: {e}", path.display()),
                        "name a file that the user of this process may write, or - for standard output",
                    )
                })?;
                (Some(file), size)
            }
        };
        Ok(Self { to, file, size, said: Said::default(), again: None, rotation: Said::default(), pruning: Said::default() })
    }

    /// Writes until nobody is left who could send.
    fn run(mut self, inbox: &Receiver<(String, OwnedSemaphorePermit)>) {
        while let Ok(first) = inbox.recv() {
            let mut batch = vec![first];
            batch.extend(inbox.try_iter().take(BATCH - 1));
            let mut text = String::new();
            let mut lines = 0;
            for (line, _) in &batch {
                // A file holds whole lines, and not much more than it may.
                if self.to.max_size > 0
                    && self.size + (text.len() + line.len()) as u64 > self.to.max_size
                    && self.size + text.len() as u64 > 0
                    && self.may_rotate(Timestamp::now())
                {
                    self.put(&std::mem::take(&mut text), std::mem::take(&mut lines));
                    self.rotate(Timestamp::now());
                }
                text.push_str(line);
                lines += 1;
            }
            self.put(&text, lines);
        }
    }

    fn put(&mut self, text: &str, lines: u64) {
        match self.write(text.as_bytes()) {
            Ok(()) => {
                metrics::audit_events(lines);
                if self.said.recovers() {
                    tracing::info!("the audit log is written again");
                }
            }
            Err(e) => {
                metrics::audit_error(lines);
                if self.said.changes("failing") {
                    tracing::error!("the audit log cannot be written, events are lost and counted in apiserver_audit_error_total: {e}");
                }
            }
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(path) = &self.to.path else {
            let mut out = io::stdout().lock();
            return out.write_all(text).and_then(|()| out.flush());
        };
        if self.file.is_none() {
            let (file, size) = append(path)?;
            (self.file, self.size) = (Some(file), size);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(text);
        match &written {
            Ok(()) => self.size += text.len() as u64,
            // Half a line must not run into the next one: go back to where it began.
            Err(_) => drop(file.set_len(self.size)),
        }
        written
    }

    /// Whether it is time to try; a file that is too big is written meanwhile.
    fn may_rotate(&self, now: Timestamp) -> bool {
        self.again.is_none_or(|again| now >= again)
    }

    /// Begins a new file; the old one gets the time into its name.
    fn rotate(&mut self, now: Timestamp) {
        let Some(path) = &self.to.path else { return };
        match std::fs::rename(path, backup(path, now)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                self.again = Some(now + ROTATE_AGAIN);
                if self.rotation.changes(&e.kind().to_string()) {
                    tracing::error!("the audit log {} cannot be rotated and grows meanwhile: {e}", path.display());
                }
            }
            // One that is not there was rotated by somebody else.
            _ => {
                (self.file, self.size, self.again) = (None, 0, None);
                if self.rotation.recovers() {
                    tracing::info!("the audit log is rotated again");
                }
            }
        }
        match prune(path, &self.to, now) {
            Ok(()) => drop(self.pruning.recovers()),
            Err(e) if self.pruning.changes(&e.kind().to_string()) => {
                tracing::error!("old files of the audit log {} cannot be removed: {e}", path.display());
            }
            Err(_) => {}
        }
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// `audit-2026-01-02T03-04-05.678.log` for `audit.log`, as kube-apiserver names them.
fn backup(path: &Path, at: Timestamp) -> PathBuf {
    let (stem, extension) = names(path);
    path.with_file_name(format!("{stem}-{}{extension}", at.strftime("%Y-%m-%dT%H-%M-%S%.3f")))
}

fn names(path: &Path) -> (String, String) {
    let part = |text: Option<&std::ffi::OsStr>| text.map(|t| t.to_string_lossy().into_owned()).unwrap_or_default();
    let extension = part(path.extension());
    (part(path.file_stem()), if extension.is_empty() { extension } else { format!(".{extension}") })
}

/// Removes old files beyond what is to be kept: all that can be, and tells the first failure.
fn prune(path: &Path, keep: &Destination, now: Timestamp) -> io::Result<()> {
    let (stem, extension) = names(path);
    let start = format!("{stem}-");
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut old = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let time = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(&extension)).and_then(time_of);
        old.extend(time.map(|time| (time, name)));
    }
    // The newest first.
    old.sort_unstable_by(|a, b| b.cmp(a));
    let mut outcome = Ok(());
    for (nth, (time, name)) in old.iter().enumerate() {
        let too_many = keep.max_backups > 0 && nth >= keep.max_backups;
        let too_old =
            !keep.max_age.is_zero() && now.duration_since(*time) > SignedDuration::try_from(keep.max_age).unwrap_or(SignedDuration::MAX);
        if too_many || too_old {
            outcome = outcome.and(std::fs::remove_file(directory.join(name)));
        }
    }
    outcome
}

fn time_of(text: &str) -> Option<Timestamp> {
    jiff::civil::DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", text).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<String> {
        let mut all: Vec<String> = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    fn writer(path: &Path, max_size: u64, max_backups: usize) -> Writer {
        Writer::open(Destination { path: Some(path.to_owned()), max_size, max_backups, max_age: Duration::ZERO }).unwrap()
    }

    #[test]
    fn d22_files_are_rotated_in_whole_lines_and_old_ones_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut writer = writer(&path, 0, 2);
        let at = |second: u8| format!("2026-01-02T03:04:{second:02}.5Z").parse::<Timestamp>().unwrap();
        for second in 1..=4 {
            writer.write(format!("{second}\n").as_bytes()).unwrap();
            writer.rotate(at(second));
        }
        writer.write(b"5\n").unwrap();
        assert_eq!(files(dir.path()), ["audit-2026-01-02T03-04-03.500.log", "audit-2026-01-02T03-04-04.500.log", "audit.log"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "5\n");
        writer.to.max_age = Duration::from_secs(3600);
        prune(&path, &writer.to, "2026-01-02T04:04:04Z".parse().unwrap()).unwrap();
        assert_eq!(files(dir.path()), ["audit-2026-01-02T03-04-04.500.log", "audit.log"]);
    }

    #[test]
    fn d22_a_rotation_that_fails_is_tried_again_later_and_old_files_are_removed_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut writer = writer(&path, 0, 1);
        let at = |time: &str| format!("2026-01-02T{time}.5Z").parse::<Timestamp>().unwrap();
        for (old, second) in ["audit-2026-01-02T03-03-01.500.log", "audit-2026-01-02T03-03-03.500.log"].iter().zip(1..) {
            std::fs::write(dir.path().join(old), second.to_string()).unwrap();
        }
        // Directories where files should be: neither renamed over nor removed.
        for blocked in ["audit-2026-01-02T03-04-05.500.log", "audit-2026-01-02T03-03-02.500.log"] {
            std::fs::create_dir_all(dir.path().join(blocked).join("x")).unwrap();
        }
        writer.write(b"1\n").unwrap();
        writer.rotate(at("03:04:05"));
        assert!(!writer.may_rotate(at("03:05:04")) && writer.may_rotate(at("03:05:05")));
        writer.write(b"2\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n", "it is written on");
        let there = files(dir.path());
        assert!(!there.iter().any(|name| name.contains("03-03-01") || name.contains("03-03-03")), "{there:?}");
        writer.rotate(at("03:05:05"));
        assert!(writer.may_rotate(at("03:05:06")));
        assert_eq!(std::fs::read_to_string(dir.path().join("audit-2026-01-02T03-05-05.500.log")).unwrap(), "1\n2\n");
    }

    #[test]
    fn a_file_is_left_before_it_is_too_big() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let (queue, inbox) = sync_channel(16);
        let room = Arc::new(Semaphore::new(1 << 10));
        for n in 0..5 {
            queue.send((format!("{n}234567\n"), Arc::clone(&room).try_acquire_many_owned(8).unwrap())).unwrap();
        }
        drop(queue);
        writer(&path, 20, 0).run(&inbox);
        let all: Vec<String> = files(dir.path()).iter().map(|f| std::fs::read_to_string(dir.path().join(f)).unwrap()).collect();
        assert!(all.iter().all(|text| text.len() <= 20 && text.ends_with('\n')), "{all:?}");
        assert_eq!(room.available_permits(), 1 << 10);
    }

    #[test]
    fn a_full_disk_loses_events_and_counts_them() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        ::metrics::with_local_recorder(&recorder, || {
            // Always full.
            let mut writer = writer(Path::new("/dev/full"), 0, 0);
            writer.put("a\nb\n", 2);
        });
        let text = recorder.handle().render();
        assert!(text.contains("apiserver_audit_error_total{plugin=\"log\"} 2"), "{text}");
    }

    #[tokio::test]
    async fn who_cannot_be_written_for_is_not_waited_for() {
        let (queue, _inbox) = sync_channel(1);
        let sink = Sink { queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)), said: Said::default() };
        for _ in 0..3 {
            sink.put("{}\n".to_owned());
        }
        sink.put(" ".repeat(QUEUE_BYTES + 1));
        assert_eq!(sink.room.available_permits(), QUEUE_BYTES - 3, "only what is queued takes room");
    }
}
