//! Reading a whole collection, at once or page by page.

use http::StatusCode;

use super::{
    answer::{MOST_BYTES, MOST_OBJECTS, MOST_PAGES, Page, Problem, RawList, head, unreadable},
    change::{Head, Listing, Why},
    source::{PAGE, Source},
};
use crate::request::query_value;

/// How often a list may begin anew because its pages became too old on the way.
const LIST_TRIES: usize = 3;

impl<K> Source<K> {
    /// Everything, if need be page by page.
    pub(super) async fn list(&mut self, why: Why) -> Result<(Listing<K>, String), Problem> {
        if let (Why::Comparison, Some(known)) = (why, self.version)
            && let Some(list) = self.cached(known).await?
        {
            return Ok(list);
        }
        // A token that became too old on the way is no failure of the collection.
        for _ in 0..LIST_TRIES {
            if let Some(list) = self.pages(why).await? {
                return Ok(list);
            }
        }
        Err(Problem::Unreadable("its pages become too old before the last is read".into()))
    }

    /// The whole as it was at a version or later, which kube-apiserver takes from its watch cache: with a limit it would
    /// read everything up to as many objects with our label from etcd. Nothing where that is not to be had in one piece.
    async fn cached(&mut self, known: u64) -> Result<Option<(Listing<K>, String)>, Problem> {
        let path = format!("{}?resourceVersion={known}&resourceVersionMatch=NotOlderThan{}", self.path, self.selector);
        let page = match self.page(&path, self.forms.list).await {
            Ok(page) => page,
            Err(problem @ (Problem::Transport(_) | Problem::Refused(StatusCode::TOO_MANY_REQUESTS, _))) => return Err(problem),
            Err(_) => return Ok(None),
        };
        let is_whole = page.meta.token.as_deref().is_none_or(str::is_empty);
        if !is_whole || page.meta.resource_version.parse::<u64>().is_ok_and(|now| now < known) {
            return Ok(None);
        }
        let mut listing = Listing::new(Why::Comparison);
        self.take(&page, &mut listing)?;
        listing.version = page.meta.resource_version.parse().ok();
        Ok(Some((listing, page.meta.resource_version)))
    }

    /// All pages, or nothing where they became too old on the way.
    async fn pages(&mut self, why: Why) -> Result<Option<(Listing<K>, String)>, Problem> {
        let mut listing = Listing::new(why);
        let mut token = String::new();
        for _ in 0..MOST_PAGES {
            let path = format!("{}?limit={}{}&continue={}", self.path, self.page, self.selector, query_value(&token));
            let page = match self.page(&path, self.forms.list).await {
                Ok(page) => page,
                Err(Problem::Refused(StatusCode::GONE, _)) if !token.is_empty() => return Ok(None),
                Err(Problem::Large | Problem::Slow(_)) if self.page > 1 => {
                    self.page = (self.page / 4).max(1);
                    continue;
                }
                Err(problem) => return Err(problem),
            };
            self.take(&page, &mut listing)?;
            match page.meta.token.filter(|t| !t.is_empty()) {
                Some(next) => token = next,
                None => {
                    self.page = PAGE.min(self.page * 2);
                    listing.version = page.meta.resource_version.parse().ok();
                    return Ok(Some((listing, page.meta.resource_version)));
                }
            }
        }
        Err(Problem::Endless)
    }

    /// Takes what is needed of the objects of a page.
    fn take(&mut self, page: &Page, listing: &mut Listing<K>) -> Result<(), Problem> {
        listing.bytes += page.body.len() as u64;
        let list: RawList<'_> = serde_json::from_slice(&page.body).map_err(unreadable)?;
        if listing.bytes > MOST_BYTES || listing.objects.len() + listing.unreadable.len() + list.items.len() > MOST_OBJECTS {
            return Err(Problem::Endless);
        }
        for item in list.items {
            let head = head(item)?;
            match (self.read)(item.get()) {
                Ok(object) => listing.objects.push(object),
                Err(error) => {
                    tracing::warn!(path = self.path, name = head.name, namespace = head.namespace, %error, "an object cannot be read and stays as it is known");
                    listing.unreadable.push(head.clone());
                }
            }
            self.note(head, true);
        }
        Ok(())
    }

    /// Remembers the newest object.
    pub(super) fn note(&mut self, head: Head, there: bool) {
        if self.newest.as_ref().is_none_or(|(known, _)| known.version() <= head.version()) {
            self.newest = Some((head, there));
        }
    }
}
