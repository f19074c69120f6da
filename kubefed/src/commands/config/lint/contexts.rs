//! What is wrong with contexts, and which entries no context uses.

use federation_client::config::{Config, List};

use super::finding::{Findings, Severity, entry, word};

pub(super) fn look(config: &Config, findings: &mut Findings) {
    let all = &config.merged;
    let current = &all.current_context;
    if !current.is_empty() && !all.contexts.contains_key(current) {
        let what = format!("it is {current:?}, and there is no such context");
        findings.add(Severity::Error, "current-context", what, "kubefed config use-context NAME; kubefed config get-contexts lists them");
    }
    for (name, context) in &all.contexts {
        let at = entry(List::Contexts, name);
        for (list, wanted, there) in [
            (List::Clusters, &context.cluster, all.clusters.contains_key(&context.cluster)),
            (List::Users, &context.user, all.users.contains_key(&context.user)),
        ] {
            let kind = list.word();
            let mend = format!("kubefed config set-context {} --{kind}=NAME, or kubefed config delete-context {}", word(name), word(name));
            if wanted.is_empty() {
                let severity = if list == List::Clusters { Severity::Error } else { Severity::Note };
                findings.add(severity, &at, format!("it names no {kind}"), mend);
            } else if !there {
                findings.add(Severity::Error, &at, format!("it names {kind} {wanted:?}, which is not there"), mend);
            }
        }
    }
    for list in [List::Clusters, List::Users] {
        for name in config.names(list).into_iter().filter(|name| !is_used(config, list, name)) {
            let mend = format!("kubefed config delete-{} {}", list.word(), word(name));
            findings.add(Severity::Note, entry(list, name), "no context uses it", mend);
        }
    }
}

/// Whether a context names an entry.
pub(super) fn is_used(config: &Config, list: List, name: &str) -> bool {
    config.merged.contexts.values().any(|context| match list {
        List::Clusters => context.cluster == name,
        List::Users => context.user == name,
        List::Contexts => false,
    })
}
