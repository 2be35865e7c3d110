//! A tree that remembers what of it was read, so that the rest can be reported.

use std::cell::Cell;

use crate::definition::{Told, VmDefinition, Why};

/// An element of XML or a member of JSON. Names are without their namespace's prefix.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub name: String,
    pub attributes: Vec<Attribute>,
    /// The text directly in it, its ends trimmed.
    pub text: String,
    pub children: Vec<Node>,
    /// From 1.
    pub line: u32,
    entered: Cell<bool>,
    text_read: Cell<bool>,
    excused: Cell<bool>,
}

/// An attribute.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attribute {
    pub name: String,
    pub value: String,
    read: Cell<bool>,
}

impl Attribute {
    pub fn new(name: &str, value: String) -> Self {
        Self { name: local(name).to_owned(), value, read: Cell::new(is_namespace(name)) }
    }
}

/// Declarations of namespaces and places of schemas say nothing about a machine.
fn is_namespace(name: &str) -> bool {
    name == "xmlns"
        || name.starts_with("xmlns:")
        || name.starts_with("xsi:")
        || name.starts_with("xml:")
}

/// A name without its prefix.
pub(crate) fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

impl Node {
    /// An empty one.
    pub fn new(name: &str, line: u32) -> Self {
        Self { name: name.to_owned(), line, ..Self::default() }
    }

    /// Marks the element itself, and nothing in it, as read.
    pub fn enter(&self) {
        self.entered.set(true);
    }

    /// An attribute, told with its place.
    pub fn attribute(&self, name: &str) -> Option<Told<String>> {
        self.entered.set(true);
        let found = self.attributes.iter().find(|a| a.name == name)?;
        found.read.set(true);
        Some(Told {
            value: found.value.clone(),
            line: self.line,
            from: format!("{}@{name}", self.name),
        })
    }

    /// Its text, told with its place; none if empty.
    pub fn told(&self) -> Option<Told<String>> {
        self.entered.set(true);
        self.text_read.set(true);
        let text = self.text.trim();
        (!text.is_empty()).then(|| Told {
            value: text.to_owned(),
            line: self.line,
            from: self.name.clone(),
        })
    }

    /// The elements of this name directly in it.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.entered.set(true);
        self.children
            .iter()
            .filter(move |child| child.name.eq_ignore_ascii_case(name))
            .inspect(|child| child.entered.set(true))
    }

    /// The first of them.
    pub fn first(&self, name: &str) -> Option<&Node> {
        self.entered.set(true);
        let child = self.children.iter().find(|child| child.name.eq_ignore_ascii_case(name))?;
        child.entered.set(true);
        Some(child)
    }

    /// The text of the first of them.
    pub fn text_of(&self, name: &str) -> Option<Told<String>> {
        self.first(name)?.told()
    }

    /// The first element along a path.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| node.first(name))
    }

    /// Marks elements of these names as known and of no concern, with all that is in them.
    pub fn excuse(&self, names: &[&str]) {
        for child in &self.children {
            if names.contains(&child.name.as_str()) && !child.entered.get() {
                child.excused.set(true);
            }
        }
    }

    /// Marks attributes of these names, and the text of this element, as of no further concern.
    pub fn excuse_attributes(&self, names: &[&str]) {
        self.entered.set(true);
        for attribute in self.attributes.iter().filter(|a| names.contains(&a.name.as_str())) {
            attribute.read.set(true);
        }
    }

    /// Marks the attributes of this name as of no concern, in all that is in it.
    pub fn excuse_everywhere(&self, attribute: &str) {
        for found in self.attributes.iter().filter(|a| a.name == attribute) {
            found.read.set(true);
        }
        for child in &self.children {
            child.excuse_everywhere(attribute);
        }
    }

    /// Marks text that stands between elements as of no concern, in all that is in it.
    pub fn excuse_notes(&self) {
        if !self.children.is_empty() {
            self.text_read.set(true);
        }
        for child in &self.children {
            child.excuse_notes();
        }
    }

    /// Marks all of it as read: its meaning is taken as a whole.
    pub fn take(&self) {
        self.entered.set(true);
        self.text_read.set(true);
        for attribute in &self.attributes {
            attribute.read.set(true);
        }
        for child in &self.children {
            child.take();
        }
    }

    /// Reports everything that was not read.
    pub fn leave_rest(&self, definition: &mut VmDefinition) {
        self.leave(&self.name, definition);
        definition.left.sort_by_key(|left| left.line);
    }

    fn leave(&self, path: &str, definition: &mut VmDefinition) {
        if self.excused.get() || !self.entered.get() {
            let why = if self.excused.get() { Why::NotCompared } else { Why::NotUnderstood };
            definition.leave(self.line, &self.summary(path), why);
            return;
        }
        for attribute in self.attributes.iter().filter(|a| !a.read.get()) {
            let what = format!("{path}@{} = {}", attribute.name, attribute.value);
            definition.leave(self.line, &what, Why::NotUnderstood);
        }
        if !self.text_read.get() && !self.text.is_empty() {
            let what = format!("{path} = {}", self.text);
            definition.leave(self.line, &what, Why::NotUnderstood);
        }
        for child in &self.children {
            child.leave(&format!("{path}/{}", child.name), definition);
        }
    }

    fn summary(&self, path: &str) -> String {
        let mut what = path.to_owned();
        for attribute in self.attributes.iter().take(4) {
            what.push_str(&format!(" {}={}", attribute.name, attribute.value));
        }
        if !self.text.is_empty() {
            what.push_str(&format!(" = {}", self.text));
        } else if !self.children.is_empty() {
            what.push_str(" (with what is in it)");
        }
        what
    }
}
