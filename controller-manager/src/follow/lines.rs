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
                Some(Err(error)) => return Err(crate::members::request::chain(&error)),
                None => return Ok(None),
            }
        }
    }
}
