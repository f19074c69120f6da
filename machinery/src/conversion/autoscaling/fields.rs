//! What annotations of `v1` hold, in the order of upstream's types, and where it is in `v2`.

use serde_json::Value;

use super::super::carried::Form::{Integer, Labels, Object, Objects, Quantity, Text, Texts, Time};
use super::super::carried::{Field, always, maybe, nullable};

const REFERENCE: &[Field] = &[always("kind", "/kind", Text), always("name", "/name", Text), maybe("apiVersion", "/apiVersion", Text)];

const SELECTOR: &[Field] =
    &[maybe("matchLabels", "/matchLabels", Labels), maybe("matchExpressions", "/matchExpressions", Objects(REQUIREMENT))];

const REQUIREMENT: &[Field] = &[always("key", "/key", Text), always("operator", "/operator", Text), maybe("values", "/values", Texts)];

/// One of `spec.metrics`.
pub(super) const METRIC: &[Field] = &[
    always("type", "/type", Text),
    maybe(
        "object",
        "/object",
        Object(&[
            always("target", "/describedObject", Object(REFERENCE)),
            always("metricName", "/metric/name", Text),
            always("targetValue", "/target/value", Quantity),
            maybe("selector", "/metric/selector", Object(SELECTOR)),
            maybe("averageValue", "/target/averageValue", Quantity),
        ]),
    ),
    maybe(
        "pods",
        "/pods",
        Object(&[
            always("metricName", "/metric/name", Text),
            always("targetAverageValue", "/target/averageValue", Quantity),
            maybe("selector", "/metric/selector", Object(SELECTOR)),
        ]),
    ),
    maybe(
        "resource",
        "/resource",
        Object(&[
            always("name", "/name", Text),
            maybe("targetAverageUtilization", "/target/averageUtilization", Integer),
            maybe("targetAverageValue", "/target/averageValue", Quantity),
        ]),
    ),
    maybe(
        "containerResource",
        "/containerResource",
        Object(&[
            always("name", "/name", Text),
            maybe("targetAverageUtilization", "/target/averageUtilization", Integer),
            maybe("targetAverageValue", "/target/averageValue", Quantity),
            always("container", "/container", Text),
        ]),
    ),
    maybe(
        "external",
        "/external",
        Object(&[
            always("metricName", "/metric/name", Text),
            maybe("metricSelector", "/metric/selector", Object(SELECTOR)),
            maybe("targetValue", "/target/value", Quantity),
            maybe("targetAverageValue", "/target/averageValue", Quantity),
        ]),
    ),
];

/// One of `status.currentMetrics`.
pub(super) const METRIC_STATUS: &[Field] = &[
    always("type", "/type", Text),
    maybe(
        "object",
        "/object",
        Object(&[
            always("target", "/describedObject", Object(REFERENCE)),
            always("metricName", "/metric/name", Text),
            always("currentValue", "/current/value", Quantity),
            maybe("selector", "/metric/selector", Object(SELECTOR)),
            maybe("averageValue", "/current/averageValue", Quantity),
        ]),
    ),
    maybe(
        "pods",
        "/pods",
        Object(&[
            always("metricName", "/metric/name", Text),
            always("currentAverageValue", "/current/averageValue", Quantity),
            maybe("selector", "/metric/selector", Object(SELECTOR)),
        ]),
    ),
    maybe(
        "resource",
        "/resource",
        Object(&[
            always("name", "/name", Text),
            maybe("currentAverageUtilization", "/current/averageUtilization", Integer),
            always("currentAverageValue", "/current/averageValue", Quantity),
        ]),
    ),
    maybe(
        "containerResource",
        "/containerResource",
        Object(&[
            always("name", "/name", Text),
            maybe("currentAverageUtilization", "/current/averageUtilization", Integer),
            always("currentAverageValue", "/current/averageValue", Quantity),
            always("container", "/container", Text),
        ]),
    ),
    maybe(
        "external",
        "/external",
        Object(&[
            always("metricName", "/metric/name", Text),
            maybe("metricSelector", "/metric/selector", Object(SELECTOR)),
            always("currentValue", "/current/value", Quantity),
            maybe("currentAverageValue", "/current/averageValue", Quantity),
        ]),
    ),
];

/// One of `status.conditions`.
pub(super) const CONDITION: &[Field] = &[
    always("type", "/type", Text),
    always("status", "/status", Text),
    always("lastTransitionTime", "/lastTransitionTime", Time),
    maybe("reason", "/reason", Text),
    maybe("message", "/message", Text),
];

const RULES: &[Field] = &[
    nullable("StabilizationWindowSeconds", "/stabilizationWindowSeconds", Integer),
    nullable("SelectPolicy", "/selectPolicy", Text),
    nullable(
        "Policies",
        "/policies",
        Objects(&[always("Type", "/type", Text), always("Value", "/value", Integer), always("PeriodSeconds", "/periodSeconds", Integer)]),
    ),
    nullable("Tolerance", "/tolerance", Quantity),
];

/// `spec.behavior`. Upstream writes its internal type here, whose fields have Go's names.
pub(super) const BEHAVIOR: &[Field] = &[nullable("ScaleUp", "/scaleUp", Object(RULES)), nullable("ScaleDown", "/scaleDown", Object(RULES))];

/// Targets of `v2` say of what type they are; in `v1` it follows from what they hold.
pub(super) fn with_target_types(mut metric: Value) -> Value {
    for (source, first, otherwise) in [
        ("object", "averageValue", "Value"),
        ("pods", "averageValue", "AverageValue"),
        ("resource", "averageUtilization", "AverageValue"),
        ("containerResource", "averageUtilization", "AverageValue"),
        ("external", "value", "AverageValue"),
    ] {
        let Some(source) = metric.get_mut(source).and_then(Value::as_object_mut) else { continue };
        let target = source.entry("target").or_insert_with(|| serde_json::json!({}));
        let kind = match first {
            first if target[first].is_null() => otherwise,
            "averageUtilization" => "Utilization",
            "value" => "Value",
            _ => "AverageValue",
        };
        // A zero stands beside an average only because v1 cannot leave it out.
        if otherwise == "Value" && kind == "AverageValue" && target["value"] == "0" {
            target.as_object_mut().map(|target| target.remove("value"));
        }
        target["type"] = kind.into();
    }
    metric
}
