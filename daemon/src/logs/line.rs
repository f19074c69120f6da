//! One event is one line: what peers sent can neither begin another nor talk to a terminal.

use std::fmt::Write as _;
use std::io::{self, Stderr, Write};

/// The longest line in bytes; of longer ones the rest is left out.
const LONGEST: usize = 16 << 10;

/// The text on one line: control characters as escapes, and no longer than a log line may be.
pub fn one_line(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = String::with_capacity(end);
    for c in text[..end].chars() {
        if harmless(c) { out.push(c) } else { out.extend(c.escape_default()) }
    }
    if end < text.len() {
        let _ = write!(out, "… ({} bytes more)", text.len() - end);
    }
    out
}

/// Neither a control character (C0, DEL, C1) nor one that turns the direction of what follows.
fn harmless(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Where log lines go.
pub(super) fn stderr() -> Lines<Stderr> {
    Lines(io::stderr())
}

/// Expects each event in one piece, as `tracing_subscriber::fmt` writes it.
pub(super) struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        if body.len() <= LONGEST && body.chars().all(harmless) {
            self.0.write_all(event)?;
        } else {
            let mut line = one_line(body);
            line.push('\n');
            self.0.write_all(line.as_bytes())?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn d30_what_peers_sent_stays_on_its_line() {
        assert_eq!(one_line("a\nINFO all is well\u{1b}[2J\r\t\u{9b}\u{202e}é"), r"a\nINFO all is well\u{1b}[2J\r\t\u{9b}\u{202e}é");
        let long = one_line(&"é".repeat(LONGEST));
        assert!(long.ends_with("… (16384 bytes more)") && long.len() < LONGEST + 40, "{}", &long[LONGEST..]);
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn d30_the_log_writes_one_line_for_each_event() {
        let kept = Kept::default();
        let to = kept.clone();
        let log = tracing_subscriber::fmt().with_writer(move || Lines(to.clone())).with_ansi(false).without_time().finish();
        crate::logs::within(log, || {
            tracing::info!(path = "/a\n\u{1b}[31m", "the peer\nsaid");
            tracing::info!("whole");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains('\u{1b}') && text.ends_with("whole\n"), "{text:?}");
    }
}
