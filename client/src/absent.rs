//! What counts as the word that an object is not there.

/// What a read found, or nothing where the API server says that there is no such object.
///
/// A 404 alone is not that word: proxies and load balancers say it of paths they do not know, and an API server
/// of kinds it does not serve. `kube::Api::get_opt` takes each of them for absence.
///
/// # Errors
/// All others, a 404 without a `Status` of reason `NotFound` among them.
pub fn if_there<T>(read: kube::Result<T>) -> kube::Result<Option<T>> {
    match read {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 && status.reason == "NotFound" => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn issue7_only_a_status_of_reason_not_found_says_that_an_object_is_not_there() {
        let said = |reason: &str, code| if_there::<()>(Err(kube::Error::Api(Status::failure("", reason).with_code(code).boxed())));
        assert!(matches!(said("NotFound", 404), Ok(None)));
        for (reason, code) in [("Failed to parse error data", 404), ("", 404), ("NotFound", 502), ("Forbidden", 403)] {
            assert!(said(reason, code).is_err(), "{reason} {code}");
        }
        assert!(matches!(if_there(Ok(7)), Ok(Some(7))));
    }
}
