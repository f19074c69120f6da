//! Which of many names may have been meant, for messages.

/// Names told at most.
const MOST: usize = 10;
/// Characters of a name that are compared: names are anybody's.
const COMPARED: usize = 64;

/// All names in their order where they are few; else those nearest to `wanted`, and how many more there are. Without
/// a name that is wanted, the first.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> String {
    let mut names: Vec<&str> = names.collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    let more = names.len().saturating_sub(MOST);
    if more == 0 {
        return names.join(", ");
    }
    if !wanted.is_empty() {
        names.sort_by_cached_key(|name| distance(name, wanted));
    }
    names.truncate(MOST);
    format!("{} and {more} more", names.join(", "))
}

fn distance(from: &str, to: &str) -> usize {
    let start = |name: &str| name.chars().take(COMPARED).collect::<String>();
    strsim::osa_distance(&start(from), &start(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_all_told_and_of_many_the_nearest() {
        assert_eq!(list([].into_iter(), "gondr"), "none");
        assert_eq!(list(["arnor", "gondor"].into_iter(), "gondr"), "arnor, gondor");
        let mut many: Vec<String> = (100..300).map(|n| format!("cluster-of-another-team-{n}")).collect();
        many.push("gondor".to_owned());
        let told = |wanted| list(many.iter().map(String::as_str), wanted);
        assert!(told("gondr").starts_with("gondor, ") && told("gondr").ends_with(" and 191 more"), "{}", told("gondr"));
        assert!(told("").starts_with("cluster-of-another-team-100, "), "{}", told(""));
        assert_eq!(told("gondr").split(", ").count(), MOST);
    }
}
