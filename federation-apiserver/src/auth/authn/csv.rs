//! RFC 4180 records, as kube-apiserver reads its credential files: quoted fields may hold commas,
//! doubled quotes and line breaks; blank lines are skipped; records may differ in length.

/// One record and the line it starts on, from 1.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Record {
    pub line: usize,
    pub fields: Vec<String>,
}

/// What is wrong, and on which line.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct CsvError {
    pub line: usize,
    pub what: &'static str,
}

enum Field {
    Start,
    Plain,
    Quoted,
    /// Just after a quote inside a quoted field: its end, or the first half of a doubled quote.
    QuoteSeen,
}

/// All records of a file.
pub(super) fn parse(text: &str) -> Result<Vec<Record>, CsvError> {
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
