use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn selects(selector: &LabelSelector, labels: &Value) -> bool {
    selector.matches(|key| labels[key].as_str())
}

fn matches(selector: &str, labels: &Value) -> bool {
    selects(&LabelSelector::parse(selector).expect(selector), labels)
}

#[test]
fn every_operator_matches_as_in_kubernetes() {
    let labels = json!({"env": "prod", "tier": "", "weight": "5"});
    let yes = [
        "",
        "env=prod",
        "env==prod",
        "env!=dev",
        "other!=x",
        "env in (dev, prod)",
        "env notin (dev)",
        "other notin (x)",
        "env",
        "!other",
        "weight>4",
        "weight<6",
        "tier=",
        "tier in ()",
        "env=prod,weight",
        " env = prod , !other ",
        "tier in (,a)",
    ];
    for s in yes {
        assert!(matches(s, &labels), "{s}");
    }
    for s in ["env=dev", "env!=prod", "other", "!env", "other in (a)", "weight>5", "weight<5", "env>1", "env=prod,other"] {
        assert!(!matches(s, &labels), "{s}");
    }
}

#[test]
fn what_cannot_be_parsed_says_why() {
    let cases = [
        ("env=prod,", "found '', expected: !, identifier"),
        ("=x", "found '=', expected: !, identifier"),
        ("a b", "found 'b', expected: in, notin"),
        ("a in b", "found 'b', expected: '('"),
        ("a in (b", "expected: ',' or ')'"),
        ("a=b c", "found 'c', expected: ','"),
        ("a>x", "need an integer, found \"x\""),
        ("-a=b", "is not a label key"),
        ("Example.com/a=b", "is not a label key"),
        ("a=-b", "is not a value for label"),
    ];
    for (text, part) in cases {
        let error = LabelSelector::parse(text).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn the_canonical_form_is_sorted() {
    let s = LabelSelector::parse("z in (b,a,b),!y,x==1,b notin (q),a>3").expect("parses");
    assert_eq!(s.to_string(), "a>3,b notin (q),x=1,!y,z in (a,b)");
}

#[test]
fn label_selector_objects_are_read() {
    let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
        {"key": "tier", "operator": "NotIn", "values": ["db"]}, {"key": "x", "operator": "DoesNotExist"}]});
    let s = LabelSelector::from_object(&selector).expect("valid");
    assert_eq!(s.to_string(), "app=web,tier notin (db),!x");
    assert!(selects(&s, &json!({"app": "web"})));
    assert!(!selects(&s, &json!({"app": "web", "tier": "db"})));
    assert!(selects(&LabelSelector::from_object(&json!({})).expect("valid"), &Value::Null));
    assert!(!selects(&LabelSelector::from_object(&Value::Null).expect("valid"), &Value::Null));
    let bad = json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]});
    assert!(LabelSelector::from_object(&bad).expect_err("bad").to_string().contains("\"Gt\" is not a valid label selector operator"));
}

#[test]
fn cluster_selectors_follow_v1() {
    let ok = [
        (None, ""),
        (Some("[]"), ""),
        (Some("null"), ""),
        (Some(r#"[{"key":"location","operator":"in","values":["us","eu"]}]"#), "location in (eu,us)"),
        (Some(r#"[{"Key":"a","Operator":"NotIn","Values":["b"]},{"key":"c","operator":"!"}]"#), "a notin (b),!c"),
        (Some(r#"[{"key":"a","operator":"==","values":["b"]},{"key":"n","operator":"gt","values":["3"]}]"#), "a=b,n>3"),
        (Some(r#"[{"key":"a","operator":"exists"},{"key":"b","operator":"!=","values":["x"]}]"#), "a,b!=x"),
    ];
    for (annotation, want) in ok {
        assert_eq!(cluster_selector(annotation).expect("valid").to_string(), want, "{annotation:?}");
    }
    let bad = [
        ("", "is empty"),
        ("nope", "is not JSON"),
        ("{}", "must be a list"),
        (r#"[{"key":"a","operator":"in","values":[]}]"#, "at least one value"),
        (r#"[{"key":"a","operator":"=","values":["x","y"]}]"#, "exactly one value"),
        (r#"[{"key":"a","operator":"exists","values":["x"]}]"#, "take no values"),
        (r#"[{"key":"a","operator":"lt","values":["x"]}]"#, "need an integer"),
        (r#"[{"key":"a","operator":"like","values":["x"]}]"#, "\"like\" is not an operator"),
        (r#"[{"operator":"exists"}]"#, "key is missing"),
    ];
    for (annotation, part) in bad {
        let error = cluster_selector(Some(annotation)).expect_err(annotation).to_string();
        assert!(error.contains(part), "{annotation}: {error}");
    }
}

#[test]
fn field_selectors_compare_text_and_know_their_fields() {
    let s = FieldSelector::parse("metadata.name=web,status.phase!=Failed,spec.unschedulable=false").expect("parses");
    assert_eq!(s.required("metadata.name"), Some("web"));
    let web = [("metadata.name", "web"), ("status.phase", "Running"), ("spec.unschedulable", "false")];
    assert!(s.matches(|path| web.iter().find(|(field, _)| *field == path).map(|(_, value)| *value)));
    assert!(!s.matches(|path| (path == "metadata.name").then_some("web")));
    assert!(s.check(&["status.phase", "spec.unschedulable"]).is_ok());
    assert_eq!(s.check(&["status.phase"]).expect_err("unknown").to_string(), "field label not supported: spec.unschedulable");
    assert!(FieldSelector::parse("").expect("parses").is_everything());
    assert_eq!(FieldSelector::parse("a").expect_err("no operator").to_string(), "invalid selector: 'a'; can't understand 'a'");
    let odd = FieldSelector::parse(r"a=x\,y\=z\\").expect("parses");
    assert_eq!(odd.required("a"), Some(r"x,y=z\"));
}

fn any_requirement() -> impl Strategy<Value = Requirement> {
    let key = || {
        prop_oneof![
            "[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,8}[a-zA-Z0-9])?",
            "[a-z0-9]{1,5}\\.com/[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,8}[a-zA-Z0-9])?",
            Just("in".to_owned())
        ]
    };
    let value = || prop_oneof!["[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,8}[a-zA-Z0-9])?", Just(String::new()), Just("notin".to_owned())];
    let one = prop_oneof![
        (prop::sample::select(vec![Operator::Equals, Operator::NotEquals]), value().prop_map(|v| vec![v])),
        (prop::sample::select(vec![Operator::In, Operator::NotIn]), prop::collection::vec(value(), 1..4)),
        (prop::sample::select(vec![Operator::Exists, Operator::DoesNotExist]), Just(Vec::new())),
        (prop::sample::select(vec![Operator::GreaterThan, Operator::LessThan]), any::<u32>().prop_map(|n| vec![n.to_string()])),
    ];
    (key(), one).prop_map(|(key, (operator, values))| Requirement::new(key, operator, values).expect("valid by construction"))
}

proptest! {
    #[test]
    fn a_label_selector_survives_its_text(requirements in prop::collection::vec(any_requirement(), 0..5)) {
        let selector = LabelSelector::new(requirements);
        prop_assert_eq!(LabelSelector::parse(&selector.to_string()).expect("canonical form parses"), selector);
    }

    #[test]
    fn a_field_selector_survives_its_text(terms in prop::collection::vec(("[a-z.]{1,8}", any::<String>(), any::<bool>()), 0..4)) {
        let escape = |v: &str| v.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
        let text: Vec<String> = terms.iter().map(|(p, v, eq)| format!("{p}{}{}", if *eq { "=" } else { "!=" }, escape(v))).collect();
        let selector = FieldSelector::parse(&text.join(",")).expect("valid by construction");
        prop_assert_eq!(selector.requirements().len(), terms.len());
        prop_assert_eq!(FieldSelector::parse(&selector.to_string()).expect("canonical form parses"), selector);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>(), near in "[a-z=!<>(), ]{0,20}", object in crate::patch::arbitrary::any_json()) {
        let _ = LabelSelector::parse(&text);
        let _ = LabelSelector::parse(&near);
        let _ = FieldSelector::parse(&text);
        let _ = cluster_selector(Some(&text));
        let _ = cluster_selector(Some(&object.to_string()));
        let _ = LabelSelector::from_object(&object);
    }
}

#[test]
fn d33_selectors_have_a_bounded_number_of_terms() {
    let (labels, fields) = (|n: usize| vec!["!a"; n].join(","), |n: usize| vec!["metadata.name!=a"; n].join(","));
    assert!(LabelSelector::parse(&labels(1000)).is_ok() && FieldSelector::parse(&fields(1000)).is_ok());
    for said in [LabelSelector::parse(&labels(1001)).map(drop), FieldSelector::parse(&fields(1001)).map(drop)] {
        assert_eq!(ApiError::from(said.unwrap_err()).code, 400);
    }
    let many: Vec<String> = (0..50_000).map(|n| format!("v{n}")).collect();
    let listed = LabelSelector::parse(&format!("a in ({})", many.join(","))).unwrap();
    assert!(listed.matches(|_| Some("v49999")) && !listed.matches(|_| Some("w")));
}
