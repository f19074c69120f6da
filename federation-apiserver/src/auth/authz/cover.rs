//! Whether some rules allow all that others allow, decided dimension by dimension: the combinations of what a rule lists
//! may be more than there is memory for.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::rule::{Rule, url_covers};

/// Rules compared with rules, at most, in one question. It takes well below a second; ordinary roles need thousands.
const MAX_WORK: usize = 20_000_000;

/// Bytes of verbs in rules that are told, at most.
const MAX_TOLD: usize = 4 << 20;

/// The question is too large to be decided; whoever asks must refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooMuch;

/// What `wanted` allows and `held` does not; empty when everything is covered. Each of them stands for all
/// combinations of what it lists.
///
/// # Errors
/// It would take too long to say.
pub fn missing(held: &[Rule], wanted: &[Rule]) -> Result<Vec<Rule>, TooMuch> {
    let held = Held::new(held);
    let mut search = Search { left: MAX_WORK, missing: Vec::new() };
    for rule in wanted {
        for dimensions in [held.on_resources(rule, &mut search)?, held.on_urls(rule, &mut search)?] {
            search.run(&dimensions, held.rules.len())?;
        }
    }
    Ok(search.missing)
}

/// The same rules with one group and resource or one path, and at most one name each, as messages show them; at most so
/// many.
///
/// # Errors
/// They would take too long to tell.
pub fn divided(rules: &[Rule], most: usize) -> Result<Vec<Rule>, TooMuch> {
    let mut out: Vec<(Rule, HashSet<&str>)> = Vec::new();
    let mut known: HashMap<Rule, usize> = HashMap::new();
    let mut left = MAX_TOLD;
    let one = |text: &String| vec![text.clone()];
    'rules: for rule in rules {
        let verbs = rule.verbs.iter().map(|v| 1 + v.len()).sum::<usize>();
        let names = if rule.resource_names.is_empty() { vec![Vec::new()] } else { rule.resource_names.iter().map(one).collect() };
        let places = rule.api_groups.iter().flat_map(|g| rule.resources.iter().map(move |r| (g, r)));
        let resources = places.flat_map(|(g, r)| {
            names.iter().map(move |n| Rule { api_groups: one(g), resources: one(r), resource_names: n.clone(), ..Rule::default() })
        });
        let urls = rule.non_resource_urls.iter().map(|u| Rule { non_resource_urls: one(u), ..Rule::default() });
        for part in resources.chain(urls) {
            left = left.checked_sub(1 + verbs).ok_or(TooMuch)?;
            let at = match known.get(&part) {
                Some(at) => *at,
                None if out.len() == most => break 'rules,
                None => {
                    known.insert(part.clone(), out.len());
                    out.push((part, HashSet::new()));
                    out.len() - 1
                }
            };
            let (part, told) = &mut out[at];
            part.verbs.extend(rule.verbs.iter().filter(|v| told.insert(v)).cloned());
        }
    }
    Ok(out.into_iter().map(|(rule, _)| rule).collect())
}

/// Indexes of held rules, ascending.
type Holders = Rc<[usize]>;

/// Held rules by what they list in one dimension.
struct Index<'a> {
    by_value: HashMap<&'a str, Holders>,
    /// Those that list `*`, or whatever else stands for any value.
    any: Holders,
}

impl<'a> Index<'a> {
    fn new(rules: &'a [Rule], list: impl Fn(&'a Rule) -> &'a [String], any: impl Fn(&Rule) -> bool) -> Self {
        let mut by_value: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            for value in list(rule) {
                let holders = by_value.entry(value).or_default();
                if holders.last() != Some(&at) {
                    holders.push(at);
                }
            }
        }
        let any = rules.iter().enumerate().filter(|(_, r)| any(r)).map(|(at, _)| at).collect();
        Self { by_value: by_value.into_iter().map(|(value, holders)| (value, holders.into())).collect(), any }
    }

    /// The rules that hold any of these values.
    fn holders(&self, values: &[&str], search: &mut Search) -> Result<Holders, TooMuch> {
        let mut out = Rc::clone(&self.any);
        for more in values.iter().filter_map(|value| self.by_value.get(value)) {
            search.spend(out.len() + more.len())?;
            let mut both: Vec<usize> = out.iter().chain(more.iter()).copied().collect();
            both.sort_unstable();
            both.dedup();
            out = both.into();
        }
        Ok(out)
    }
}

struct Held<'a> {
    rules: &'a [Rule],
    verbs: Index<'a>,
    groups: Index<'a>,
    resources: Index<'a>,
    names: Index<'a>,
}

/// Values of one dimension that the same held rules hold.
struct Class<'a> {
    values: Vec<&'a str>,
    holders: Holders,
}

/// One dimension of a wanted rule, and where its values stand in it.
struct Dimension<'a> {
    classes: Vec<Class<'a>>,
    put: fn(&mut Rule, Vec<String>),
}

impl<'a> Dimension<'a> {
    fn new(
        values: impl Iterator<Item = &'a str>,
        put: fn(&mut Rule, Vec<String>),
        search: &mut Search,
        mut holders: impl FnMut(&str, &mut Search) -> Result<Holders, TooMuch>,
    ) -> Result<Self, TooMuch> {
        let mut classes: Vec<Class<'a>> = Vec::new();
        let mut known: HashMap<Holders, usize> = HashMap::new();
        let mut seen = HashSet::new();
        for value in values.filter(|value| seen.insert(*value)) {
            let holders = holders(value, search)?;
            search.spend(1 + holders.len())?;
            let at = *known.entry(Rc::clone(&holders)).or_insert_with(|| {
                classes.push(Class { values: Vec::new(), holders });
                classes.len() - 1
            });
            classes[at].values.push(value);
        }
        Ok(Self { classes, put })
    }
}

impl<'a> Held<'a> {
    fn new(rules: &'a [Rule]) -> Self {
        let star = |list: &[String]| list.iter().any(|v| v == "*");
        Self {
            rules,
            verbs: Index::new(rules, |r| &r.verbs, |r| star(&r.verbs)),
            groups: Index::new(rules, |r| &r.api_groups, |r| star(&r.api_groups)),
            resources: Index::new(rules, |r| &r.resources, |r| star(&r.resources)),
            names: Index::new(rules, |r| &r.resource_names, |r| r.resource_names.is_empty()),
        }
    }

    fn verbs<'w>(&self, wanted: &'w Rule, search: &mut Search) -> Result<Dimension<'w>, TooMuch> {
        Dimension::new(wanted.verbs.iter().map(String::as_str), |r, v| r.verbs = v, search, |v, search| self.verbs.holders(&[v], search))
    }

    fn on_resources<'w>(&self, wanted: &'w Rule, search: &mut Search) -> Result<Vec<Dimension<'w>>, TooMuch> {
        let resource = |resource: &str, search: &mut Search| {
            let any = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
            self.resources.holders(&[resource, any.as_deref().unwrap_or(resource)], search)
        };
        let mut out = vec![
            self.verbs(wanted, search)?,
            Dimension::new(
                wanted.api_groups.iter().map(String::as_str),
                |r, v| r.api_groups = v,
                search,
                |g, search| self.groups.holders(&[g], search),
            )?,
            Dimension::new(wanted.resources.iter().map(String::as_str), |r, v| r.resources = v, search, resource)?,
        ];
        if wanted.resource_names.is_empty() {
            // No name at all: whatever is not limited to names.
            let classes = vec![Class { values: Vec::new(), holders: Rc::clone(&self.names.any) }];
            out.push(Dimension { classes, put: |_, _| {} });
        } else {
            let names = wanted.resource_names.iter().map(String::as_str);
            out.push(Dimension::new(names, |r, v| r.resource_names = v, search, |n, search| self.names.holders(&[n], search))?);
        }
        Ok(out)
    }

    fn on_urls<'w>(&self, wanted: &'w Rule, search: &mut Search) -> Result<Vec<Dimension<'w>>, TooMuch> {
        let url = |url: &str, search: &mut Search| {
            search.spend(self.rules.iter().map(|r| 1 + r.non_resource_urls.len()).sum())?;
            let covers = |r: &Rule| r.resource_names.is_empty() && r.non_resource_urls.iter().any(|own| url_covers(own, url));
            Ok(self.rules.iter().enumerate().filter(|(_, r)| covers(r)).map(|(at, _)| at).collect())
        };
        let urls = wanted.non_resource_urls.iter().map(String::as_str);
        Ok(vec![self.verbs(wanted, search)?, Dimension::new(urls, |r, v| r.non_resource_urls = v, search, url)?])
    }
}

/// What it has cost and found so far.
struct Search {
    left: usize,
    missing: Vec<Rule>,
}

impl Search {
    fn spend(&mut self, work: usize) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(work).ok_or(TooMuch)?;
        Ok(())
    }

    fn run(&mut self, dimensions: &[Dimension<'_>], held: usize) -> Result<(), TooMuch> {
        if dimensions.iter().any(|d| d.classes.is_empty()) {
            return Ok(());
        }
        // Held rules that hold everything in this dimension and all behind it.
        let mut all: Vec<Vec<usize>> = vec![(0..held).collect()];
        for dimension in dimensions.iter().rev() {
            let mut whole = all.last().cloned().unwrap_or_default();
            for class in &dimension.classes {
                whole = self.both(&whole, &class.holders)?;
            }
            all.push(whole);
        }
        all.reverse();
        let everybody = all.last().cloned().unwrap_or_default();
        self.below(dimensions, &all, &everybody, &mut Vec::new())
    }

    /// Looks at the values of the first dimension, where only `candidates` hold what was chosen before.
    fn below<'d>(
        &mut self,
        dimensions: &'d [Dimension<'d>],
        all: &[Vec<usize>],
        candidates: &[usize],
        chosen: &mut Vec<(&'d Dimension<'d>, &'d Class<'d>)>,
    ) -> Result<(), TooMuch> {
        if candidates.is_empty() {
            let mut rule = Rule::default();
            let text = |class: &Class<'_>| class.values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
            for (dimension, class) in chosen.iter() {
                (dimension.put)(&mut rule, text(class));
            }
            for dimension in dimensions {
                (dimension.put)(&mut rule, dimension.classes.iter().flat_map(text).collect());
            }
            self.spend(1 + rule.verbs.len() + rule.api_groups.len() + rule.resources.len() + rule.resource_names.len())?;
            self.missing.push(rule);
            return Ok(());
        }
        if !self.both(candidates, &all[0])?.is_empty() {
            return Ok(());
        }
        let Some((first, rest)) = dimensions.split_first() else { return Ok(()) };
        for class in &first.classes {
            let left = self.both(candidates, &class.holders)?;
            chosen.push((first, class));
            self.below(rest, &all[1..], &left, chosen)?;
            chosen.pop();
        }
        Ok(())
    }

    /// What is in both, of ascending indexes.
    fn both(&mut self, one: &[usize], other: &[usize]) -> Result<Vec<usize>, TooMuch> {
        self.spend(1 + one.len() + other.len())?;
        let mut other = other.iter().peekable();
        Ok(one
            .iter()
            .filter(|at| {
                while other.next_if(|o| o < at).is_some() {}
                other.peek() == Some(at)
            })
            .copied()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn list(prefix: &str, count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{prefix}{n}")).collect()
    }

    fn rule(count: usize) -> Rule {
        Rule { verbs: list("v", count), api_groups: list("g", count), resources: list("r", count), ..Rule::default() }
    }

    #[test]
    fn d7_a_rule_is_not_multiplied_out() {
        let started = Instant::now();
        let big = rule(5000);
        let held = [Rule::on(&["g1"], &["*"], &["*"]), Rule::on(&["*"], &["r7"], &["v3"])];
        let lacking = missing(&held, std::slice::from_ref(&big)).unwrap();
        let combinations: usize = lacking.iter().map(|r| r.verbs.len() * r.api_groups.len() * r.resources.len()).sum();
        assert_eq!(combinations, 5000 * 5000 * 5000 - 5000 * 5000 - 4999);
        assert_eq!(divided(&lacking, 100).unwrap().len(), 100);
        let big = std::slice::from_ref(&big);
        assert_eq!(missing(&[Rule::all_resources()], big), Ok(vec![]));
        assert_eq!(missing(big, big), Ok(vec![]));
        // One rule for each verb covers the whole only together.
        let each: Vec<Rule> = (0..200).map(|n| Rule { verbs: vec![format!("v{n}")], ..rule(200) }).collect();
        assert_eq!(missing(&each, &[rule(200)]), Ok(vec![]));
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    }

    #[test]
    fn d7_duplicates_and_names_cost_what_they_are() {
        let started = Instant::now();
        // What two rules say of one place is told as one rule.
        let verbs = list("v", 150_000);
        let half = |from: usize| Rule { verbs: verbs[from..from + 100_000].to_vec(), ..Rule::on(&["g"], &["r"], &[]) };
        let told = divided(&[half(0), half(50_000)], 100).unwrap();
        assert!(told.len() == 1 && told[0].verbs == verbs, "{} {}", told.len(), told[0].verbs.len());
        // The same value many times is one.
        let again = Rule { resources: vec!["r".into(); 100_000], ..half(0) };
        let lacking = missing(&[], &[again.clone(), again]).unwrap();
        assert!(lacking.iter().all(|r| r.resources == ["r"]));
        // More than may be told, though the places are few.
        assert_eq!(divided(&[Rule { resources: list("r", 100), ..half(0) }], 100), Err(TooMuch));
        // Each name is held by all that name none, and these are looked at for each.
        let held: Vec<Rule> = (0..20_000).map(|n| Rule::on(&["g"], &["r"], &[&format!("v{n}")])).collect();
        let named = Rule { resource_names: list("n", 100_000), ..Rule::on(&["g"], &["r"], &["v0"]) };
        assert_eq!(missing(&held, std::slice::from_ref(&named)), Err(TooMuch));
        assert_eq!(missing(&held[..100], std::slice::from_ref(&named)), Ok(vec![]));
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    }

    #[test]
    fn d7_what_would_take_too_long_is_told() {
        let started = Instant::now();
        let diagonal: Vec<Rule> =
            (0..400).map(|n| Rule { verbs: vec![format!("v{n}")], api_groups: vec![format!("g{n}")], ..rule(400) }).collect();
        let stripes: Vec<Rule> = (0..20_000).map(|n| Rule::on(&["*"], &[&format!("r{}", n % 500)], &[&format!("v{n}")])).collect();
        for (held, wanted) in [(&diagonal, rule(400)), (&stripes, rule(20_000))] {
            let decided = missing(held, &vec![wanted; 50]);
            assert!(decided.is_err() || decided.is_ok_and(|lacking| !lacking.is_empty()));
        }
        assert_eq!(missing(&stripes, &vec![rule(500); 200]), Err(TooMuch));
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }
}
