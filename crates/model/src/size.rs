//! Sizes in bytes, written the way people write them (`512 MiB`).

use std::fmt;
use std::str::FromStr;

use crate::text_form::text_form;

/// A number of bytes. Text form: a whole number and one of `B KiB MiB GiB TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String, examples("512 MiB")))]
pub struct ByteSize(u64);

/// Not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a size; write for example \"512 MiB\" or \"8 GiB\"")]
pub struct ByteSizeError {
    text: String,
}

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    /// This many bytes.
    pub const fn bytes(count: u64) -> Self {
        Self(count)
    }

    /// This many mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// This many gibibytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// The size in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The size in whole mebibytes, rounded down.
    pub const fn as_mib(self) -> u64 {
        self.0 >> 20
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .into_iter()
            .find(|(_, f)| self.0 >= *f && self.0.is_multiple_of(*f))
            .unwrap_or(("B", 1));
        write!(f, "{} {unit}", self.0 / factor)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let error = || ByteSizeError { text: text.chars().take(40).collect() };
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let number: u64 = trimmed[..split].parse().map_err(|_| error())?;
        let unit = trimmed[split..].trim();
        let short = |name: &str| {
            unit.eq_ignore_ascii_case(name)
                || (name.len() == 3 && unit.eq_ignore_ascii_case(&name[..1]))
        };
        let (_, factor) = UNITS.into_iter().find(|(name, _)| short(name)).ok_or_else(error)?;
        number.checked_mul(factor).map(Self).ok_or_else(error)
    }
}

text_form!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_write_as_people_write_them() {
        assert_eq!("512 MiB".parse(), Ok(ByteSize::mib(512)));
        assert_eq!("8G".parse(), Ok(ByteSize::gib(8)));
        assert_eq!(ByteSize::mib(1536).to_string(), "1536 MiB");
        assert_eq!(ByteSize::gib(2).to_string(), "2 GiB");
        assert_eq!(ByteSize::bytes(0).to_string(), "0 B");
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for bad in ["", "12", "MiB", "-1 MiB", "99999999999 TiB", "1 MB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }
}
