//! Continue tokens: where a paged list goes on, and at which revision.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::StorageError;

/// The meaning of an opaque continue token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    /// Version of this encoding.
    v: u8,
    /// Revision of the first page; `None` goes on at the newest state, inconsistently.
    pub(super) rv: Option<u64>,
    /// The last key delivered, below the resource's prefix.
    pub(super) after: String,
    /// The namespace that is listed; empty for all. A token of another list is refused.
    pub(super) ns: String,
}

const VERSION: u8 = 1;

impl Token {
    pub(super) fn new(rv: Option<u64>, after: &str, ns: &str) -> Self {
        Self { v: VERSION, rv, after: after.to_owned(), ns: ns.to_owned() }
    }

    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("strings and numbers are JSON"))
    }

    /// Reads a token that was given out for a list of `ns`.
    pub(super) fn decode(text: &str, ns: &str) -> Result<Self, StorageError> {
        let bad = |why: String| StorageError::BadContinue(why);
        let json = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|e| bad(e.to_string()))?;
        let token: Self = serde_json::from_slice(&json).map_err(|e| bad(e.to_string()))?;
        match token {
            Self { v, .. } if v != VERSION => Err(bad(format!("version {v} is not known"))),
            Self { ns: of, .. } if of != ns => Err(bad("it belongs to another list".into())),
            Self { rv: Some(0), .. } => Err(bad("its revision is 0".into())),
            token => Ok(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_strangers_are_refused() {
        let token = Token::new(Some(7), "ns/web", "ns");
        assert_eq!(Token::decode(&token.encode(), "ns").unwrap(), token);
        assert!(matches!(Token::decode(&token.encode(), ""), Err(StorageError::BadContinue(_))));
        for bad in ["", "x", "e30", "bm9uZQ", "\u{e4}"] {
            assert!(matches!(Token::decode(bad, "ns"), Err(StorageError::BadContinue(_))), "{bad}");
        }
    }
}
