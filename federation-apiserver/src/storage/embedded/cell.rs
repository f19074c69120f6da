//! What is stored under a key and a revision: the value, or that it was deleted, and a digest of both and of where
//! they belong. The engine's own checksums are looked at after a kill only; a bit that flips in between is found by
//! whoever reads the value.

use redb::AccessGuard;

/// First byte of a cell.
const VALUE: u8 = b'v';
const DELETED: u8 = b'd';
/// Bytes of the digest, the last ones of a cell: CRC-32, which tells any flip of up to three bits and any damage
/// within four bytes for certain.
const DIGEST: usize = 4;

/// How the cells of a database are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    /// Cells of later revisions carry a digest; those up to here are a bare value, or nothing for a deletion.
    pub(super) after: u64,
}

/// What a cell says.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Content<'a> {
    Value(&'a [u8]),
    Deleted,
    /// Not what was written; what is left of the value.
    Damaged(&'a [u8]),
}

impl Cells {
    /// The cell for a value, or for a deletion.
    pub(super) fn write(self, key: &str, revision: u64, value: Option<&[u8]>) -> Option<Vec<u8>> {
        if revision <= self.after {
            return value.map(<[u8]>::to_vec);
        }
        let (kind, value) = value.map_or((DELETED, &[][..]), |value| (VALUE, value));
        let mut cell = Vec::with_capacity(1 + value.len() + DIGEST);
        cell.push(kind);
        cell.extend_from_slice(value);
        let digest = digest(key, revision, &cell);
        cell.extend_from_slice(&digest);
        Some(cell)
    }

    /// Reads a cell and checks it.
    pub(super) fn read<'a>(self, key: &str, revision: u64, guard: &'a AccessGuard<'_, Option<&'static [u8]>>) -> Content<'a> {
        // The engine panics over a byte that says neither that there is something nor that there is not.
        match super::quiet::quietly(|| guard.value()) {
            Ok(stored) => self.decode(key, revision, stored),
            Err(_) => Content::Damaged(&[]),
        }
    }

    fn decode<'a>(self, key: &str, revision: u64, stored: Option<&'a [u8]>) -> Content<'a> {
        if revision <= self.after {
            return stored.map_or(Content::Deleted, Content::Value);
        }
        let Some((cell, end)) = stored.and_then(|stored| stored.split_last_chunk::<DIGEST>()) else { return Content::Damaged(&[]) };
        match cell.split_first() {
            Some((&VALUE, value)) if *end == digest(key, revision, cell) => Content::Value(value),
            Some((&DELETED, [])) if *end == digest(key, revision, cell) => Content::Deleted,
            _ => Content::Damaged(cell.get(1..).unwrap_or_default()),
        }
    }
}

/// The digest of a cell at its place.
fn digest(key: &str, revision: u64, cell: &[u8]) -> [u8; DIGEST] {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key.as_bytes());
    sum.update(&revision.to_le_bytes());
    sum.update(cell);
    sum.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_read_as_it_was_written_and_any_flipped_bit_is_seen() {
        let cells = Cells { after: 5 };
        for value in [None, Some(&b""[..]), Some(&b"{\"a\":1}"[..])] {
            let whole = cells.write("maps/a", 7, value).unwrap();
            assert_eq!(cells.decode("maps/a", 7, Some(&whole)), value.map_or(Content::Deleted, Content::Value));
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(matches!(cells.decode("maps/a", 7, Some(&flipped)), Content::Damaged(_)), "{value:?} bit {bit}");
            }
            for elsewhere in [cells.decode("maps/b", 7, Some(&whole)), cells.decode("maps/a", 8, Some(&whole))] {
                assert!(matches!(elsewhere, Content::Damaged(_)));
            }
            assert!(matches!(cells.decode("maps/a", 7, None), Content::Damaged(_)), "a deletion is written too");
            // Of before there were digests.
            let old = cells.write("maps/a", 5, value);
            assert_eq!(cells.decode("maps/a", 5, old.as_deref()), value.map_or(Content::Deleted, Content::Value));
        }
    }
}
