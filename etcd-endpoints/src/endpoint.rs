//! One endpoint and whether it answers.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::Client;
use tokio::sync::watch;
use tokio::time::timeout;

use super::failure;

/// How long an endpoint may take to tell its status.
pub const PROBE: Duration = Duration::from_millis(700);

/// Is told the URL of an endpoint and whether it answers.
pub type Observer = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// One endpoint of etcd.
pub struct Endpoint {
    url: String,
    client: Client,
    /// Whether it answers, as far as is known.
    up: watch::Sender<bool>,
    observer: Observer,
}

impl Endpoint {
    pub(crate) fn new(url: &str, client: Client, observer: Observer) -> Self {
        observer(url, true);
        Self { url: url.to_owned(), client, up: watch::Sender::new(true), observer }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The client that knows this endpoint only.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Resolves when it does not answer any more; of one that is alone this is known by its calls only.
    pub async fn lost(&self) {
        // It lives as long as its sender.
        let _ = self.up.subscribe().wait_for(|up| !up).await;
    }

    /// Asks for its status, which it answers by itself and only while it knows a leader.
    pub(crate) async fn probe(&self) {
        match timeout(PROBE, self.client.maintenance_client().status()).await {
            Ok(Ok(_)) => self.tell(Ok(())),
            Ok(Err(error)) => self.tell(Err(&failure::describe(&error))),
            Err(_) => self.tell(Err(&format!("it does not tell its status within {} ms", PROBE.as_millis()))),
        }
    }

    /// Takes down whether it answers, and says so when that is news.
    pub(crate) fn tell(&self, state: Result<(), &str>) {
        if !self.up.send_if_modified(|up| std::mem::replace(up, state.is_ok()) != state.is_ok()) {
            return;
        }
        match state {
            Ok(()) => tracing::info!(endpoint = self.url, "etcd answers again"),
            Err(why) => tracing::warn!(endpoint = self.url, "etcd does not answer: {why}"),
        }
        (self.observer)(&self.url, state.is_ok());
    }
}
