//! Warnings for the user, as headers of an answer.

use http::Response;

use super::response::Body;

/// Characters all warnings of an answer may have together, and to how many each is cut when they have more:
/// kube-apiserver's limits.
const MAX_WARNINGS: usize = 4096;
const CUT_WARNING: usize = 256;

/// An answer with warnings for the user.
pub(crate) fn with_warnings(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    let cut = warnings.iter().map(|w| w.chars().count()).sum::<usize>() > MAX_WARNINGS;
    let mut left = MAX_WARNINGS;
    for warning in warnings {
        let shown = warning.char_indices().nth(CUT_WARNING).filter(|_| cut).map_or(warning.as_str(), |(end, _)| &warning[..end]);
        let Some(rest) = left.checked_sub(shown.chars().count()) else { break };
        left = rest;
        let quoted = shown.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = http::HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d33_warnings_fit_into_headers_that_clients_take() {
        let told = |warnings: &[String]| -> Vec<usize> {
            let response = with_warnings(Response::new(Body::Empty), warnings);
            response.headers().get_all(http::header::WARNING).iter().map(http::HeaderValue::len).collect()
        };
        assert_eq!(told(&["w".repeat(4000), "\"".into()]), [4008, 10]);
        assert_eq!(told(&vec!["w".repeat(5000); 100]), vec![256 + 8; 16]);
        assert_eq!(told(&vec!["é".repeat(300); 100]).len(), 16);
    }
}
