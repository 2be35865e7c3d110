//! Reads findings. A record holds hundreds and a catalog reads them by the million, so they are read
//! field by field: what serde derives for `flatten`, `tag` and `untagged` keeps everything first and tries
//! one form after the other.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Finding, Rule, Value};
use crate::{GuestSource, HostSource};

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("yes or no, a number, a text, or a list of these")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Int(value))
            }

            #[expect(clippy::cast_precision_loss, reason = "nothing else holds such a number")]
            fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
                Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }

            fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
                Ok(Value::Text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Value::List(values))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The fields of a finding and of all rules. One that is not its rule's may be there, and has to be of its
/// own form all the same.
#[derive(Deserialize)]
pub(super) struct Fields {
    what: String,
    #[serde(default)]
    unit: String,
    guest: Option<Value>,
    guest_source: Option<GuestSource>,
    host: Option<Value>,
    host_source: Option<HostSource>,
    rule: Name,
    expected: Option<Value>,
    tolerance: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
    guest_expected: Option<Value>,
    host_expected: Option<Value>,
}

/// The names of [`Rule`]s.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Same,
    SameAs,
    Within,
    Each,
    GuestIs,
    HostIs,
    GuestBetween,
    HostBetween,
    Differ,
    GuestSubsetOfHost,
    Recorded,
}

impl TryFrom<Fields> for Finding {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        fn due<T>(field: Option<T>, name: &str) -> Result<T, String> {
            field.ok_or_else(|| format!("missing field `{name}`"))
        }
        let Fields {
            what,
            unit,
            guest,
            guest_source,
            host,
            host_source,
            rule,
            expected,
            tolerance,
            least,
            most,
            guest_expected,
            host_expected,
        } = fields;
        let expected = || due(expected, "expected");
        let (least, most) = (|| due(least, "least"), || due(most, "most"));
        let rule = match rule {
            Name::Same => Rule::Same,
            Name::SameAs => Rule::SameAs { expected: expected()? },
            Name::Within => Rule::Within { tolerance: due(tolerance, "tolerance")? },
            Name::Each => Rule::Each {
                guest_expected: due(guest_expected, "guest_expected")?,
                host_expected: due(host_expected, "host_expected")?,
            },
            Name::GuestIs => Rule::GuestIs { expected: expected()? },
            Name::HostIs => Rule::HostIs { expected: expected()? },
            Name::GuestBetween => Rule::GuestBetween { least: least()?, most: most()? },
            Name::HostBetween => Rule::HostBetween { least: least()?, most: most()? },
            Name::Differ => Rule::Differ,
            Name::GuestSubsetOfHost => Rule::GuestSubsetOfHost,
            Name::Recorded => Rule::Recorded,
        };
        Ok(Self { what, unit, guest, guest_source, host, host_source, rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Serialize;

    /// A value as serde derives it.
    #[derive(Debug, Clone, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Derived {
        Bool(bool),
        Int(i64),
        Float(f64),
        Text(String),
        List(Vec<Derived>),
    }

    impl From<Derived> for Value {
        fn from(value: Derived) -> Self {
            match value {
                Derived::Bool(value) => Self::Bool(value),
                Derived::Int(value) => Self::Int(value),
                Derived::Float(value) => Self::Float(value),
                Derived::Text(value) => Self::Text(value),
                Derived::List(list) => list.into_iter().map(Self::from).collect(),
            }
        }
    }

    /// A rule's name with its fields, written as [`Rule`] writes itself.
    #[derive(Debug, Serialize)]
    struct Loose {
        what: &'static str,
        rule: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<serde_json::Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tolerance: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        least: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        most: Option<f64>,
        other: u8,
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            (-1e9..1e9f64).prop_map(Into::into),
            ".{0,6}".prop_map(Into::into),
            Just(serde_json::json!({"a": 1})),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            proptest::collection::vec(inner, 0..4).prop_map(Into::into)
        })
    }

    fn loose() -> impl Strategy<Value = Loose> {
        const NAMES: [&str; 13] = [
            "same",
            "same-as",
            "within",
            "each",
            "guest-is",
            "host-is",
            "guest-between",
            "host-between",
            "differ",
            "guest-subset-of-host",
            "recorded",
            "Same",
            "",
        ];
        let numbers = (any::<Option<i32>>(), proptest::option::of(-1e9..1e9f64));
        let fields = (proptest::option::of(json()), numbers, proptest::option::of(0.0..1e9f64));
        (proptest::sample::select(&NAMES[..]), fields).prop_map(
            |(rule, (expected, (least, most), tolerance))| Loose {
                what: "x",
                rule,
                expected,
                tolerance,
                least,
                most,
                other: 1,
            },
        )
    }

    proptest! {
        #[test]
        fn a_value_reads_as_serde_would_derive_it(json in json()) {
            let text = json.to_string();
            let ours: Option<Value> = serde_json::from_str(&text).ok();
            let derived: Option<Derived> = serde_json::from_str(&text).ok();
            prop_assert_eq!(ours, derived.map(Value::from));
        }

        #[test]
        fn a_finding_reads_as_serde_would_derive_it(loose in loose()) {
            let text = serde_json::to_string(&loose).expect("JSON");
            let ours: Option<Finding> = serde_json::from_str(&text).ok();
            let derived: Option<Rule> = serde_json::from_str(&text).ok();
            let ours = ours.map(|finding| finding.rule);
            // What serde derives looks at no field that is not the rule's; ours refuses an odd one.
            let odd = loose.expected.is_some_and(|json| serde_json::from_value::<Value>(json).is_err());
            prop_assert!(ours == derived || (odd && ours.is_none()), "{:?} {:?}", ours, derived);
        }
    }

    #[test]
    fn what_a_rule_lacks_is_named() {
        let error =
            |text: &str| serde_json::from_str::<Finding>(text).expect_err("refused").to_string();
        let lacks = error(r#"{"what": "x", "rule": "guest-between", "least": 1}"#);
        assert!(lacks.contains("missing field `most`"), "{lacks}");
        let other = error(r#"{"what": "x", "rule": "about", "guest": 1}"#);
        assert!(other.contains("unknown variant `about`"), "{other}");
        let odd = error(r#"{"what": "x", "rule": "same", "guest": {"a": 1}}"#);
        assert!(odd.contains("a number, a text"), "{odd}");
    }
}
