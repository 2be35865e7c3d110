//! Building a tree of elements, and writing it.

use std::fmt::Display;

use hospitium_xml::Element;

/// An element without anything in it.
pub(crate) fn element(name: &str) -> Element {
    Element { name: name.into(), ..Element::default() }
}

/// How an element is put together.
pub(crate) trait Build: Sized {
    /// With this attribute.
    fn with(self, name: &str, value: impl Display) -> Self;
    /// With this text.
    fn text(self, text: impl Display) -> Self;
    /// With this element in it.
    fn child(self, child: Element) -> Self;
    /// With these elements in it.
    fn children(self, children: impl IntoIterator<Item = Element>) -> Self;
}

impl Build for Element {
    fn with(mut self, name: &str, value: impl Display) -> Self {
        self.attributes.push((name.into(), value.to_string()));
        self
    }

    fn text(mut self, text: impl Display) -> Self {
        self.text = text.to_string();
        self
    }

    fn child(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }
}

/// The element as text.
pub(crate) fn write(element: &Element) -> String {
    let mut out = String::new();
    put(element, &mut out);
    out
}

fn put(element: &Element, out: &mut String) {
    out.push('<');
    out.push_str(&element.name);
    for (name, value) in &element.attributes {
        out.push(' ');
        out.push_str(name);
        out.push_str("='");
        escaped(value, out);
        out.push('\'');
    }
    if element.text.is_empty() && element.children.is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    escaped(&element.text, out);
    for child in &element.children {
        put(child, out);
    }
    out.push_str("</");
    out.push_str(&element.name);
    out.push('>');
}

/// Text for content and attributes alike. What XML 1.0 cannot hold (section 2.2) becomes U+FFFD.
fn escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(c))),
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            c if c < ' ' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_within_its_place_and_is_read_back_as_it_was() {
        let hostile = "a'/><evil x=\"&amp;\t\n]]>";
        let tree = element("a").with("b", hostile).child(element("c").text(hostile));
        let written = write(&tree);
        let read = hospitium_xml::read("x", &written, |_, _| true).expect("XML");
        assert_eq!(read.attribute("b"), Some(hostile));
        assert_eq!(read.first("c").expect("there").text, hostile);
        assert_eq!(read.children.len(), 1);
        assert!(!write(&element("a").text("\u{0}\u{1b}")).contains('\u{1b}'));
    }
}
