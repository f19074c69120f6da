//! Lines of a body that goes on and on, each of a bounded length.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

/// Longest line: an object as large as a server stores, with room to spare.
const LONGEST: usize = 16 << 20;

/// Reads a body line by line.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// So much of the buffer has no end of line.
    searched: usize,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line that is not empty; nothing at the end. Nothing is lost when it is dropped and asked again.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(self.searched + end).freeze();
                self.buffer.advance(1);
                self.searched = 0;
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > LONGEST {
                return Err(format!("one event has more than {} MiB", LONGEST >> 20));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(crate::request::chain(&error)),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    const MIB: usize = 1 << 20;

    /// So many MiB of one line, then its end and another one.
    async fn lines(long: usize) -> Lines {
        let service = tower::service_fn(move |_: http::Request<Body>| async move {
            let parts = stream::repeat_with(|| Bytes::from(vec![b'x'; MIB])).take(long).chain(stream::iter([Bytes::from("\nshort\n")]));
            let frames = parts.map(|part| Ok::<_, std::io::Error>(Frame::data(part)));
            Ok::<_, std::io::Error>(http::Response::new(StreamBody::new(frames)))
        });
        let client = kube::Client::new(service, "default");
        let request = http::Request::get("/").body(Body::empty()).unwrap();
        Lines::new(client.send(request).await.unwrap().into_body())
    }

    #[tokio::test]
    async fn d20_a_line_without_an_end_is_given_up() {
        let mut fits = lines(16).await;
        assert_eq!(fits.next().await.unwrap().unwrap().len(), 16 * MIB);
        assert_eq!(fits.next().await.unwrap().unwrap(), "short");
        assert_eq!(fits.next().await.unwrap(), None);
        assert_eq!(lines(17).await.next().await.unwrap_err(), "one event has more than 16 MiB");
        assert!(lines(usize::MAX).await.next().await.is_err());
    }
}
