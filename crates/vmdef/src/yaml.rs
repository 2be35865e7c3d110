//! YAML as the same tree as JSON: a member is a node, a list is its elements under one name.

use std::fmt;

use hospitium_model::FormError;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::tree::Node;

/// Deepest nesting.
const DEEPEST: usize = 32;

/// Reads the documents of a text, each a node named `machine`.
pub(crate) fn read(file: &str, text: &str) -> Result<Node, FormError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            max_documents: 64,
            max_aliases: 0,
            max_anchors: 0,
            max_nodes: 50_000,
            max_total_scalar_bytes: 4 << 20,
        },
    };
    let documents: Vec<Spanned<Value>> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| {
            let place = error.location();
            let at = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            let (line, column) = (at(place.map(|p| p.line())), at(place.map(|p| p.column())));
            FormError::at(file, text, line, column, format!("no YAML that is read here: {error}"))
        })?;
    let mut root = Node::new("objects", 1);
    for document in documents {
        fill(&mut root.children, "machine", document);
    }
    Ok(root)
}

fn fill(into: &mut Vec<Node>, name: &str, value: Spanned<Value>) {
    let line = u32::try_from(value.referenced.line()).unwrap_or(0);
    let mut node = Node::new(name, line);
    match value.value {
        Value::Scalar(text) => node.text = text,
        Value::List(elements) => {
            for element in elements {
                fill(into, name, element);
            }
            return;
        }
        Value::Members(members) => {
            for (key, member) in members {
                fill(&mut node.children, &key, member);
            }
        }
    }
    into.push(node);
}

/// Any value. The depth is bounded by the reader's budget.
enum Value {
    Scalar(String),
    List(Vec<Spanned<Value>>),
    Members(Vec<(String, Spanned<Value>)>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a list or members")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Scalar(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Scalar(value.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Scalar(String::new()))
            }

            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Scalar(String::new()))
            }

            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
                Value::deserialize(from)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(Value::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    members.push(pair);
                }
                Ok(Value::Members(members))
            }
        }
        from.deserialize_any(Any)
    }
}
