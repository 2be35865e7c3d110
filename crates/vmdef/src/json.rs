//! JSON as the same tree, with lines: a member is a node, an array is its elements under one name.

use std::fmt;

use hospitium_model::FormError;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::tree::Node;

/// Deepest nesting.
const DEEPEST: usize = 16;
/// Most members and elements.
const MOST: usize = 50_000;

/// Reads a text.
pub(crate) fn read(file: &str, text: &str) -> Result<Node, FormError> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        FormError::at(file, text, error.line(), error.column(), format!("no JSON: {error}"))
    })?;
    let starts: Vec<usize> =
        text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(n, _)| n).collect();
    let mut builder = Builder { text, starts, nodes: 0 };
    let mut root = Node::new("facts", 1);
    builder
        .fill(&mut root.children, "machine", raw, 0)
        .map_err(|(offset, what)| FormError::at_offset(file, text, offset, what))?;
    Ok(root)
}

struct Builder<'a> {
    text: &'a str,
    starts: Vec<usize>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn fill(
        &mut self,
        into: &mut Vec<Node>,
        name: &str,
        raw: &'a RawValue,
        depth: usize,
    ) -> Result<(), (usize, String)> {
        let value = raw.get();
        // A borrowed raw value is a part of the text itself.
        let offset = (value.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let line = self.starts.partition_point(|start| *start < offset) as u32 + 1;
        let bad = |error: serde_json::Error| (offset, format!("no JSON: {error}"));
        self.nodes += 1;
        if depth > DEEPEST || self.nodes > MOST {
            return Err((offset, format!("more than {DEEPEST} levels or {MOST} members")));
        }
        let mut node = Node::new(name, line);
        match value.as_bytes().first() {
            Some(b'{') => {
                let members: Members<'_> = serde_json::from_str(value).map_err(bad)?;
                for (key, member) in members.0 {
                    self.fill(&mut node.children, &key, member, depth + 1)?;
                }
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(value).map_err(bad)?;
                for element in elements {
                    self.fill(into, name, element, depth + 1)?;
                }
                return Ok(());
            }
            Some(b'"') => node.text = serde_json::from_str(value).map_err(bad)?,
            Some(b'n') => {}
            _ => node.text = value.to_owned(),
        }
        into.push(node);
        Ok(())
    }
}

/// An object's members in their order, repeated ones too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    members.push(pair);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_line() {
        let root = read("f", "{\n \"a\": [1,\n {\"b\": \"x\"}]}").expect("JSON");
        let lines: Vec<u32> = root.children[0].children.iter().map(|c| c.line).collect();
        assert_eq!(lines, [2, 3]);
        assert_eq!(root.children[0].children[1].children[0].text, "x");
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(read("f", &"[".repeat(100_000)).is_err());
        let deep = format!("{}1{}", "[".repeat(20), "]".repeat(20));
        assert!(read("f", &deep).expect_err("deep").what().contains("levels"));
    }
}
