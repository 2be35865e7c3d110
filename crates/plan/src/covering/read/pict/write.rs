//! A model in PICT's form.

use std::fmt::Write as _;

use super::super::super::condition::Expr;
use super::super::super::model::Model;

/// The model in PICT's form. Parameters and values are named by their places (`p0`, `p0v1`), since
/// PICT's form cannot hold every name; rows that PICT makes can be read back by
/// [`read_pict_rows`](super::read_pict_rows) with the same model's places.
///
/// Constraints are written as they are resolved, so that PICT and this library work on the same.
pub fn write_pict(model: &Model) -> String {
    let mut text = String::new();
    for (p, parameter) in model.parameters().iter().enumerate() {
        let values = parameter.values().iter().enumerate().map(|(v, value)| {
            let mark = if value.is_negative() { "~" } else { "" };
            match value.weight {
                1 => format!("{mark}p{p}v{v}"),
                weight => format!("{mark}p{p}v{v} ({weight})"),
            }
        });
        let _ = writeln!(text, "p{p}: {}", values.collect::<Vec<_>>().join(", "));
    }
    for group in model.groups() {
        let names = group.parameters().iter().map(|p| format!("p{}", p.index()));
        let names = names.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "{{ {names} }} @ {}", group.strength());
    }
    text.push('\n');
    for constraint in model.constraints() {
        // In parentheses, since PICT takes a line that begins with NOT for a parameter.
        let _ = writeln!(text, "({});", expr(constraint.expr()));
    }
    text
}

fn expr(e: &Expr) -> String {
    let joined = |list: &[Expr], by: &str| {
        format!("({})", list.iter().map(expr).collect::<Vec<_>>().join(by))
    };
    // Something that always holds, for lists without members.
    let always = "([p0] = [p0])";
    match e {
        Expr::In { parameter, values } => match values.as_slice() {
            [] => format!("NOT {always}"),
            [one] => format!("[p{parameter}] = \"p{parameter}v{one}\""),
            many => {
                let names = many.iter().map(|v| format!("\"p{parameter}v{v}\""));
                format!("[p{parameter}] IN {{{}}}", names.collect::<Vec<_>>().join(", "))
            }
        },
        Expr::Pairs { parameters: [a, b], values } if !values.is_empty() => {
            let pair =
                |[x, y]: &[usize; 2]| format!("([p{a}] = \"p{a}v{x}\" AND [p{b}] = \"p{b}v{y}\")");
            format!("({})", values.iter().map(pair).collect::<Vec<_>>().join(" OR "))
        }
        Expr::All(list) if list.is_empty() => always.to_owned(),
        Expr::All(list) => joined(list, " AND "),
        Expr::Any(list) if !list.is_empty() => joined(list, " OR "),
        Expr::Pairs { .. } | Expr::Any(_) => format!("NOT {always}"),
        Expr::Not(inner) => format!("NOT {}", expr(inner)),
    }
}
