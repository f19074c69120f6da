//! Which form of a discovery document a client asks for.

/// Content type of the aggregated document.
pub(super) const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// Content type of the aggregated document as Kubernetes 1.26 to 1.29 clients know it.
pub(super) const V2_BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// A form of the document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Plain,
    V2,
    V2Beta1,
}

/// The first form the client accepts that there is, by quality, then order. No header accepts
/// everything; `None` is 406.
pub(super) fn choose(accept: &[&str], aggregated: bool) -> Option<Format> {
    let mut best: Option<(f32, Format)> = None;
    let entries = accept.iter().flat_map(|h| h.split(',')).map(str::trim).filter(|e| !e.is_empty());
    let mut any = false;
    for entry in entries {
        any = true;
        let (format, quality) = match parse(entry) {
            Some((Format::V2 | Format::V2Beta1, _)) if !aggregated => continue,
            Some(found) => found,
            None => continue,
        };
        if quality > 0.0 && best.is_none_or(|(q, _)| quality > q) {
            best = Some((quality, format));
        }
    }
    if any { best.map(|(_, format)| format) } else { Some(Format::Plain) }
}

fn parse(entry: &str) -> Option<(Format, f32)> {
    let mut parts = entry.split(';').map(str::trim);
    let media = parts.next()?;
    if !["application/json", "application/*", "*/*"].contains(&media) {
        return None;
    }
    let (mut group, mut version, mut kind, mut quality) = ("", "", "", 1.0);
    for (key, value) in parts.filter_map(|p| p.split_once('=')) {
        match key.trim() {
            "g" => group = value,
            "v" => version = value,
            "as" => kind = value,
            "q" => quality = value.parse().ok()?,
            _ => {}
        }
    }
    let format = match (group, version, kind) {
        ("", "", "") => Format::Plain,
        ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList") => Format::V2,
        ("apidiscovery.k8s.io", "v2beta1", "APIGroupDiscoveryList") => Format::V2Beta1,
        _ => return None,
    };
    Some((format, quality))
}
