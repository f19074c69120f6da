//! `kubefed up` as a process.

use std::fs;

use crate::support::{Place, until};

#[test]
fn issue7_sigterm_ends_it_in_good_order() {
    let place = Place::new();
    let data = format!("--data-dir={}", place.path("data").display());
    let (mut up, log) = place.start(env!("CARGO_BIN_EXE_kubefed"), &["up", &data], "up.log");
    until("all members to have joined", || fs::read_to_string(&log).unwrap().contains("Ctrl-C ends it all").then_some(()));
    up.signal("TERM");
    let status = until("its end", || up.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", fs::read_to_string(&log).unwrap());
}
