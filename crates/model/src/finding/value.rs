//! An observed value: how it compares, and how it reads.

use std::fmt;

use serde::Serialize;

/// An observed value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A count, or a whole number of the finding's unit.
    Int(i64),
    /// A measured number in the finding's unit.
    Float(f64),
    /// Text: a name, a digest in hexadecimal, a version.
    Text(String),
    /// Several, in order.
    List(Vec<Value>),
}

impl Value {
    /// As a number, if it is one.
    #[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds stay far below 2^53")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Float(n) => Some(*n),
            _ => None,
        }
    }

    /// Equal, where 2 and 2.0 are.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (a, b) => match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => a == b,
                _ => a == b,
            },
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("yes"),
            Self::Bool(false) => f.write_str("no"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(n) => {
                let digits = if n.abs() >= 100.0 { 1 } else { 4 };
                let text = format!("{n:.digits$}");
                f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Text(text) => f.write_str(text),
            Self::List(list) if list.is_empty() => f.write_str("none"),
            Self::List(list) => {
                for (i, value) in list.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{value}")?;
                }
                Ok(())
            }
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
value_from!(bool => Bool, i64 => Int, i32 => Int, u32 => Int, u16 => Int, u8 => Int, f64 => Float, &str => Text, String => Text);

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::Text(value.to_string()), Self::Int)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        (value as u64).into()
    }
}

impl From<crate::Digest> for Value {
    fn from(value: crate::Digest) -> Self {
        Self::Text(value.to_string())
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        values.into_iter().collect()
    }
}
