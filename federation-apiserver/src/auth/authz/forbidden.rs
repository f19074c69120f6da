//! The words of a refusal: kube-apiserver's, because clients and people search for them.

use machinery::status::ApiError;

use crate::auth::{Attributes, UserInfo};

/// 403 for a request. `reason` is what the authorizer had to say, may be empty.
pub fn forbidden(user: &UserInfo, attributes: &Attributes, reason: &str) -> ApiError {
    let mut action = escape(&sentence(user, attributes));
    if !reason.is_empty() {
        action.push_str(": ");
        action.push_str(reason);
    }
    ApiError::forbidden(&attributes.group, &attributes.resource, &attributes.name, &action)
}

fn sentence(user: &UserInfo, a: &Attributes) -> String {
    let who = &user.name;
    if a.resource.is_empty() {
        return format!("User {who:?} cannot {} path {:?}", a.verb, a.path);
    }
    let resource = if a.subresource.is_empty() { a.resource.clone() } else { format!("{}/{}", a.resource, a.subresource) };
    let scope = if a.namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace {:?}", a.namespace) };
    format!("User {who:?} cannot {} resource {resource:?} in API group {:?} {scope}", a.verb, a.group)
}

/// A name must not turn a browser's view of the message into markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
