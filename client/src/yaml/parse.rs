//! The first document of a text as a tree.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle};

use super::node::{Kind, Layout, Node};
use super::resolve::{Scalar, Style};
use super::wrong::Wrong;

/// Longest text that is looked at, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// Deepest nesting, in collections: a kubeconfig needs seven, what extensions hold is other people's.
const MAX_DEPTH: usize = 100;
/// Most nodes that aliases may stand for, all together.
const MAX_ALIASED: usize = 400_000;

/// The first document of a text.
#[derive(Debug)]
pub struct Document {
    /// Its root; none where the document is empty.
    pub root: Option<Node>,
    /// Where it ends, in bytes: what follows is another document's, or nothing.
    pub end: usize,
}

/// Reads the first document. What follows it is not looked at, as kubectl does not.
///
/// # Errors
/// What is no YAML, and what kubectl's parser does not take.
pub fn parse(text: &str) -> Result<Document, Wrong> {
    if text.len() > MAX_BYTES {
        return Err(Wrong::new(0, format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let mut options = Options::default();
    options.block_nesting_limit = MAX_DEPTH;
    options.flow_nesting_limit = MAX_DEPTH;
    options.set_emit_comments(false);
    options.bom_inside_document_as_content = true;
    options.block_scalar_eof_without_line_feed = true;
    let mut reader = Reader {
        text,
        bytes: Offsets::new(text),
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        aliased: 0,
    };
    let document = reader.document()?;
    if let Some(at) = text[..document.end].find(|c| !printable(c)) {
        let line = text[..at].matches('\n').count() + 1;
        return Err(Wrong::new(line, "control characters are not allowed"));
    }
    if let Some(root) = &document.root {
        check(root)?;
        check_finite(root)?;
    }
    Ok(document)
}

/// What libyaml lets into a text.
fn printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// From characters to bytes: the parser counts characters.
struct Offsets<'a> {
    text: &'a str,
    /// Byte offset of every 64th character; nothing where all are ASCII.
    marks: Vec<usize>,
}

impl<'a> Offsets<'a> {
    const STEP: usize = 64;

    fn new(text: &'a str) -> Self {
        let marks = if text.is_ascii() { Vec::new() } else { text.char_indices().step_by(Self::STEP).map(|(at, _)| at).collect() };
        Self { text, marks }
    }

    fn byte(&self, character: usize) -> usize {
        if self.marks.is_empty() {
            return character.min(self.text.len());
        }
        let Some(from) = self.marks.get(character / Self::STEP) else { return self.text.len() };
        self.text[*from..].char_indices().nth(character % Self::STEP).map_or(self.text.len(), |(at, _)| from + at)
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: Offsets<'a>,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// Anchored nodes by the parser's id, with how many nodes each is.
    anchors: HashMap<usize, (Rc<Node>, usize)>,
    aliased: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Wrong> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(e)) => Err(Wrong::new(e.marker().line(), one_line(&e.info()))),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Document, Wrong> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(Document { root: None, end: self.text.len() }),
                (Event::DocumentStart(_, Some(version)), span) if (version.major, version.minor) != (1, 1) => {
                    return Err(Wrong::new(span.start.line(), "only %YAML 1.1 is read, as kubectl does"));
                }
                (Event::DocumentEnd, span) => return Ok(Document { root: None, end: self.end(&span) }),
                (event, span) if event.is_node() => {
                    let (root, _) = self.node(event, &span)?;
                    let end = match self.next()? {
                        (Event::DocumentEnd, span) => self.end(&span),
                        _ => self.text.len(),
                    };
                    return Ok(Document { root: Some(root), end });
                }
                _ => {}
            }
        }
    }

    /// Where a document ends: its comments belong to it, if nothing else follows.
    fn end(&self, span: &Span) -> usize {
        let end = self.bytes.byte(span.start.index());
        let nothing = |line: &str| line.trim_start().is_empty() || line.trim_start().starts_with('#');
        if self.text[end..].lines().all(nothing) {
            return self.text.len();
        }
        // Of an empty document the parser tells the end of its `---`.
        self.text.len() - self.text[end..].trim_start().len()
    }

    /// A node and how many it is.
    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<(Node, usize), Wrong> {
        let anchor = event.anchor_id();
        let tag = event.tag().map(|t| if t.handle() == "!" { format!("!{}", t.suffix()) } else { format!("{}{}", t.handle(), t.suffix()) });
        let mut count = 1;
        let mut end = self.bytes.byte(span.end.index());
        let kind = match event {
            Event::Scalar(text, style, ..) => {
                Kind::Scalar(text.into_owned(), if style == ScalarStyle::Plain { Style::Plain } else { Style::Text })
            }
            Event::Alias(id) => {
                let (to, size) = self.anchors.get(&id).ok_or_else(|| Wrong::new(span.start.line(), "an anchor's value contains itself"))?;
                self.aliased = self.aliased.saturating_add(*size);
                if self.aliased > MAX_ALIASED {
                    return Err(Wrong::new(span.start.line(), "it contains excessive aliasing"));
                }
                count = *size;
                Kind::Alias(Rc::clone(to))
            }
            Event::SequenceStart(style, ..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, span) => {
                            end = self.bytes.byte(span.end.index());
                            break;
                        }
                        (event, span) => {
                            let (item, size) = self.node(event, &span)?;
                            count += size;
                            items.push(item);
                        }
                    }
                }
                Kind::Sequence(items, layout(style))
            }
            Event::MappingStart(style, ..) => {
                let mut pairs = Vec::new();
                loop {
                    match self.next()? {
                        (Event::MappingEnd, span) => {
                            end = self.bytes.byte(span.end.index());
                            break;
                        }
                        (event, span) => {
                            let (key, of_key) = self.node(event, &span)?;
                            let (event, span) = self.next()?;
                            let (value, of_value) = self.node(event, &span)?;
                            count += of_key + of_value;
                            pairs.push((key, value));
                        }
                    }
                }
                Kind::Mapping(pairs, layout(style))
            }
            _ => return Err(Wrong::new(span.start.line(), "it ends too early")),
        };
        let start = self.bytes.byte(span.start.index());
        let make = |kind| Node { kind, tag: tag.clone(), start, end, line: span.start.line(), column: span.start.col() };
        let kind = Rc::new(kind);
        if let Some(id) = anchor {
            self.anchors.insert(id, (Rc::new(make(Rc::clone(&kind))), count));
        }
        Ok((make(kind), count))
    }
}

fn layout(style: StructureStyle) -> Layout {
    if style == StructureStyle::Flow { Layout::Flow } else { Layout::Block }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a parser for JSON's sake refuses: keys that are no text, merges of what is no mapping, tags that do not fit.
fn check(node: &Node) -> Result<(), Wrong> {
    match &*node.kind {
        Kind::Sequence(items, _) => items.iter().try_for_each(check),
        Kind::Mapping(pairs, _) => pairs.iter().try_for_each(|(key, value)| {
            if key.is_merge() {
                let is_map = |n: &Node| matches!(&*n.target().kind, Kind::Mapping(..));
                let fits = match &*value.target().kind {
                    Kind::Sequence(items, _) => items.iter().all(is_map),
                    _ => is_map(value),
                };
                if !fits {
                    return Err(Wrong::new(value.line, "<< needs a mapping or a list of mappings"));
                }
            } else if key.key().is_none() {
                return Err(Wrong::new(key.line, "this key is no text"));
            }
            check(value)
        }),
        // What it stands for is checked where it stands.
        Kind::Alias(_) => Ok(()),
        Kind::Scalar(..) => node.scalar().map(drop),
    }
}

/// JSON has no infinite numbers. Only what counts is looked at: a doubled key may hide one.
fn check_finite(node: &Node) -> Result<(), Wrong> {
    match &*node.kind {
        Kind::Sequence(items, _) => items.iter().try_for_each(check_finite),
        Kind::Mapping(..) => node.entries().into_iter().try_for_each(|(_, value)| check_finite(value)),
        // Larger things that an alias stands for are looked at where they stand.
        Kind::Alias(_) | Kind::Scalar(..) => match node.scalar()? {
            Some(Scalar::Float(value)) if !value.is_finite() => Err(Wrong::new(node.line, "this number has no finite value")),
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Value {
        parse(text).unwrap().root.unwrap().json().unwrap()
    }

    #[test]
    fn only_the_first_document_counts() {
        assert_eq!(json("a: b\n---\nc: d\n"), serde_json::json!({"a": "b"}));
        assert_eq!(json("---\na: b\n---\n\t: [\n"), serde_json::json!({"a": "b"}));
        assert!(parse("---\n---\na: b\n").unwrap().root.is_none_or(|r| r.is_null()));
        assert!(parse("# nothing\n").unwrap().root.is_none());
        let text = "a: Lothlórien\n---\nc: d\n";
        assert_eq!(&text[parse(text).unwrap().end..], "---\nc: d\n");
    }

    #[test]
    fn doubled_keys_and_merges_count_as_kubectl_counts_them() {
        assert_eq!(json("a: b\na: c\n"), serde_json::json!({"a": "c"}));
        assert_eq!(json("a: .nan\na: c\n"), serde_json::json!({"a": "c"}));
        assert!(parse("a: c\na: .nan\n").is_err() && parse("a: &n .nan\na: c\nb: *n\n").is_err());
        assert_eq!(json("x: &x {a: b}\na: c\n<<: *x\n")["a"], "b");
        assert_eq!(
            json("x: &x {a: b, d: e}\n<<: [*x, {a: f, g: h}]\na: c\n"),
            serde_json::json!({"x": {"a": "b", "d": "e"}, "a": "c", "d": "e", "g": "h"})
        );
    }

    #[test]
    fn what_kubectl_does_not_take_is_refused() {
        for text in
            ["~: a\n", "? [a]\n: b\n", "a: .nan\n", "<<: 5\n", "a: !!int x\n", "%YAML 1.2\n---\na: b\n", "a: &a [*a]\n", "a: \u{7}\n"]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn issue7_case_17_many_aliases_are_read_and_bombs_are_refused() {
        let mut many = "ca: &ca AAAA\nall:\n".to_owned();
        many.extend((0..1000).map(|i| format!("- {{name: n{i}, ca: *ca}}\n")));
        assert_eq!(json(&many)["all"][999]["ca"], "AAAA");
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        bomb.extend((1..20).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))));
        assert!(parse(&bomb).unwrap_err().what.contains("excessive aliasing"));
        assert!(parse(&"[".repeat(5000)).is_err());
        assert!(parse(&"- ".repeat(5000)).is_err());
    }
}
