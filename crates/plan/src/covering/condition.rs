//! Conditions on a row: as people write them, and resolved to places of values.

use super::model::{Parameter, ParameterId, same};
use super::model_error::ModelError;

/// How deep a condition may be nested.
pub const DEEPEST: usize = 64;

/// Pairs of values that one comparison of parameters may have.
const MOST_PAIRS: usize = 250_000;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the relations' own names")]
pub enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    /// Does it hold between two values that are ordered so?
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A condition as people write it; names are looked up when the model is built.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The parameter has one of the values of these names.
    OneOf(ParameterId, Vec<String>),
    /// The parameter's value stands in this relation to the constant: by number if both are
    /// numbers, else by name.
    Against(ParameterId, Relation, String),
    /// The value's name matches a pattern of `*` (any characters) and `?` (one).
    Like(ParameterId, String),
    /// The parameter has one of the values at these places.
    At(ParameterId, Vec<usize>),
    /// The two parameters' values stand in this relation.
    Between(ParameterId, Relation, ParameterId),
    /// All of these; true if there are none.
    All(Vec<Condition>),
    /// At least one of these; false if there is none.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
}

impl Condition {
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::All(vec![self, other])
    }

    /// At least one of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::Any(vec![self, other])
    }

    /// Not this.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "reads as the others in a chain")]
    pub fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Where this holds, the other does.
    #[must_use]
    pub fn implies(self, other: Self) -> Self {
        Self::Any(vec![self.not(), other])
    }
}

impl ParameterId {
    /// The parameter has this value.
    pub fn is(self, value: impl Into<String>) -> Condition {
        Condition::OneOf(self, vec![value.into()])
    }

    /// The parameter has another value than this.
    pub fn is_not(self, value: impl Into<String>) -> Condition {
        self.is(value).not()
    }

    /// The parameter has one of these values.
    pub fn one_of<S: Into<String>>(self, values: impl IntoIterator<Item = S>) -> Condition {
        Condition::OneOf(self, values.into_iter().map(Into::into).collect())
    }

    /// The parameter is a number of at most this.
    pub fn at_most(self, limit: impl std::fmt::Display) -> Condition {
        Condition::Against(self, Relation::LessOrEqual, limit.to_string())
    }

    /// The parameter is a number of at least this.
    pub fn at_least(self, limit: impl std::fmt::Display) -> Condition {
        Condition::Against(self, Relation::GreaterOrEqual, limit.to_string())
    }

    /// The two parameters have the same value.
    pub fn equals(self, other: Self) -> Condition {
        Condition::Between(self, Relation::Equal, other)
    }

    /// This parameter's value is less than the other's.
    pub fn less_than(self, other: Self) -> Condition {
        Condition::Between(self, Relation::Less, other)
    }
}

/// A condition over places of parameters and values: nothing is left to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// The parameter's value is at one of these places, ascending.
    In {
        /// The parameter's place.
        parameter: usize,
        /// Places of values.
        values: Vec<usize>,
    },
    /// The values of two parameters are one of these pairs of places, ascending.
    Pairs {
        /// The parameters' places.
        parameters: [usize; 2],
        /// Pairs for which the relation holds.
        values: Vec<[usize; 2]>,
    },
    /// All of these.
    All(Vec<Expr>),
    /// At least one of these.
    Any(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
}

impl Expr {
    /// Places that are written in it, which is what it takes to hold it.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::In { values, .. } => 1 + values.len(),
            Self::Pairs { values, .. } => 1 + values.len(),
            Self::All(list) | Self::Any(list) => list.iter().map(Self::size).sum(),
            Self::Not(inner) => inner.size(),
        }
    }
}

/// Looks up the names of a condition.
pub(super) fn resolve(
    text: &str,
    condition: Condition,
    parameters: &[Parameter],
) -> Result<Expr, ModelError> {
    Resolver { text, parameters }.expr(condition, DEEPEST)
}

struct Resolver<'a> {
    text: &'a str,
    parameters: &'a [Parameter],
}

impl Resolver<'_> {
    fn text(&self) -> String {
        self.text.chars().take(200).collect()
    }

    fn parameter(&self, id: ParameterId) -> Result<&Parameter, ModelError> {
        let foreign = || ModelError::ForeignParameter { constraint: self.text() };
        self.parameters.get(id.0).ok_or_else(foreign)
    }

    fn expr(&self, condition: Condition, depth: usize) -> Result<Expr, ModelError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ModelError::TooDeep { constraint: self.text(), most: DEEPEST });
        };
        let each = |list: Vec<Condition>| {
            list.into_iter().map(|c| self.expr(c, depth)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match condition {
            Condition::All(list) => Expr::All(each(list)?),
            Condition::Any(list) => Expr::Any(each(list)?),
            Condition::Not(inner) => Expr::Not(Box::new(self.expr(*inner, depth)?)),
            Condition::OneOf(id, names) => {
                let parameter = self.parameter(id)?;
                let places = names
                    .iter()
                    .map(|name| parameter.value(name).ok_or_else(|| self.unknown(parameter, name)));
                places_of(id, places.collect::<Result<_, _>>()?)
            }
            Condition::At(id, places) => {
                let parameter = self.parameter(id)?;
                if let Some(place) = places.iter().find(|&&p| p >= parameter.values.len()) {
                    return Err(self.unknown(parameter, &format!("number {place}")));
                }
                places_of(id, places)
            }
            Condition::Like(id, pattern) => {
                let parameter = self.parameter(id)?;
                let matches = |&v: &usize| {
                    parameter.values.get(v).is_some_and(|value| like(&pattern, &value.name))
                };
                places_of(id, (0..parameter.values.len()).filter(matches).collect())
            }
            Condition::Against(id, relation, constant) => self.against(id, relation, &constant)?,
            Condition::Between(a, relation, b) => self.between(a, relation, b)?,
        })
    }

    fn unknown(&self, parameter: &Parameter, value: &str) -> ModelError {
        ModelError::UnknownValue {
            constraint: self.text(),
            parameter: parameter.name.clone(),
            value: value.to_owned(),
        }
    }

    fn mixed(&self, parameter: &Parameter) -> ModelError {
        ModelError::MixedTypes { constraint: self.text(), parameter: parameter.name.clone() }
    }

    fn against(
        &self,
        id: ParameterId,
        relation: Relation,
        constant: &str,
    ) -> Result<Expr, ModelError> {
        let parameter = self.parameter(id)?;
        if matches!(relation, Relation::Equal | Relation::NotEqual) {
            let number = constant.trim().parse::<f64>().ok();
            let by_number =
                || parameter.values.iter().position(|v| v.number.is_some() && v.number == number);
            let place = parameter.value(constant).or_else(by_number);
            let place = place.ok_or_else(|| self.unknown(parameter, constant))?;
            let equal = places_of(id, vec![place]);
            return Ok(match relation {
                Relation::Equal => equal,
                _ => Expr::Not(Box::new(equal)),
            });
        }
        let number = constant.trim().parse::<f64>().ok();
        if parameter.is_numeric() != number.is_some() {
            return Err(self.mixed(parameter));
        }
        let holds = |&v: &usize| {
            parameter.values.get(v).is_some_and(|value| {
                let order = match (value.number, number) {
                    (Some(a), Some(b)) => a.total_cmp(&b),
                    _ => value.name.to_lowercase().cmp(&constant.to_lowercase()),
                };
                relation.holds(order)
            })
        };
        Ok(places_of(id, (0..parameter.values.len()).filter(holds).collect()))
    }

    fn between(
        &self,
        a: ParameterId,
        relation: Relation,
        b: ParameterId,
    ) -> Result<Expr, ModelError> {
        let (left, right) = (self.parameter(a)?, self.parameter(b)?);
        let numeric = left.is_numeric() && right.is_numeric();
        let ordered = !matches!(relation, Relation::Equal | Relation::NotEqual);
        if ordered && left.is_numeric() != right.is_numeric() {
            return Err(self.mixed(left));
        }
        let count = left.values.len() * right.values.len();
        if count > MOST_PAIRS {
            return Err(ModelError::TooMany {
                what: "pairs of values compared",
                count,
                most: MOST_PAIRS,
            });
        }
        let mut values = Vec::new();
        for (i, x) in left.values.iter().enumerate() {
            for (j, y) in right.values.iter().enumerate() {
                let order = match (numeric, x.number, y.number) {
                    (true, Some(x), Some(y)) => x.total_cmp(&y),
                    _ if same(&x.name, &y.name) => std::cmp::Ordering::Equal,
                    _ => x.name.to_lowercase().cmp(&y.name.to_lowercase()),
                };
                if relation.holds(order) {
                    values.push([i, j]);
                }
            }
        }
        if a == b {
            let diagonal = values.iter().filter(|[i, j]| i == j).map(|[i, _]| *i).collect();
            return Ok(places_of(a, diagonal));
        }
        Ok(Expr::Pairs { parameters: [a.0, b.0], values })
    }
}

fn places_of(id: ParameterId, mut values: Vec<usize>) -> Expr {
    values.sort_unstable();
    values.dedup();
    Expr::In { parameter: id.0, values }
}

/// Does the text match a pattern of `*` and `?`, without regard to case?
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let (mut p, mut t, mut back) = (0, 0, None);
    // The last star is the only one worth going back to: it takes one character more each time.
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || Some(&c) == text.get(t) => (p, t) = (p + 1, t + 1),
            _ => match back {
                Some((star, taken)) => {
                    back = Some((star, taken + 1));
                    (p, t) = (star + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_as_a_shell_would() {
        for (pattern, text) in
            [("*", ""), ("a*c", "abbc"), ("?b*", "AB"), ("*b*b", "abab"), ("x", "X")]
        {
            assert!(like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a?", "a"), ("*b", "abc"), ("a*c", "ab")] {
            assert!(!like(pattern, text), "{pattern} {text}");
        }
    }
}
