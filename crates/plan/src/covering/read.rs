//! Text forms of models, read with care: they come from anywhere.
//!
//! A form is bounded in size before it is looked at, nesting is bounded, and an error says the
//! file, line and column, shows the line with a caret, and says what was expected there.

mod acts;
mod casa;
mod formula;
mod pict;
mod text;

pub use acts::read_acts;
pub use casa::read_casa;
pub use hospitium_model::FormError;
pub use pict::{read_pict, read_pict_rows, write_pict};

/// A model's text may have this many bytes.
pub const MOST_BYTES: usize = 4 << 20;
