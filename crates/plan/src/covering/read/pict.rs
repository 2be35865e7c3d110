//! Microsoft PICT's model files, its files of rows, and models written as such.
//!
//! Read as PICT's own documentation describes them (doc/pict.md of its repository): parameters
//! with values, `|` aliases, `~` negative values, `(n)` weights and `<name>` for the values of
//! another parameter; sub-models `{ A, B } @ 3`; constraints. A sub-model here means that
//! combinations among its parameters are covered at its order; all others are covered at that of
//! the model. PICT takes the rows of a sub-model as values of one parameter, which covers more.

use super::super::Condition;
use super::super::model::{
    HIGHEST_STRENGTH, Model, ModelBuilder, Parameter, ParameterId, Value, same,
};
use super::formula::{Formula, Word, no_value};
use hospitium_model::FormError;

use super::text::Source;

mod rows;
mod write;

pub use rows::read_pict_rows;
pub use write::write_pict;

/// Reads a model in PICT's form. `file` is its name, for errors.
///
/// # Errors
/// The first place where the text is not of the form.
pub fn read_pict(file: &str, text: &str) -> Result<Model, FormError> {
    let source = Source::new(file, text)?;
    let mut builder = Model::builder();
    let mut constraints = source.text.len();
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            at += line.len();
            continue;
        }
        if starts_constraint(content) {
            constraints = at;
            break;
        }
        if content.starts_with('{') {
            sub_model(source, content, &mut builder)?;
        } else {
            parameter(source, content, &mut builder)?;
        }
        at += line.len();
    }
    let mut formula = Formula::new(source, constraints, source.text.len(), &["#"], true)?;
    while *formula.peek() != Word::End {
        let from = formula.at();
        let condition = constraint(&mut formula, &builder)?;
        let said = source.text[from..formula.at()].trim().trim_end_matches(';');
        formula.need(";", "at the end of a constraint")?;
        builder.require(one_line(said), condition);
    }
    builder.build().map_err(|error| source.error(constraints, error.to_string()))
}

/// A constraint's text in one line, without comments.
fn one_line(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn starts_constraint(line: &str) -> bool {
    let word = |word: &str| {
        line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            && line[word.len()..].starts_with(|c: char| c.is_whitespace() || "([".contains(c))
    };
    line.starts_with(['[', '('])
        || word("if") && !line.contains(':')
        || word("if") && line.contains('[')
        || (word("not") || is_function(line)) && line.contains('[')
}

fn is_function(line: &str) -> bool {
    ["isnegative", "ispositive"]
        .iter()
        .any(|name| line.get(..name.len()).is_some_and(|s| s.eq_ignore_ascii_case(name)))
}

/// `Name: value, value | alias, ~value (weight), <other parameter>`
fn parameter(source: Source<'_>, line: &str, builder: &mut ModelBuilder) -> Result<(), FormError> {
    let Some((name, values)) = line.split_once(':') else {
        let message = "expected a parameter (`Name: value, value`), a sub-model (`{ A, B } @ 2`) or a \
                       constraint (`IF [A] = \"x\" THEN …;`)";
        return Err(source.error_in(line, message));
    };
    if let Some(other) = builder.find(name.trim()) {
        let message =
            format!("parameter {:?} is there already", builder.parameters()[other.index()].name());
        return Err(source.error_in(name, message));
    }
    if name.trim().is_empty() {
        return Err(source.error_in(line, "expected a parameter's name before `:`"));
    }
    source.room_for(line, builder.parameters().len(), values)?;
    let mut all: Vec<Value> = Vec::new();
    for part in values.split(',') {
        let word = part.trim();
        if word.is_empty() {
            return Err(source.error_in(part, "expected a value before `,` or the line's end"));
        }
        let found = match word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            Some(other) => {
                let id = builder.find(other.trim()).ok_or_else(|| {
                    let message = format!("no parameter {:?} before this line", other.trim());
                    source.error_in(word, message)
                })?;
                builder.parameters()[id.index()].values().to_vec()
            }
            None => vec![value(source, word)?],
        };
        for value in found {
            if all.iter().any(|known| known.name() == value.name()) {
                let message = format!("value {:?} is there already", value.name());
                return Err(source.error_in(word, message));
            }
            all.push(value);
        }
    }
    builder.parameter(name.trim(), all);
    Ok(())
}

fn value(source: Source<'_>, word: &str) -> Result<Value, FormError> {
    let (text, weight) = match word.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
        Some((text, digits)) if !text.trim().is_empty() => match digits.trim().parse::<u32>() {
            Ok(weight @ 1..) => (text.trim(), weight),
            Ok(0) => return Err(source.error_in(digits, "a weight is 1 or more")),
            // Parentheses that hold no number are part of the name.
            Err(_) => (word, 1),
        },
        _ => (word, 1),
    };
    let (negative, text) = match text.strip_prefix('~') {
        Some(rest) => (true, rest.trim()),
        None => (false, text),
    };
    let mut names = text.split('|').map(str::trim);
    let first = names.next().unwrap_or_default();
    let mut value = Value::new(first).weight(weight);
    for alias in names {
        if alias.is_empty() {
            return Err(source.error_in(word, "expected another name after `|`"));
        }
        value = value.alias(alias.strip_prefix('~').unwrap_or(alias));
    }
    if first.is_empty() {
        return Err(source.error_in(word, "expected a value's name"));
    }
    Ok(if negative { value.negative() } else { value })
}

/// `{ A, B, C } @ 3`
fn sub_model(source: Source<'_>, line: &str, builder: &mut ModelBuilder) -> Result<(), FormError> {
    let Some((inside, after)) = line[1..].split_once('}') else {
        return Err(
            source.error(source.at(line) + line.len(), "expected `}` at the sub-model's end")
        );
    };
    let mut members: Vec<ParameterId> = Vec::new();
    for part in inside.split(',') {
        let missing = || {
            let message = format!("no parameter {:?} before this line", part.trim());
            source.error_in(part.trim_start(), message)
        };
        let id = builder.find(part.trim()).ok_or_else(missing)?;
        if members.contains(&id) {
            return Err(
                source.error_in(part.trim_start(), "this parameter is in the sub-model already")
            );
        }
        members.push(id);
    }
    let after = after.trim();
    let strength = match after.strip_prefix('@').map(str::trim) {
        Some(digits) => {
            let order = digits.parse().ok();
            let most = HIGHEST_STRENGTH.min(members.len());
            order.filter(|n| (1..=most).contains(n)).ok_or_else(|| {
                source.error_in(
                    digits,
                    format!("expected the sub-model's order, a number from 1 to {most}"),
                )
            })?
        }
        None if after.is_empty() => members.len().min(2),
        None => return Err(source.error_in(after, "expected `@` and the sub-model's order")),
    };
    builder.group(members, strength);
    Ok(())
}

/// `IF … THEN … ELSE …` or a condition that always holds.
fn constraint(formula: &mut Formula<'_>, builder: &ModelBuilder) -> Result<Condition, FormError> {
    if !formula.keyword("IF") {
        return disjunction(formula, builder);
    }
    let condition = disjunction(formula, builder)?;
    if !formula.keyword("THEN") {
        return Err(formula.expected("AND, OR or THEN"));
    }
    let then = disjunction(formula, builder)?;
    if !formula.keyword("ELSE") {
        return Ok(condition.implies(then));
    }
    let otherwise = disjunction(formula, builder)?;
    Ok(Condition::All(vec![
        condition.clone().implies(then),
        Condition::Any(vec![condition, otherwise]),
    ]))
}

fn disjunction(formula: &mut Formula<'_>, builder: &ModelBuilder) -> Result<Condition, FormError> {
    formula.deeper(|formula| {
        let mut any = vec![conjunction(formula, builder)?];
        while formula.keyword("OR") {
            any.push(conjunction(formula, builder)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
    })
}

fn conjunction(formula: &mut Formula<'_>, builder: &ModelBuilder) -> Result<Condition, FormError> {
    let mut all = vec![term(formula, builder)?];
    while formula.keyword("AND") {
        all.push(term(formula, builder)?);
    }
    Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
}

fn term(formula: &mut Formula<'_>, builder: &ModelBuilder) -> Result<Condition, FormError> {
    if formula.keyword("NOT") {
        return formula.deeper(|formula| Ok(term(formula, builder)?.not()));
    }
    if formula.mark("(") {
        let inner = disjunction(formula, builder)?;
        formula.need(")", "after the condition in parentheses")?;
        return Ok(inner);
    }
    for (name, negative) in [("IsNegative", true), ("IsPositive", false)] {
        if formula.keyword(name) {
            formula.need("(", "after the function's name")?;
            let (id, parameter) = operand(formula, builder)?;
            formula.need(")", "after the function's parameter")?;
            let values = parameter.values().iter().enumerate();
            let such = values.filter(|(_, value)| value.is_negative() == negative);
            return Ok(Condition::At(id, such.map(|(place, _)| place).collect()));
        }
    }
    let left = operand(formula, builder)?;
    let negated = matches!(formula.peek(), Word::Bare(word) if word.eq_ignore_ascii_case("not"));
    if negated {
        formula.take();
    }
    let condition = if formula.keyword("LIKE") {
        match formula.take() {
            Word::Quoted(pattern) => Condition::Like(left.0, pattern),
            _ => return Err(formula.expected("a pattern in quotes after LIKE")),
        }
    } else if formula.keyword("IN") {
        members(formula, left)?
    } else if negated {
        return Err(formula.expected("IN or LIKE after NOT"));
    } else {
        comparison(formula, builder, left)?
    };
    Ok(if negated { condition.not() } else { condition })
}

fn operand<'b>(
    formula: &mut Formula<'_>,
    builder: &'b ModelBuilder,
) -> Result<(ParameterId, &'b Parameter), FormError> {
    let Word::Bracketed(name) = formula.peek() else {
        return Err(formula.expected("a parameter in brackets, NOT or `(`"));
    };
    let id = builder.find(name);
    let missing = || formula.source.error(formula.at(), format!("no parameter is named {name:?}"));
    let id = id.ok_or_else(missing)?;
    formula.take();
    Ok((id, &builder.parameters()[id.index()]))
}

fn comparison(
    formula: &mut Formula<'_>,
    builder: &ModelBuilder,
    left: (ParameterId, &Parameter),
) -> Result<Condition, FormError> {
    let Some(relation) = formula.relation() else {
        return Err(
            formula.expected("a relation (=, <>, <, <=, >, >=, LIKE, IN) after the parameter")
        );
    };
    let at = formula.at();
    match formula.peek().clone() {
        Word::Bracketed(_) => {
            let right = operand(formula, builder)?;
            formula.between(left, relation, right, at)
        }
        Word::Quoted(text) | Word::Bare(text) => {
            formula.take();
            formula.against(left, relation, &text, at)
        }
        _ => Err(formula.expected("a value or a parameter in brackets")),
    }
}

/// `IN { "a", "b" }`
fn members(
    formula: &mut Formula<'_>,
    (id, parameter): (ParameterId, &Parameter),
) -> Result<Condition, FormError> {
    formula.need("{", "after IN")?;
    let mut places = Vec::new();
    loop {
        let at = formula.at();
        let (Word::Quoted(name) | Word::Bare(name)) = formula.peek().clone() else {
            return Err(formula.expected("a value of the set"));
        };
        formula.take();
        let number = name.trim().parse::<f64>().ok();
        let matches = |value: &Value| {
            same(value.name(), &name) || value.number().is_some() && value.number() == number
        };
        let place = parameter.value(&name);
        let place = place.or_else(|| parameter.values().iter().position(matches));
        let missing = || formula.source.error(at, no_value(parameter, &name));
        places.push(place.ok_or_else(missing)?);
        if !formula.mark(",") {
            break;
        }
    }
    formula.need("}", "after the last value of the set")?;
    Ok(Condition::At(id, places))
}

#[cfg(test)]
mod tests;
