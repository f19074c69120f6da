//! Watching a collection from where it is known.

use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout};

use super::{
    answer::{Headed, Problem, RawEvent, head, unreadable, words},
    change::{Change, Why},
    lines::Lines,
    source::{LIVES, METADATA, Source, spread},
};

/// Seconds after which a server is asked to end a watch, plus up to as many again.
const WATCH_SECONDS: u64 = 150;
/// Longest wait for the begin of a watch, and for its end after the server should have ended it.
const WATCH_GRACE: Duration = Duration::from_secs(30);

/// How a watch ended.
pub(super) enum End {
    /// To be resumed from the version reached.
    Resume,
    /// The same, and it ended before its time.
    Broken,
    /// To be listed.
    List(Why),
}

impl<K> Source<K> {
    /// The version of the store, asked for without our label: with it and a limit, kube-apiserver reads the whole kind.
    pub(super) async fn now(&self) -> Result<String, Problem> {
        Ok(self.page(&format!("{}?limit=1", self.path), METADATA.list).await?.meta.resource_version)
    }

    /// Whether the newest object that was told is still as it was: in another store, whatever its version, it is not.
    pub(super) async fn is_as_known(&self) -> Result<bool, Problem> {
        let Some((known, there)) = &self.newest else { return Ok(true) };
        let (collection, resource) = self.path.rsplit_once('/').unwrap_or_default();
        let namespace = if known.namespace.is_empty() { String::new() } else { format!("/namespaces/{}", known.namespace) };
        let path = format!("{collection}{namespace}/{resource}/{}", known.name);
        match self.body(&path, METADATA.watch).await {
            Ok((body, _)) => {
                let now = serde_json::from_slice::<Headed>(&body).map_err(unreadable)?.metadata;
                Ok(if *there { now.uid == known.uid && now.resource_version == known.resource_version } else { now.uid != known.uid })
            }
            Err(Problem::NotFound(_)) => Ok(!there),
            Err(Problem::Refused(..)) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Watches from a version until the server ends it, something is wrong with it, or a comparison is due.
    pub(super) async fn watch(&mut self, version: &str, tell: &mut impl FnMut(Change<K>)) -> Result<End, Problem> {
        let seconds = WATCH_SECONDS + spread(Duration::from_secs(WATCH_SECONDS)).as_secs();
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}{}",
            self.path, self.selector
        );
        let response = timeout(WATCH_GRACE, self.open(&path, self.forms.watch)).await.unwrap_or(Err(Problem::Slow(WATCH_GRACE)))?;
        let (parts, body) = response.into_parts();
        if parts.status == StatusCode::GONE {
            return Ok(End::List(Why::Expired));
        }
        if parts.status != StatusCode::OK {
            let body = timeout(WATCH_GRACE, Limited::new(body, 1 << 20).collect()).await;
            let body = body.map(|b| b.map(|b| b.to_bytes()).unwrap_or_default()).unwrap_or_default();
            return Err(Problem::Refused(parts.status, words(parts.status, &body)));
        }
        let opened = Instant::now();
        self.opened = Some(opened);
        let end = opened + Duration::from_secs(seconds) + WATCH_GRACE;
        let stop = self.due.map_or(end, |due| due.min(end));
        let mut lines = Lines::new(body);
        loop {
            let line = tokio::select! {
                biased;
                line = lines.next() => line.map_err(Problem::Transport)?,
                () = tokio::time::sleep_until(stop) => {
                    return Ok(if self.is_due() { End::List(Why::Comparison) } else { End::Resume });
                }
                () = tokio::time::sleep_until(opened + LIVES), if self.failing => {
                    self.works(tell);
                    continue;
                }
            };
            let Some(line) = line else {
                // A server that ends a watch in its time ends it to the second.
                let in_time = opened.elapsed() + Duration::from_secs(2) >= Duration::from_secs(seconds);
                return Ok(if in_time { End::Resume } else { End::Broken });
            };
            if let Some(end) = self.event(&line, tell)? {
                return Ok(end);
            }
        }
    }

    /// A watch tells something, or lives.
    fn works(&mut self, tell: &mut impl FnMut(Change<K>)) {
        if std::mem::take(&mut self.failing) {
            tell(Change::Watching);
        }
    }

    /// Takes one event. Says whether the watch is over with it.
    fn event(&mut self, line: &[u8], tell: &mut impl FnMut(Change<K>)) -> Result<Option<End>, Problem> {
        let event: RawEvent<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        if event.type_ == "ERROR" {
            let status: serde_json::Value = serde_json::from_str(event.object.get()).map_err(unreadable)?;
            let code = status["code"].as_u64().and_then(|c| u16::try_from(c).ok()).and_then(|c| StatusCode::from_u16(c).ok());
            return match code {
                Some(StatusCode::GONE) => Ok(Some(End::List(Why::Expired))),
                code => {
                    let code = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    Err(Problem::Refused(code, words(code, event.object.get().as_bytes())))
                }
            };
        }
        self.works(tell);
        let head = head(event.object)?;
        let at = head.version();
        match event.type_.as_str() {
            "ADDED" | "MODIFIED" => {
                if let (Some(at), Some(known)) = (at, self.version)
                    && at < known
                {
                    tracing::warn!(path = self.path, known, now = at, "versions went back within a watch; everything is looked at anew");
                    return Ok(Some(End::List(Why::WentBack)));
                }
                self.note(head.clone(), true);
                match (self.read)(event.object.get()) {
                    Ok(object) => tell(Change::Changed(object)),
                    Err(error) => tell(Change::Unreadable(head, error.to_string())),
                }
            }
            "DELETED" => {
                self.note(head.clone(), false);
                tell(Change::Gone(head, (self.read)(event.object.get()).ok()));
            }
            // Bookmarks only say how far it is.
            _ => {}
        }
        self.version = self.version.max(at);
        Ok(None)
    }
}
