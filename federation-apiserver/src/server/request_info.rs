//! What a request is about, read from its method, path and query: Kubernetes' URL layout.

use http::Method;

use crate::auth::{Attributes, Verb};
use crate::http::query::Query;

/// Subresources of namespaces; anything else after `/namespaces/<name>/` is a namespaced resource.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// Reads a request's attributes. `resource` stays empty for paths that are no resources.
pub(super) fn parse(method: &Method, path: &str, query: &Query) -> Attributes {
    let mut info = Attributes { verb: method_verb(method), path: path.to_owned(), ..Attributes::default() };
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let rest = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => {
            info.version = (*version).to_owned();
            rest
        }
        ["apis", group, version, rest @ ..] if !rest.is_empty() => {
            info.group = (*group).to_owned();
            info.version = (*version).to_owned();
            rest
        }
        _ => return info,
    };
    let (legacy_watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, rest),
    };
    let rest = match rest {
        ["namespaces", namespace, tail @ ..] => {
            info.namespace = decode(namespace);
            match tail {
                [first, ..] if !NAMESPACE_SUBRESOURCES.contains(first) => tail,
                _ => rest,
            }
        }
        _ => rest,
    };
    info.resource = rest.first().map(|p| decode(p)).unwrap_or_default();
    info.name = rest.get(1).map(|p| decode(p)).unwrap_or_default();
    info.subresource = rest.get(2..).map(|p| p.join("/")).unwrap_or_default();
    info.verb = verb(method, &info, legacy_watch, query);
    if info.name.is_empty() && info.verb.of_many() {
        info.name = selected_name(query);
    }
    info
}

/// The verb of a path that is no resource.
fn method_verb(method: &Method) -> Verb {
    match *method {
        Method::GET => Verb::Get,
        Method::HEAD => Verb::Head,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        Method::POST => Verb::Other("post".into()),
        Method::PUT => Verb::Other("put".into()),
        Method::OPTIONS => Verb::Other("options".into()),
        _ => Verb::Other(method.as_str().to_ascii_lowercase().into()),
    }
}

fn verb(method: &Method, info: &Attributes, legacy_watch: bool, query: &Query) -> Verb {
    if legacy_watch {
        return Verb::Watch;
    }
    match *method {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if info.name.is_empty() => Verb::DeleteCollection,
        Method::DELETE => Verb::Delete,
        Method::GET | Method::HEAD if query.flag("watch") && info.subresource.is_empty() => Verb::Watch,
        Method::GET | Method::HEAD if info.name.is_empty() => Verb::List,
        Method::GET | Method::HEAD => Verb::Get,
        _ => Verb::default(),
    }
}

/// The name a field selector fixes, so that rules with resourceNames hold for `list` and `watch`.
fn selected_name(query: &Query) -> String {
    let exact = |term: &str| term.strip_prefix("metadata.name=").map(|v| v.trim_start_matches('=').to_owned());
    query.get("fieldSelector").and_then(|s| s.split(',').find_map(exact)).unwrap_or_default()
}

fn decode(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(method: &str, uri: &str) -> String {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let a = parse(&Method::from_bytes(method.as_bytes()).unwrap(), path, &Query::parse(query));
        format!("{} g={} v={} ns={} r={} sub={} n={}", a.verb, a.group, a.version, a.namespace, a.resource, a.subresource, a.name)
    }

    #[test]
    fn paths_read_as_kubernetes_reads_them() {
        let table = [
            ("GET", "/api/v1/namespaces", "list g= v=v1 ns= r=namespaces sub= n="),
            ("GET", "/api/v1/namespaces/shire", "get g= v=v1 ns=shire r=namespaces sub= n=shire"),
            ("PUT", "/api/v1/namespaces/shire/finalize", "update g= v=v1 ns=shire r=namespaces sub=finalize n=shire"),
            ("POST", "/api/v1/namespaces/shire/configmaps", "create g= v=v1 ns=shire r=configmaps sub= n="),
            ("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale", "patch g=apps v=v1 ns=a r=deployments sub=scale n=b"),
            ("DELETE", "/apis/apps/v1/namespaces/a/deployments", "deletecollection g=apps v=v1 ns=a r=deployments sub= n="),
            ("GET", "/apis/apps/v1/deployments?watch=true", "watch g=apps v=v1 ns= r=deployments sub= n="),
            ("GET", "/api/v1/watch/namespaces/a/secrets/s", "watch g= v=v1 ns=a r=secrets sub= n=s"),
            ("GET", "/api/v1/secrets?fieldSelector=metadata.name%3Dx", "list g= v=v1 ns= r=secrets sub= n=x"),
            ("GET", "/apis/apps/v1", "get g= v= ns= r= sub= n="),
            ("GET", "/healthz", "get g= v= ns= r= sub= n="),
        ];
        for (method, uri, want) in table {
            assert_eq!(info(method, uri), want, "{method} {uri}");
        }
    }
}
