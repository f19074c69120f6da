//! Whether who was let in would still be: what lasts ends with the credential it was asked for by.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::connected::Connected;
use crate::auth::UserInfo;
use crate::auth::authn::proof::Proof;
use crate::auth::authn::{Authentication, Peer};

/// How often is looked whether a token still holds: what it depends on is many things.
const OF_TOKENS: Duration = Duration::from_secs(1);
/// The same for certificates, besides the times that are known: their ends, and what is told.
const OF_CERTIFICATES: Duration = Duration::from_secs(10);

/// Comes back when what was proved holds no more: it expired, was revoked or deleted, or its authority went.
pub(super) async fn ended(authn: Arc<Authentication>, connected: Arc<Connected>, user: UserInfo, proof: Proof) {
    let (mut revoked, mut authorities) = (authn.revoked().subscribe(), connected.changes());
    loop {
        let (peer, now) = (connected.peer(), Timestamp::now().as_second());
        if !authn.still(&user, &proof, &peer, now) {
            return;
        }
        let rest = match (&proof, &*peer) {
            (Proof::Nothing, _) => return std::future::pending().await,
            (Proof::Certificate, Peer::Known(identity)) => until(identity.not_after(), now).min(OF_CERTIFICATES),
            _ => OF_TOKENS,
        };
        tokio::select! {
            () = told(Some(&mut revoked)) => {}
            () = told(authorities.as_mut()) => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// Comes back when the certificate of a connection holds no more. Never where it did not hold when it was made: each of its
/// requests is told that it is refused, which an end would not say.
pub(super) async fn cut(authn: Arc<Authentication>, connected: Arc<Connected>) {
    let peer = connected.peer();
    let Peer::Known(identity) = &*peer else { return std::future::pending().await };
    if !authn.still(&identity.user, &Proof::Certificate, &peer, Timestamp::now().as_second()) {
        return std::future::pending().await;
    }
    ended(authn, Arc::clone(&connected), identity.user.clone(), Proof::Certificate).await;
}

/// How long it is until a second has passed.
fn until(second: i64, now: i64) -> Duration {
    Duration::from_secs(u64::try_from(second.saturating_sub(now)).unwrap_or_default().saturating_add(1))
}

/// Comes back when something is told; never where nobody can tell anything any more.
async fn told<T>(receiver: Option<&mut watch::Receiver<T>>) {
    if let Some(receiver) = receiver
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
