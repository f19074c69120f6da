//! As much of XML as Route 53's requests and answers have.

/// What stands in each element of a name, as it is written.
pub fn all<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    let mut found = Vec::new();
    while let Some((_, tail)) = rest.split_once(&open) {
        let Some((inside, tail)) = tail.split_once(&close) else { break };
        found.push(inside);
        rest = tail;
    }
    found
}

/// The text of the first element of a name.
pub fn text(within: &str, name: &str) -> Option<String> {
    all(within, name).first().map(|text| plain(text))
}

fn plain(text: &str) -> String {
    let entities = [("&quot;", "\""), ("&#34;", "\""), ("&#x22;", "\""), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, is)| text.replace(entity, is))
}

/// Texts of all elements of a name.
pub fn texts(within: &str, name: &str) -> Vec<String> {
    all(within, name).into_iter().map(plain).collect()
}

/// A text as it stands in an element.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
