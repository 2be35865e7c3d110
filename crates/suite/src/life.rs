//! What a machine lives through in the middle of a check, so that the same check shows that it makes no difference.

/// One thing that a machine lives through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is saved to files, and goes on in a new process that is restored from them.
    SaveRestore,
    /// It is moved, running, to another process.
    Migrate,
}

impl Action {
    /// For a person, in the past.
    pub const fn words(self) -> &'static str {
        match self {
            Self::SaveRestore => "saved and restored",
            Self::Migrate => "migrated",
        }
    }
}
