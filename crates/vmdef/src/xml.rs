//! XML as a tree, from a text that is not trusted. No document type is accepted, so no entity can be
//! defined; depth and elements are bounded.

use hospitium_model::FormError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::tree::{Attribute, Node, local};

/// Deepest nesting. libvirt's own is about ten.
const DEEPEST: usize = 48;
/// Most elements; a domain with a thousand devices has fewer.
const MOST_ELEMENTS: usize = 50_000;

/// Reads a text.
pub(crate) fn read(file: &str, text: &str) -> Result<Node, FormError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Node> = Vec::new();
    let mut root: Option<Node> = None;
    let mut elements = 0_usize;
    let (mut counted, mut line) = (0_usize, 1_u32);
    let wrong = |offset: u64, what: String| {
        FormError::at_offset(file, text, usize::try_from(offset).unwrap_or(usize::MAX), what)
    };
    loop {
        let offset = reader.buffer_position();
        let event = reader
            .read_event()
            .map_err(|error| wrong(reader.error_position(), format!("no XML: {error}")))?;
        let to = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        if let Some(passed) = text.as_bytes().get(counted..to) {
            line += passed.iter().filter(|b| **b == b'\n').count() as u32;
            counted = to;
        }
        let mut done = None;
        match event {
            Event::Start(ref start) | Event::Empty(ref start) => {
                let node = element(start, line).map_err(|what| wrong(offset, what))?;
                elements += 1;
                if open.len() >= DEEPEST || elements > MOST_ELEMENTS {
                    let what = format!("more than {DEEPEST} levels or {MOST_ELEMENTS} elements");
                    return Err(wrong(offset, what));
                }
                if open.is_empty() && root.is_some() {
                    return Err(wrong(offset, "a second root element".into()));
                }
                if matches!(event, Event::Start(_)) {
                    open.push(node);
                } else {
                    done = Some(node);
                }
            }
            Event::End(_) => done = open.pop(),
            Event::Text(piece) => {
                if let Some(node) = open.last_mut() {
                    node.text.push_str(&piece.xml10_content());
                }
            }
            Event::CData(piece) => {
                if let Some(node) = open.last_mut() {
                    node.text.push_str(&piece.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let known = reference
                    .resolve_char_ref()
                    .map_err(|error| wrong(offset, format!("no XML: {error}")))?
                    .map(String::from);
                let name = reference.xml10_content();
                let known = known.or_else(|| {
                    quick_xml::escape::resolve_predefined_entity(&name).map(str::to_owned)
                });
                match (known, open.last_mut()) {
                    (Some(known), Some(node)) => node.text.push_str(&known),
                    (Some(_), None) => {}
                    (None, _) => return Err(wrong(offset, format!("no entity is named {name:?}"))),
                }
            }
            Event::DocType(_) => {
                let what = "a document type, which could define entities; remove this line: \
                            no machine definition needs it";
                return Err(wrong(offset, what.into()));
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
        if let Some(mut node) = done {
            node.text = node.text.trim().to_owned();
            match open.last_mut() {
                Some(parent) => parent.children.push(node),
                None => root = Some(node),
            }
        }
    }
    if let Some(node) = open.last() {
        let what = format!("ends inside <{}>, begun in line {}", node.name, node.line);
        return Err(wrong(text.len() as u64, what));
    }
    root.ok_or_else(|| wrong(0, "no element in it".into()))
}

fn element(start: &BytesStart<'_>, line: u32) -> Result<Node, String> {
    let mut node = Node::new(local(start.name().as_ref()), line);
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("no attribute: {error}"))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| format!("no attribute value: {error}"))?;
        node.attributes.push(Attribute::new(attribute.key.as_ref(), value.into_owned()));
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_definitions_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;</a>";
        assert!(read("f", bomb).expect_err("refused").to_string().contains("document type"));
        assert!(read("f", "<a>&b;</a>").expect_err("refused").to_string().contains("no entity"));
    }

    #[test]
    fn nesting_and_numbers_are_bounded() {
        assert!(read("f", &"<a>".repeat(100_000)).expect_err("deep").what().contains("levels"));
        let many = format!("<a>{}</a>", "<b/>".repeat(MOST_ELEMENTS));
        assert!(read("f", &many).expect_err("many").what().contains("elements"));
    }

    #[test]
    fn what_is_no_xml_is_told_with_its_line() {
        for bad in ["", "<a>", "<a>\n<b></a>", "<a/><b/>", "<a x=1/>", "<a>&#xD800;</a>"] {
            assert!(read("f", bad).is_err(), "{bad}");
        }
        assert_eq!(read("f", "<a>\n<b></a>").expect_err("bad").line(), 2);
    }
}
