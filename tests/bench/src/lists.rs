//! Lists in each of the forms that clients ask for.

use std::io::Read as _;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cost::{PATH, Size, asked};
use crate::measure::resident;
use crate::report::Report;
use crate::servers::Subject;
use crate::wire::{Answer, Ask, Pool};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";

/// A form of a list.
struct Form {
    name: &'static str,
    accept: &'static str,
    gzip: bool,
    /// Where its objects are.
    items: &'static str,
}

const FORMS: [Form; 5] = [
    Form { name: "list", accept: "application/json", gzip: false, items: "items" },
    Form { name: "list, gzip", accept: "application/json", gzip: true, items: "items" },
    Form { name: "table", accept: TABLE, gzip: false, items: "rows" },
    Form { name: "table, gzip", accept: TABLE, gzip: true, items: "rows" },
    Form { name: "metadata", accept: PARTIAL, gzip: false, items: "items" },
];

/// Lists everything again and again, from the cache, on four connections.
pub(crate) async fn measure(subject: &Subject, pool: &Arc<Pool>, size: &Size, report: &mut Report) -> Result<()> {
    let name = subject.name;
    for form in FORMS {
        let ask = Ask { accept: form.accept, gzip: form.gzip, ..Ask::get(format!("{PATH}?resourceVersion=0")) };
        let first = pool.send(ask.clone()).await?;
        check(&first, &form, size.objects).with_context(|| format!("{name}: {}", form.name))?;
        report.add(name, format!("{}, on the wire", form.name), first.body.len() as f64 / 1e3, "kB");
        let length = Some(first.body.len());
        let (calls, cost) = asked(subject, pool, size.lists, 4, move |_| ask.clone(), length).await.context(form.name)?;
        report.add(name, form.name, calls.per_second, "1/s");
        cost.report(report, name, form.name);
        if form.name == "list" {
            report.add(name, "memory loaded", resident(subject.pid)?, "MB");
        }
    }
    report.add(name, "memory after tables", resident(subject.pid)?, "MB");
    Ok(())
}

/// Whether an answer is whole: the form that was asked for, with all objects.
fn check(answer: &Answer, form: &Form, objects: usize) -> Result<()> {
    let mut text = Vec::new();
    if answer.is_gzip() {
        flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut text)?;
    } else {
        text.extend_from_slice(&answer.body);
    }
    let value: Value = serde_json::from_slice(&text)?;
    let items = value[form.items].as_array().map_or(0, |items| items.iter().filter(|item| item.is_object()).count());
    ensure!(items == objects, "{items} objects instead of {objects}");
    Ok(())
}
