//! From a template's text to its parts.

use serde_json::{Value, json};

use super::node::{Compare, Node, Operand, Step};

/// Longest template, in bytes.
const MAX_BYTES: usize = 1 << 16;
/// Deepest nesting of ranges.
const MAX_DEPTH: usize = 16;

type Result<T> = std::result::Result<T, &'static str>;

pub(super) fn template(text: &str) -> Result<Vec<Node>> {
    if text.len() > MAX_BYTES {
        return Err("it is too long");
    }
    // The parts of every range that is open, the outermost first.
    let mut open: Vec<(Vec<Step>, Vec<Node>)> = Vec::new();
    let mut nodes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            nodes.push(Node::Text(before.to_owned()));
        }
        let mut reader = Reader(after);
        reader.blanks();
        if let Some(after) = reader.0.strip_prefix("range").filter(|after| after.starts_with([' ', '\t'])) {
            if open.len() >= MAX_DEPTH {
                return Err("ranges are nested too deep");
            }
            reader.0 = after;
            reader.blanks();
            open.push((reader.path()?, std::mem::take(&mut nodes)));
        } else if let Some(after) = reader.0.strip_prefix("end").filter(|after| after.trim_start().starts_with('}')) {
            reader.0 = after;
            let (path, outer) = open.pop().ok_or("not in range, nothing to end")?;
            let inner = std::mem::replace(&mut nodes, outer);
            nodes.push(Node::Range(path, inner));
        } else {
            reader.action(&mut nodes)?;
        }
        reader.blanks();
        rest = reader.0.strip_prefix('}').ok_or("unclosed action")?;
    }
    if !rest.is_empty() {
        nodes.push(Node::Text(rest.to_owned()));
    }
    // A range without an end does nothing, as with kubectl.
    Ok(open.into_iter().next().map_or(nodes, |(_, outer)| outer))
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn eat(&mut self, token: &str) -> bool {
        let after = self.0.strip_prefix(token);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }

    fn word(&mut self, of: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !of(c)).unwrap_or(self.0.len());
        let (word, after) = self.0.split_at(end);
        self.0 = after;
        word
    }

    /// What stands in braces: a path, a text, a number or a truth value.
    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<()> {
        match self.0.chars().next() {
            Some('"' | '\'') => nodes.push(Node::Text(self.quoted()?)),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+') => {
                let number = self.number()?;
                nodes.push(Node::Value(number));
            }
            Some(c) if c.is_ascii_alphabetic() => {
                nodes.push(Node::Value(match self.word(|c| c.is_ascii_alphanumeric()) {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => return Err("unrecognized identifier"),
                }));
            }
            _ => {
                let path = self.path()?;
                nodes.push(Node::Path(path));
            }
        }
        Ok(())
    }

    fn path(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.eat("..") {
                steps.push(Step::Below);
                let name = self.name()?;
                if !name.is_empty() {
                    steps.push(Step::Field(name));
                }
            } else if self.eat(".") {
                match self.0.chars().next() {
                    Some('*') => {
                        self.eat("*");
                        steps.push(Step::Wildcard);
                    }
                    Some('[') => {}
                    _ => {
                        let name = self.name()?;
                        if !name.is_empty() {
                            steps.push(Step::Field(name));
                        }
                    }
                }
            } else if self.eat("[") {
                let step = self.brackets()?;
                steps.push(step);
            } else if steps.is_empty() && self.eat("$") {
                steps.push(Step::Root);
            } else if steps.is_empty() && self.eat("@") {
                // What the path begins at anyway.
            } else {
                return Ok(steps);
            }
        }
    }

    /// A field's name; `\` makes the next character part of it.
    fn name(&mut self) -> Result<String> {
        let mut name = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => name.push(chars.next().ok_or("it ends with a backslash")?.1),
                ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}' | '(' | ')' | '=' | '!' | '<' | '>' | '"'
                | '\'' | '&' | '|' => {
                    self.0 = &self.0[at..];
                    return Ok(name);
                }
                c => name.push(c),
            }
        }
        self.0 = "";
        Ok(name)
    }

    /// What stands in brackets, behind the first one.
    fn brackets(&mut self) -> Result<Step> {
        if self.eat("?(") {
            let filter = self.filter()?;
            return if self.eat(")]") { Ok(filter) } else { Err("unterminated filter") };
        }
        let mut all = Vec::new();
        loop {
            self.blanks();
            all.push(self.selector()?);
            self.blanks();
            if self.eat("]") {
                break;
            }
            if !self.eat(",") {
                return Err("unterminated array, or an invalid array index");
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Step::Union(all) })
    }

    fn selector(&mut self) -> Result<Step> {
        if self.eat("*") {
            return Ok(Step::Wildcard);
        }
        if self.0.starts_with(['"', '\'']) {
            return self.quoted().map(Step::Field);
        }
        let start = self.bound()?;
        if !self.eat(":") {
            return start.map(Step::Index).ok_or("unterminated array, or an invalid array index");
        }
        let end = self.bound()?;
        let step = if self.eat(":") { self.bound()? } else { None };
        Ok(Step::Slice(start, end, step))
    }

    fn bound(&mut self) -> Result<Option<i64>> {
        let digits = self.word(|c| c.is_ascii_digit() || c == '-');
        if digits.is_empty() { Ok(None) } else { digits.parse().map(Some).map_err(|_| "invalid array index") }
    }

    fn filter(&mut self) -> Result<Step> {
        let left = self.operand()?;
        self.blanks();
        // Longer ones first.
        const OPERATORS: [(&str, Compare); 6] = [
            ("==", Compare::Equal),
            ("!=", Compare::Unequal),
            ("<=", Compare::LessOrEqual),
            (">=", Compare::GreaterOrEqual),
            ("<", Compare::Less),
            (">", Compare::Greater),
        ];
        let Some((_, compare)) = OPERATORS.into_iter().find(|(token, _)| self.eat(token)) else {
            return match left {
                Operand::Path(path) => Ok(Step::Has(path)),
                Operand::Value(_) => Err("a filter compares, or names a path"),
            };
        };
        self.blanks();
        let right = self.operand()?;
        self.blanks();
        Ok(Step::Filter(left, compare, right))
    }

    fn operand(&mut self) -> Result<Operand> {
        self.blanks();
        match self.0.chars().next() {
            Some('"' | '\'') => Ok(Operand::Value(Value::String(self.quoted()?))),
            Some('@' | '$' | '.') => self.path().map(Operand::Path),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+') => self.number().map(Operand::Value),
            _ => match self.word(|c| c.is_ascii_alphanumeric()) {
                "true" => Ok(Operand::Value(Value::Bool(true))),
                "false" => Ok(Operand::Value(Value::Bool(false))),
                _ => Err("a filter compares paths, texts, numbers, true and false"),
            },
        }
    }

    fn number(&mut self) -> Result<Value> {
        let word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        let whole = word.parse::<i64>().map(|number| json!(number));
        whole.or_else(|_| word.parse::<f64>().map(|number| json!(number))).map_err(|_| "cannot parse number")
    }

    /// A text in quotes of either kind, with Go's escapes.
    fn quoted(&mut self) -> Result<String> {
        let quote = self.0.chars().next().ok_or("unterminated quoted string")?;
        let mut text = String::new();
        let mut chars = self.0[quote.len_utf8()..].chars();
        while let Some(c) = chars.next() {
            match c {
                c if c == quote => {
                    self.0 = chars.as_str();
                    return Ok(text);
                }
                '\\' => text.push(escape(&mut chars).ok_or("invalid escape in a quoted string")?),
                c => text.push(c),
            }
        }
        Err("unterminated quoted string")
    }
}

fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let kind = chars.next()?;
    let mut code = |digits: usize| {
        let hex = chars.as_str().get(..digits)?;
        chars.nth(digits - 1);
        char::from_u32(u32::from_str_radix(hex, 16).ok()?)
    };
    Some(match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => code(2)?,
        'u' => code(4)?,
        'U' => code(8)?,
        c @ ('\\' | '"' | '\'') => c,
        _ => return None,
    })
}
