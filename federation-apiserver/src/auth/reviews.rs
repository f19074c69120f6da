//! Reviews: questions about who one is and what one may do, asked by creating an object. Pure: the
//! answer is the same object with its status filled in; nothing is stored.

#[cfg(test)]
mod tests;

use machinery::status::{ApiError, FieldError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::authn::Authentication;
use super::authz::Authorization;
use super::{Attributes, UserInfo};

const AUTHORIZATION: &str = "authorization.k8s.io";

/// What reviews are answered from.
#[derive(Clone, Copy, Debug)]
pub struct Reviewer<'a> {
    /// Tells whose a token is.
    pub authn: &'a Authentication,
    /// Tells what a user may do.
    pub authz: &'a Authorization,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<NonResourceAttributes>,
    user: String,
    uid: String,
    groups: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceAttributes {
    namespace: String,
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NonResourceAttributes {
    path: String,
    verb: String,
}

impl Reviewer<'_> {
    /// Answers the review that was posted to `resource` (plural, such as `subjectaccessreviews`) by
    /// `user`, in `namespace` for `localsubjectaccessreviews`.
    ///
    /// # Errors
    /// 400 or 422 for a question that cannot be answered; 404 for a resource that is no review.
    pub fn answer(&self, resource: &str, namespace: &str, user: &UserInfo, review: Value) -> Result<Value, ApiError> {
        let (api_version, kind, status) = match resource {
            "selfsubjectaccessreviews" => ("authorization.k8s.io/v1", "SelfSubjectAccessReview", self.own_access(user, &review)?),
            "subjectaccessreviews" => ("authorization.k8s.io/v1", "SubjectAccessReview", self.access(&review)?),
            "localsubjectaccessreviews" => ("authorization.k8s.io/v1", "LocalSubjectAccessReview", self.local_access(namespace, &review)?),
            "selfsubjectrulesreviews" => ("authorization.k8s.io/v1", "SelfSubjectRulesReview", self.own_rules(user, &review)?),
            "selfsubjectreviews" => ("authentication.k8s.io/v1", "SelfSubjectReview", json!({"userInfo": user_info(user)})),
            "tokenreviews" => ("authentication.k8s.io/v1", "TokenReview", self.token(&review)?),
            _ => return Err(ApiError::no_such_path()),
        };
        let mut answer = review;
        answer["apiVersion"] = api_version.into();
        answer["kind"] = kind.into();
        answer["status"] = status;
        if !answer["metadata"].is_object() {
            answer["metadata"] = json!({});
        }
        Ok(answer)
    }

    fn own_access(&self, user: &UserInfo, review: &Value) -> Result<Value, ApiError> {
        let spec = spec("SelfSubjectAccessReview", review)?;
        let errors = [spec.errors(), named(review, false)].concat();
        self.decide("SelfSubjectAccessReview", &spec, user, &errors)
    }

    fn access(&self, review: &Value) -> Result<Value, ApiError> {
        let spec = spec("SubjectAccessReview", review)?;
        let errors = [spec.errors(), spec.subject_errors(), named(review, false)].concat();
        self.decide("SubjectAccessReview", &spec, &spec.subject(), &errors)
    }

    fn local_access(&self, namespace: &str, review: &Value) -> Result<Value, ApiError> {
        let spec = spec("LocalSubjectAccessReview", review)?;
        let mut errors = [spec.errors(), spec.subject_errors(), named(review, true)].concat();
        if let Some(wanted) = spec.resource_attributes.as_ref().map(|a| a.namespace.as_str()).filter(|n| *n != namespace) {
            errors.push(FieldError::invalid("spec.resourceAttributes.namespace", wanted, "must match metadata.namespace"));
        }
        if spec.non_resource_attributes.is_some() {
            let given = review["spec"]["nonResourceAttributes"].clone();
            errors.push(FieldError::invalid("spec.nonResourceAttributes", given, "disallowed on this kind of request"));
        }
        self.decide("LocalSubjectAccessReview", &spec, &spec.subject(), &errors)
    }

    fn decide(&self, kind: &str, spec: &Spec, user: &UserInfo, errors: &[FieldError]) -> Result<Value, ApiError> {
        if !errors.is_empty() {
            return Err(ApiError::invalid(AUTHORIZATION, kind, "", errors));
        }
        let decision = self.authz.decide(user, &spec.attributes());
        let mut status = json!({"allowed": decision.allowed});
        if !decision.reason.is_empty() {
            status["reason"] = decision.reason.into();
        }
        Ok(status)
    }

    fn own_rules(&self, user: &UserInfo, review: &Value) -> Result<Value, ApiError> {
        let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
        if namespace.is_empty() {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        let (mut resources, mut urls) = (Vec::new(), Vec::new());
        for rule in self.authz.rules_for(user, namespace) {
            if !rule.resources.is_empty() {
                let mut said = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
                if !rule.resource_names.is_empty() {
                    said["resourceNames"] = rule.resource_names.into();
                }
                resources.push(said);
            }
            if !rule.non_resource_urls.is_empty() {
                urls.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
            }
        }
        Ok(json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false}))
    }

    fn token(&self, review: &Value) -> Result<Value, ApiError> {
        let token = review["spec"]["token"].as_str().unwrap_or_default();
        if token.is_empty() {
            return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
        }
        let audiences: Vec<String> =
            review["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(match self.authn.review_token(token, &audiences) {
            Some((user, audiences)) if audiences.is_empty() => json!({"authenticated": true, "user": user_info(&user)}),
            Some((user, audiences)) => json!({"authenticated": true, "user": user_info(&user), "audiences": audiences}),
            None => json!({"user": {}, "error": "invalid bearer token"}),
        })
    }
}

/// An access review is no object that is kept, and so nothing may be said about one; only a namespace for one in it.
fn named(review: &Value, namespaced: bool) -> Vec<FieldError> {
    let said = |key: &str, value: &Value| match value {
        Value::Null => false,
        Value::String(_) if namespaced && key == "namespace" => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty() && key != "managedFields",
        Value::Bool(_) | Value::Number(_) => *value != json!(0),
    };
    if review["metadata"].as_object().is_none_or(|meta| !meta.iter().any(|(key, value)| said(key, value))) {
        return Vec::new();
    }
    let rule = if namespaced { "must be empty except for namespace" } else { "must be empty" };
    vec![FieldError::invalid("metadata", review["metadata"].clone(), rule)]
}

fn spec(kind: &str, review: &Value) -> Result<Spec, ApiError> {
    let spec = review.get("spec").filter(|s| !s.is_null());
    spec.map_or(Ok(Spec::default()), |s| Spec::deserialize(s).map_err(|e| ApiError::bad_request(format!("{kind} spec: {e}"))))
}

fn user_info(user: &UserInfo) -> Value {
    let mut out = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        out["uid"] = user.uid.clone().into();
    }
    out
}

impl Spec {
    fn errors(&self) -> Vec<FieldError> {
        match (&self.resource_attributes, &self.non_resource_attributes) {
            (Some(_), Some(other)) => {
                let given = json!({"path": other.path, "verb": other.verb});
                let rule = "cannot be specified in combination with resourceAttributes";
                vec![FieldError::invalid("spec.nonResourceAttributes", given, rule)]
            }
            (None, None) => {
                let rule = "needs one of resourceAttributes and nonResourceAttributes, not both";
                vec![FieldError::invalid("spec.resourceAttributes", Value::Null, rule)]
            }
            _ => Vec::new(),
        }
    }

    fn subject_errors(&self) -> Vec<FieldError> {
        if self.user.is_empty() && self.groups.as_ref().is_none_or(Vec::is_empty) {
            return vec![FieldError::invalid("spec.user", "", "at least one of user or group must be specified")];
        }
        Vec::new()
    }

    fn subject(&self) -> UserInfo {
        UserInfo { name: self.user.clone(), uid: self.uid.clone(), groups: self.groups.clone().unwrap_or_default() }
    }

    fn attributes(&self) -> Attributes {
        if let Some(a) = &self.resource_attributes {
            // An empty resource stands for every resource here; for us it would mean a plain path.
            let resource = if a.resource.is_empty() { "*" } else { &a.resource };
            return Attributes {
                verb: a.verb.as_str().into(),
                group: a.group.clone(),
                version: a.version.clone(),
                resource: resource.to_owned(),
                subresource: a.subresource.clone(),
                namespace: a.namespace.clone(),
                name: a.name.clone(),
                path: String::new(),
            };
        }
        let (path, verb) = self.non_resource_attributes.as_ref().map(|a| (a.path.clone(), a.verb.as_str().into())).unwrap_or_default();
        Attributes { verb, path, ..Attributes::default() }
    }
}
