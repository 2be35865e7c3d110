//! Products and their facts.
//!
//! What comes in: osinfo-db (XML), endoflife.date (JSON or YAML by product), and definitions
//! (TOML, built in or from a folder). What goes out: [`Products`], in which each [`Product`] has
//! its names, its place in a line of releases, its devices, and every [`Fact`] with its
//! [`Source`]. Facts that contradict each other are all kept; [`Product::best`] tells which to go
//! by, [`Product::conflicts`] which others there are.
//!
//! [`Products::search`] finds products by what people write, [`Products::resolve`] wants exactly
//! one.

mod builder;
mod definition;
mod device;
pub mod endoflife;
mod error;
mod fact;
mod fetch;
mod file;
mod id;
mod machine;
mod newer;
pub mod osinfo;
mod product;
mod release;
mod search;
mod store;
pub mod update;
mod version;
mod words;

pub use builder::Builder;
pub use definition::Definitions;
pub use device::{Deployment, Device, DeviceSupport};
pub use error::{FormError, ProductsError};
pub use fact::{Conflict, Fact, FactValue, Property, Source, SourceKind, conflicts};
pub use fetch::endoflife as read_endoflife;
pub use id::{DeviceId, IdError, ProductId};
pub use machine::{Choice, MachineError, MachineOption, Part, Resolved, osinfo_devices};
pub use newer::Newer;
pub use product::{
    Alias, Arch, DeviceStatement, FirmwareStatement, Link, LinkKind, Product, ProductKind,
};
pub use release::{Named, Placed};
pub use search::{Candidate, Found, ResolveError};
pub use store::{Products, Sources};
pub use version::Version;
pub use words::Query;
