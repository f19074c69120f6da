//! One watch on etcd as a stream of our events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use etcd_endpoints::{Endpoint, Endpoints, limited};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use super::client::{CALL, MESSAGE, Names, REPEATABLE, end_of, explain, kv, refused, unsigned};
use crate::storage::{Event, ROOT, StorageError, Versioned};

/// How long events may be under way before etcd is asked for them.
const UNDER_WAY: Duration = Duration::from_millis(5);
/// Pause before etcd is asked again how far the watch is; it does not answer while it is catching up.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Written to find out how far a watch of all keys is where etcd cannot be asked; no resource has such
/// a name.
const BARRIER: &str = "~barrier";
/// Bytes up to which an answer is certainly whole: etcd cuts those beyond its --max-request-bytes, 1.5 MiB
/// unless told otherwise, and does not let us see that it did.
const FRAGMENT: usize = 256 << 10;

struct Watch {
    names: Names,
    /// What the keys of changes that are told begin with.
    prefix: String,
    /// As etcd knows it; only where its answers to "how far is this watch" cannot be relied on.
    barrier: Option<Vec<u8>>,
    endpoint: Arc<Endpoint>,
    sender: WatchRequestSender,
    responses: WatchResponseStream,
    after: u64,
    /// Every change up to here was passed on.
    seen: u64,
    /// Revision of the last event, of which there may be more.
    owed: u64,
    /// Where the watch ought to be.
    newest: watch::Receiver<u64>,
    ready: VecDeque<Result<Event, StorageError>>,
    ended: bool,
}

/// Why a watch woke up.
enum Heard {
    Response(Option<Result<WatchResponse, etcd_client::Error>>),
    /// Silence, which a watch cannot tell from quiet by itself: its endpoint does not answer any more.
    Lost,
    /// It ought to be further.
    Behind,
}

pub(super) async fn watch(
    endpoints: &Endpoints,
    names: Names,
    prefix: &str,
    after: u64,
    newest: watch::Receiver<u64>,
) -> Result<BoxStream<'static, Result<Event, StorageError>>, StorageError> {
    let open = |endpoint: Arc<Endpoint>| {
        let names = &names;
        async move {
            let client = endpoint.client();
            let asks = progress_is_sound(client.maintenance_client().status().await?.version());
            // A watch of fewer keys would not see the barrier.
            let start = names.to_etcd(if asks { prefix } else { ROOT });
            let options = WatchOptions::new()
                .with_range(end_of(start.clone()))
                .with_start_revision(i64::try_from(after + 1).unwrap_or(i64::MAX))
                .with_prev_key()
                .with_progress_notify()
                .with_fragment();
            let mut watcher = client.watch_client().max_decoding_message_size(MESSAGE);
            let (sender, responses) = watcher.watch(start, Some(options)).await?.split();
            Ok((endpoint, asks, sender, responses))
        }
    };
    let (endpoint, asks, sender, responses) = endpoints.call(REPEATABLE, open).await.map_err(|e| explain(e, after))?;
    let watch = Watch {
        prefix: prefix.to_owned(),
        barrier: (!asks).then(|| names.to_etcd(&format!("{ROOT}{BARRIER}"))),
        names,
        endpoint,
        sender,
        responses,
        after,
        seen: after,
        owed: after,
        newest,
        ready: VecDeque::new(),
        ended: false,
    };
    Ok(stream::unfold(watch, |mut w| async move { w.next().await.map(|event| (event, w)) }).boxed())
}

/// Whether progress answers never overtake events: before 3.4.25 and 3.5.8 they could (etcd issue 15220).
fn progress_is_sound(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    match (next(), next(), next()) {
        (3, 4, patch) => patch >= 25,
        (3, 5, patch) => patch >= 8,
        (major, minor, _) => (major, minor) >= (3, 6),
    }
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Event, StorageError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.ended |= event.is_err();
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let (seen, owed) = (self.seen, self.owed);
            let heard = tokio::select! {
                biased;
                response = self.responses.next() => Heard::Response(response),
                () = self.endpoint.lost() => Heard::Lost,
                behind = self.newest.wait_for(|newest| (*newest).max(owed) > seen) => {
                    behind.ok()?;
                    Heard::Behind
                }
            };
            match heard {
                Heard::Response(response) => self.take(response),
                Heard::Behind => self.catch_up().await,
                Heard::Lost => {
                    let lost = format!("etcd: {} does not answer any more", self.endpoint.url());
                    self.end(StorageError::Unavailable(lost));
                }
            }
        }
    }

    fn end(&mut self, error: StorageError) {
        self.ready.push_back(Err(error));
    }

    /// Sees to it that the watch reaches the newest revision: mostly the events are under way already,
    /// else etcd is asked how far the watch is.
    async fn catch_up(&mut self) {
        if let Ok(response) = tokio::time::timeout(UNDER_WAY, self.responses.next()).await {
            return self.take(response);
        }
        let asked = match &self.barrier {
            None => self.sender.request_progress().await.map_err(|e| refused(&e, 0)),
            // Whether it was written shows in the watch.
            Some(barrier) => limited(CALL, kv(&self.endpoint).put(barrier.clone(), "", None)).await.map(drop).map_err(|e| explain(e, 0)),
        };
        if let Err(error) = asked {
            return self.end(error);
        }
        if let Ok(response) = tokio::time::timeout(ASK_AGAIN, self.responses.next()).await {
            self.take(response);
        }
    }

    fn take(&mut self, response: Option<Result<WatchResponse, etcd_client::Error>>) {
        let response = match response {
            Some(Ok(response)) => response,
            Some(Err(error)) => return self.end(refused(&error, self.after)),
            None => return self.end(StorageError::Unavailable("etcd ended the watch".into())),
        };
        let compacted = unsigned(response.compact_revision());
        if compacted > 0 {
            return self.end(StorageError::Compacted { requested: self.seen, oldest: compacted });
        }
        if response.canceled() {
            return self.end(StorageError::Unavailable(format!("etcd cancelled the watch: {}", response.cancel_reason())));
        }
        if response.created() {
            return;
        }
        if response.events().is_empty() {
            let reached = response.header().map_or(0, |h| unsigned(h.revision()));
            if reached > self.seen {
                self.seen = reached;
                self.ready.push_back(Ok(Event::Progress(reached)));
            }
            return;
        }
        let (mut size, mut last) = (0, self.seen);
        for event in response.events() {
            let bytes = |kv: Option<&etcd_client::KeyValue>| kv.map_or(0, |kv| kv.key().len() + kv.value().len());
            size += bytes(event.kv()) + bytes(event.prev_kv());
            last = last.max(event.kv().map_or(0, |kv| unsigned(kv.mod_revision())));
            if let Some(event) = self.event(event).transpose() {
                self.ready.push_back(event);
            }
        }
        // etcd cuts only large answers, and those within a revision too.
        if size < FRAGMENT {
            self.seen = last;
            self.ready.push_back(Ok(Event::Progress(last)));
        } else {
            (self.seen, self.owed) = (self.seen.max(last.saturating_sub(1)), last);
        }
    }

    /// What a change is told as; `None` when it is of no interest.
    fn event(&mut self, event: &etcd_client::Event) -> Result<Option<Event>, StorageError> {
        let kv = event.kv().ok_or_else(|| StorageError::Corrupt("etcd sent an event without a key".into()))?;
        let revision = unsigned(kv.mod_revision());
        if self.barrier.as_deref() == Some(kv.key()) {
            return Ok(Some(Event::Progress(revision)));
        }
        let key = self.names.key(kv.key())?;
        if !key.starts_with(&self.prefix) {
            return Ok(None);
        }
        let new = event.event_type() == EventType::Put && kv.version() == 1;
        if event.prev_kv().is_none() && !new {
            // etcd still tells the change of the very revision it compacted to, but not what was before.
            return Err(StorageError::Compacted { requested: self.after, oldest: revision });
        }
        let old = event.prev_kv().map(|kv| kv.value().to_vec().into());
        Ok(Some(match event.event_type() {
            EventType::Put => Event::Put { new: Versioned { key, value: kv.value().to_vec().into(), revision, damaged: false }, old },
            EventType::Delete => Event::Delete { key, old: old.unwrap_or_default(), revision },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::progress_is_sound;

    #[test]
    fn old_servers_are_known() {
        for (version, sound) in
            [("3.4.23", false), ("3.4.25", true), ("3.5.7", false), ("3.5.12", true), ("3.6.0-rc.1", true), ("4.0", true), ("", false)]
        {
            assert_eq!(progress_is_sound(version), sound, "{version}");
        }
    }
}
