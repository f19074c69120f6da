//! From bytes to text: UTF-8, or UTF-16 by its byte order mark.

use super::wrong::Wrong;

/// How the bytes of a text are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-8 after a byte order mark.
    Utf8Marked,
    /// UTF-16, the low byte first, after a byte order mark.
    Utf16Little,
    /// UTF-16, the high byte first, after a byte order mark.
    Utf16Big,
}

/// The text without its byte order mark, and how it was written.
///
/// # Errors
/// Bytes that are no text.
pub fn decode(bytes: &[u8]) -> Result<(String, Encoding), Wrong> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(Wrong::new(0, "the UTF-16 text ends within a character"));
        }
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
            .collect::<Result<String, _>>()
            .map_err(|_| Wrong::new(0, "it is not valid UTF-16"))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => Ok((utf16(rest, u16::from_le_bytes)?, Encoding::Utf16Little)),
        [0xfe, 0xff, rest @ ..] => Ok((utf16(rest, u16::from_be_bytes)?, Encoding::Utf16Big)),
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok((utf8(rest)?, Encoding::Utf8Marked)),
        _ => Ok((utf8(bytes)?, Encoding::Utf8)),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        Wrong::new(line, "it is not valid UTF-8")
    })?;
    Ok(text.to_owned())
}

impl Encoding {
    /// The bytes of a text in this encoding, with the mark it had.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf8Marked => [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(),
            Self::Utf16Little => std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Big => std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_read_and_written_back_as_it_was() {
        for encoding in [Encoding::Utf8, Encoding::Utf8Marked, Encoding::Utf16Little, Encoding::Utf16Big] {
            let bytes = encoding.encode("name: Lothlórien 🌳\n");
            assert_eq!(decode(&bytes).unwrap(), ("name: Lothlórien 🌳\n".to_owned(), encoding));
        }
    }

    #[test]
    fn what_is_no_text_is_refused_by_its_line() {
        assert_eq!(decode(b"a: b\nc: \xff\n").unwrap_err().line, 2);
        assert!(decode(b"\xff\xfea").is_err());
        assert!(decode(b"\xff\xfe\x00\xd8").is_err(), "half a pair");
    }
}
