//! Query parameters.

use machinery::status::ApiError;

/// Decoded query parameters, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `a=1&b=2`; `+` is a space.
    pub(crate) fn parse(query: &str) -> Self {
        let decode = |s: &str| {
            let spaced = s.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = query.split('&').filter(|p| !p.is_empty());
        Self(pairs.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(k, v)| (decode(k), decode(v))).collect())
    }

    /// First value of a parameter, unless it is empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Kubernetes' reading of a boolean: there, and not `0` or `false`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0.iter().find(|(k, _)| k == key).is_some_and(|(_, v)| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"))
    }

    /// A number.
    ///
    /// # Errors
    /// 400 when the value is not one.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let parse = |v: &str| v.parse().map_err(|_| ApiError::bad_request(format!("{key}: {v:?} is not a number")));
        self.get(key).map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_flags_read_as_kubernetes_does() {
        let q = Query::parse("labelSelector=a%3Db%2Cc&watch=1&dryRun=All&x=a+b&off=false&bare");
        assert_eq!(q.get("labelSelector"), Some("a=b,c"));
        assert_eq!(q.get("x"), Some("a b"));
        assert!(q.flag("watch") && q.flag("bare") && !q.flag("off") && !q.flag("missing"));
        assert_eq!(Query::parse("limit=x").number("limit").unwrap_err().code, 400);
    }
}
