//! Something between the provider and a server that sees their messages, and may lose some.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A relay of DNS messages over TCP.
pub struct Proxy {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    /// So many answers to updates are lost, each with its connection.
    lose: AtomicUsize,
    /// Answers to a transfer that pass before it is cut; all where it is none.
    cut: Mutex<Option<usize>>,
}

impl Proxy {
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
        let shared = seen.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let seen = shared.clone();
                tokio::spawn(async move { relay(client, to, &seen).await });
            }
        });
        Proxy { address, seen }
    }

    /// What was asked since the last time: types of questions, and "update" for each of those.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.requests.lock().unwrap())
    }

    /// The answers to the next updates are lost after the server has carried them out.
    pub fn lose_answers(&self, count: usize) {
        self.seen.lose.store(count, Ordering::SeqCst);
    }

    /// Transfers end after so many messages.
    pub fn cut_transfers(&self, after: Option<usize>) {
        *self.seen.cut.lock().unwrap() = after;
    }
}

async fn relay(client: TcpStream, to: SocketAddr, seen: &Seen) -> Option<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(to).await.ok()?.into_split();
    // The last request, and how many answers to it have passed.
    let last = Mutex::new((false, RecordType::ZERO, 0));
    let requests = async {
        loop {
            let frame = frame(&mut from_client).await?;
            let message = Message::from_vec(&frame[2..]).ok()?;
            let is_update = message.metadata.op_code == OpCode::Update;
            let kind = message.queries.first()?.query_type();
            seen.requests.lock().unwrap().push(if is_update { "update".to_owned() } else { kind.to_string() });
            *last.lock().unwrap() = (is_update, kind, 0);
            to_server.write_all(&frame).await.ok()?;
        }
    };
    let answers = async {
        loop {
            let frame = frame(&mut from_server).await?;
            let (is_update, kind, passed) = {
                let mut last = last.lock().unwrap();
                last.2 += 1;
                *last
            };
            if is_update && seen.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return None;
            }
            let cut = *seen.cut.lock().unwrap();
            if kind == RecordType::AXFR && cut.is_some_and(|cut| passed > cut) {
                return None;
            }
            to_client.write_all(&frame).await.ok()?;
        }
    };
    // Where one side ends, so does the other.
    tokio::select! {
        end = requests => end,
        end = answers => end,
    }
}

/// The next message with its length.
async fn frame(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Vec<u8>> {
    let size = stream.read_u16().await.ok()?;
    let mut frame = size.to_be_bytes().to_vec();
    frame.resize(2 + usize::from(size), 0);
    stream.read_exact(&mut frame[2..]).await.ok()?;
    Some(frame)
}
