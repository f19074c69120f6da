//! Large answers compressed for clients that take it, as kube-apiserver does: quickly rather than small, above 128 KiB,
//! and never watches. What was compressed is kept for a while: many clients ask for the same list.
//!
//! A list begins with its revision, which grows with every write of any resource; so the beginning is put in front as it
//! is, and only what follows is compressed and kept.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use crc32fast::Hasher as Crc;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use http::{HeaderMap, HeaderValue, Response, header};

use super::call::Call;
use crate::http::response::Body;
use crate::storage::object::Object;

/// Answers that are larger are compressed; kube-apiserver's number.
pub(super) const THRESHOLD: usize = 128 * 1024;
/// Bytes that are kept at most, compressed.
const KEPT: usize = 4 << 20;
/// Longest block that is put into a stream as it is.
const STORED: usize = 65_535;

/// Whether a client takes gzip.
fn accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(refused)
    })
}

/// Keys of the hashes, new in each process: nobody can make two lists that are taken for one.
static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);

type Key = [u64; 2];

/// Tells the contents of answers apart: which objects are in it, each version of one being another, and how they are shown.
pub(super) struct Identity([<RandomState as BuildHasher>::Hasher; 2]);

impl Identity {
    /// Of an answer yet without objects; `None` for a client that does not take it compressed.
    pub(super) fn wanted(call: Call<'_>) -> Option<Self> {
        if !accepted(call.headers) {
            return None;
        }
        let resource = call.resource();
        let mut identity = Self(KEYS.each_ref().map(BuildHasher::build_hasher));
        identity.write(resource.group.as_bytes());
        identity.write(resource.version.as_bytes());
        identity.write(&call.entry.layout.serial.to_le_bytes());
        Some(identity)
    }

    fn write(&mut self, bytes: &[u8]) {
        for hasher in &mut self.0 {
            hasher.write_usize(bytes.len());
            hasher.write(bytes);
        }
    }

    /// The next object, and what is written of it besides its own bytes.
    pub(super) fn add(&mut self, object: &Object, shown: &[u8]) {
        for hasher in &mut self.0 {
            hasher.write_u64(object.serial);
        }
        self.write(shown);
    }

    /// Makes it one that never was before and never will be.
    pub(super) fn unique(&mut self) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.write(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    }

    fn key(&self) -> Key {
        self.0.each_ref().map(Hasher::finish)
    }

    /// Whether it is compressed already.
    pub(super) fn is_known(&self) -> bool {
        let key = self.key();
        kept().iter().any(|(known, what)| *known == key && what.get().is_some())
    }
}

/// What follows the beginning of an answer.
struct Compressed {
    deflated: Bytes,
    crc: u32,
    length: u64,
}

type Kept = VecDeque<(Key, Arc<OnceLock<Compressed>>)>;

/// What was compressed, the last asked for first.
static COMPRESSED: Mutex<Kept> = Mutex::new(VecDeque::new());

fn kept() -> MutexGuard<'static, Kept> {
    COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A gzip stream of a beginning and the parts that follow. Who asks for what is being compressed waits for that, so call
/// it where waiting is allowed.
pub(super) fn compress(identity: &Identity, head: &[u8], parts: &VecDeque<Bytes>) -> VecDeque<Bytes> {
    let key = identity.key();
    let entry = {
        let mut kept = kept();
        let known = kept.iter().position(|(known, _)| *known == key).and_then(|at| kept.remove(at));
        let entry = known.map_or_else(Arc::default, |(_, entry)| entry);
        kept.push_front((key, Arc::clone(&entry)));
        let mut size = 0;
        kept.retain(|(_, entry)| {
            size += size_of::<Compressed>() + entry.get().map_or(0, |compressed| compressed.deflated.len());
            size <= KEPT
        });
        entry
    };
    framed(head, entry.get_or_init(|| deflate(parts)))
}

fn deflate(parts: &VecDeque<Bytes>) -> Compressed {
    let (mut crc, mut encoder) = (Crc::new(), DeflateEncoder::new(Vec::new(), Compression::fast()));
    let written = parts.iter().try_for_each(|part| {
        crc.update(part);
        encoder.write_all(part)
    });
    // Memory takes every write.
    let mut deflated = written.and_then(|()| encoder.finish()).unwrap_or_else(|_: io::Error| Vec::new());
    deflated.shrink_to_fit();
    Compressed { deflated: deflated.into(), crc: crc.finalize(), length: parts.iter().map(|part| part.len() as u64).sum() }
}

/// RFC 1952 around RFC 1951: the beginning in stored blocks, then what is compressed, which has the last block.
fn framed(head: &[u8], compressed: &Compressed) -> VecDeque<Bytes> {
    let mut begin = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff];
    for block in head.chunks(STORED) {
        let length = block.len() as u16;
        begin.push(0);
        begin.extend_from_slice(&length.to_le_bytes());
        begin.extend_from_slice(&(!length).to_le_bytes());
        begin.extend_from_slice(block);
    }
    let mut crc = Crc::new();
    crc.update(head);
    crc.combine(&Crc::new_with_initial_len(compressed.crc, compressed.length));
    let mut end = crc.finalize().to_le_bytes().to_vec();
    // Its length modulo 2^32, as the format has it.
    end.extend_from_slice(&((head.len() as u64 + compressed.length) as u32).to_le_bytes());
    [begin.into(), compressed.deflated.clone(), end.into()].into()
}

/// An answer that is compressed.
pub(super) fn marked(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn read(stream: &VecDeque<Bytes>) -> Vec<u8> {
        let bytes: Vec<u8> = stream.iter().flatten().copied().collect();
        let (mut out, mut decoder) = (Vec::new(), flate2::read::GzDecoder::new(&bytes[..]));
        decoder.read_to_end(&mut out).unwrap();
        assert!(decoder.into_inner().is_empty(), "one member and nothing behind it");
        out
    }

    #[test]
    fn a_stream_is_its_beginning_and_what_follows() {
        let rest = VecDeque::from([Bytes::from(vec![b'x'; 200_000]), Bytes::from("]}")]);
        let compressed = deflate(&rest);
        for length in [0, 1, STORED, STORED + 1, 3 * STORED] {
            let head: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let want = [&head[..], &rest[0], &rest[1]].concat();
            assert_eq!(read(&framed(&head, &compressed)), want, "{length}");
        }
        assert!(compressed.deflated.len() < 5000);
    }

    #[test]
    fn what_is_known_is_compressed_once_and_little_is_kept() {
        let identity = |n: u64| {
            let mut identity = Identity(KEYS.each_ref().map(BuildHasher::build_hasher));
            identity.write(b"a test of its own");
            identity.write(&n.to_le_bytes());
            identity
        };
        let rest = VecDeque::from([Bytes::from_static(b"first")]);
        assert!(!identity(0).is_known());
        assert_eq!(read(&compress(&identity(0), b"1:", &rest)), b"1:first");
        assert!(identity(0).is_known());
        // Told from what is kept, not from what is given.
        assert_eq!(read(&compress(&identity(0), b"22:", &VecDeque::new())), b"22:first");
        // What cannot be compressed fills the room soon.
        let noise: Vec<u8> = std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes()).take(KEPT / 2 / 16).flatten().collect();
        let noise = VecDeque::from([Bytes::from(noise)]);
        for n in 1..5 {
            compress(&identity(n), b"", &noise);
        }
        compress(&identity(5), b"", &rest);
        assert!(identity(5).is_known() && identity(4).is_known() && !identity(0).is_known() && !identity(1).is_known());
    }

    #[test]
    fn clients_say_whether_they_take_it() {
        let said = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            accepted(&headers)
        };
        assert!(said("gzip") && said("deflate, gzip;q=1.0, *;q=0.5") && said("GZIP"));
        assert!(!said("identity") && !said("gzip;q=0") && !said("br") && !said("") && !accepted(&HeaderMap::new()));
    }
}
