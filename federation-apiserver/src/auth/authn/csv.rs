//! RFC 4180 records, as kube-apiserver reads its credential files: quoted fields may hold commas,
//! doubled quotes and line breaks; blank lines are skipped; records may differ in length.

use thiserror::Error;

/// One record.
#[derive(Debug, Eq, PartialEq)]
pub struct Record {
    /// The line it starts on, from 1.
    pub line: usize,
    /// Its fields, without their quotes.
    pub fields: Vec<String>,
}

/// What cannot be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("line {line}: {what}")]
pub struct CsvError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there; nothing of the file.
    pub what: &'static str,
}

enum Field {
    Start,
    Plain,
    Quoted,
    /// Just after a quote inside a quoted field: its end, or the first half of a doubled quote.
    QuoteSeen,
}

/// A record as a line, its last field in quotes, which holds groups as a rule; others where they need them.
pub fn line(fields: &[&str], last: &str) -> String {
    let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
    let field = |field: &&str| if field.contains([',', '"', '\n', '\r']) { quoted(field) } else { (*field).to_owned() };
    let mut all: Vec<String> = fields.iter().map(field).collect();
    all.push(quoted(last));
    all.join(",") + "\n"
}

/// All records of a file.
///
/// # Errors
/// A quote where none may be, or that is not closed.
pub fn parse(text: &str) -> Result<Vec<Record>, CsvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut records, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut start, mut opened, mut state) = (1, 1, 1, Field::Start);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // A carriage return counts as part of the line break that follows it.
        if c == '\r' && chars.peek() == Some(&'\n') {
            continue;
        }
        let ends_line = c == '\n' && !matches!(state, Field::Quoted);
        state = match (state, c) {
            (Field::Quoted, '"') => Field::QuoteSeen,
            (Field::Quoted, c) => {
                field.push(c);
                Field::Quoted
            }
            (Field::QuoteSeen, '"') => {
                field.push('"');
                Field::Quoted
            }
            (Field::Start, '"') => {
                opened = line;
                Field::Quoted
            }
            (_, ',' | '\n') => {
                fields.push(std::mem::take(&mut field));
                Field::Start
            }
            (Field::QuoteSeen, _) => return Err(CsvError { line, what: "text after a closing quote" }),
            (Field::Plain, '"') => return Err(CsvError { line, what: "a quote inside a field that is not quoted" }),
            (Field::Start | Field::Plain, c) => {
                field.push(c);
                Field::Plain
            }
        };
        line += usize::from(c == '\n');
        if ends_line {
            finish(&mut records, start, std::mem::take(&mut fields));
            start = line;
        }
    }
    if matches!(state, Field::Quoted) {
        return Err(CsvError { line: opened, what: "a quote is not closed" });
    }
    fields.push(field);
    finish(&mut records, start, fields);
    Ok(records)
}

fn finish(records: &mut Vec<Record>, line: usize, fields: Vec<String>) {
    if fields.len() > 1 || fields.iter().any(|f| !f.is_empty()) {
        records.push(Record { line, fields });
    }
}
