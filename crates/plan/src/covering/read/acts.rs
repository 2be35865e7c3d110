//! NIST ACTS' model files: `[System]`, `[Parameter]`, `[Relation]`, `[Constraint]`.
//!
//! Parameters are `name (type) : value, value` with the types `int`, `enum` and `boolean`, relations
//! `R1 : (a, b, c, strength)`, constraints one a line with `&& || ! =>` over `= != < <= > >=`.
//! Arithmetic on parameters is refused with the place it stands at. `[Test Set]` is skipped.

use super::super::Condition;
use super::super::model::{HIGHEST_STRENGTH, Model, ModelBuilder, Parameter, ParameterId, Value};
use super::formula::{Formula, Word};
use hospitium_model::FormError;

use super::text::Source;

#[derive(Clone, Copy, PartialEq)]
enum Section {
    None,
    System,
    Parameter,
    Relation,
    Constraint,
    Skipped,
}

/// Reads a model in ACTS' form. `file` is its name, for errors.
///
/// # Errors
/// The first place where the text is not of the form.
pub fn read_acts(file: &str, text: &str) -> Result<Model, FormError> {
    let source = Source::new(file, text)?;
    let mut builder = Model::builder();
    let mut section = Section::None;
    for line in source.text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with("--") || content.starts_with("//") {
            continue;
        }
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = named(source, name)?;
            continue;
        }
        match section {
            Section::None => {
                return Err(source.error_in(content, "expected a section, such as `[System]`"));
            }
            Section::System | Section::Skipped => {}
            Section::Parameter => parameter(source, content, &mut builder)?,
            Section::Relation => relation(source, content, &mut builder)?,
            Section::Constraint => {
                let from = source.at(content);
                let mut formula =
                    Formula::new(source, from, from + content.len(), &["--", "//"], false)?;
                let condition = implication(&mut formula, &builder)?;
                if *formula.peek() != Word::End {
                    return Err(formula.expected("an operator (&&, ||, =>) or the line's end"));
                }
                builder.require(content, condition);
            }
        }
    }
    builder.build().map_err(|error| source.error(source.text.len(), error.to_string()))
}

fn named(source: Source<'_>, name: &str) -> Result<Section, FormError> {
    Ok(match name.trim().to_ascii_lowercase().as_str() {
        "system" => Section::System,
        "parameter" | "parameters" => Section::Parameter,
        "relation" | "relations" => Section::Relation,
        "constraint" | "constraints" => Section::Constraint,
        "test set" | "misc" => Section::Skipped,
        _ => {
            let message = "expected [System], [Parameter], [Relation], [Constraint] or [Test Set]";
            return Err(source.error_in(name, message));
        }
    })
}

/// `name (type) : value, value`
fn parameter(source: Source<'_>, line: &str, builder: &mut ModelBuilder) -> Result<(), FormError> {
    let Some((head, values)) = line.split_once(':') else {
        return Err(source.error_in(line, "expected `name (type) : value, value`"));
    };
    let typed = head.trim().strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    let Some((name, kind)) = typed else {
        return Err(
            source.error_in(head, "expected a name with its type in parentheses before `:`")
        );
    };
    let (name, kind) = (name.trim(), kind.trim());
    if name.is_empty() {
        return Err(source.error_in(head, "expected a parameter's name"));
    }
    if builder.find(name).is_some() {
        return Err(source.error_in(head, format!("parameter {name:?} is there already")));
    }
    source.room_for(line, builder.parameters().len(), values)?;
    let mut all: Vec<Value> = Vec::new();
    for part in values.split(',') {
        let text = part.trim();
        let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let wrong = match kind.to_ascii_lowercase().as_str() {
            _ if text.is_empty() => Some("expected a value"),
            _ if text.contains(';') => Some("values after `;` are not supported; separate by `,`"),
            "int" => text.parse::<i64>().is_err().then_some("expected a whole number"),
            "boolean" | "bool" => {
                let boolean = ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
                (!boolean).then_some("expected `true` or `false`")
            }
            "enum" => None,
            _ => return Err(source.error_in(kind, "expected the type int, enum or boolean")),
        };
        if let Some(wrong) = wrong {
            return Err(source.error_in(part.trim_start(), wrong));
        }
        if all.iter().any(|value| value.name() == text) {
            return Err(source.error_in(part.trim_start(), "this value is there already"));
        }
        all.push(Value::new(text));
    }
    builder.parameter(name, all);
    Ok(())
}

/// `R1 : (a, b, c, strength)`
fn relation(source: Source<'_>, line: &str, builder: &mut ModelBuilder) -> Result<(), FormError> {
    let inside = line.split_once(':').map(|(_, rest)| rest.trim());
    let inside = inside.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    let Some((names, strength)) = inside.and_then(|inside| inside.rsplit_once(',')) else {
        return Err(source.error_in(line, "expected `name : (parameter, parameter, strength)`"));
    };
    let mut members: Vec<ParameterId> = Vec::new();
    for part in names.split(',') {
        let name = part.trim();
        let missing =
            || source.error_in(part.trim_start(), format!("no parameter is named {name:?}"));
        let id = builder.find(name).ok_or_else(missing)?;
        if members.contains(&id) {
            return Err(
                source.error_in(part.trim_start(), "this parameter is in the relation already")
            );
        }
        members.push(id);
    }
    let most = HIGHEST_STRENGTH.min(members.len());
    let order = strength.trim().parse().ok().filter(|n| (1..=most).contains(n));
    let expected = || {
        let message = format!("expected the relation's strength, a number from 1 to {most}");
        source.error_in(strength.trim_start(), message)
    };
    builder.group(members, order.ok_or_else(expected)?);
    Ok(())
}

/// `=>` binds least, and to the right.
fn implication(formula: &mut Formula<'_>, builder: &ModelBuilder) -> Result<Condition, FormError> {
    formula.deeper(|formula| {
        let condition = disjunction(formula, builder)?;
        match formula.mark("=>") || formula.mark("->") {
            true => Ok(condition.implies(implication(formula, builder)?)),
            false => Ok(condition),
        }
    })
}

fn disjunction(formula: &mut Formula<'_>, builder: &ModelBuilder) -> Result<Condition, FormError> {
    let mut any = vec![conjunction(formula, builder)?];
    while formula.mark("||") || formula.keyword("or") {
        any.push(conjunction(formula, builder)?);
    }
    Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
}

fn conjunction(formula: &mut Formula<'_>, builder: &ModelBuilder) -> Result<Condition, FormError> {
    let mut all = vec![term(formula, builder)?];
    while formula.mark("&&") || formula.keyword("and") {
        all.push(term(formula, builder)?);
    }
    Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
}

fn term(formula: &mut Formula<'_>, builder: &ModelBuilder) -> Result<Condition, FormError> {
    if formula.mark("!") || formula.keyword("not") {
        return formula.deeper(|formula| Ok(term(formula, builder)?.not()));
    }
    if formula.mark("(") {
        let inner = implication(formula, builder)?;
        formula.need(")", "after the condition in parentheses")?;
        return Ok(inner);
    }
    let Word::Bare(name) = formula.peek().clone() else {
        return Err(formula.expected("a parameter, `!` or `(`"));
    };
    let missing = || formula.source.error(formula.at(), format!("no parameter is named {name:?}"));
    let id = builder.find(&name).ok_or_else(missing)?;
    formula.take();
    let parameter = &builder.parameters()[id.index()];
    let Some(relation) = formula.relation() else {
        return alone(formula, id, parameter);
    };
    let at = formula.at();
    let condition = match formula.peek().clone() {
        Word::Quoted(text) => {
            formula.take();
            formula.against((id, parameter), relation, &text, at)?
        }
        Word::Bare(text) => {
            formula.take();
            let other = builder.find(&text).filter(|_| parameter.value(&text).is_none());
            match other {
                Some(other) => {
                    let right = (other, &builder.parameters()[other.index()]);
                    formula.between((id, parameter), relation, right, at)?
                }
                None => formula.against((id, parameter), relation, &text, at)?,
            }
        }
        _ => return Err(formula.expected("a value or a parameter")),
    };
    arithmetic(formula)?;
    Ok(condition)
}

/// A boolean parameter by itself says that it is true.
fn alone(
    formula: &Formula<'_>,
    id: ParameterId,
    parameter: &Parameter,
) -> Result<Condition, FormError> {
    arithmetic(formula)?;
    let boolean = |value: &Value| {
        ["true", "false"].iter().any(|word| value.name().eq_ignore_ascii_case(word))
    };
    if !parameter.values().iter().all(boolean) {
        return Err(formula.expected("a relation (=, !=, <, <=, >, >=) after the parameter"));
    }
    let values = parameter.values().iter().enumerate();
    let truths = values.filter(|(_, value)| value.name().eq_ignore_ascii_case("true"));
    Ok(Condition::At(id, truths.map(|(place, _)| place).collect()))
}

fn arithmetic(formula: &Formula<'_>) -> Result<(), FormError> {
    match formula.peek() {
        Word::Mark("+" | "-" | "*" | "/" | "%") => {
            let message = "arithmetic on parameters is not supported; list the values that may \
                           stand together";
            Err(formula.source.error(formula.at(), message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "[System]\n-- a name\nName: lab\n\n[Parameter]\nbus (enum) : ide, sata\n\
        vcpus (int) : 1, 2, 8\nspare (int) : 2, 4\nnested (boolean) : TRUE, FALSE\n[Relation]\n\
        R1 : (bus, vcpus, nested, 3)\n[Constraint]\n(bus = \"ide\") => vcpus < 8\n\
        !nested || vcpus != 1 && spare > vcpus\n[Test Set]\nanything\n";

    #[test]
    fn a_model_is_read() -> Result<(), FormError> {
        let model = read_acts("lab.acts", MODEL)?;
        assert_eq!(model.parameters().len(), 4);
        assert_eq!(model.groups()[0].strength(), 3);
        assert_eq!(model.constraints()[0].text(), "(bus = \"ide\") => vcpus < 8");
        assert_eq!(model.constraints().len(), 2);
        Ok(())
    }

    #[test]
    fn what_is_not_of_the_form_is_pointed_at() {
        for (line, column, says) in [
            ("bus = \"scsi\"", 7, "it has ide, sata"),
            ("bsu = \"ide\"", 1, "no parameter"),
            ("vcpus = 1 +", 11, "arithmetic"),
            ("vcpus + spare > 3", 7, "arithmetic"),
            ("vcpus < \"x\"", 9, "expected a number"),
            ("bus", 4, "relation"),
            ("(nested", 8, "`)`"),
            ("nested nested", 8, "operator"),
            ("\"unfinished", 1, "no `\"`"),
            ("vcpus = §", 9, "no meaning"),
        ] {
            let text = format!("{MODEL}[Constraint]\n{line}\n");
            let error = read_acts("lab.acts", &text).expect_err(line);
            assert_eq!((error.line(), error.column()), (18, column), "{error}");
            assert!(error.what().contains(says), "{error}");
        }
        for (text, says) in [
            ("x (enum): a", "a section"),
            ("[Nothing]", "expected [System]"),
            ("[Parameter]\nx (float): 1.5", "type int, enum"),
            ("[Parameter]\nx (int): 1, y", "whole number"),
            ("[Parameter]\nx : 1", "type in parentheses"),
            ("[Parameter]\nx (int): 1\n[Relation]\nR: (x, 2)", "strength"),
            ("", "no parameter"),
        ] {
            let error = read_acts("m", text).expect_err(text);
            assert!(error.what().contains(says), "{error}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{MODEL}[Constraint]\n{}nested{}", "(".repeat(5000), ")".repeat(5000));
        let error = read_acts("m", &deep).expect_err("too deep");
        assert!(error.what().contains("deeper"), "{error}");
        let nots = format!("{MODEL}[Constraint]\n{}nested", "!".repeat(5000));
        assert!(read_acts("m", &nots).is_err());
    }
}
