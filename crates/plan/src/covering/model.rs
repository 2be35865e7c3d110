//! The model: parameters, their values, the constraints among them, and the strengths promised.

use std::collections::HashMap;

use super::condition::{Condition, Expr, resolve};
use super::model_error::ModelError;

/// Parameters of one model at most.
pub const MOST_PARAMETERS: usize = 2_000;
/// Values of all parameters together at most.
pub const MOST_VALUES: usize = 20_000;
/// Values written in all constraints together at most, as they are resolved.
const MOST_PLACES: usize = 5_000_000;
/// Highest strength.
pub const HIGHEST_STRENGTH: usize = 6;

/// A parameter of the model that handed it out: its place in [`Model::parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(pub(super) usize);

impl ParameterId {
    /// Its place in [`Model::parameters`], from 0.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// One value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) number: Option<f64>,
    pub(super) weight: u32,
    pub(super) negative: bool,
}

impl Value {
    /// A value by name. A name that is a number in decimal form can be compared as one.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let number = name.trim().parse().ok().filter(|n: &f64| n.is_finite());
        Self { name, aliases: Vec::new(), number, weight: 1, negative: false }
    }

    /// How much it is preferred where coverage leaves the choice; 1 if not said.
    #[must_use]
    pub fn weight(self, weight: u32) -> Self {
        Self { weight: weight.max(1), ..self }
    }

    /// Another name for the same value.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.aliases.push(alias.into());
        self
    }

    /// A value the system is to refuse. A row holds at most one such value, and a row with one
    /// covers no combination of ordinary values, because the refusal may mask everything else.
    #[must_use]
    pub fn negative(self) -> Self {
        Self { negative: true, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, if its name is one.
    pub fn number(&self) -> Option<f64> {
        self.number
    }

    /// Is it one that the system is to refuse?
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    fn goes_by(&self, name: &str) -> bool {
        same(&self.name, name) || self.aliases.iter().any(|alias| same(alias, name))
    }
}

impl<S: Into<String>> From<S> for Value {
    fn from(name: S) -> Self {
        Self::new(name)
    }
}

/// Names are compared as PICT compares them: without regard to case.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

/// A parameter and its values, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub(super) name: String,
    pub(super) values: Vec<Value>,
}

impl Parameter {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its values; a row holds places in this list.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The place of the value that goes by this name or alias.
    pub fn value(&self, name: &str) -> Option<usize> {
        let exact = self.values.iter().position(|value| value.name == name);
        exact.or_else(|| self.values.iter().position(|value| value.goes_by(name)))
    }

    /// Are all its values numbers?
    pub fn is_numeric(&self) -> bool {
        self.values.iter().all(|value| value.number.is_some())
    }
}

/// A rule that every row obeys.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraint {
    pub(super) text: String,
    pub(super) expr: Expr,
}

impl Constraint {
    /// What it says, as its author wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its meaning over places of values.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }
}

/// Parameters whose combinations among themselves are covered at a strength of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub(super) parameters: Vec<ParameterId>,
    pub(super) strength: usize,
}

impl Group {
    /// Its parameters, ascending.
    pub fn parameters(&self) -> &[ParameterId] {
        &self.parameters
    }

    /// The strength at which their combinations are covered.
    pub fn strength(&self) -> usize {
        self.strength
    }
}

/// What is to be covered, checked and ready. Made by [`Model::builder`] or read from a text form.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(super) parameters: Vec<Parameter>,
    pub(super) constraints: Vec<Constraint>,
    pub(super) groups: Vec<Group>,
    pub(super) strength: Option<usize>,
}

impl Model {
    /// An empty model to add to.
    pub fn builder() -> ModelBuilder {
        ModelBuilder::default()
    }

    /// The parameters; a row has one value of each, in this order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The constraints, in the order given.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Groups of parameters with a strength of their own.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The strength that the model itself asks for, where its form can say so.
    pub fn strength(&self) -> Option<usize> {
        self.strength
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<ParameterId> {
        find(&self.parameters, name)
    }

    /// Has some parameter a value that the system is to refuse?
    pub fn has_negative_values(&self) -> bool {
        self.parameters.iter().any(|p| p.values.iter().any(|v| v.negative))
    }

    /// The name of a value of a row.
    pub fn value_name(&self, parameter: usize, value: usize) -> &str {
        let value = self.parameters.get(parameter).and_then(|p| p.values.get(value));
        value.map_or("?", |value| &value.name)
    }
}

fn find(parameters: &[Parameter], name: &str) -> Option<ParameterId> {
    let exact = parameters.iter().position(|p| p.name == name);
    exact.or_else(|| parameters.iter().position(|p| same(&p.name, name))).map(ParameterId)
}

/// Puts a [`Model`] together; errors are said at the end, by [`ModelBuilder::build`].
///
/// ```
/// use hospitium_plan::covering::Model;
///
/// let mut machine = Model::builder();
/// let firmware = machine.parameter("firmware", ["bios", "uefi"]);
/// let bus = machine.parameter("bus", ["virtio", "sata", "ide"]);
/// let vcpus = machine.parameter("vcpus", ["1", "2", "8"]);
/// machine.forbid("UEFI boots from no IDE disk", firmware.is("uefi").and(bus.is("ide")));
/// machine.require("IDE is for small machines", bus.is("ide").implies(vcpus.at_most(2)));
/// let model = machine.build()?;
/// assert_eq!(model.parameters().len(), 3);
/// # Ok::<(), hospitium_plan::covering::ModelError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ModelBuilder {
    parameters: Vec<Parameter>,
    conditions: Vec<(String, Condition)>,
    groups: Vec<Group>,
    strength: Option<usize>,
}

impl ModelBuilder {
    /// Adds a parameter with these values.
    pub fn parameter<V: Into<Value>>(
        &mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> ParameterId {
        let values = values.into_iter().map(Into::into).collect();
        self.parameters.push(Parameter { name: name.into(), values });
        ParameterId(self.parameters.len() - 1)
    }

    /// Every row must satisfy this condition. The text is what is shown as the reason.
    pub fn require(&mut self, text: impl Into<String>, condition: Condition) -> &mut Self {
        self.conditions.push((text.into(), condition));
        self
    }

    /// No row may satisfy this condition. The text is what is shown as the reason.
    pub fn forbid(&mut self, text: impl Into<String>, condition: Condition) -> &mut Self {
        self.require(text, condition.not())
    }

    /// Combinations of these parameters among themselves are covered at this strength, above or
    /// below that of the rest.
    pub fn group(
        &mut self,
        parameters: impl IntoIterator<Item = ParameterId>,
        strength: usize,
    ) -> &mut Self {
        let mut parameters: Vec<_> = parameters.into_iter().collect();
        parameters.sort_unstable();
        parameters.dedup();
        self.groups.push(Group { parameters, strength });
        self
    }

    /// The strength that the model itself asks for.
    pub fn strength(&mut self, strength: usize) -> &mut Self {
        self.strength = Some(strength);
        self
    }

    /// The parameters so far.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The parameter of this name, so far.
    pub fn find(&self, name: &str) -> Option<ParameterId> {
        find(&self.parameters, name)
    }

    /// The model, or the first thing wrong with it.
    ///
    /// # Errors
    /// One variant of [`ModelError`] a cause.
    pub fn build(self) -> Result<Model, ModelError> {
        check_parameters(&self.parameters)?;
        for group in &self.groups {
            let parameters = group.parameters.len();
            let wrong = group.strength == 0
                || group.strength > HIGHEST_STRENGTH.min(parameters)
                || group.parameters.iter().any(|p| p.0 >= self.parameters.len());
            if wrong {
                return Err(ModelError::GroupStrength { strength: group.strength, parameters });
            }
        }
        let mut count = 0;
        let constraints = self
            .conditions
            .into_iter()
            .map(|(text, condition)| {
                let expr = resolve(&text, condition, &self.parameters)?;
                count += expr.size();
                if count > MOST_PLACES {
                    let (what, most) = ("values in constraints", MOST_PLACES);
                    return Err(ModelError::TooMany { what, count, most });
                }
                Ok(Constraint { text, expr })
            })
            .collect::<Result<_, ModelError>>()?;
        Ok(Model {
            parameters: self.parameters,
            constraints,
            groups: self.groups,
            strength: self.strength,
        })
    }
}

fn check_parameters(parameters: &[Parameter]) -> Result<(), ModelError> {
    if parameters.is_empty() {
        return Err(ModelError::Empty);
    }
    let bounded = |what, count, most| match count > most {
        true => Err(ModelError::TooMany { what, count, most }),
        false => Ok(()),
    };
    bounded("parameters", parameters.len(), MOST_PARAMETERS)?;
    bounded("values", parameters.iter().map(|p| p.values.len()).sum(), MOST_VALUES)?;
    let mut names = HashMap::new();
    for parameter in parameters {
        if parameter.name.is_empty() {
            return Err(ModelError::NoName);
        }
        if names.insert(parameter.name.to_lowercase(), ()).is_some() {
            return Err(ModelError::DoubleParameter(parameter.name.clone()));
        }
        if parameter.values.is_empty() {
            return Err(ModelError::NoValue(parameter.name.clone()));
        }
        if parameter.values.iter().all(|value| value.negative) {
            return Err(ModelError::OnlyNegative(parameter.name.clone()));
        }
        let mut values = HashMap::new();
        for name in parameter.values.iter().flat_map(|v| v.aliases.iter().chain([&v.name])) {
            if name.is_empty() {
                return Err(ModelError::NoName);
            }
            if values.insert(name.clone(), ()).is_some() {
                let (parameter, value) = (parameter.name.clone(), name.clone());
                return Err(ModelError::DoubleValue { parameter, value });
            }
        }
    }
    Ok(())
}
