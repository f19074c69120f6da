//! Where in a YAML file something is wrong.

/// `file:line: what`, on one line and without the text of the file, which may be secret.
pub fn complaint(file: &str, error: &serde_saphyr::Error) -> String {
    let bare = error.without_snippet();
    let text = bare.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let Some(at) = error.location().filter(|l| l.line() > 0) else { return format!("{file}: {first}") };
    let place = format!("line {} column {}", at.line(), at.column());
    // The place is said once, in the form that editors understand.
    let what = first.strip_prefix(&place).map(|rest| rest.trim_start_matches(": ")).unwrap_or(first);
    let what = what.strip_suffix(&format!(" at line {}, column {}", at.line(), at.column())).unwrap_or(what);
    format!("{file}:{}: {what}", at.line())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn said(text: &str) -> String {
        complaint("config", &serde_saphyr::from_str::<BTreeMap<String, Vec<String>>>(text).unwrap_err())
    }

    #[test]
    fn file_and_line_are_named_and_nothing_of_the_text() {
        for (text, start) in [("a: [x]\nb: s3cret\n", "config:2: "), ("a: [s3cret\n", "config:"), ("a:\n- s3cret\n\tb: c\n", "config:")] {
            let complaint = said(text);
            assert!(complaint.starts_with(start), "{complaint}");
            assert!(!complaint.contains("s3cret") && !complaint.contains('\n') && !complaint.contains("column"), "{complaint}");
        }
    }
}
