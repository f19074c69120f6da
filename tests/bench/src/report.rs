//! Figures of several subjects side by side.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// One figure of one subject.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) subject: String,
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// All figures of a run, in the order they were measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn add(&mut self, subject: &str, what: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { subject: subject.to_owned(), what: what.into(), value, unit });
    }

    fn unique<'a, T: PartialEq + Copy>(&'a self, key: impl Fn(&'a Figure) -> T) -> Vec<T> {
        let mut seen = vec![];
        for figure in &self.figures {
            if !seen.contains(&key(figure)) {
                seen.push(key(figure));
            }
        }
        seen
    }

    fn get(&self, subject: &str, what: &str) -> Option<&Figure> {
        self.figures.iter().find(|f| f.subject == subject && f.what == what)
    }

    fn table(&self) -> Table {
        let subjects = self.unique(|f| f.subject.as_str());
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let ratios = subjects.len() > 1;
        let mut head = vec!["".to_owned()];
        head.extend(subjects.iter().map(|s| (*s).to_owned()));
        if ratios {
            head.extend(subjects[..subjects.len() - 1].iter().map(|s| format!("{s} / {}", subjects[subjects.len() - 1])));
        }
        table.set_header(head);
        for (what, unit) in self.unique(|f| (f.what.as_str(), f.unit)) {
            let value = |s: &&str| self.get(s, what).map(|f| f.value);
            let mut row = vec![if unit.is_empty() { what.to_owned() } else { format!("{what} [{unit}]") }];
            row.extend(subjects.iter().map(|s| value(s).map_or_else(String::new, short)));
            if ratios {
                let peer = value(&subjects[subjects.len() - 1]);
                let ratio = |s: &&str| value(s).zip(peer).map_or_else(String::new, |(a, b)| format!("{:.2}", a / b));
                row.extend(subjects[..subjects.len() - 1].iter().map(ratio));
            }
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// The table on standard error, JSON on standard output.
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "the one place where this program answers")]
    pub(crate) fn print(&self) {
        eprintln!("{}", self.table());
        let figures: Vec<Value> =
            self.figures.iter().map(|f| json!({"subject": f.subject, "what": f.what, "value": f.value, "unit": f.unit})).collect();
        println!("{}", Value::from(figures));
    }
}

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Says what is being measured.
#[expect(clippy::print_stderr, reason = "progress")]
pub(crate) fn progress(what: &str) {
    eprintln!("{what}");
}

/// Says what went wrong.
#[expect(clippy::print_stderr, reason = "the one place where this program complains")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
