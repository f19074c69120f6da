//! Cutting text that others wrote to a length, always between two characters.

use std::borrow::Cow;

/// The longest beginning of `text` that has at most so many bytes and ends between two characters.
pub fn prefix(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The text as messages show it: whole, or its beginning and three dots.
pub fn shown(text: &str, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes { Cow::Borrowed(text) } else { Cow::Owned(format!("{}...", prefix(text, bytes))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stay_whole() {
        assert_eq!((prefix("aé", 2), prefix("aé", 3), prefix("aé", 9), prefix("é", 1)), ("a", "aé", "aé", ""));
        assert_eq!((shown("aé", 3), shown("aéb", 2)), (Cow::Borrowed("aé"), Cow::Owned("a...".into())));
    }
}
