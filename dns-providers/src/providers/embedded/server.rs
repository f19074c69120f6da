//! The sockets: a thread of their own answers queries one after the other, so that a flood of them takes that thread's
//! time and nobody else's, and no more memory than a few buffers.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::Error;

use super::rate::{Pass, Rate};
use super::wire::{Over, respond};
use super::zone::ZoneData;

/// A TCP connection without a query for so long, or that takes so long for one, is closed.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// TCP connections at a time of one address listened on; the oldest makes room for a new one.
const TCP_CONNECTIONS: usize = 128;
/// Pause after a socket failed, out of file descriptors most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// The zones as they are answered now.
pub(super) type Zones = Arc<ArcSwap<Vec<ZoneData>>>;

/// Binds one address by UDP and TCP with the same port.
pub(super) async fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), Error> {
    let failed = |what: &str, at: SocketAddr| {
        let what = format!("cannot answer DNS at {at} ({what})");
        move |source| Error::Io { what, source }
    };
    // A free TCP port may be taken for UDP; with port 0 another pair is tried.
    let mut tries = if listen.port() == 0 { 16 } else { 1 };
    loop {
        tries -= 1;
        let tcp = TcpListener::bind(listen).await.map_err(failed("TCP", listen))?;
        let at = tcp.local_addr().map_err(failed("TCP", listen))?;
        match UdpSocket::bind(at).await {
            Ok(udp) => return Ok((udp, tcp, at)),
            Err(_) if tries > 0 => {}
            Err(error) => return Err(failed("UDP", at)(error)),
        }
    }
}

/// The thread that answers. It ends when this is dropped.
pub(super) struct Server {
    _stop: oneshot::Sender<()>,
    /// Set once the thread ended by itself: why.
    ended: watch::Receiver<Option<String>>,
}

impl Server {
    /// Starts to answer, with at most `rate` answers a second by UDP to one network; 0 is no limit.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start(zones: Zones, sockets: Vec<(UdpSocket, TcpListener)>, rate: u32) -> Result<Self, Error> {
        let failed = |source| Error::Io { what: "cannot answer DNS (thread)".to_owned(), source };
        // Sockets belong to the runtime they were registered with.
        let sockets: Vec<_> =
            sockets.into_iter().map(|(u, t)| Ok((u.into_std()?, t.into_std()?))).collect::<Result<_, _>>().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let (tell, ended) = watch::channel(None);
        let work = move || {
            let why = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => None,
                        why = run(zones, sockets, rate) => Some(why),
                    }
                })
            }));
            let why = why.unwrap_or_else(|_| Some("panicked".to_owned()));
            tell.send_if_modified(|told| {
                *told = why;
                told.is_some()
            });
        };
        std::thread::Builder::new().name("dns".to_owned()).spawn(work).map_err(failed)?;
        Ok(Self { _stop: stop, ended })
    }

    /// Waits until nothing is answered any more though nobody asked for that, and says why.
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        let why = ended.wait_for(Option::is_some).await.map(|why| why.clone());
        why.ok().flatten().unwrap_or_else(|| "its thread is gone".to_owned())
    }
}

/// Answers until a task ends, which none should; says why.
async fn run(zones: Zones, sockets: Vec<(std::net::UdpSocket, std::net::TcpListener)>, rate: u32) -> String {
    let mut tasks = JoinSet::new();
    for (udp, tcp) in sockets {
        let (udp, tcp) = match (UdpSocket::from_std(udp), TcpListener::from_std(tcp)) {
            (Ok(udp), Ok(tcp)) => (udp, tcp),
            (Err(error), _) | (_, Err(error)) => return error.to_string(),
        };
        tasks.spawn(by_udp(zones.clone(), udp, Rate::new(rate, Instant::now())));
        tasks.spawn(by_tcp(zones.clone(), tcp));
    }
    match tasks.join_next().await {
        Some(Err(error)) => error.to_string(),
        Some(Ok(())) | None => "came back".to_owned(),
    }
}

async fn by_udp(zones: Zones, socket: UdpSocket, mut rate: Rate) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut turn = 0_usize;
    loop {
        let (size, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a DNS query was not received");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Nobody is there.
        if from.port() == 0 {
            continue;
        }
        let over = match rate.take(from.ip(), Instant::now()) {
            Pass::Answer => Over::Udp,
            Pass::Slip => Over::UdpSlipped,
            Pass::Drop => continue,
        };
        turn = turn.wrapping_add(1);
        let answer = respond(&zones.load(), buffer.get(..size).unwrap_or_default(), over, turn);
        if let Some(answer) = answer
            && let Err(error) = socket.send_to(&answer, from).await
        {
            tracing::debug!(%error, client = %from, "a DNS answer was not sent");
        }
    }
}

async fn by_tcp(zones: Zones, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        open.retain(|handle| !handle.is_finished());
        if open.len() >= TCP_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let zones = zones.clone();
        open.push_back(connections.spawn(async move {
            // A client that breaks off is no concern of ours.
            let _ = connection(&zones, stream).await;
        }));
    }
}

/// Answers the queries of one connection in order.
async fn connection(zones: &Zones, mut stream: TcpStream) -> std::io::Result<()> {
    let mut turn = 0_usize;
    loop {
        let query = timeout(TCP_IDLE, async {
            let size = stream.read_u16().await?;
            let mut query = vec![0; size.into()];
            stream.read_exact(&mut query).await.map(|_| query)
        });
        let query = query.await??;
        turn = turn.wrapping_add(1);
        let Some(answer) = respond(&zones.load(), &query, Over::Tcp, turn) else { return Ok(()) };
        let size = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let framed = [&size.to_be_bytes()[..], &answer].concat();
        timeout(TCP_IDLE, stream.write_all(&framed)).await??;
    }
}

/// The addresses a name server has when it listens at `at`: none if it listens on all of them.
pub(super) fn own_address(at: SocketAddr) -> Option<IpAddr> {
    Some(at.ip()).filter(|ip| !ip.is_unspecified())
}
