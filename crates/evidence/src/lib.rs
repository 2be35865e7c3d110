//! The evidence bundle of a run: a writer that loses nothing, and a reader that distrusts it.
//!
//! In come the records of [`hospitium_model`] while a run goes on, each written whole or not at
//! all, so that what is finished outlives the harness. Out comes a folder, or a `.tar.zst` of it,
//! whose manifest names every file by SHA-256. [`Bundle::open`] reads either form back: it bounds
//! before it reads, checks every name and digest, and gives each verdict again from the
//! observations. docs/evidence.md is the format.

mod archive;
mod error;
mod escape;
mod layout;
mod pack;
mod pieces;
mod problem;
mod reader;
mod recover;
mod source;
mod store;
mod writer;

pub use error::{ReadError, WriteError};
pub use escape::{ConsoleText, escape_bytes, escape_line};
pub use layout::{NameFault, check_cell_name, check_path, limit};
pub use pack::pack;
pub use pieces::Pieces;
pub use problem::Problem;
pub use reader::{Bundle, Cell, read_bytes};
pub use recover::{Recovered, recover, so_far};
pub use writer::{BundleWriter, CellWriter};
