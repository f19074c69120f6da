//! Reads what there is in a zone.

use crate::{DnsName, mark};

use super::api::Api;
use super::failure::Failure;
use super::view::{Node, There, View};

/// All at or below a name.
pub(super) async fn below(api: &Api, id: &str, under: &DnsName) -> Result<View, Failure> {
    let mut view = View::new(under.clone());
    let is_below = |name: &str| name.strip_suffix(under.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let take = |there: There| {
        let takes = is_below(&there.name);
        if takes {
            view.add(there);
        }
        takes
    };
    api.sets(id, under.as_str(), take).await?;
    Ok(view)
}

/// A name with its mark.
pub(super) async fn at(api: &Api, id: &str, name: &DnsName) -> Result<Node, Failure> {
    let mut view = View::new(name.clone());
    for at in std::iter::once(name.clone()).chain(mark::at(name).ok()) {
        let take = |there: There| {
            let takes = there.name == at.as_str();
            if takes {
                view.add(there);
            }
            takes
        };
        api.sets(id, at.as_str(), take).await?;
    }
    Ok(view.at(name).clone())
}
