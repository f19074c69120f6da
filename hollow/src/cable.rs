//! A TCP cable that can be pulled: what a hollow member is reached through.
//!
//! While it is pulled nothing gets through and nothing is refused, as on a network that lost a
//! link; connections from before are reset when it is plugged in again.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// One cable; it is gone when dropped.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    plugged: watch::Sender<bool>,
    _running: DropGuard,
}

impl Cable {
    /// Listens on a free loopback port and forwards to `target`.
    pub async fn to(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (plugged, state) = watch::channel(true);
        let stop = CancellationToken::new();
        // Ends with the cable. A death is seen as what a cable is for: nobody gets through.
        tokio::spawn(accept(listener, target, state, stop.clone()));
        Ok(Self { address, plugged, _running: stop.drop_guard() })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Pulls it out.
    pub fn pull(&self) {
        self.plugged.send_replace(false);
    }

    /// Plugs it in again.
    pub fn plug(&self) {
        self.plugged.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<bool>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let (state, stop) = (state.clone(), stop.clone());
                // One connection, as long as its ends or the cable want it.
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = forward(client, target, state) => {}
                    }
                });
            }
        }
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<bool>) {
    if *state.borrow_and_update() {
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        let mut pulled = state.clone();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            () = becomes(&mut pulled, false) => {}
        }
    }
    // Silence until the cable is plugged in; then the client has to dial again.
    becomes(&mut state, true).await;
}

/// Waits until the cable is plugged in, or pulled.
async fn becomes(state: &mut watch::Receiver<bool>, plugged: bool) {
    while *state.borrow_and_update() != plugged {
        if state.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn nothing_gets_through_a_pulled_cable() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let cable = Cable::to(server.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() {
                        stream.write_all(&byte).await.unwrap();
                    }
                });
            }
        });
        let echo = async |stream: &mut TcpStream| {
            stream.write_all(b"x").await?;
            let mut byte = [0];
            timeout(Duration::from_millis(300), stream.read_exact(&mut byte))
                .await
                .map_err(|_| std::io::ErrorKind::TimedOut.into())
                .and_then(|r| r)
        };
        let mut stream = TcpStream::connect(cable.address()).await.unwrap();
        echo(&mut stream).await.unwrap();
        cable.pull();
        assert_eq!(echo(&mut stream).await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        let mut late = TcpStream::connect(cable.address()).await.unwrap();
        assert_eq!(echo(&mut late).await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        cable.plug();
        let mut again = TcpStream::connect(cable.address()).await.unwrap();
        echo(&mut again).await.unwrap();
    }
}
