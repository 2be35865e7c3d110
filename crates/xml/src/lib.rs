//! XML as a small tree, from a text that is not trusted.
//!
//! In comes the text of a file, of a size that its reader has bounded; out goes an [`Element`], or an
//! error with file, line and caret. No document type is accepted, so no entity can be defined; depth and
//! elements are bounded.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use hospitium_model::FormError;

/// Deepest nesting. A virtual machine's definition has about ten levels, osinfo-db seven.
pub const DEEPEST: usize = 48;
/// Most elements in a file. The largest of osinfo-db, and a virtual machine with a thousand devices, have
/// fewer.
pub const MOST_ELEMENTS: usize = 100_000;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its attributes, in their order.
    pub attributes: Vec<(String, String)>,
    /// The text directly in it, its ends trimmed.
    pub text: String,
    /// The elements directly in it.
    pub children: Vec<Element>,
    /// Its line, from 1.
    pub line: u32,
}

impl Element {
    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The elements of this name directly in it.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first of them.
    pub fn first(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// Reads a text; `wanted` tells by name and attributes which elements are kept with what is in
/// them.
///
/// # Errors
/// If it is no XML, has a document type, or is beyond a bound.
pub fn read(
    file: &str,
    text: &str,
    wanted: impl Fn(&str, &Element) -> bool,
) -> Result<Element, FormError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = false;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0_usize;
    let mut lines = Lines { text: text.as_bytes(), offset: 0, line: 1 };
    let wrong = |offset: u64, what: String| {
        FormError::at_offset(file, text, usize::try_from(offset).unwrap_or(usize::MAX), what)
    };
    loop {
        let offset = reader.buffer_position();
        let event = reader
            .read_event()
            .map_err(|error| wrong(reader.error_position(), format!("no XML: {error}")))?;
        match event {
            Event::Start(start) => {
                let mut element = element(&start).map_err(|what| wrong(offset, what))?;
                element.line = lines.at(offset);
                elements += 1;
                if open.len() >= DEEPEST || elements > MOST_ELEMENTS {
                    return Err(wrong(
                        offset,
                        format!("more than {DEEPEST} levels or {MOST_ELEMENTS} elements"),
                    ));
                }
                let is_root = open.is_empty();
                if is_root && root.is_some() {
                    return Err(wrong(offset, "a second root element".into()));
                }
                if is_root || wanted(&element.name, &element) {
                    open.push(element);
                } else {
                    reader.read_to_end(start.name()).map_err(|error| {
                        wrong(reader.error_position(), format!("no XML: {error}"))
                    })?;
                }
            }
            Event::Empty(start) => {
                let mut element = element(&start).map_err(|what| wrong(offset, what))?;
                element.line = lines.at(offset);
                elements += 1;
                if elements > MOST_ELEMENTS {
                    return Err(wrong(offset, format!("more than {MOST_ELEMENTS} elements")));
                }
                match open.last_mut() {
                    Some(parent) if wanted(&element.name, &element) => {
                        parent.children.push(element);
                    }
                    Some(_) => {}
                    None if root.is_some() => {
                        return Err(wrong(offset, "a second root element".into()));
                    }
                    None => root = Some(element),
                }
            }
            Event::End(_) => {
                let Some(mut done) = open.pop() else { continue };
                done.text = done.text.trim().to_owned();
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => root = Some(done),
                }
            }
            Event::Text(piece) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&piece.xml10_content());
                }
            }
            Event::CData(piece) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&piece.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let known = match reference.resolve_char_ref() {
                    Ok(found) => found.map(String::from),
                    Err(error) => return Err(wrong(offset, format!("no XML: {error}"))),
                };
                let name = reference.xml10_content();
                let known = known.or_else(|| {
                    quick_xml::escape::resolve_predefined_entity(&name).map(str::to_owned)
                });
                match (known, open.last_mut()) {
                    (Some(known), Some(element)) => element.text.push_str(&known),
                    (Some(_), None) => {}
                    (None, _) => return Err(wrong(offset, format!("no entity is named {name:?}"))),
                }
            }
            Event::DocType(_) => {
                return Err(wrong(
                    offset,
                    "a document type, which could define entities; remove it, such files need none"
                        .into(),
                ));
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if let Some(element) = open.last() {
        return Err(wrong(
            text.len() as u64,
            format!("ends inside <{}>, begun in line {}", element.name, element.line),
        ));
    }
    root.ok_or_else(|| wrong(0, "no element in it".into()))
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element { name: start.name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("no attribute: {error}"))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| format!("no attribute value: {error}"))?;
        element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(element)
}

/// Counts lines forward, so that every byte is looked at once.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: u32,
}

impl Lines<'_> {
    fn at(&mut self, offset: u64) -> u32 {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        if let Some(passed) = self.text.get(self.offset..offset) {
            self.line += passed.iter().filter(|b| **b == b'\n').count() as u32;
            self.offset = offset;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Element, FormError> {
        read("t.xml", text, |_, _| true)
    }

    #[test]
    fn elements_keep_text_attributes_and_line() {
        let root =
            all("<a>\n <b x='1 &amp; 2'>p &lt; q &#65;<![CDATA[<>]]></b>\n</a>").expect("XML");
        let b = root.first("b").expect("b");
        assert_eq!((b.text.as_str(), b.line), ("p < q A<>", 2));
        assert_eq!(b.attribute("x"), Some("1 & 2"));
    }

    #[test]
    fn entity_definitions_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;</a>";
        assert!(all(bomb).expect_err("refused").to_string().contains("document type"));
        assert!(all("<a>&b;</a>").expect_err("refused").to_string().contains("no entity"));
    }

    #[test]
    fn what_is_no_xml_is_told_with_line_and_caret() {
        for bad in ["", "plain", "<a>", "<a>\n<b></a>", "<a/><b/>", "<a x=1/>", "<a>&#xD800;</a>"] {
            let error = all(bad).expect_err(bad).to_string();
            assert!(error.starts_with("t.xml:"), "{error}");
        }
        assert!(all("<a>\n<b></a>").expect_err("bad").to_string().contains("t.xml:2"));
    }

    #[test]
    fn a_text_without_end_of_nesting_is_refused() {
        let deep = "<a>".repeat(1_000_000);
        assert!(all(&deep).expect_err("deep").to_string().contains("levels"));
        let many = format!("<a>{}</a>", "<b/>".repeat(MOST_ELEMENTS));
        assert!(all(&many).expect_err("many").to_string().contains("elements"));
    }

    #[test]
    fn what_is_not_wanted_is_not_kept() {
        let root = read("t", "<a><b><c/></b><d/></a>", |name, _| name != "b").expect("XML");
        assert!(root.first("b").is_none() && root.first("d").is_some());
    }
}
