//! Times as Kubernetes writes them.

/// RFC 3339 in UTC, whole seconds: `metav1.Time`.
pub fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 in UTC, microseconds: `metav1.MicroTime`.
pub fn micros(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
