//! The form of the published benchmark models: numbers only, a `.model` with a `.constraints`.
//!
//! A model is its strength, the number of parameters, and the number of values of each; values are
//! numbered through. Constraints are their number, and for each the number of its literals and the
//! literals, `- v` for "not value v" and `+ v` for "value v": at least one of them holds. The form
//! is that of CASA (Garvin, Cohen, Dwyer, "Evaluating improvements to a meta-heuristic search for
//! constrained interaction testing", 2011).

use super::super::model::{MOST_PARAMETERS, MOST_VALUES, Model, ParameterId, Value};
use super::super::{Condition, HIGHEST_STRENGTH};
use hospitium_model::FormError;

use super::text::Source;

/// Reads a model and its constraints, each with its file's name. Values are named `v` and their
/// number, parameters `p` and theirs.
///
/// # Errors
/// The first place where the text is not of the form.
pub fn read_casa(
    (model_file, model): (&str, &str),
    constraints: Option<(&str, &str)>,
) -> Result<Model, FormError> {
    let source = Source::new(model_file, model)?;
    let mut words = Words { source, rest: source.text };
    let strength = words.number("the strength", 1, HIGHEST_STRENGTH)?;
    let count = words.number("the number of parameters", 1, MOST_PARAMETERS)?;
    let mut builder = Model::builder();
    let mut values: Vec<(ParameterId, usize)> = Vec::new();
    for n in 0..count {
        let what = format!("the number of values of parameter {n} of {count}");
        let size = words.number(&what, 1, MOST_VALUES - values.len().min(MOST_VALUES - 1))?;
        let first = values.len();
        let names = (0..size).map(|v| Value::new(format!("v{}", first + v)));
        let id = builder.parameter(format!("p{n}"), names);
        values.extend((0..size).map(|v| (id, v)));
    }
    words.end()?;
    builder.strength(strength.min(count));
    if let Some((file, text)) = constraints {
        let source = Source::new(file, text)?;
        let mut words = Words { source, rest: source.text };
        let clauses = words.number("the number of constraints", 0, text.len())?;
        for _ in 0..clauses {
            let literals = words.number("the number of literals", 1, values.len())?;
            let (mut any, mut said) = (Vec::new(), Vec::new());
            for _ in 0..literals {
                let (sign, place) = words.word("`-` or `+` and a value's number")?;
                let positive = match sign {
                    "-" => false,
                    "+" => true,
                    _ => return Err(source.error(place, "expected `-` or `+` before a value")),
                };
                let value = words.number("a value's number", 0, values.len() - 1)?;
                let (id, at) = values[value];
                let holds = Condition::At(id, vec![at]);
                any.push(if positive { holds } else { holds.not() });
                said.push(format!("{}v{value}", if positive { "" } else { "not " }));
            }
            builder.require(said.join(" or "), Condition::Any(any));
        }
        words.end()?;
    }
    builder.build().map_err(|error| source.error(0, error.to_string()))
}

struct Words<'a> {
    source: Source<'a>,
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The next word and where it stands.
    fn word(&mut self, what: &str) -> Result<(&'a str, usize), FormError> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let place = self.source.at(word);
        if word.is_empty() {
            return Err(self
                .source
                .error(place, format!("the text ends where {what} is expected")));
        }
        self.rest = rest;
        Ok((word, place))
    }

    fn number(&mut self, what: &str, least: usize, most: usize) -> Result<usize, FormError> {
        let (word, place) = self.word(what)?;
        let number = word.parse().ok().filter(|n| (least..=most).contains(n));
        let expected = || format!("expected {what}, a number from {least} to {most}");
        number.ok_or_else(|| self.source.error(place, expected()))
    }

    fn end(&mut self) -> Result<(), FormError> {
        let rest = self.rest.trim_start();
        match rest.is_empty() {
            true => Ok(()),
            false => {
                Err(self.source.error_in(rest, "expected the end: all that was counted is read"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_and_its_constraints_are_read() -> Result<(), FormError> {
        let model = read_casa(("m", "2\n3\n2 3 2\n"), Some(("c", "2\n2\n- 0 - 4\n1\n+ 6\n")))?;
        assert_eq!(model.strength(), Some(2));
        assert_eq!(
            model.parameters().iter().map(|p| p.values().len()).collect::<Vec<_>>(),
            [2, 3, 2]
        );
        assert_eq!(model.constraints()[0].text(), "not v0 or not v4");
        Ok(())
    }

    #[test]
    fn what_is_not_of_the_form_is_pointed_at() {
        for (model, constraints, place, says) in [
            ("2\n2\n2 x\n", "0", (3, 3), "values of parameter 1"),
            ("2\n2\n2\n", "0", (4, 1), "ends where"),
            ("9\n2\n2 2\n", "0", (1, 1), "strength"),
            ("2\n2\n2 2\n7", "0", (4, 1), "the end"),
            ("2\n2\n2 2\n", "1\n2\n- 0 * 3\n", (3, 5), "`-` or `+`"),
            ("2\n2\n2 2\n", "1\n2\n- 0 - 4\n", (3, 7), "0 to 3"),
            ("2\n2\n2 2\n", "99999999999999999999", (1, 1), "number of constraints"),
        ] {
            let error = read_casa(("m", model), Some(("c", constraints))).expect_err(model);
            assert_eq!((error.line(), error.column()), place, "{error}");
            assert!(error.what().contains(says), "{error}");
        }
    }
}
