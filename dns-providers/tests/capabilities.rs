//! The table of what providers can do, in `docs/dns.md`, is what they say of themselves.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

use std::path::Path;
use std::time::Duration;

use dns_providers::{Capabilities, DRIVERS, Marks};

const BEGIN: &str = "<!-- made by `UPDATE_DOCS=1 cargo test --package dns-providers --test capabilities` -->\n";
const END: &str = "<!-- end -->\n";

fn marks(can: &Capabilities) -> String {
    match can.marks {
        Marks::Text => "TXT at `_kubefed.<name>`",
        Marks::Field => "field of the record",
        Marks::Zone => "none: the zone is the federation's",
    }
    .to_owned()
}

fn seen(can: &Capabilities) -> String {
    if can.remembers == Duration::ZERO { "30 s".to_owned() } else { format!("{} min", can.remembers.as_secs() / 60) }
}

fn yes(it: bool) -> String {
    if it { "yes" } else { "no" }.to_owned()
}

type Row = (&'static str, fn(&Capabilities) -> String);

const ROWS: &[Row] = &[
    ("changed together or not at all, never less than a name", |can| can.together.to_owned()),
    ("refused where somebody else wrote the name meanwhile", |can| yes(can.guarded)),
    ("mark of ownership", marks),
    ("what others changed is found after at most", seen),
    ("TTL in seconds", |can| format!("{} to {}", can.ttl.start(), can.ttl.end())),
    ("values of one set", |can| can.values.map_or_else(|| "any number".to_owned(), |most| format!("at most {most}"))),
    ("one load balancer's host name", |can| if can.aliases_out { "CNAME" } else { "resolved" }.to_owned()),
];

fn table() -> String {
    let line = |first: &str, cells: &mut dyn Iterator<Item = String>| format!("| {first} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
    let mut text = line("", &mut DRIVERS.iter().map(|driver| format!("`{}`", driver.name)));
    text += &line("---", &mut DRIVERS.iter().map(|_| "---".to_owned()));
    for (what, cell) in ROWS {
        text += &line(what, &mut DRIVERS.iter().map(|driver| cell(driver.capabilities)));
    }
    text
}

#[test]
fn the_table_in_the_documents_is_what_providers_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dns.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("docs/dns.md has the beginning of the table");
    let (written, tail) = rest.split_once(END).expect("docs/dns.md has the end of the table");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{}{END}{tail}", table())).unwrap();
    } else {
        assert_eq!(written, table(), "run UPDATE_DOCS=1 cargo test --package dns-providers --test capabilities");
    }
}
