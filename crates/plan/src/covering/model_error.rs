//! Why a model cannot be as it was put together.

/// Why a model cannot be as it was put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Nothing to cover.
    #[error("the model has no parameter; add at least one")]
    Empty,
    /// A name given twice.
    #[error("two parameters are named {0:?}; names are compared without regard to case")]
    DoubleParameter(String),
    /// A name without a character.
    #[error("a parameter or value has an empty name")]
    NoName,
    /// A parameter without a value.
    #[error("parameter {0:?} has no value; a parameter needs at least one")]
    NoValue(String),
    /// A parameter without a value that is not negative.
    #[error("all values of parameter {0:?} are negative; it needs at least one that is accepted")]
    OnlyNegative(String),
    /// A value given twice.
    #[error("parameter {parameter:?} has two values named {value:?}")]
    DoubleValue {
        /// The parameter.
        parameter: String,
        /// The name or alias.
        value: String,
    },
    /// More than the bounds of this library.
    #[error("the model has {count} {what}; at most {most} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many are taken.
        most: usize,
    },
    /// A constraint over a parameter that is not of this model.
    #[error("constraint {constraint:?} is about a parameter of another model")]
    ForeignParameter {
        /// The constraint's text.
        constraint: String,
    },
    /// A constraint names a value that is not there.
    #[error("constraint {constraint:?}: parameter {parameter:?} has no value {value:?}")]
    UnknownValue {
        /// The constraint's text.
        constraint: String,
        /// The parameter.
        parameter: String,
        /// What was looked for.
        value: String,
    },
    /// Numbers compared with names.
    #[error(
        "constraint {constraint:?} compares {parameter:?} by size with a value of another type"
    )]
    MixedTypes {
        /// The constraint's text.
        constraint: String,
        /// The parameter.
        parameter: String,
    },
    /// A constraint nested deeper than is followed.
    #[error("constraint {constraint:?} is nested more than {most} deep")]
    TooDeep {
        /// The constraint's text, its beginning.
        constraint: String,
        /// How deep is followed.
        most: usize,
    },
    /// A strength that a group of parameters cannot have.
    #[error(
        "strength {strength} for a group of {parameters} parameters; it is 1 to 6 and at most their number"
    )]
    GroupStrength {
        /// What was asked for.
        strength: usize,
        /// How many distinct parameters the group has.
        parameters: usize,
    },
}
