//! kubectl's JSONPath templates (`-o jsonpath=…`): text, and in braces paths whose values are printed in its place.
//!
//! It is not RFC 9535: `{range}…{end}` repeats, what is missing prints nothing, and an index that is out of bounds is
//! an error.

mod eval;
mod node;
mod parse;

pub(crate) use eval::go_json;
use node::Node;
pub(crate) use node::Wrong;
use serde_json::Value;

/// A template that was understood.
#[derive(Debug, PartialEq)]
pub(crate) struct Template(Vec<Node>);

impl Template {
    /// Understands a template.
    ///
    /// # Errors
    /// What in it cannot be understood.
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        parse::template(text).map(Self).map_err(|why| Wrong::Template(text.to_owned(), why))
    }

    /// What it makes of a value.
    ///
    /// # Errors
    /// Indices out of bounds, comparisons that make no sense.
    pub(crate) fn fill(&self, value: &Value) -> Result<String, Wrong> {
        eval::text(&self.0, value, value)
    }

    /// What each of its parts is, ranges spread out.
    ///
    /// # Errors
    /// As [`Template::fill`].
    pub(crate) fn values(&self, value: &Value) -> Result<Vec<Vec<Value>>, Wrong> {
        eval::values(&self.0, value, value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(template: &str) -> String {
        let value = json!({
            "kind": "Config", "current-context": "k", "none": null,
            "clusters": [
                {"name": "007", "cluster": {"server": "", "port": 1}},
                {"name": "c", "cluster": {"server": "https://x", "port": 2, "on": true, "part": 1.5}},
                {"name": "my.server", "cluster": {"server": "a: b"}},
            ],
        });
        match Template::parse(template).and_then(|template| template.fill(&value)) {
            Ok(text) => text,
            Err(e) => format!("error: {e}"),
        }
    }

    /// What kubectl 1.36 prints.
    #[test]
    fn templates_print_what_kubectl_prints() {
        for (template, text) in [
            ("plain .kind", "plain .kind"),
            ("{.kind}/{ .kind }{$.kind}{@.kind}", "Config/ConfigConfigConfig"),
            ("{.current-context}{['current-context']}", "kk"),
            (r"{.current\-context}", "k"),
            ("{.none}{.clusters[1].cluster.on}{.clusters[1].cluster.part}", "nulltrue1.5"),
            ("{.clusters[*].name}", "007 c my.server"),
            (
                "{.clusters[0,1].name}|{.clusters[-1].name}|{.clusters[-2:].name}|{.clusters[::2].name}",
                "007 c|my.server|c my.server|007 my.server",
            ),
            ("{.clusters[1:].name}|{.clusters[:1].name}", "c my.server|007"),
            ("{.clusters[0]['name','cluster']}", r#"007 {"port":1,"server":""}"#),
            ("{range .clusters[*]}{.name}={.cluster.server}{\"\\n\"}{end}.", "007=\nc=https://x\nmy.server=a: b\n."),
            ("{range .clusters[*]}{range .cluster.*}[{@}]{end};{end}", "[1][];[true][1.5][2][https://x];[a: b];"),
            ("{.clusters[?(@.name==\"c\")].cluster.server}", "https://x"),
            ("{.clusters[?(@.name!='c')].name}", "007 my.server"),
            ("{.clusters[?(@.name==\"my.server\")].name}", "my.server"),
            ("{.clusters[?(@.cluster.on)].name}", "c"),
            ("{.clusters[?(@.cluster.on==true)].name}", "c"),
            ("{.clusters[?(@.cluster.part>=1.5)].name}", "c"),
            ("{.nope}{.kind.a}{.clusters.name}{.clusters[*].nope}", ""),
            ("{..server}", " https://x a: b"),
            (r#"{"a\x41\t"}{'it'}"#, "aA\tit"),
            ("{1}{true}", "1true"),
        ] {
            assert_eq!(fill(template), text, "{template}");
        }
    }

    #[test]
    fn each_part_has_its_values() {
        let value = json!({"a": [{"b": 1}, {"b": 2, "c": null}]});
        let values = |template: &str| json!(Template::parse(template).unwrap().values(&value).unwrap()).to_string();
        assert_eq!(values("x{.a[*].b}{true}{.nope}"), r#"[["x"],[1,2],[true],[]]"#);
        assert_eq!(values("{range .a[*]}{.b}{.c}{end}"), "[[1],[],[2],[null]]");
        assert_eq!(values("{range .nope[*]}{.b}{end}"), "[]");
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let all = [
            "{.kind",
            "{.clusters[9].name}",
            "{.clusters[-4].name}",
            "{.clusters[0:9].name}",
            "{.clusters[1:0].name}",
            "{.clusters[::0]}",
            "{.kind[0]}",
            "{end}",
            "{kind}",
            "{.clusters[a]}",
            "{.clusters[0",
            "{[}",
            "{.clusters[?(@.name>1)]}",
            "{.a && .b}",
            "{\"a}",
            "{.clusters[?(@.name",
            "{.clusters[?(@.a==)]}",
            "{range .clusters[*]}{.name}",
            "{$$}",
            "{.a[b,]}",
            "{.clusters[99999999999999999999]}",
        ];
        insta::assert_snapshot!(all.map(|template| format!("{template}\n  {}", fill(template))).join("\n"));
        let deep = format!("{}{}", "{range .clusters[*]}".repeat(500), "{end}".repeat(500));
        assert!(fill(&deep).starts_with("error: parsing jsonpath"));
    }
}
