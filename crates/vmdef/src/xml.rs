//! A definition in XML as a [`Node`]: names without prefixes, and nothing of it read yet.

use hospitium_model::FormError;
use hospitium_xml::Element;

use crate::tree::{Attribute, Node, local};

/// Reads a text.
pub(crate) fn read(file: &str, text: &str) -> Result<Node, FormError> {
    Ok(node(hospitium_xml::read(file, text, |_, _| true)?))
}

/// As deep as [`hospitium_xml::DEEPEST`], and no deeper.
fn node(element: Element) -> Node {
    let mut node = Node::new(local(&element.name), element.line);
    let attributes = element.attributes.into_iter();
    node.attributes = attributes.map(|(name, value)| Attribute::new(&name, value)).collect();
    node.children = element.children.into_iter().map(self::node).collect();
    node.text = element.text;
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_left_out_and_lines_kept() {
        let root = read("f", "<o:a xmlns:o='urn:o'>\n<o:b o:c='1'>t</o:b></o:a>").expect("XML");
        let b = root.first("b").expect("b");
        assert_eq!((root.name.as_str(), b.line, b.text.as_str()), ("a", 2, "t"));
        assert_eq!(b.attribute("c").expect("c").value, "1");
    }

    #[test]
    fn entity_definitions_and_depth_without_end_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;</a>";
        assert!(read("f", bomb).expect_err("refused").to_string().contains("document type"));
        assert!(read("f", &"<a>".repeat(100_000)).expect_err("deep").what().contains("levels"));
    }
}
