//! A tap that alters the answers to one question.

use serde_json::Value;

use super::{Answer, Asked, Tap};

/// Alters the value of an answer. Captures nothing, so that a check can declare it.
pub type Alter = fn(&Asked, &mut Value);

/// Alters the answers to one question; those that are errors are left alone.
#[derive(Debug, Clone, Copy)]
pub struct Altered {
    /// The question.
    pub name: &'static str,
    /// What becomes of the answer's value.
    pub alter: Alter,
}

impl Tap for Altered {
    fn answered(&self, asked: &Asked, answer: &mut Answer) {
        if let (true, Ok(told)) = (asked.name == self.name, answer) {
            (self.alter)(asked, value_of(told));
        }
    }
}

/// The value of an answer: what was [seen](hospitium_model::Seen) without the place that it was seen at, else the
/// whole.
pub fn value_of(told: &mut Value) -> &mut Value {
    let seen = told.as_object().is_some_and(|object| {
        object.len() == 2 && object.contains_key("value") && object.contains_key("source")
    });
    if seen { &mut told["value"] } else { told }
}
